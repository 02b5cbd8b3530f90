"""Error rates and their bounds: a count out of trials, and how high the true rate may be (Clopper-Pearson)."""

from __future__ import annotations

import math

CONFIDENCE = 0.95  # one-sided: of 0 in n it makes just under 3/n
_STEPS = 60  # of halving: further than a double can tell apart


def upper95(count: int, trials: int) -> float:
    """Return the 95 % upper bound of the rate, 0..1; 1 without a trial. Raises ValueError for count > trials."""
    if not 0 <= count <= trials:
        raise ValueError(f"{count} of {trials} is no rate")
    if count == trials:
        return 1.0
    low, high = count / trials, 1.0
    for _ in range(_STEPS):
        middle = (low + high) / 2
        if _at_most(count, trials, middle) > 1 - CONFIDENCE:
            low = middle
        else:
            high = middle
    return high


def _at_most(count: int, trials: int, rate: float) -> float:
    """Return the chance of at most `count` hits in so many trials, each with this rate (0 < rate < 1)."""
    if rate <= 0:
        return 1.0
    if rate >= 1:
        return 0.0
    return sum(
        math.exp(
            math.lgamma(trials + 1)
            - math.lgamma(hits + 1)
            - math.lgamma(trials - hits + 1)
            + hits * math.log(rate)
            + (trials - hits) * math.log1p(-rate)
        )
        for hits in range(count + 1)
    )
