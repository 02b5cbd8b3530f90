"""A rectangle round the face: the edge of a phone, a tablet or a print that shows it.

Doors, windows and pictures on a wall are rectangles too, but they stand behind shoulders. What is held before the
camera is cut by nobody: its sides run on below the chin, or its lower edge is whole and lies before the neck. The
limits were looked at with seeds 1 and 2 of tests/manual/frames_in_rooms.py.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from itertools import product
from typing import TYPE_CHECKING

import cv2
import numpy as np

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from kiosk.verify.landmarks import Landmarks

EYE_DISTANCE_PX = 44  # the picture is scaled down to this: a rim of 3 mm is still a line, skin and cloth no more
SLANT = 0.36  # tan 20 degrees: what a hand's tilt and perspective make of upright and level
NEAR = 1.25  # face widths (heights) from the face to a side: a tablet has 0.8; further out is a room
INSIDE = 0.06  # of the face's width that a side may lie inside the mesh's box, which a cap's print exceeds
SIDE_SEEN = 0.75  # share of a side's length, of what is inside the picture, that must show as an edge
SIDE_SOUGHT = 0.5  # the same before a side is bent to fit, which costs a tenth of a look more where all are bent
BELOW_CHIN = 0.45  # face heights: as far must an upright side go on; shoulders hide a room's lines higher than that
CUT_BELOW_CHIN = 0.16  # face heights that must be in sight below it where no lower edge is
# Two sides that go through the whole picture must do so below the chin, all but unbroken. Without another edge they
# must be close to the face; an edge across them below it lies before the body.
THROUGH_BELOW_CHIN = 0.3  # face heights
THROUGH_SEEN = 0.97  # of their length
THROUGH_NEAR = 0.7  # face widths from the face
CORNER = 0.12  # of an edge's length at each end, where it must meet the upright sides
CORNER_SEEN = 0.4
CORNERS = 3  # of the four of a whole rectangle: a dark jacket reaches a dark device in one of them
PICTURE_EDGE = 0.02  # of the picture: a side that leaves it ends there
SLOPES = np.arange(-SLANT, SLANT + 0.001, 0.02)
BENDS = (0.0, -0.012, 0.012, -0.024, 0.024)  # tried where an edge is followed further than it was sought
MOVES = (0.0, -1.0, 1.0, -2.0, 2.0)  # px
_BENT, _MOVED = (one.ravel() for one in np.meshgrid(BENDS, MOVES, indexing="ij"))
STEP_PX = 2  # every other pixel of a side is looked at: edges are two pixels wide at least
SHORTEST = 6  # px
CANDIDATES = 5  # on each side of the face; APART_PX from each other
APART_PX = 2.5
WEAK, STRONG = 40, 100  # Canny's limits for Sobel gradients: a dark device before a dark wall has 110, noise at most 25

Size = tuple[float, float]
Box = tuple[float, float, float, float]  # left, top, right, bottom


@dataclass(frozen=True, slots=True)
class _Side:
    """One straight edge that runs along the first axis of `marks`: `at` its place across at `middle`, and its slope."""

    marks: NDArray[np.uint8]  # (across, along): not 0 where an edge of this direction is
    at: float
    slope: float
    middle: float

    def across(self, along: float) -> float:
        """Return its place across at a place along."""
        return self.at + self.slope * (along - self.middle)

    def seen(self, low: float, high: float) -> float:
        """Return the share of low..high along the line that shows as an edge, of what is inside the picture."""
        along = np.arange(max(int(low), 0), min(int(high) + 1, self.marks.shape[1]))
        across = np.round(self.at + self.slope * (along - self.middle)).astype(np.intp)
        inside = (across >= 0) & (across < self.marks.shape[0])
        if np.count_nonzero(inside) < SHORTEST:
            return 0.0
        return float(np.count_nonzero(self.marks[across[inside], along[inside]])) / int(np.count_nonzero(inside))

    def fitted(self, low: float, high: float) -> _Side:
        """Return the side, bent and moved a little, that shows best along low..high, as `seen` counts."""
        along = np.arange(max(int(low), 0), min(int(high) + 1, self.marks.shape[1]))
        slopes, places = self.slope + _BENT, self.at + _MOVED
        across = np.round(places[:, None] + slopes[:, None] * (along - self.middle)).astype(np.intp)
        inside = (across >= 0) & (across < self.marks.shape[0])
        found = (self.marks[np.where(inside, across, 0), along] > 0) & inside
        counts = inside.sum(axis=1)
        shares = np.where(counts < SHORTEST, 0.0, found.sum(axis=1) / np.maximum(counts, 1))
        best = int(shares.argmax())
        return replace(self, slope=float(slopes[best]), at=float(places[best]))


def framed(image_bgr: NDArray[np.uint8], face: Landmarks) -> bool:
    """Whether a rectangle that lies before the body frames the face of an image (H, W, 3)."""
    scale = min(1.0, EYE_DISTANCE_PX / max(face.eye_distance_px, 1.0))
    grey = cv2.cvtColor(image_bgr, cv2.COLOR_BGR2GRAY)
    if scale < 1:
        grey = cv2.resize(grey, None, fx=scale, fy=scale, interpolation=cv2.INTER_AREA)
    height, width = grey.shape
    x0, y0, x1, y1 = (part * size for part, size in zip(face.box, (width, height) * 2, strict=True))
    wide, tall = x1 - x0, y1 - y0
    rising, level = _marks(grey)
    upright = np.ascontiguousarray(rising.T)
    size = (float(width), float(height))
    foot = height * (1 - PICTURE_EDGE)
    chin = min(y1 + BELOW_CHIN * tall, foot)

    def beside(low: float) -> tuple[list[_Side], list[_Side]]:
        """Return the upright edges left and right of the face that show from its top to `low`."""
        lefts = _sides(upright, (y0, low), (x0 - NEAR * wide, x0 + INSIDE * wide))
        rights = _sides(upright, (y0, low), (x1 - INSIDE * wide, x1 + NEAR * wide)) if lefts else []
        return lefts, rights

    tops = _sides(level, (x0, x1), (y0 - NEAR * tall, y0 + INSIDE * tall))
    bottoms = _sides(level, (x0, x1), (y1 - INSIDE * tall, y1 + NEAR * tall))
    # Sought beside the face, an upright side is followed on to where the picture ends.
    lefts, rights = ([one.fitted(y0, foot) for one in sides] for sides in beside(chin))
    if any(_closed(left, right, tops, bottoms, (x0, y0, x1, y1), size) for left in lefts for right in rights):
        return True
    bottoms = [edge for edge in bottoms if edge.at <= chin]
    if not tops or not bottoms:
        return False
    lefts, rights = beside(y1)
    return any(_boxed(left, right, tops, bottoms, size) for left in lefts for right in rights)


def _boxed(left: _Side, right: _Side, tops: list[_Side], bottoms: list[_Side], size: Size) -> bool:
    """Whether two upright sides, an edge above and one just below the chin make a whole rectangle."""
    if abs(left.slope - right.slope) > SLANT:
        return False
    for above, below in product(tops, bottoms):
        if min(one.seen(above.at, below.at) for one in (left, right)) < SIDE_SOUGHT:
            continue
        sides = [one.fitted(above.at, below.at) for one in (left, right)]
        if min(one.seen(above.at, below.at) for one in sides) < SIDE_SEEN:
            continue
        if sum(_corners(edge, sides[0], sides[1], size) for edge in (above, below)) >= CORNERS:
            return True
    return False


def _closed(left: _Side, right: _Side, tops: list[_Side], bottoms: list[_Side], face: Box, size: Size) -> bool:
    """Whether two upright sides make a frame with an edge above and one below, or one and the picture's own."""
    _, y0, _, y1 = face
    if abs(left.slope - right.slope) > SLANT:
        return False
    foot, head = size[1] * (1 - PICTURE_EDGE), size[1] * PICTURE_EDGE
    chin = min(y1 + BELOW_CHIN * (y1 - y0), foot)
    if min(left.seen(y0, chin), right.seen(y0, chin)) < SIDE_SEEN:
        return False
    if _through(left, right, face, size) and (
        _close(left, right, face) or any(_corners(edge, left, right, size) for edge in bottoms)
    ):
        return True
    above = [edge for edge in tops if _corners(edge, left, right, size) == 2]
    below = [edge for edge in bottoms if _corners(edge, left, right, size) == 2]
    if above and below:
        return all(one.seen(above[0].at, below[0].at) >= SIDE_SEEN for one in (left, right))
    if above and foot - y1 > CUT_BELOW_CHIN * (y1 - y0):  # cut by the picture: both sides must go on to there
        return min(left.seen(y1, foot), right.seen(y1, foot)) >= SIDE_SEEN
    return bool(below) and y0 > 4 * head and min(left.seen(head, y0), right.seen(head, y0)) >= SIDE_SEEN


