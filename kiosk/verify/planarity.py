"""Paper or head: follow points of the face through a turn and ask how badly one plane explains how they moved.

Measures only; what the figures mean is decided in `liveness`. A homography maps every view of a flat picture onto every
other, whatever way it is swung; a nose in front of two cheeks does not fit. Real pixels are followed (Lucas-Kanade),
since MediaPipe imposes a face on paper too and its landmarks fit a photo as well as a head (measured).
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import TYPE_CHECKING, TypeAlias

import cv2
import numpy as np

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from kiosk.verify.landmarks import Landmarks

# MediaPipe's face oval: points are sought inside it, so that hair and background behind a real head add nothing.
# fmt: off
_OVAL = np.array([
    10, 338, 297, 332, 284, 251, 389, 356, 454, 323, 361, 288, 397, 365, 379, 378, 400, 377, 152, 148, 176, 149, 150,
    136, 172, 58, 132, 93, 234, 127, 162, 21, 54, 103, 67, 109,
])
# fmt: on
EYE_DISTANCE_PX = 64  # the face is scaled down to this: flow then costs the same near and far, and noise averages out
MARGIN = 0.4  # of the face's box on each side: a head that turns also shifts
MAX_POINTS = 80
MIN_POINTS = 25  # below this a homography's median says little
# Spread evenly and taken on faint skin too. The strongest corners alone sit on eyes and teeth, which lie in one plane:
# that cost a smiling head its parallax (residual 0.02 in place of 0.06), and cost paper nothing.
POINT_SPACING_PX = 10
QUALITY_LEVEL = 0.001  # of the best corner
WINDOW = (11, 11)
PYRAMID_LEVELS = 3  # follows 11 px * 2^3 a frame at 64 px between the eyes: a fast turn at 10 fps
OUTLIER_OF_EYE_DISTANCE = 0.02  # 1.3 px after scaling: above the noise of flow, below a nose's parallax
# Following costs a millisecond, and a head waits longer than it turns: still frames are skipped, up to a tenth of a
# second, in which paper swung at a hand's pace (a second for 70 degrees) moves less than the search reaches.
FOLLOW_EVERY_US = 100_000
FOLLOW_MOVED_DEG = 2.5
# From one followed frame to the next a face moves almost as an affine map would have it. A point this far from there
# sits on something else now: a paper's edge that passed, another face. What it adds looks like depth: it is dropped.
STRAY_OF_EYE_DISTANCE = 0.5
# At the limit between head and paper, 62 % outliers, so many rounds hit four points of the plane 995 times in 1,000.
# Paper has fewer outliers; a head has no plane to find, however long one looks.
RANSAC_ROUNDS = 250
_CRITERIA = (cv2.TERM_CRITERIA_EPS | cv2.TERM_CRITERIA_COUNT, 20, 0.03)


@dataclass(frozen=True, slots=True)
class PlaneFit:
    """How well one plane explains the movement of the face's points."""

    residual: float  # median distance of a point from where the plane would have it, in eye distances
    outliers: float  # share of points further than OUTLIER_OF_EYE_DISTANCE from there, 0..1
    points: int  # that were followed to the end
    turn_deg: float  # of the mesh, between the two ends
    squeeze: float = 1.0  # smallest ratio of the picture's two stretches on the way: a plane at 35 degrees has 0.82
    squeezed_residual: float = 0.0  # as `residual`, at that moment
    tear: float = 0.0  # largest median distance of a step's points from the step's affine map, in eye distances
    kept: float = 1.0  # share of the points sought at the start that were followed to the end, 0..1


_Points: TypeAlias = "NDArray[np.float32]"  # (N, 2), px of the scaled region


