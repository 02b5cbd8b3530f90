"""Where the 478 points of each face lie: MediaPipe's Tasks FaceLandmarker, the same on mediapipe 0.10.18 and 1.2.

Memory is not returned when a landmarker is closed, so a program makes one of each mode and keeps it. z is what the
mesh imagines: it says nothing about depth (a flat photo has it too) and must not be used as evidence of life.
"""

from __future__ import annotations

import importlib.metadata
import math
import threading
import weakref
from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property
from itertools import chain
from operator import attrgetter
from pathlib import Path
from typing import Any, Literal

import cv2
import numpy as np
from numpy.typing import NDArray

from kiosk.verify.errors import DetectorClosed, DetectorFailed, FrameOutOfOrder, LibraryMissing, ModelMissing
from kiosk.verify.native_noise import native_noise_filtered
from kiosk.verify.processor import check_processor, explain_import_failure

Image = NDArray[np.uint8]
Mode = Literal["video", "image"]

# Corners of the eyes: outer and inner of the one on the image's left, inner and outer of the one on its right.
LEFT_EYE_CORNERS = (33, 133)
RIGHT_EYE_CORNERS = (362, 263)
_EYE_CORNERS = np.array(LEFT_EYE_CORNERS + RIGHT_EYE_CORNERS)

# mediapipe's own defaults, named because the calibration of everything behind belongs to them.
MIN_DETECTION_CONFIDENCE = 0.5
MIN_PRESENCE_CONFIDENCE = 0.5
MIN_TRACKING_CONFIDENCE = 0.5

CLOSE_WITHIN_S = 2.0  # a frame takes a tenth; a graph that hangs must not keep the process from ending


@dataclass(frozen=True, eq=False)  # without slots: what is asked of a face again and again is worked out once
class Landmarks:
    """One face. `points` is (478, 3) float32: x by the image's width, y by its height, z by its width, nearer is
    less.
    """

    points: NDArray[np.float32]
    width: int  # of the image, px
    height: int  # of the image, px

    @cached_property
    def pixels(self) -> NDArray[np.float32]:
        """x and y in pixels, (478, 2)."""
        return self.scaled[:, :2]

    @cached_property
    def scaled(self) -> NDArray[np.float32]:
        """All three axes in pixels, (478, 3): x and z are given by the image's width, y by its height."""
        return self.points * np.array([self.width, self.height, self.width], np.float32)

    @cached_property
    def box(self) -> tuple[float, float, float, float]:
        """x0, y0, x1, y1 of the tightest rectangle, normalised; beyond 0..1 where the face leaves the image."""
        low, high = self.points[:, :2].min(axis=0), self.points[:, :2].max(axis=0)
        return float(low[0]), float(low[1]), float(high[0]), float(high[1])

    @property
    def area(self) -> float:
        """Of the box, as a share of the image."""
        x0, y0, x1, y1 = self.box
        return (x1 - x0) * (y1 - y0)

    @cached_property
    def eye_distance_px(self) -> float:
        """From the centre of one eye to the centre of the other, px; an eye's centre is midway between its corners."""
        (ax, ay), (bx, by), (cx, cy), (dx, dy) = self.points[_EYE_CORNERS, :2].tolist()
        return math.hypot((cx + dx - ax - bx) / 2 * self.width, (cy + dy - ay - by) / 2 * self.height)


