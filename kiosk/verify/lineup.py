"""The enrolled faces of one model as one matrix, so that ten thousand are searched in a few milliseconds.

The matrix only picks the candidates: their distances are then taken one by one, as in a 1:1 comparison, so that the
answer is the plain loop's to the last bit.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import replace
from typing import TYPE_CHECKING

import numpy as np

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from kiosk.verify.gallery import Template

SHORTEST = 1e-6  # a mean that short has no direction
# Of a squared distance, relative to the squared lengths, float32: what the rounding of the products of D numbers and of
# the distance itself can come to, times four.
_ROUNDING = 4 * 2.0**-24
_UNDERFLOW = 1e-36  # squares below float32's range


class Lineup:
    """Templates of one model by their centres. Raises ValueError for vectors of unequal length, or for none.

    `unit_length`: the model's vectors have length 1, and so have the centres. Keeps no enrolled vector but the centres.
    """

    def __init__(self, templates: Iterable[Template], *, unit_length: bool = False) -> None:
        given = tuple(templates)
        self.unit_length = unit_length
        self._centres = np.stack([centre(one, unit_length) for one in given]) if given else np.zeros((0, 0), np.float32)
        with np.errstate(over="ignore", invalid="ignore"):  # what overflows is judged the slow way
            self._squares = np.einsum("ij,ij->i", self._centres, self._centres)
        self.templates = tuple(replace(one, vectors=self._centres[at : at + 1]) for at, one in enumerate(given))

    def __len__(self) -> int:
        return len(self.templates)

    def two_nearest(self, vector: NDArray[np.float32]) -> list[tuple[float, Template]]:
        """Return distance and template of the nearest and the second nearest to a vector (D,), as far as there are.

        Of equally near ones the earlier comes first. Raises ValueError where any of them cannot be compared.
        """
        ranked = sorted((distance(vector, self._centres[at]), at) for at in self._candidates(vector))
        return [(apart, self.templates[at]) for apart, at in ranked[:2]]

    def forget(self) -> None:
        """Overwrite the faces. Whoever still holds this lineup gets a ValueError, never a match."""
        self._centres.fill(np.nan)
        self._squares.fill(np.nan)

    def _candidates(self, vector: NDArray[np.float32]) -> Sequence[int]:
        """Places that can be among the two nearest; all of them where the quick way cannot tell."""
        every = range(len(self.templates))
        if len(every) <= 2 or vector.shape != self._centres.shape[1:]:
            return every
        with np.errstate(over="ignore", invalid="ignore"):
            length = float(vector @ vector)
            rough = self._squares - 2 * (self._centres @ vector)  # squared distance, less the vector's own square
        if not (np.isfinite(length) and np.isfinite(rough).all()):
            return every
        second = float(np.partition(rough, 1)[1])
        off = (len(vector) + 8) * _ROUNDING * (float(self._squares.max()) + length) + _UNDERFLOW
        return [int(at) for at in np.flatnonzero(rough <= second + 2 * off)]


def centre(template: Template, unit_length: bool) -> NDArray[np.float32]:
    """Return the mean of the enrolled vectors: more frames then make it steadier, not easier to hit.

    The mean of vectors of length 1 is shorter, and so nearer to everybody: it is brought back. Raises ValueError.
    """
    if template.vectors.ndim != 2 or len(template.vectors) == 0:
        raise ValueError(f"the template of {template.worker} holds no vectors")
    mean = np.asarray(template.vectors.mean(axis=0), np.float32)
    if not unit_length:
        return mean
    length = float(np.linalg.norm(mean))
    if not length >= SHORTEST:  # NaN, too
        raise ValueError(f"the vectors of the template of {template.worker} have no common direction")
    return mean / np.float32(length)


def distance(one: NDArray[np.float32], other: NDArray[np.float32]) -> float:
    """Return how far two vectors (D,) are apart. Raises ValueError where they cannot be compared."""
    if one.ndim != 1 or one.shape != other.shape:
        raise ValueError(f"face vectors of the shapes {one.shape} and {other.shape} cannot be compared")
    apart = float(np.linalg.norm(one - other))
    if not np.isfinite(apart):
        raise ValueError("a face vector holds numbers that are not finite")
    return apart
