"""The pictures of one spot check while it goes on: the last 15 seconds up to the verdict, five a second, in memory.

Each is a JPEG with everyone but the dominant face blurred beyond recognition (kiosk.terminal.picture), so that what is
encrypted and kept later never had a bystander in it. Nothing is recorded before the worker says to be there.
"""

from __future__ import annotations

from collections import deque
from dataclasses import dataclass
from typing import TYPE_CHECKING

from kiosk.terminal.picture import Box, privacy_jpeg

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

LASTS_US = 15_000_000
EVERY_US = 200_000  # five pictures a second show a turn and a blink; more costs the Pi an encoding each
SLACK_US = 20_000  # a camera's frame that comes a little early is taken: at 25 fps it stays every fifth
MOST_BYTES = 6 << 20  # 75 pictures of at most 80 kB


@dataclass(frozen=True, slots=True)
class Video:
    """A Motion JPEG stream: JPEGs one after the other, each with its time in a comment (`ms=400`)."""

    data: bytes
    frames: int
    duration_ms: int  # from the first picture to the last


class Recording:
    """Takes frames as they are judged; keeps the newest 15 seconds."""

    def __init__(self) -> None:
        self._pictures: deque[tuple[int, bytes]] = deque()
        self._bytes = 0

    def add(self, mono_us: int, image: NDArray[np.uint8], box: Box | None) -> None:
        """Take a BGR frame where one is due. `box`: of the dominant face, as fractions; None: all is blurred.

        Raises ValueError as privacy_jpeg does.
        """
        if self._pictures and mono_us - self._pictures[-1][0] < EVERY_US - SLACK_US:
            return
        picture = privacy_jpeg(image, box)
        self._pictures.append((mono_us, picture))
        self._bytes += len(picture)
        while self._pictures and (self._bytes > MOST_BYTES or mono_us - self._pictures[0][0] > LASTS_US):
            self._bytes -= len(self._pictures.popleft()[1])

    def video(self) -> Video | None:
        """What has been recorded; None where no picture came."""
        if not self._pictures:
            return None
        start_us = self._pictures[0][0]
        stream = b"".join(_stamped(picture, (mono_us - start_us) // 1000) for mono_us, picture in self._pictures)
        return Video(stream, len(self._pictures), (self._pictures[-1][0] - start_us) // 1000)


def _stamped(jpeg: bytes, ms: int) -> bytes:
    """Put a comment segment (COM, ISO/IEC 10918-1 B.2.4.5) behind the start of the image."""
    text = f"ms={ms}".encode()
    return jpeg[:2] + b"\xff\xfe" + (len(text) + 2).to_bytes(2, "big") + text + jpeg[2:]
