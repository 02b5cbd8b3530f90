"""A Raspberry Pi camera (CSI) through picamera2, which exists only on a Pi. Nobody has run this on hardware.

Written against the source of picamera2 0.3.38; tests hold it against the signatures of that wheel and against a strict
fake that pads rows, swaps colours, keeps stale frames and refuses a second release as the real class does.
"""

from __future__ import annotations

import threading
import time
from typing import Any, ClassVar

import cv2
import numpy as np
from numpy.typing import NDArray

from kiosk.sensors.camera import CameraFailed, CameraStalled, Frame, require_picture

BUFFERS = 4  # picamera2's own figure for a preview: fewer drop frames, more only hold older ones
OLDEST_STAMP_US = 2_000_000  # a sensor's stamp outside this is not on our monotonic clock
HELD = ("ExposureTime", "AnalogueGain", "ColourGains")  # what the automatics had chosen, held while locked
HOW_TO_INSTALL = "install Debian's python3-picamera2 and let the virtual environment see it (docs/install.md)"


class Picamera2Camera:
    """Camera `number` at `width` x `height`; with `main`, each frame carries that larger picture too.

    Both come from the same request, so they show the same instant. Raises CameraFailed.
    """

    never_repeats: ClassVar[bool] = True

    def __init__(
        self, number: int = 0, width: int = 640, height: int = 480, fps: int = 25, main: tuple[int, int] | None = None
    ) -> None:
        self._number = number
        self._size = (width, height)
        self._stream = "main" if main is None else "lores"
        self._index = -1
        self._last_us = -1
        self._flush_ns: int | None = None  # the next frame must have been exposed after this
        self._latest: dict[str, Any] = {}  # metadata of the newest frame
        self._controls = threading.Lock()
        self._camera: Any = self._open()
        try:
            self._start(fps, main)
        except Exception as error:
            self.close()
            if isinstance(error, CameraFailed):
                raise
            raise self._failed(error) from error

    @property
    def name(self) -> str:
        """As it stands in the settings."""
        return f"picamera2:{self._number}"

    def read(self, timeout_s: float) -> Frame:
        """Return the next frame with a time of its own; raise CameraStalled without one in `timeout_s`, CameraFailed.

        After CameraStalled only `close` is left: the request that was waited for may still come and belongs to nobody.
        """
        deadline = time.monotonic() + timeout_s
        flush_ns, self._flush_ns = self._flush_ns, None
        while (left_s := deadline - time.monotonic()) > 0:
            try:
                with self._camera.captured_request(wait=left_s, flush=flush_ns) as request:
                    frame = self._frame(request)
            except TimeoutError:
                break
            except CameraFailed:
                raise
            except Exception as error:
                raise self._failed(error) from error
            if frame is not None:
                return frame
        raise CameraStalled(f"{self.name} gave no new picture within {timeout_s:g} s.")

    def flush(self) -> None:
        """Let the next frame be one whose exposure began after this call: what a prompt or a flash has changed."""
        self._flush_ns = time.monotonic_ns()

    def lock_exposure(self) -> None:
        """Hold exposure and white balance as they are now; from any thread. Raises CameraFailed."""
        held = {name: self._latest[name] for name in HELD if name in self._latest}
        self._set({"AeEnable": False, "AwbEnable": False, **held})

    def unlock_exposure(self) -> None:
        """Let the automatics go on; from any thread. Raises CameraFailed."""
        self._set({"AeEnable": True, "AwbEnable": True, "ExposureTime": 0, "AnalogueGain": 0.0})  # 0: automatic

    def close(self) -> None:
        """Let go of the camera. A hung driver hangs this too: newest_frame watches from outside."""
        self._camera.close()

    def _open(self) -> Any:
        try:
            from picamera2 import Picamera2
        except ImportError as error:
            raise CameraFailed(f"{self.name} needs picamera2 ({error}): {HOW_TO_INSTALL}.") from error
        try:
            return Picamera2(self._number)
        except Exception as error:
            raise self._failed(error) from error

    def _start(self, fps: int, main: tuple[int, int] | None) -> None:
        interval_us = round(1e6 / fps)
        # A Pi 4's small stream is YUV only, so it is YUV everywhere.
        small = None if main is None else {"format": "YUV420", "size": self._size}
        configuration = self._camera.create_video_configuration(
            main={"format": "RGB888", "size": main or self._size},
            lores=small,
            buffer_count=BUFFERS,
            controls={"FrameDurationLimits": (interval_us, interval_us)},
            display=None,
            encode=None,
        )
        self._camera.configure(configuration)
        given = tuple(self._camera.stream_configuration(self._stream)["size"])
        if given != self._size:
            raise CameraFailed(f"{self.name} gives {given} and not {self._size}: set a size that it has.")
        self._camera.start()

    def _frame(self, request: Any) -> Frame | None:
        """None for a picture that was given before."""
        metadata = request.get_metadata()
        stamp_us = int(metadata["SensorTimestamp"]) // 1000
        if stamp_us <= self._last_us:
            return None
        now_us = time.monotonic_ns() // 1000
        self._last_us = stamp_us
        self._latest = metadata
        self._index += 1
        taken_us = stamp_us if now_us - OLDEST_STAMP_US <= stamp_us <= now_us else now_us
        if self._stream == "main":
            return Frame(self._index, taken_us, self._rgb(request, self._size))
        size = tuple(self._camera.stream_configuration("main")["size"])
        return Frame(self._index, taken_us, self._yuv(request), self._rgb(request, size))

    def _rgb(self, request: Any, size: tuple[int, ...]) -> NDArray[np.uint8]:
        """`RGB888` lies in memory as blue, green, red, which is what OpenCV and all of verify take."""
        width, height = size
        return require_picture(np.ascontiguousarray(request.make_array("main")[:height, :width]), self.name)

    def _yuv(self, request: Any) -> NDArray[np.uint8]:
        """Rows of `YUV420` are as long as the stride (704 becomes 768 on a Pi 5): converted whole, then cut."""
        width, height = self._size
        picture = cv2.cvtColor(request.make_array("lores"), cv2.COLOR_YUV2BGR_I420)
        return require_picture(np.ascontiguousarray(picture[:height, :width]), self.name)

    def _set(self, controls: dict[str, Any]) -> None:
        try:
            with self._controls:
                self._camera.set_controls(controls)
        except Exception as error:
            raise self._failed(error) from error

    def _failed(self, error: Exception) -> CameraFailed:
        return CameraFailed(f"{self.name} failed ({error}): check the ribbon cable; rpicam-hello --list-cameras.")
