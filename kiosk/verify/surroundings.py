"""What stands behind the worker stands still, for a terminal is bolted down. If it moves as one, a hand holds it up.

Against a screen so near that it fills the picture, with no edge and no pixel in sight: what it shows beside the face
moves with the hand that holds it. People who pass behind move each their own way, and a wall does not move. Measures
only; `liveness` decides. On a stand a screen does not move, and nothing here sees it.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

import cv2
import numpy as np

if TYPE_CHECKING:
    from collections.abc import Sequence

    from numpy.typing import NDArray

    from kiosk.verify.landmarks import Landmarks

BESIDE = 0.9  # face widths beside the face's box: hair, hood and ears move with a head
ABOVE = 0.8  # face heights above it: a helmet does too
WIDTH_PX = 320
BLUR_PX = 1.0
POINTS = 200
LEAST_POINTS = 30
SPREAD = 0.4  # of the picture's width that the points must span: what one passer-by carries is narrower
SPACING_PX = 5
QUALITY = 0.005  # of the best corner
BACK_PX = 0.5  # followed there and back, a point must come home
ONE_MAP_PX = 0.6
AS_ONE = 0.75  # share of the points that must move under one map
_CRITERIA = (cv2.TERM_CRITERIA_EPS | cv2.TERM_CRITERIA_COUNT, 20, 0.02)


def wander(kept: Sequence[tuple[NDArray[np.uint8], Landmarks]]) -> list[float]:
    """Return how far all that is behind the face has moved as one, from the first picture to each later one.

    In thousandths of the picture's width; nothing for a picture where too little could be followed or it moved in
    several ways. `kept`: images (H, W, 3 BGR) with the face in each, in order of time.
    """
    if len(kept) < 2:
        return []
    first, face = kept[0]
    grey = _grey(first)
    found = cv2.goodFeaturesToTrack(grey, POINTS, QUALITY, SPACING_PX, mask=_behind(face, grey.shape))
    if found is None or len(found) < LEAST_POINTS:
        return []
    points = np.asarray(found, np.float32).reshape(-1, 2)
    moved = (_moved(grey, _grey(image), points, one) for image, one in kept[1:])
    return [1000 * one / WIDTH_PX for one in moved if one is not None]


def _moved(
    before: NDArray[np.uint8], after: NDArray[np.uint8], points: NDArray[np.float32], face: Landmarks
) -> float | None:
    """Return the median way in px that the points went under one map; None where they did not.

    Points that the head has come before by then are left out.
    """
    columns, rows = np.round(points).astype(np.intp).T
    points = points[_behind(face, before.shape)[rows, columns] > 0]
    if len(points) < LEAST_POINTS:
        return None
    there, found, _ = cv2.calcOpticalFlowPyrLK(before, after, points, None, winSize=(15, 15), criteria=_CRITERIA)
    home, back, _ = cv2.calcOpticalFlowPyrLK(after, before, there, None, winSize=(15, 15), criteria=_CRITERIA)
    good = (found.ravel() == 1) & (back.ravel() == 1) & (np.linalg.norm(home - points, axis=1) < BACK_PX)
    start, end = points[good], there[good]
    if len(start) < LEAST_POINTS or np.ptp(start[:, 0]) < SPREAD * before.shape[1]:
        return None
    place, inliers = cv2.findHomography(start, end, cv2.RANSAC, ONE_MAP_PX)
    if place is None or float(np.mean(inliers)) < AS_ONE:
        return None
    as_one = inliers.ravel() == 1
    return float(np.median(np.linalg.norm(end[as_one] - start[as_one], axis=1)))


def _behind(face: Landmarks, shape: tuple[int, ...]) -> NDArray[np.uint8]:
    """Return 255 where neither head nor body is: above the chin, beside the head's column with what it wears."""
    height, width = shape[:2]
    mask = np.full((height, width), 255, np.uint8)
    x0, y0, x1, y1 = face.box
    wide, tall = x1 - x0, y1 - y0
    left, right = int((x0 - BESIDE * wide) * width), int((x1 + BESIDE * wide) * width)
    mask[max(0, int((y0 - ABOVE * tall) * height)) :, max(0, left) : max(0, right)] = 0
    mask[max(0, int(y1 * height)) :] = 0
    return mask


def _grey(image_bgr: NDArray[np.uint8]) -> NDArray[np.uint8]:
    """Return it at WIDTH_PX, where a dim sensor's grain has averaged out and a hand's tremor has not."""
    height, width = image_bgr.shape[:2]
    size = (WIDTH_PX, round(height * WIDTH_PX / width))
    small = cv2.resize(image_bgr, size, interpolation=cv2.INTER_AREA)
    return np.asarray(cv2.GaussianBlur(cv2.cvtColor(small, cv2.COLOR_BGR2GRAY), (0, 0), BLUR_PX), np.uint8)