class PlaneTracker:
    """Follows points of one face from `start`; `feed` each later frame in order, then `fit`."""

    def __init__(self, image_bgr: NDArray[np.uint8], face: Landmarks, yaw_deg: float) -> None:
        self._start_yaw_deg = self._yaw_deg = yaw_deg
        self._followed_us: int | None = None
        self._scale = min(1.0, EYE_DISTANCE_PX / max(face.eye_distance_px, 1.0))
        self._eye_distance = face.eye_distance_px * self._scale
        self._region = _region(face, image_bgr.shape)
        grey = self._grey(image_bgr)
        self._previous = grey
        self._origin = _corners(grey, self._mask(face, grey.shape))
        self._now = self._origin.copy()
        self._sought = len(self._origin)
        self._tear = 0.0
        self._squeeze = 1.0
        self._squeezed: tuple[_Points, _Points] = (self._origin, self._now)

    def offer(self, mono_us: int, image_bgr: NDArray[np.uint8], yaw_deg: float) -> bool:
        """Follow the points into this frame if enough time has passed or the head has moved since the last one.

        Returns whether it did: of a frame that was passed over nobody knows whose face it shows.
        """
        waited = self._followed_us is None or mono_us - self._followed_us >= FOLLOW_EVERY_US
        if not waited and abs(yaw_deg - self._yaw_deg) < FOLLOW_MOVED_DEG:
            return False
        self._followed_us = mono_us
        self.feed(image_bgr, yaw_deg)
        return True

    def feed(self, image_bgr: NDArray[np.uint8], yaw_deg: float) -> None:
        """Follow the points into the next frame, where the head's yaw is `yaw_deg`.

        Frames without the face are left out: the step then spans the gap, and another face behind it tears the track.
        """
        self._yaw_deg = yaw_deg
        if not len(self._now):
            return
        grey = self._grey(image_bgr)
        moved, found, _ = cv2.calcOpticalFlowPyrLK(
            self._previous, grey, self._now, None, winSize=WINDOW, maxLevel=PYRAMID_LEVELS, criteria=_CRITERIA
        )
        kept = found.ravel() == 1
        if np.count_nonzero(kept) >= MIN_POINTS:
            misfit = _affine_misfit(self._now[kept], moved[kept]) / self._eye_distance
            self._tear = max(self._tear, float(np.median(misfit)))
            kept[kept] = misfit < STRAY_OF_EYE_DISTANCE
        self._origin, self._now, self._previous = self._origin[kept], moved[kept], grey
        squeeze = _squeeze(self._origin, self._now)
        if squeeze < self._squeeze:
            self._squeeze, self._squeezed = squeeze, (self._origin, self._now)

    def fit(self) -> PlaneFit:
        """Fit one homography from the first frame to the last; without enough points for one, `points` is 0."""
        residual, outliers, points = self._plane(self._origin, self._now)
        squeezed, _, _ = self._plane(*self._squeezed)
        turn_deg, kept = self._yaw_deg - self._start_yaw_deg, len(self._now) / max(self._sought, 1)
        return PlaneFit(residual, outliers, points, turn_deg, self._squeeze, squeezed, self._tear, kept)

    def _plane(self, origin: _Points, now: _Points) -> tuple[float, float, int]:
        """Return the median residual and the share of outliers of the best plane, and the number of points."""
        if len(now) < 4:
            return 0.0, 0.0, 0
        plane, _ = cv2.findHomography(
            origin, now, cv2.RANSAC, OUTLIER_OF_EYE_DISTANCE * self._eye_distance, maxIters=RANSAC_ROUNDS
        )
        if plane is None:
            return 0.0, 0.0, 0
        expected = cv2.perspectiveTransform(origin[None].astype(np.float64), plane)[0]
        distance = np.linalg.norm(expected - now, axis=1) / self._eye_distance
        residual = float(np.median(distance))
        if not math.isfinite(residual):
            return 0.0, 0.0, 0
        return residual, float(np.mean(distance > OUTLIER_OF_EYE_DISTANCE)), len(now)

    def _grey(self, image_bgr: NDArray[np.uint8]) -> NDArray[np.uint8]:
        x0, y0, x1, y1 = self._region
        grey = cv2.cvtColor(image_bgr[y0:y1, x0:x1], cv2.COLOR_BGR2GRAY)
        if self._scale < 1:
            # Area averaging costs eight times as much (0.7 ms) and is only needed where linear would skip pixels.
            way = cv2.INTER_LINEAR if self._scale > 0.5 else cv2.INTER_AREA
            grey = cv2.resize(grey, None, fx=self._scale, fy=self._scale, interpolation=way)
        return np.asarray(grey, np.uint8)

    def _mask(self, face: Landmarks, shape: tuple[int, ...]) -> NDArray[np.uint8]:
        mask = np.zeros(shape[:2], np.uint8)
        oval = (face.pixels[_OVAL] - np.array(self._region[:2], np.float32)) * self._scale
        cv2.fillConvexPoly(mask, cv2.convexHull(oval.astype(np.int32)), 255)
        return mask


