"""Eyelids painted over a portrait's eyes: skin from the upper lid down to where the lid has come, and a line of lashes.

Stretching the portrait's own lid would drag the rim of a pair of glasses along.
"""

from __future__ import annotations

import cv2
import numpy as np
from numpy.typing import NDArray

Floats = NDArray[np.float32]
Image = NDArray[np.uint8]

# Corner to corner, along the upper lid and along the lower: the eye on the image's left, then the other.
UPPER_LIDS = ((33, 246, 161, 160, 159, 158, 157, 173, 133), (263, 466, 388, 387, 386, 385, 384, 398, 362))
LOWER_LIDS = ((33, 7, 163, 144, 145, 153, 154, 155, 133), (263, 249, 390, 373, 374, 380, 381, 382, 362))
UNDER_EYES = ((230, 229, 231), (450, 449, 451))  # where the skin's colour is taken from
LID_LEVELS = 8  # pictures of a lid on its way down; a blink passes through them in 100 ms
LID_SHADE = 0.88  # a lid is darker than the skin below the eye
LASH_SHADE = 0.3
LID_BLUR_PX = 1.2
MARGIN_PX = 10


class Eyelids:
    """Patches of a picture's two eyes, from open to shut; `face` (468, 2) is where its points lie, px."""

    def __init__(self, picture: Image, face: Floats) -> None:
        self._patches = [
            [_patch(picture, face, eye, level / LID_LEVELS) for level in range(LID_LEVELS + 1)] for eye in (0, 1)
        ]

    def set(self, picture: Image, eyelids: float) -> None:
        """Paint both eyes of the picture (BGR or BGRA), in place: 0 open, 1 shut."""
        level = round(min(max(eyelids, 0.0), 1.0) * LID_LEVELS)
        for eye in self._patches:
            (x, y), patch = eye[level]
            picture[y : y + patch.shape[0], x : x + patch.shape[1], :3] = patch


def _patch(picture: Image, face: Floats, eye: int, shut: float) -> tuple[tuple[int, int], Image]:
    """Return where the eye's patch lies and what it looks like."""
    upper, lower = face[list(UPPER_LIDS[eye])], face[list(LOWER_LIDS[eye])]
    both = np.concatenate([upper, lower])
    x0, y0 = np.floor(both.min(axis=0)).astype(int) - MARGIN_PX
    x1, y1 = np.ceil(both.max(axis=0)).astype(int) + MARGIN_PX
    patch = picture[y0:y1, x0:x1].astype(np.float32)
    if shut > 0:
        corner = np.array([x0, y0])
        lash = upper + (lower - upper) * shut
        skin = np.median([picture[int(y), int(x)] for x, y in face[list(UNDER_EYES[eye])]], axis=0) * LID_SHADE
        lid = _soft(patch.shape[:2], np.concatenate([upper, lash[::-1]]) - corner, 0)
        patch += lid * (skin.astype(np.float32) - patch)
        thick = max(2, round(float(np.ptp(upper[:, 0])) / 14))
        patch += _soft(patch.shape[:2], lash - corner, thick) * (skin.astype(np.float32) * LASH_SHADE - patch)
    return (int(x0), int(y0)), np.clip(patch, 0, 255).astype(np.uint8)


def _soft(shape: tuple[int, int], points: Floats, thick: int) -> Floats:
    """Return 0..1 of (H, W, 1): a filled polygon, or a line `thick` px wide, with a soft edge."""
    mask = np.zeros(shape, np.float32)
    fixed = [np.round(points * 16).astype(np.int32)]
    if thick:
        cv2.polylines(mask, fixed, isClosed=False, color=1.0, thickness=thick, lineType=cv2.LINE_AA, shift=4)
    else:
        cv2.fillPoly(mask, fixed, 1.0, cv2.LINE_8, 4)
    return np.asarray(cv2.GaussianBlur(mask, (0, 0), LID_BLUR_PX)[:, :, None], np.float32)
