"""A video file as a camera: at the pace of real time, as a lens would give it, or as fast as it is asked."""

from __future__ import annotations

import math
import time
from dataclasses import replace
from pathlib import Path
from typing import Any

from kiosk.sensors.camera import CameraEnded, CameraFailed, CameraStalled, Frame, require_picture

FALLBACK_FPS = 25.0  # for files that do not say how fast they are
HIGHEST_FPS = 240.0  # above it the number is a time base, not a frame rate
MOST_SKIPPED = 10  # frames in one read; a machine that decodes slower than real time plays slower instead of never


class VideoFileCamera:
    """Plays `path`.

    With `realtime`, a frame arrives when it is due and frames whose time has passed are skipped, as a camera would.
    Without it every frame arrives at once and `mono_us` advances by the video's own clock, so that what judges the
    frames sees the same seconds. `loop` starts again at the end; indices and times go on rising.
    """

    def __init__(self, path: str | Path, realtime: bool = True, loop: bool = False) -> None:
        self.path = Path(path)
        self.realtime = realtime
        self.loop = loop
        self._capture: Any = self._open()
        self._start_us: int | None = None  # the first read starts the clock
        self._index = -1  # index of the latest decoded frame
        self._media_us = -1  # its time since the start of play; -1 before the first
        self._offset_us = 0  # where the current round of a loop began
        self._round_frames = 0
        self._pending: Frame | None = None  # decoded but not yet due

    @property
    def name(self) -> str:
        """The file's name."""
        return self.path.name

    def read(self, timeout_s: float) -> Frame:
        """Return the next frame when it is due; raise CameraEnded at the end, CameraStalled when it is due too late."""
        frame = self._pending or self._decode()
        self._pending = frame
        if not self.realtime:
            self._pending = None
            return frame
        frame = self._pending = self._skip_the_past(frame)
        wait_s = -_lateness_us(frame) / 1e6
        if wait_s > timeout_s:
            time.sleep(timeout_s)
            raise CameraStalled(f"{self.name} has no frame within {timeout_s:g} s.")
        if wait_s > 0:
            time.sleep(wait_s)
        self._pending = None
        return frame

    def close(self) -> None:
        """Close the file."""
        self._capture.release()

    def _open(self) -> Any:
        import cv2

        if not self.path.is_file():
            raise CameraFailed(f"There is no video file {self.path}.")
        capture = cv2.VideoCapture(str(self.path))
        if not capture.isOpened():
            raise CameraFailed(f"{self.name} is not a video that OpenCV can read: convert it to MP4 (H.264) or MJPEG.")
        fps = capture.get(cv2.CAP_PROP_FPS)
        self._interval_us = round(1e6 / (fps if math.isfinite(fps) and 1 <= fps <= HIGHEST_FPS else FALLBACK_FPS))
        self._announced = max(0, int(capture.get(cv2.CAP_PROP_FRAME_COUNT)))
        return capture

    def _decode(self) -> Frame:
        import cv2

        if not self._capture.isOpened():
            raise CameraFailed(f"{self.name} is closed.")
        found, image = self._capture.read()
        if not found:
            return self._at_the_end()
        self._round_frames += 1
        self._index += 1
        media_us = self._offset_us + round(self._capture.get(cv2.CAP_PROP_POS_MSEC) * 1000)
        if media_us <= self._media_us:  # a container without times, or times that run backwards
            media_us = self._media_us + self._interval_us
        self._media_us = media_us
        if self._start_us is None:
            self._start_us = time.monotonic_ns() // 1000 - media_us
        return Frame(self._index, self._start_us + media_us, require_picture(image, self.name))

    def _at_the_end(self) -> Frame:
        if self._round_frames == 0:
            raise CameraFailed(f"{self.name} holds no frame that can be decoded.")
        if not self.loop:
            raise CameraEnded(f"{self.name} is over after {self._round_frames} of {self._announced} frames.")
        self._capture.release()
        self._capture = self._open()
        self._offset_us = self._media_us + self._interval_us
        self._round_frames = 0
        return self._decode()

    def _skip_the_past(self, frame: Frame) -> Frame:
        for _ in range(MOST_SKIPPED):
            if _lateness_us(frame) <= self._interval_us:
                return frame
            frame = self._decode()
        late_us = _lateness_us(frame)
        if late_us > self._interval_us and self._start_us is not None:
            self._start_us += late_us
            return replace(frame, mono_us=frame.mono_us + late_us)
        return frame


def _lateness_us(frame: Frame) -> int:
    return time.monotonic_ns() // 1000 - frame.mono_us
