"""A picture that stays the same to the last bit under new times: a driver that hands out its last buffer."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

FROZEN_AFTER_S = 5.0  # a real sensor's noise changes some bit in every picture; five seconds are 125 of them
EVERY = 8  # of rows and columns: 4,800 points of a VGA picture, for some microseconds; nobody has measured a sensor


class FrozenPicture:
    """Watches the pictures of one camera, over its reopenings too."""

    def __init__(self, after_s: float = FROZEN_AFTER_S) -> None:
        self.after_s = after_s
        self._points: NDArray[np.uint8] | None = None
        self._since_s = 0.0

    def look(self, image: NDArray[np.uint8], now_s: float) -> bool:
        """Take the newest picture (H x W x 3 uint8) at `now_s`, which only rises; say whether it is another one."""
        points = image[::EVERY, ::EVERY].copy()
        changed = self._points is None or not np.array_equal(points, self._points)
        if changed:
            self._points, self._since_s = points, now_s
        return changed

    def lasted_s(self, now_s: float) -> float:
        """For how long the picture has been the very same, in seconds."""
        return 0.0 if self._points is None else now_s - self._since_s

    def frozen(self, now_s: float) -> bool:
        """Say whether that is too long."""
        return self.lasted_s(now_s) > self.after_s