def _corners(grey: NDArray[np.uint8], mask: NDArray[np.uint8]) -> NDArray[np.float32]:
    found = cv2.goodFeaturesToTrack(grey, MAX_POINTS, QUALITY_LEVEL, POINT_SPACING_PX, mask=mask)
    if found is None:
        return np.zeros((0, 2), np.float32)
    return np.asarray(found, np.float32).reshape(-1, 2)


def _affine_misfit(before: _Points, after: _Points) -> NDArray[np.float64]:
    """Return how far each point is, in px, from where the best affine map of all of them would have it."""
    a, b = before - before.mean(axis=0), after - after.mean(axis=0)
    linear = _linear_part(a, b)  # None: all lie in one line, and what moved at all counts as misfit
    off = (a if linear is None else a @ np.array(linear, np.float32)) - b
    return np.asarray(np.hypot(off[:, 0], off[:, 1]), np.float64)


def _squeeze(origin: _Points, now: _Points) -> float:
    """Return the ratio of the smaller to the larger stretch of the best affine map; 1 with too few points."""
    if len(now) < MIN_POINTS:
        return 1.0
    linear = _linear_part(origin - origin.mean(axis=0), now - now.mean(axis=0))
    if linear is None:
        return 1.0
    (p, q), (r, s) = linear
    squares, area = p * p + q * q + r * r + s * s, abs(p * s - q * r)
    # Of the two stretches the squares add up to `squares` and the product is `area`.
    larger = math.sqrt((squares + math.sqrt(max(squares * squares - 4 * area * area, 0.0))) / 2)
    return area / (larger * larger) if larger > 0 else 1.0


def _linear_part(a: _Points, b: _Points) -> tuple[tuple[float, float], tuple[float, float]] | None:
    """Return the 2x2 matrix that takes centred `a` to centred `b` best, or None where `a` lies in one line.

    Written out: for two unknowns numpy's solver takes five times as long to be called as to solve.
    """
    (xx, xy), (_, yy) = (a.T @ a).tolist()
    area = xx * yy - xy * xy
    if area <= 0:
        return None
    (xu, xv), (yu, yv) = (a.T @ b).tolist()
    return (
        ((yy * xu - xy * yu) / area, (yy * xv - xy * yv) / area),
        ((xx * yu - xy * xu) / area, (xx * yv - xy * xv) / area),
    )


def _region(face: Landmarks, shape: tuple[int, ...]) -> tuple[int, int, int, int]:
    """The face's box with a margin, clipped to the image, in whole pixels: x0, y0, x1, y1."""
    height, width = shape[:2]
    x0, y0, x1, y1 = face.box
    across, down = (x1 - x0) * MARGIN, (y1 - y0) * MARGIN
    left = min(max(int((x0 - across) * width), 0), width - 2)
    top = min(max(int((y0 - down) * height), 0), height - 2)
    right = max(min(math.ceil((x1 + across) * width), width), left + 2)
    bottom = max(min(math.ceil((y1 + down) * height), height), top + 2)
    return left, top, right, bottom
