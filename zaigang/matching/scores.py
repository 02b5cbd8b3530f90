"""The distances of all pairs that gave two faces, the error rates at a threshold, and the threshold for a wanted rate.

FMR: the share of non-mated pairs at or below the threshold; FNMR: of mated pairs above it (ISO/IEC 19795-1). Single
pictures are compared; the terminal compares with the mean of several, which errs a little less.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

from zaigang.matching.pairs import MatchingError
from zaigang.matching.rates import Rate, most_errors, needed_trials

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from zaigang.matching.faces import Seen
    from zaigang.matching.pairs import Pairs

BLOCK = 65_536  # pairs at a time: 2 x 32 MB of vectors
NEAREST = 5  # pairs that are named: enough to see whether one person lies in two folders
DECIMALS = 3  # of a threshold: the distances of one face from frame to frame differ by more


class ClaimRefused(MatchingError):
    """The pairs cannot carry the wanted rate; the message says how many would."""


@dataclass(frozen=True, slots=True, eq=False)
class Scores:
    """Euclidean distances, ascending, of the pairs that could be compared."""

    mated: NDArray[np.float32]
    non_mated: NDArray[np.float32]
    lost: NDArray[np.int64]  # numbers of the pairs that have no distance
    repeated: int  # pairs whose two pictures were compared before
    with_itself: int  # pairs of a picture with itself, under whatever name
    nearest: tuple[int, ...] = ()  # numbers of the nearest non-mated pairs: two that look alike, or a wrong label

    def fmr(self, threshold: float) -> Rate:
        """How many of the non-mated pairs match."""
        return Rate(_at_most(self.non_mated, threshold), len(self.non_mated))

    def fnmr(self, threshold: float) -> Rate:
        """How many of the mated pairs do not match."""
        return Rate(len(self.mated) - _at_most(self.mated, threshold), len(self.mated))


def compare(pairs: Pairs, seen: Sequence[Seen], *, distinct: bool = False) -> Scores:
    """Measure all pairs. `distinct`: a pair that repeats another, or compares a picture with itself, is left out.

    `repeated` and `with_itself` count them either way.
    """
    there = np.array([one.vector is not None for one in seen], bool)
    ready = there[pairs.first] & there[pairs.second]
    same, again = _repeats(pairs, seen, ready)
    wanted = ready & ~(same | again) if distinct else ready
    if not wanted.any():
        nothing = np.zeros(0, np.float32)
        return Scores(nothing, nothing, np.flatnonzero(~ready), int(again.sum()), int(same.sum()))
    size = next(len(one.vector) for one in seen if one.vector is not None)
    vectors = np.stack([np.full(size, np.nan, np.float32) if one.vector is None else one.vector for one in seen])
    distances = np.zeros(len(pairs), np.float32)
    places = np.flatnonzero(wanted)
    for start in range(0, len(places), BLOCK):
        some = places[start : start + BLOCK]
        distances[some] = np.linalg.norm(vectors[pairs.first[some]] - vectors[pairs.second[some]], axis=1)
    strangers = np.flatnonzero(wanted & ~pairs.mated)
    strangers = strangers[np.argsort(distances[strangers], kind="stable")]
    return Scores(
        mated=np.sort(distances[wanted & pairs.mated]),
        non_mated=distances[strangers],
        lost=np.flatnonzero(~ready),
        repeated=int(again.sum()),
        with_itself=int(same.sum()),
        nearest=tuple(strangers[:NEAREST].tolist()),
    )


def threshold_for(wanted_fmr: float, scores: Scores) -> float:
    """Return the largest threshold whose FMR's interval ends at or below `wanted_fmr` (0 < wanted_fmr < 1).

    With k errors allowed it lies below the (k+1)th smallest distance of n: what a new pair then does is bounded by the
    same Clopper-Pearson limit whatever the distances' distribution, although the threshold was chosen on these very
    pairs (Wilks' tolerance limits). Raises ClaimRefused.
    """
    count, needed = len(scores.non_mated), needed_trials(wanted_fmr)
    allowed = most_errors(wanted_fmr, count)
    if allowed is None:
        raise ClaimRefused(
            f"{count:,} non-mated pairs cannot carry a claim of FMR <= {wanted_fmr:g}: even with no false match they "
            f"show no more than FMR < 3/n = {min(1.0, 3 / count) if count else 1:.2g}; the claim needs {needed:,} pairs"
        )
    nearest_not_allowed = float(scores.non_mated[allowed])
    scale = 10.0**DECIMALS
    threshold = math.floor(nearest_not_allowed * scale) / scale
    if threshold >= nearest_not_allowed:
        threshold = round(threshold - 1 / scale, DECIMALS)
    if threshold <= 0:
        raise ClaimRefused(
            f"no threshold gives FMR <= {wanted_fmr:g}: more than {allowed:,} non-mated pairs are no distance apart; "
            "are pictures of one person in two folders?"
        )
    return threshold


def _at_most(ascending: NDArray[np.float32], threshold: float) -> int:
    # In double precision, as `verify` compares: a float32 threshold would round up or down.
    return int(np.searchsorted(ascending.astype(np.float64), threshold, side="right"))


def _repeats(
    pairs: Pairs, seen: Sequence[Seen], ready: NDArray[np.bool_]
) -> tuple[NDArray[np.bool_], NDArray[np.bool_]]:
    """Which pairs compare a picture with itself, and which repeat an earlier pair; pictures are known by content."""
    digests: dict[bytes, int] = {}
    content = np.array([digests.setdefault(one.digest, len(digests)) for one in seen], np.int64)
    low, high = np.sort(np.stack([content[pairs.first], content[pairs.second]]), axis=0)
    same = ready & (low == high)
    again = np.ones(len(pairs), bool)
    again[np.unique(low * len(content) + high, return_index=True)[1]] = False
    return same, again & ready & ~same