def _through(left: _Side, right: _Side, face: Box, size: Size) -> bool:
    """Whether two upright sides go through the whole picture, in front of where shoulders are."""
    _, y0, _, y1 = face
    foot, head = size[1] * (1 - PICTURE_EDGE), size[1] * PICTURE_EDGE
    if foot - y1 < THROUGH_BELOW_CHIN * (y1 - y0):
        return False
    return all(one.seen(head, foot) >= THROUGH_SEEN for one in (left, right))


def _close(left: _Side, right: _Side, face: Box) -> bool:
    """Whether both sides are close to the face."""
    x0, y0, x1, y1 = face
    middle, close = (y0 + y1) / 2, THROUGH_NEAR * (x1 - x0)
    return x0 - left.across(middle) <= close and right.across(middle) - x1 <= close


def _corners(edge: _Side, left: _Side, right: _Side, size: Size) -> int:
    """Return in how many corners an edge that runs from one upright side to the other is seen; 0 where it does not."""
    start, end = left.across(edge.at), right.across(edge.at)
    start, end = left.across(edge.across(start)), right.across(edge.across(end))
    start, end = max(start, PICTURE_EDGE * size[0]), min(end, (1 - PICTURE_EDGE) * size[0])
    if end - start < 2 * SHORTEST:
        return 0
    edge = edge.fitted(start, end)
    if edge.seen(start, end) < SIDE_SEEN:
        return 0
    corner = CORNER * (end - start)
    return sum(edge.seen(*stretch) >= CORNER_SEEN for stretch in ((start, start + corner), (end - corner, end)))