class LandmarkDetector:
    """A FaceLandmarker of one mode. "video" tracks from frame to frame and wants ever later times; "image" judges
    each alone.

    Raises ModelMissing, LibraryMissing or WrongProcessor when it cannot be made. Calls from several threads wait for
    each other.
    """

    def __init__(self, bundle: Path, mode: Mode = "video", faces: int = 2) -> None:
        if not bundle.is_file():
            raise ModelMissing(f"there is no landmark model at {bundle}: run `python -m kiosk.verify.models`")
        self._mode = mode
        self._lock = threading.Lock()
        self._last_us: int | None = None
        self._last_ms = 0
        self._mediapipe = _import_mediapipe()
        self._landmarker: Any = self._create(bundle, faces)
        _close_before_exit(self)

    def _create(self, bundle: Path, faces: int) -> Any:
        tasks = self._mediapipe.tasks
        vision = tasks.vision
        options = vision.FaceLandmarkerOptions(
            base_options=tasks.BaseOptions(model_asset_path=str(bundle)),
            running_mode=vision.RunningMode.VIDEO if self._mode == "video" else vision.RunningMode.IMAGE,
            num_faces=faces,
            min_face_detection_confidence=MIN_DETECTION_CONFIDENCE,
            min_face_presence_confidence=MIN_PRESENCE_CONFIDENCE,
            min_tracking_confidence=MIN_TRACKING_CONFIDENCE,
        )
        try:
            with native_noise_filtered():
                return vision.FaceLandmarker.create_from_options(options)
        except OSError as error:  # 1.2 loads its library here, 0.10.18 at import
            raise explain_import_failure(error) from error
        except (RuntimeError, ValueError) as error:
            raise ModelMissing(f"mediapipe does not accept {bundle} as a face landmark model: {error}") from error

    def detect(self, image_bgr: Image, mono_us: int) -> tuple[Landmarks, ...]:
        """Return the faces of the image (H, W, 3, BGR), the largest first.

        `mono_us`: microseconds, later than in every earlier call in "video" mode, else FrameOutOfOrder; unused in
        "image" mode. Raises DetectorClosed, DetectorFailed.
        """
        rgb = np.ascontiguousarray(cv2.cvtColor(image_bgr, cv2.COLOR_BGR2RGB))
        image = self._mediapipe.Image(image_format=self._mediapipe.ImageFormat.SRGB, data=rgb)
        with self._lock:
            if self._landmarker is None:
                raise DetectorClosed("the landmark detector has been closed; make a new one")
            result = self._run(image, mono_us)
        height, width = image_bgr.shape[:2]
        faces = [Landmarks(_points(face), width, height) for face in result.face_landmarks]
        if len(faces) > 1:
            faces.sort(key=lambda face: face.area, reverse=True)
        return tuple(faces)

    def _run(self, image: Any, mono_us: int) -> Any:
        try:
            if self._mode == "image":
                return self._landmarker.detect(image)
            return self._landmarker.detect_for_video(image, self._next_ms(mono_us))
        except (RuntimeError, ValueError) as error:
            raise DetectorFailed(f"mediapipe could not judge the frame: {error}") from error

    def _next_ms(self, mono_us: int) -> int:
        """Return a time in the graph's milliseconds, strictly later than the last: an equal one breaks the graph for
        good.
        """
        if self._last_us is not None and mono_us <= self._last_us:
            raise FrameOutOfOrder(f"a frame of {mono_us} us came after one of {self._last_us} us; feed frames in order")
        self._last_us = mono_us
        self._last_ms = max(mono_us // 1000, self._last_ms + 1)
        return self._last_ms

    def close(self) -> None:
        """Let the native graph go; one that still judges a frame after CLOSE_WITHIN_S stays. May be called again."""
        if not self._lock.acquire(timeout=CLOSE_WITHIN_S):
            return
        try:
            landmarker, self._landmarker = self._landmarker, None
            if landmarker is not None:
                landmarker.close()
        finally:
            self._lock.release()

    def __enter__(self) -> LandmarkDetector:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()


_coordinates = attrgetter("x", "y", "z")


def _points(face: Sequence[Any]) -> NDArray[np.float32]:
    """Return mediapipe's landmarks as (N, 3), each axis in one piece: a box is then found in a seventh of the time."""
    flat = np.fromiter(chain.from_iterable(map(_coordinates, face)), np.float32, 3 * len(face))
    return np.asfortranarray(flat.reshape(-1, 3))


@dataclass(frozen=True, slots=True)
class _Mediapipe:
    """What is used of the package, by the names both versions share."""

    tasks: Any
    Image: Any
    ImageFormat: Any


def _import_mediapipe() -> _Mediapipe:
    try:
        check_processor(importlib.metadata.version("mediapipe"))
    except importlib.metadata.PackageNotFoundError:
        raise LibraryMissing("mediapipe is not installed: pip install 'zaigang[kiosk]'") from None
    try:
        import mediapipe
        from mediapipe.tasks import python as tasks
    except (ImportError, OSError) as error:
        raise explain_import_failure(error) from error
    return _Mediapipe(tasks, mediapipe.Image, mediapipe.ImageFormat)


_open: weakref.WeakSet[LandmarkDetector] = weakref.WeakSet()
_exit_hook_lock = threading.Lock()
_exit_hook_set = False


def _close_before_exit(detector: LandmarkDetector) -> None:
    """Close the detector while the interpreter still can.

    mediapipe 1.2 closes through a thread pool, and thread pools end before atexit runs: an atexit handler, like
    mediapipe's own __del__, would print a traceback at every exit. `threading._register_atexit` is what thread pools
    themselves use.
    """
    global _exit_hook_set
    _open.add(detector)
    with _exit_hook_lock:
        if not _exit_hook_set:
            _register_early_exit(_close_all)
            _exit_hook_set = True


def _register_early_exit(call: Any) -> None:
    import atexit
    import concurrent.futures.thread  # noqa: F401  registers its own hook first: hooks run last in, first out

    getattr(threading, "_register_atexit", atexit.register)(call)


def _close_all() -> None:
    for detector in list(_open):
        detector.close()
