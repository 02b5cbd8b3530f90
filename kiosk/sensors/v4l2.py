"""A V4L2 camera (USB, or a Pi camera behind libcamera's V4L2 wrapper) through OpenCV."""

from __future__ import annotations

import math
import time
from typing import Any, ClassVar

from kiosk.sensors.camera import CameraFailed, CameraStalled, Frame, require_picture

RETRY_PAUSE_S = 0.02  # between reads that return nothing at once, as after an unplug; half a frame at 25 fps
OLDEST_STAMP_US = 2_000_000  # a driver stamp outside this is not on our monotonic clock (uvcvideo can use another)


class V4l2Camera:
    """`device` is a path (`/dev/video0`) or an index; raises CameraFailed unless it gives `width` x `height`.

    The size is demanded, not wished for: a terminal judges the distance of the eyes in pixels, and a camera that
    silently falls back to a quarter of the picture turns every worker away.
    """

    never_repeats: ClassVar[bool] = True

    def __init__(self, device: str | int, width: int = 640, height: int = 480, fps: int = 25) -> None:
        import cv2

        self._device = device
        self._size = (width, height)
        self._index = -1
        self._last_us = -1
        # OpenCV leaves a device open that it could not configure, so every failure from here on releases it.
        self._capture: Any = cv2.VideoCapture(device, cv2.CAP_V4L2)
        if not self._capture.isOpened():
            self._capture.release()
            raise CameraFailed(f"{self.name} cannot be opened: check the cable, the settings and the group video.")
        for setting, value in (
            (cv2.CAP_PROP_FRAME_WIDTH, width),
            (cv2.CAP_PROP_FRAME_HEIGHT, height),
            (cv2.CAP_PROP_FPS, fps),
            (cv2.CAP_PROP_BUFFERSIZE, 1),  # fewer old pictures in the driver; a refusal does no harm
        ):
            self._capture.set(setting, float(value))
        given = (int(self._capture.get(cv2.CAP_PROP_FRAME_WIDTH)), int(self._capture.get(cv2.CAP_PROP_FRAME_HEIGHT)))
        if given != self._size:
            self._capture.release()
            raise self._wrong_size(given)

    @property
    def name(self) -> str:
        """The device as it stands in the settings."""
        return str(self._device)

    def read(self, timeout_s: float) -> Frame:
        """Return the next frame; raise CameraStalled without one in `timeout_s`, CameraFailed on a wrong picture.

        OpenCV's own wait is 10 s and cannot be shortened for one device; a frame that comes after `timeout_s` is late
        and is dropped.
        """
        deadline = time.monotonic() + timeout_s
        while True:
            found, image = self._capture.read()
            if time.monotonic() > deadline:
                raise CameraStalled(f"{self.name} gave no picture within {timeout_s:g} s.")
            if found:
                return self._frame(image)
            if not self._capture.isOpened():
                raise CameraFailed(f"{self.name} is gone: check the cable.")
            time.sleep(RETRY_PAUSE_S)

    def close(self) -> None:
        """Let go of the device."""
        self._capture.release()

    def _frame(self, image: object) -> Frame:
        picture = require_picture(image, self.name)
        height, width = picture.shape[:2]
        if (width, height) != self._size:
            raise self._wrong_size((width, height))
        self._index += 1
        # Two frames never share a time: MediaPipe refuses the second.
        self._last_us = max(self._taken_us(), self._last_us + 1)
        return Frame(self._index, self._last_us, picture)

    def _taken_us(self) -> int:
        """The driver's own stamp where it is on the monotonic clock, else now: a buffered picture is older than now."""
        import cv2

        now_us = time.monotonic_ns() // 1000
        stamp_ms = self._capture.get(cv2.CAP_PROP_POS_MSEC)
        if not math.isfinite(stamp_ms):
            return now_us
        stamp_us = int(stamp_ms * 1000)
        return stamp_us if now_us - OLDEST_STAMP_US <= stamp_us <= now_us else now_us

    def _wrong_size(self, given: tuple[int, int]) -> CameraFailed:
        wanted = f"{self._size[0]} x {self._size[1]}"
        return CameraFailed(
            f"{self.name} gives {given[0]} x {given[1]} and not {wanted}: set the camera's size to one that it has."
        )
