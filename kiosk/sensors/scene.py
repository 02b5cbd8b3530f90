"""What stands behind the people: has the bolted camera been covered, turned or carried off?

A scene is kept as points and their descriptors (ORB, Rublee et al. 2011), never as a picture: nobody can be seen in it.
People who stand in front hide points and add others; the fit (RANSAC) goes by those that still agree. Pure: images in,
values out.
"""

from __future__ import annotations

import io
import math
from dataclasses import dataclass
from enum import StrEnum

import cv2
import numpy as np
from numpy.typing import NDArray

Image = NDArray[np.uint8]

WIDTH_PX = 320  # scenes are compared at this width: enough for a wall, and a fifth of the time of 640
MOST_POINTS = 600
FORMAT = 1
LEAST_POINTS = 40  # a wall without so many has nothing to know it by
FAST_THRESHOLD = 8  # grey levels; ORB's 20 finds nothing on plaster at dusk
AGREE = 14  # points under one map: by chance RANSAC finds up to 7 of 600 (two unlike scenes, measured in the test)
DISTANCE_BITS = 48  # of 256: further apart two descriptors are two things
RANSAC_PX = 3.0
# A camera bolted down does not wander by this much; a screw that gives and a lens that settles do by less.
MOVED_SHARE = 0.03  # of the picture's width
TURNED_DEG = 2.0
ZOOMED_SHARE = 0.05
# Covered: next to no light, or next to no detail in a thumbnail, where a sensor's noise has averaged out. Measured on
# drawn scenes: the gate by day 28, at dusk (0.15 of the light) 4.5, a palm over the lens 2.0, grain in the dark 0.2.
DARK_LEVEL = 12.0  # mean grey level
THUMBNAIL_PX = 64
FLAT_DETAIL = 3.0  # standard deviation of the thumbnail's Laplacian, grey levels


class SceneState(StrEnum):
    """What one look comes to."""

    SAME = "same"
    COVERED = "covered"
    MOVED = "moved"
    UNRECOGNISED = "unrecognised"  # too little agrees: a crowd, a lorry, another place


class SceneUnusable(ValueError):
    """The picture or the file holds no scene that could be known again; the message says why."""


@dataclass(frozen=True, slots=True, eq=False)
class Scene:
    """A scene to be known again: `points` (N, 2) px at WIDTH_PX, `descriptors` (N, 32) uint8."""

    points: NDArray[np.float32]
    descriptors: NDArray[np.uint8]

    def encode(self) -> bytes:
        """Return it as a file's bytes (NumPy's npz, no pickle)."""
        target = io.BytesIO()
        np.savez(target, format=np.array(FORMAT), points=self.points, descriptors=self.descriptors)
        return target.getvalue()

    @classmethod
    def decode(cls, data: bytes) -> Scene:
        """Read it back. Raises SceneUnusable."""
        try:
            with np.load(io.BytesIO(data), allow_pickle=False) as stored:
                version, points, descriptors = int(stored["format"]), stored["points"], stored["descriptors"]
        except Exception as error:  # whatever a torn file makes of zip and header readers
            raise SceneUnusable(f"it is no stored scene ({type(error).__name__})") from error
        if version != FORMAT or points.dtype != np.float32 or descriptors.dtype != np.uint8:
            raise SceneUnusable(f"it has format {version}, known is {FORMAT}")
        if points.ndim != 2 or points.shape[1:] != (2,) or descriptors.shape != (len(points), 32):
            raise SceneUnusable("its points and descriptors do not belong together")
        if len(points) < LEAST_POINTS or not np.isfinite(points).all():
            raise SceneUnusable("it holds too few points")
        return cls(points, descriptors)


@dataclass(frozen=True, slots=True)
class Look:
    """One look at the scene."""

    state: SceneState
    agree: int = 0  # points under one map
    shift_share: float = 0.0  # of the picture's width, at its centre
    turn_deg: float = 0.0


