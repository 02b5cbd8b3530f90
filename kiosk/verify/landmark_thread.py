"""Landmarks in a thread of their own, always of the newest frame: a slow processor sees fewer frames, never old ones.

LIVE_STREAM mode would do the same inside MediaPipe, but hangs when a callback is slow.
"""

from __future__ import annotations

import threading
from collections.abc import Callable
from dataclasses import dataclass
from typing import Protocol

from kiosk.verify.errors import DetectorClosed, VerifyError
from kiosk.verify.landmarks import Image, Landmarks

JOIN_S = 5.0  # a frame takes 9 ms here; a thread that needs longer than this hangs


class Detector(Protocol):
    """What the thread drives; `LandmarkDetector` is one."""

    def detect(self, image_bgr: Image, mono_us: int) -> tuple[Landmarks, ...]:
        """Return the faces of one frame."""

    def close(self) -> None:
        """Let the detector go."""


@dataclass(frozen=True, slots=True, eq=False)
class Sighting:
    """A frame and the faces in it, the largest first."""

    mono_us: int
    image: Image
    faces: tuple[Landmarks, ...]


class LandmarkThread:
    """Runs one detector, made inside its thread. Both slots hold one: the newest frame waiting, the newest sighting
    done.

    An exception of the detector ends the thread and is raised from the next `submit` or `take`.
    """

    def __init__(self, make_detector: Callable[[], Detector]) -> None:
        self._make = make_detector
        self._changed = threading.Condition()
        self._waiting: tuple[int, Image] | None = None
        self._done: Sighting | None = None
        self._error: BaseException | None = None
        self._stopping = False
        self._newest_us = -1
        self.skipped = 0  # frames that a newer one replaced before their turn
        self._thread = threading.Thread(target=self._run, name="landmarks", daemon=True)
        self._thread.start()

    def submit(self, mono_us: int, image: Image) -> bool:
        """Offer a frame, in place of one still waiting. False: it is not newer than the last and was not taken."""
        with self._changed:
            self._raise_failure()
            if mono_us <= self._newest_us:
                return False
            self.skipped += self._waiting is not None
            self._newest_us = mono_us
            self._waiting = (mono_us, image)
            self._changed.notify_all()
            return True

    def take(self, timeout_s: float) -> Sighting | None:
        """Return the newest sighting not taken yet, waiting for one; None when none came in time."""
        with self._changed:
            self._changed.wait_for(lambda: self._done is not None or self._error is not None, timeout_s)
            self._raise_failure()
            sighting, self._done = self._done, None
            return sighting

    def stop(self) -> None:
        """End the thread and close its detector. Raises VerifyError when it does not end."""
        with self._changed:
            self._stopping = True
            self._changed.notify_all()
        self._thread.join(JOIN_S)
        if self._thread.is_alive():
            raise VerifyError(f"the landmark thread did not end within {JOIN_S:.0f} s")

    def _raise_failure(self) -> None:
        if self._error is not None:
            raise self._error
        if self._stopping:
            raise DetectorClosed("the landmark thread has been stopped; make a new one")

    def _run(self) -> None:
        try:
            detector = self._make()
            try:
                self._work(detector)
            finally:
                detector.close()
        except BaseException as error:  # nothing may end this thread unheard
            with self._changed:
                self._error = error
                self._changed.notify_all()

    def _work(self, detector: Detector) -> None:
        while True:
            with self._changed:
                self._changed.wait_for(lambda: self._waiting is not None or self._stopping)
                if self._stopping or self._waiting is None:
                    return
                (mono_us, image), self._waiting = self._waiting, None
            faces = detector.detect(image, mono_us)
            with self._changed:
                self._done = Sighting(mono_us, image, faces)
                self._changed.notify_all()