def _marks(grey: NDArray[np.uint8]) -> tuple[NDArray[np.uint8], NDArray[np.uint8]]:
    """Return where upright and where level edges are, each a pixel wider to both sides than it was found."""
    smooth = cv2.GaussianBlur(grey, (3, 3), 0)
    across, down = cv2.Sobel(smooth, cv2.CV_16S, 1, 0), cv2.Sobel(smooth, cv2.CV_16S, 0, 1)
    edges = cv2.Canny(across, down, WEAK, STRONG) > 0
    steep = np.abs(across) > np.abs(down)
    upright = (edges & steep).astype(np.uint8)
    level = (edges & ~steep).astype(np.uint8)
    return cv2.dilate(upright, np.ones((1, 3), np.uint8)), cv2.dilate(level, np.ones((3, 1), np.uint8))


def _sides(marks: NDArray[np.uint8], along: tuple[float, float], across: tuple[float, float]) -> list[_Side]:
    """Return the straight edges that show along this stretch of the second axis and lie there on the first."""
    low, high = max(int(along[0]), 0), min(int(along[1]) + 1, marks.shape[1])
    if high - low < SHORTEST:
        return []
    middle = (low + high - 1) / 2
    places = np.arange(low, high, STEP_PX)
    shifts = np.round(SLOPES[:, None] * (places - middle)).astype(np.int32)  # (slopes, places)
    first, last = max(int(across[0]), 0), min(int(across[1]) + 1, marks.shape[0])
    if last <= first:
        return []
    reach = int(np.abs(shifts).max())
    padded = cv2.copyMakeBorder(marks, reach, reach, 0, 0, cv2.BORDER_CONSTANT, value=0)
    rows = np.arange(first, last, dtype=np.int32)[:, None, None] + shifts[None] + reach
    lit = np.take(padded, rows * padded.shape[1] + places.astype(np.int32))  # (rows, slopes, places), each 0 or 1
    seen = lit.sum(axis=2, dtype=np.uint16).astype(np.float32) / np.float32(len(places))  # (rows, slopes)
    best = seen.max(axis=1)
    found: list[_Side] = []
    for row in np.argsort(-best, kind="stable").tolist():
        if best[row] < SIDE_SEEN or len(found) == CANDIDATES:
            break
        if all(abs(first + row - other.at) > APART_PX for other in found):
            found.append(_Side(marks, float(first + row), float(SLOPES[int(seen[row].argmax())]), middle))
    return found
