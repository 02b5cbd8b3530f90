"""Draw a picture on a bent sheet of triangles, the far ones first: a small graphics card in numpy and OpenCV."""

from __future__ import annotations

import cv2
import numpy as np
from numpy.typing import NDArray

Floats = NDArray[np.float32]
Image = NDArray[np.uint8]

SUBPIXEL_BITS = 4  # corners are placed to a sixteenth of a pixel
LEAST_AREA_PX = 0.05  # twice a triangle's area; a thinner one is seen from its edge


def delaunay(points: Floats) -> NDArray[np.int32]:
    """Return the triangles (M, 3) between points (N, 2), px, no two of them in one place."""
    low, high = points.min(axis=0) - 2, points.max(axis=0) + 2
    plane = cv2.Subdiv2D((int(low[0]), int(low[1]), int(high[0] - low[0]) + 2, int(high[1] - low[1]) + 2))
    number_of: dict[int, int] = {}
    for number, (x, y) in enumerate(points):
        number_of[int(plane.insert((float(x), float(y))))] = number
    triangles = []
    for corners in np.asarray(plane.getTriangleList(), np.float32).reshape(-1, 3, 2):
        found = [number_of.get(_vertex(plane, corner)) for corner in corners]
        if None not in found:
            triangles.append(found)
    return np.array(triangles, np.int32)


def _vertex(plane: cv2.Subdiv2D, corner: Floats) -> int:
    number, _ = plane.findNearest((float(corner[0]), float(corner[1])))
    return int(number)


class Sheet:
    """A picture cut into triangles: `points` (N, 2) on the picture, px; `triangles` (M, 3) numbers of points."""

    def __init__(self, picture: Image, alpha: Image, points: Floats, triangles: NDArray[np.int32]) -> None:
        self.picture = cv2.merge([picture, alpha])
        self._triangles = triangles[_visible(alpha, points[triangles])]
        self._corners = points[self._triangles].astype(np.float32)  # (M, 3, 2)

    def draw_on(self, canvas: Image, points: Floats, depth: Floats, gain: float = 1.0) -> None:
        """Draw the sheet with its points moved to `points` (N, 2), canvas px; `depth` (N,) grows away from the viewer.

        `gain` multiplies its brightness.
        """
        height, width = canvas.shape[:2]
        used = points[self._triangles.ravel()]
        x0, y0 = np.maximum(np.floor(used.min(axis=0)).astype(int), 0)
        x1, y1 = np.minimum(np.ceil(used.max(axis=0)).astype(int) + 1, (width, height))
        if x1 <= x0 or y1 <= y0:
            return
        corners = points[self._triangles] - np.array([x0, y0], np.float32)
        owner = self._owners(corners, depth[self._triangles].mean(axis=1), (x1 - x0, y1 - y0))
        map_x, map_y = self._back_to_picture(corners, owner)
        drawn = cv2.remap(self.picture, map_x, map_y, cv2.INTER_LINEAR, borderMode=cv2.BORDER_CONSTANT)
        _blend(canvas[y0:y1, x0:x1], drawn, gain)

    def _owners(self, corners: Floats, depth: Floats, size: tuple[int, int]) -> NDArray[np.int32]:
        """Return for each pixel the nearest triangle over it, counted from 1; 0 for none."""
        owner = np.zeros((size[1], size[0]), np.int32)
        fixed = np.round(corners * (1 << SUBPIXEL_BITS)).astype(np.int32)
        inside = (
            (corners.max(axis=1) >= 0).all(axis=1)
            & (corners.min(axis=1) < np.array(size)).all(axis=1)
            & (np.abs(_twice_area(corners)) > LEAST_AREA_PX)
        )
        for number in np.argsort(-depth):
            if inside[number]:
                cv2.fillConvexPoly(owner, fixed[number], int(number) + 1, cv2.LINE_8, SUBPIXEL_BITS)
        return owner

    def _back_to_picture(self, corners: Floats, owner: NDArray[np.int32]) -> tuple[Floats, Floats]:
        """Return for each pixel the place on the picture it shows; a place outside the picture for none."""
        matrices = np.zeros((len(corners) + 1, 6), np.float32)
        matrices[0, [2, 5]] = -1e4
        ok = np.abs(_twice_area(corners)) > LEAST_AREA_PX
        ones = np.ones((int(ok.sum()), 3, 1))
        solved = np.linalg.solve(np.concatenate([corners[ok].astype(np.float64), ones], axis=2), self._corners[ok])
        matrices[1:][ok] = solved.transpose(0, 2, 1).reshape(-1, 6)
        height, width = owner.shape
        x, y = np.arange(width, dtype=np.float32)[None], np.arange(height, dtype=np.float32)[:, None]
        of = [column[owner] for column in np.ascontiguousarray(matrices.T)]
        return of[0] * x + of[1] * y + of[2], of[3] * x + of[4] * y + of[5]


def _visible(alpha: Image, corners: Floats) -> NDArray[np.bool_]:
    """Return which triangles (M, 3, 2) hold anything but transparent picture: the others would cost time alone."""
    low, high = np.floor(corners.min(axis=1)).astype(int), np.ceil(corners.max(axis=1)).astype(int) + 1
    boxes = np.concatenate([low, high], axis=1).clip(0)
    return np.array([bool(alpha[y0:y1, x0:x1].any()) for x0, y0, x1, y1 in boxes])


def _twice_area(corners: Floats) -> Floats:
    a, b = corners[:, 1] - corners[:, 0], corners[:, 2] - corners[:, 0]
    return np.asarray(a[:, 0] * b[:, 1] - a[:, 1] * b[:, 0], np.float32)


def _blend(below: Image, drawn: Image, gain: float) -> None:
    """Lay BGRA over BGR in place."""
    top = cv2.cvtColor(drawn, cv2.COLOR_BGRA2BGR)
    if gain != 1:
        top = cv2.convertScaleAbs(top, alpha=gain)
    share = cv2.extractChannel(drawn, 3).astype(np.float32) / 255
    below[:] = cv2.blendLinear(top, np.ascontiguousarray(below), share, 1 - share)