def describe(image_bgr: Image) -> Scene:
    """Return what to know the scene by. Raises SceneUnusable for a covered lens or a bare wall."""
    grey = _grey(image_bgr)
    if _covered(grey):
        raise SceneUnusable("the picture is dark or covered")
    scene = _points(grey)
    if len(scene.points) < LEAST_POINTS:
        raise SceneUnusable(f"only {len(scene.points)} points to know it by, {LEAST_POINTS} are wanted")
    return scene


def look(known: Scene, image_bgr: Image) -> Look:
    """Compare a picture (H, W, 3 BGR uint8) with the known scene."""
    grey = _grey(image_bgr)
    if _covered(grey):
        return Look(SceneState.COVERED)
    now = _points(grey)
    if len(now.points) < AGREE:
        return Look(SceneState.UNRECOGNISED)
    matches = cv2.BFMatcher(cv2.NORM_HAMMING, crossCheck=True).match(known.descriptors, now.descriptors)
    pairs = [(one.queryIdx, one.trainIdx) for one in matches if one.distance <= DISTANCE_BITS]
    if len(pairs) < AGREE:
        return Look(SceneState.UNRECOGNISED, len(pairs))
    before = known.points[[pair[0] for pair in pairs]]
    after = now.points[[pair[1] for pair in pairs]]
    place, inliers = cv2.estimateAffinePartial2D(before, after, method=cv2.RANSAC, ransacReprojThreshold=RANSAC_PX)
    agree = 0 if inliers is None else int(inliers.sum())
    if place is None or agree < AGREE:
        return Look(SceneState.UNRECOGNISED, agree)
    return _placed(np.asarray(place, np.float64), agree, grey.shape[0])


def _placed(place: NDArray[np.float64], agree: int, height: int) -> Look:
    """Judge a similarity, (2, 3): how far the centre went, how much was turned and zoomed."""
    turn_deg = math.degrees(math.atan2(place[1, 0], place[0, 0]))
    zoom = math.hypot(place[0, 0], place[1, 0])
    centre = np.array([WIDTH_PX / 2, height / 2, 1.0])
    shift = float(np.linalg.norm(place @ centre - centre[:2])) / WIDTH_PX
    moved = shift > MOVED_SHARE or abs(turn_deg) > TURNED_DEG or abs(zoom - 1) > ZOOMED_SHARE
    return Look(SceneState.MOVED if moved else SceneState.SAME, agree, shift, turn_deg)


def _grey(image_bgr: Image) -> Image:
    height, width = image_bgr.shape[:2]
    small = cv2.resize(image_bgr, (WIDTH_PX, max(1, round(height * WIDTH_PX / width))), interpolation=cv2.INTER_AREA)
    return np.asarray(cv2.cvtColor(small, cv2.COLOR_BGR2GRAY), np.uint8)


def _covered(grey: Image) -> bool:
    height = max(1, round(grey.shape[0] * THUMBNAIL_PX / grey.shape[1]))
    thumbnail = cv2.resize(grey, (THUMBNAIL_PX, height), interpolation=cv2.INTER_AREA)
    _, detail = cv2.meanStdDev(cv2.Laplacian(thumbnail, cv2.CV_16S))
    return float(grey.mean()) < DARK_LEVEL or float(detail[0, 0]) < FLAT_DETAIL


def _points(grey: Image) -> Scene:
    even = cv2.createCLAHE(clipLimit=2.0, tileGridSize=(4, 3)).apply(grey)  # morning sun and lamp light alike
    orb = cv2.ORB.create(nfeatures=MOST_POINTS, fastThreshold=FAST_THRESHOLD)
    found, descriptors = orb.detectAndCompute(even, None)
    if descriptors is None:
        return Scene(np.zeros((0, 2), np.float32), np.zeros((0, 32), np.uint8))
    return Scene(np.array([one.pt for one in found], np.float32), np.asarray(descriptors, np.uint8))
