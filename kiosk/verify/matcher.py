"""Is this the face that was enrolled? 1:1 against a claim, 1:N with a margin, and a plain word where it is unsure.

A threshold belongs to one model and one preprocessing. Distances enter no record: an exact score lets an attacker
rebuild a face step by step, so a check says `near` or `far`, which its outcome says anyway.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from enum import StrEnum
from typing import TYPE_CHECKING

from kiosk.verify.lineup import Lineup, centre, distance
from kiosk.verify.model_limits import DLIB, MODEL_LIMITS

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

    from kiosk.verify.gallery import Template

__all__ = ["MARGIN", "THRESHOLD", "Likeness", "Match", "MatchLimits", "distance", "identify", "verify"]

THRESHOLD = MODEL_LIMITS[DLIB].threshold
MARGIN = MODEL_LIMITS[DLIB].margin


@dataclass(frozen=True, slots=True)
class MatchLimits:
    """Euclidean distances; dlib's where none are given. `model_limits` says where they come from."""

    threshold: float = THRESHOLD
    margin: float = MARGIN  # 1:N: how much nearer than the second best
    unit_length: bool = False  # the vectors have length 1, and so must their mean


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
    if distance(vector, centre(template, limits.unit_length)) <= limits.threshold:
        return Match(Likeness.NEAR, template)
    return Match(Likeness.FAR, None)


def identify(vector: NDArray[np.float32], templates: Sequence[Template] | Lineup, limits: MatchLimits) -> Match:
    """Look a face up among several. Raises ValueError for vectors that cannot be compared.

    Every further template is a further chance of a false match: with a false match rate of f, N templates give one in
    1 - (1 - f)^N of all attempts by strangers (1,000 at 1e-4: 9.5 %). The margin takes away those that are near to two
    people, not those that are near to one; `identify_at_most` bounds N.
    """
    lineup = templates if isinstance(templates, Lineup) else Lineup(templates, unit_length=limits.unit_length)
    if lineup.unit_length != limits.unit_length:
        raise ValueError("the lineup was made for another kind of model")
    ranked = lineup.two_nearest(vector)
    if not ranked or ranked[0][0] > limits.threshold:
        return Match(Likeness.FAR, None)
    if len(ranked) > 1 and ranked[1][0] - ranked[0][0] < limits.margin:
        return Match(Likeness.AMBIGUOUS, None)
    return Match(Likeness.NEAR, ranked[0][1])
