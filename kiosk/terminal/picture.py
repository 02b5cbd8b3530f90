"""The camera picture as the screen may show it: the worker clear, everyone else beyond recognition.

Pure: an image and the box of the dominant face in, a JPEG out. Forty people stand in the queue behind the worker, and
none of them asked to be on a screen.
"""

from __future__ import annotations

import math

import cv2
import numpy as np
from numpy.typing import NDArray

Box = tuple[float, float, float, float]  # x0, y0, x1, y1 as fractions of width and height

PICTURE_WIDTH_PX = 640  # the screen draws it 500 px wide; more only costs the Pi time
JPEG_QUALITY = 80
# The box spans eyebrows to chin and cheek to cheek; the head with hair and helmet needs this much more.
GROW_WIDTH = 1.5
GROW_HEIGHT = 1.7
COARSE_WIDTH_PX = 32  # a bystander's 100 px face is left with five: below anything a matcher or a colleague can use
FEATHER_PX = 21  # odd; a soft edge looks meant, a hard one broken


def privacy_jpeg(image: NDArray[np.uint8], box: Box | None) -> bytes:
    """Encode a BGR image as a JPEG at most 640 px wide, clear only around the dominant face.

    `box` is that face's box in fractions of the image; without one, or with one that makes no sense, all is blurred.
    Raises ValueError for what is not an HxWx3 image.
    """
    if image.ndim != 3 or image.shape[2] != 3 or image.shape[0] < 2 or image.shape[1] < 2:
        raise ValueError(f"a BGR image has shape (height, width, 3), this one {image.shape}")
    small = _at_most_wide(image)
    shown = _coarse(small)
    ellipse = _ellipse(box, small.shape[1], small.shape[0])
    if ellipse is not None:
        shown = _clear_inside(small, shown, *ellipse)
    done, encoded = cv2.imencode(".jpg", shown, [cv2.IMWRITE_JPEG_QUALITY, JPEG_QUALITY])
    if not done:
        raise ValueError("the image cannot be encoded as JPEG")
    return bytes(encoded.tobytes())


def _at_most_wide(image: NDArray[np.uint8]) -> NDArray[np.uint8]:
    height, width = image.shape[:2]
    if width <= PICTURE_WIDTH_PX:
        return image
    size = (PICTURE_WIDTH_PX, max(2, round(height * PICTURE_WIDTH_PX / width)))
    return np.asarray(cv2.resize(image, size, interpolation=cv2.INTER_AREA), dtype=np.uint8)


def _coarse(image: NDArray[np.uint8]) -> NDArray[np.uint8]:
    """Throw the detail away instead of smearing it: a Gaussian blur can be undone, five pixels cannot."""
    height, width = image.shape[:2]
    coarse_size = (min(COARSE_WIDTH_PX, width), max(1, round(height * COARSE_WIDTH_PX / width)))
    coarse = cv2.resize(image, coarse_size, interpolation=cv2.INTER_AREA)
    return np.asarray(cv2.resize(coarse, (width, height), interpolation=cv2.INTER_LINEAR), dtype=np.uint8)


def _ellipse(box: Box | None, width: int, height: int) -> tuple[tuple[int, int], tuple[int, int]] | None:
    """Centre and half axes in pixels of the clear part; None where the box makes no sense."""
    if box is None or not all(math.isfinite(value) for value in box):
        return None
    x0, y0, x1, y1 = box
    if not (x0 < x1 and y0 < y1 and x1 > 0 and y1 > 0 and x0 < 1 and y0 < 1):
        return None
    if x1 - x0 > 1 or y1 - y0 > 1:  # a "face" wider than the picture would uncover everybody
        return None
    centre = (round((x0 + x1) / 2 * width), round((y0 + y1) / 2 * height))
    axes = (
        max(1, round((x1 - x0) / 2 * GROW_WIDTH * width)),
        max(1, round((y1 - y0) / 2 * GROW_HEIGHT * height)),
    )
    return centre, axes


def _clear_inside(
    image: NDArray[np.uint8], coarse: NDArray[np.uint8], centre: tuple[int, int], axes: tuple[int, int]
) -> NDArray[np.uint8]:
    mask = np.zeros(image.shape[:2], dtype=np.uint8)
    cv2.ellipse(mask, centre, axes, 0, 0, 360, 255, -1)
    soft = cv2.GaussianBlur(mask, (FEATHER_PX, FEATHER_PX), 0)
    weight = soft.astype(np.float32)[..., None] / 255
    return np.asarray(image * weight + coarse * (1 - weight), dtype=np.uint8)
