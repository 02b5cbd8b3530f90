"""Is this the face that was enrolled? 1:1 against a claim, 1:N with a margin, and a plain word where it is unsure.

A threshold belongs to one model and one preprocessing. Distances enter no record: an exact score lets an attacker
rebuild a face step by step, so a check says `near` or `far`, which its outcome says anyway.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from enum import StrEnum
from typing import TYPE_CHECKING

import numpy as np

from kiosk.verify.gallery import Template

if TYPE_CHECKING:
    from numpy.typing import NDArray


THRESHOLD = 0.54  # see MatchLimits
MARGIN = 0.06


@dataclass(frozen=True, slots=True)
class MatchLimits:
    """Euclidean distances of dlib's 128-d vectors, aligned as in `embedder`.

    Mates of 20 real photos lie 0.03-0.51 apart, the nearest non-mates 0.607. dlib's own 0.6 is where both errors are
    alike; a terminal must rather refuse a worker once than let a stranger in, so the threshold stands close to
    the mates and leaves the larger part of the gap to the strangers. Those are few faces: a site calibrates on its own.
    """

    threshold: float = THRESHOLD
    margin: float = (
        MARGIN  # 1:N: how much nearer than the second best; two thirds of the gap between mates and non-mates
    )


class Likeness(StrEnum):
    """What a comparison came to."""

    NEAR = "near"
    FAR = "far"
    AMBIGUOUS = "ambiguous"  # 1:N: two workers are about equally near


@dataclass(frozen=True, slots=True)
class Match:
    """What a comparison came to, and whose face it is if it is NEAR."""

    likeness: Likeness
    template: Template | None


def verify(vector: NDArray[np.float32], template: Template, limits: MatchLimits) -> Match:
    """Compare a face with the one that is claimed. Raises ValueError for vectors that cannot be compared."""
    if _distance(vector, template) <= limits.threshold:
        return Match(Likeness.NEAR, template)
    return Match(Likeness.FAR, None)


def identify(vector: NDArray[np.float32], templates: Sequence[Template], limits: MatchLimits) -> Match:
    """Look a face up among several. Raises ValueError for vectors that cannot be compared."""
    ranked = sorted(((_distance(vector, one), place) for place, one in enumerate(templates)))
    if not ranked or ranked[0][0] > limits.threshold:
        return Match(Likeness.FAR, None)
    if len(ranked) > 1 and ranked[1][0] - ranked[0][0] < limits.margin:
        return Match(Likeness.AMBIGUOUS, None)
    return Match(Likeness.NEAR, templates[ranked[0][1]])


def distance(one: NDArray[np.float32], other: NDArray[np.float32]) -> float:
    """Return how far two vectors (D,) are apart. Raises ValueError where they cannot be compared."""
    if one.ndim != 1 or one.shape != other.shape:
        raise ValueError(f"face vectors of the shapes {one.shape} and {other.shape} cannot be compared")
    apart = float(np.linalg.norm(one - other))
    if not np.isfinite(apart):
        raise ValueError("a face vector holds numbers that are not finite")
    return apart


def _distance(vector: NDArray[np.float32], template: Template) -> float:
    """To the mean of the enrolled vectors: more frames then make it steadier, not easier to hit."""
    if template.vectors.ndim != 2 or len(template.vectors) == 0:
        raise ValueError(f"the template of {template.worker} holds no vectors")
    return distance(vector, template.vectors.mean(axis=0))
