"""Moire: a screen's grid of pixels beats with the camera's, and stands in the face's spectrum as a sharp peak.

Skin and hair have broad spectra; so has the sensor's noise. Compression leaves peaks at multiples of an eighth of the
axes, which are left out.
"""

from __future__ import annotations

from functools import lru_cache
from typing import TYPE_CHECKING

import cv2
import numpy as np

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from kiosk.verify.landmarks import Landmarks

SIDE_PX = 128  # of the square that is looked at, in the camera's own pixels: scaling would make beats of its own
LOWEST = 0.11  # cycles a pixel: below, faces themselves are strong
BLOCK = 8  # px of a compressed picture's blocks
_CENTRE = 4  # the nose's bridge and cheeks round it


def moire_peak(image_bgr: NDArray[np.uint8], face: Landmarks) -> float | None:
    """Return how far the strongest peak stands above its surroundings (1: no peak); None: the face is cut."""
    height, width = image_bgr.shape[:2]
    x, y = (round(float(place)) for place in face.pixels[_CENTRE])
    left, top = x - SIDE_PX // 2, y - SIDE_PX // 2
    if left < 0 or top < 0 or left + SIDE_PX > width or top + SIDE_PX > height:
        return None
    patch = image_bgr[top : top + SIDE_PX, left : left + SIDE_PX, 1].astype(np.float32)  # green: the sharpest channel
    patch -= cv2.GaussianBlur(patch, (0, 0), 2.5)
    np.clip(patch, -24, 24, out=patch)  # an edge is one thing, a wave goes on
    window, usable = _masks()
    spectrum = np.abs(np.fft.rfft2(patch * window)).astype(np.float32)
    around = cv2.blur(spectrum, (13, 13), borderType=cv2.BORDER_REFLECT)
    ratio = spectrum / np.maximum(around, 1e-3)
    return float(ratio[usable].max())


@lru_cache(maxsize=1)
def _masks() -> tuple[NDArray[np.float32], NDArray[np.bool_]]:
    """Return the window, and where in the half spectrum a peak counts."""
    hann = np.hanning(SIDE_PX).astype(np.float32)
    down = np.abs(np.fft.fftfreq(SIDE_PX))[:, None]
    across = np.fft.rfftfreq(SIDE_PX)[None]
    radius = np.hypot(down, across)
    bin_ = 1.5 / SIDE_PX
    nearest = np.abs(np.hypot(0, across) * BLOCK - np.round(across * BLOCK)) / BLOCK
    blocks_across = (down < bin_) & (nearest < bin_)
    nearest_down = np.abs(down * BLOCK - np.round(down * BLOCK)) / BLOCK
    blocks_down = (across < bin_) & (nearest_down < bin_)
    usable = (radius > LOWEST) & ~blocks_across & ~blocks_down
    return np.outer(hann, hann).astype(np.float32), np.asarray(usable)
