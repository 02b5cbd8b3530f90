"""A strict stand-in for cv2.VideoCapture on a V4L2 device: it does what the real one does, down to its silences.

`test_v4l2` holds it against the signatures that OpenCV ships. It is scripted by a list of what each read gives.
"""

from __future__ import annotations

import time
from dataclasses import dataclass, field
from typing import ClassVar

import cv2
import numpy as np
from numpy.typing import NDArray


@dataclass
class Device:
    """What stands behind the device node: its size, and the script of its reads (the last entry repeats)."""

    size: tuple[int, int] = (640, 480)
    script: list[str] = field(default_factory=lambda: ["frame"])  # frame, none, late, frozen, small, grey, unplug
    opens: bool = True
    late_s: float = 0.15
    stamp_age_us: int | None = 5000  # age of the driver's time stamp; None: a clock that is not ours
    settings: dict[int, float] = field(default_factory=dict)
    released: int = 0
    reads: int = 0


class StrictCapture:
    """Refuses what the real class would refuse: another backend; a read after release gives nothing."""

    device: ClassVar[Device]

    def __init__(self, filename: str | int, apiPreference: int = cv2.CAP_ANY) -> None:  # noqa: N803
        assert apiPreference == cv2.CAP_V4L2, "without CAP_V4L2 OpenCV may pick FFmpeg, which buffers seconds"
        self._open = self.device.opens

    def isOpened(self) -> bool:  # noqa: N802
        return self._open

    def release(self) -> None:
        self._open = False
        self.device.released += 1

    def set(self, propId: int, value: float) -> bool:  # noqa: N803
        assert isinstance(value, float)
        self.device.settings[propId] = value
        return propId != cv2.CAP_PROP_BUFFERSIZE  # as V4L2 drivers refuse it

    def get(self, propId: int) -> float:  # noqa: N803
        if not self._open:
            return 0.0
        if propId == cv2.CAP_PROP_FRAME_WIDTH:
            return float(self.device.size[0])
        if propId == cv2.CAP_PROP_FRAME_HEIGHT:
            return float(self.device.size[1])
        if propId == cv2.CAP_PROP_POS_MSEC:
            age = self.device.stamp_age_us
            return time.time() * 1000 if age is None else (time.monotonic_ns() // 1000 - age) / 1000
        return 0.0

    def read(self, image: NDArray[np.uint8] | None = None) -> tuple[bool, NDArray[np.uint8] | None]:
        if not self._open:
            return False, None
        script = self.device.script
        what = script[min(self.device.reads, len(script) - 1)]
        self.device.reads += 1
        width, height = self.device.size
        if what == "none":
            return False, None
        if what == "unplug":
            self._open = False
            return False, None
        if what in ("late", "frozen"):
            time.sleep(self.device.late_s)
        if what == "grey":
            return True, np.zeros((height, width), np.uint8)
        if what == "small":
            return True, np.zeros((height // 2, width // 2, 3), np.uint8)
        picture = np.zeros((height, width, 3), np.uint8)
        if what != "frozen":
            picture[0, 0] = self.device.reads % 251  # a sensor's noise: no two in a row are the same to the last bit
        return True, picture
