"""An error rate with what its count can carry: Clopper-Pearson's interval, the rule of three where nothing erred.

Both hold for independent trials. Pairs that share pictures or people are not quite that; docs/calibration.md says what
follows.
"""

from __future__ import annotations

import math
from dataclasses import dataclass

TAIL = 0.025  # of each end: a 95 % interval
RULE_OF_THREE = 3.0  # -ln(0.05): with 0 of n, a rate above 3/n would have shown itself in 95 % of all samples
_BISECTIONS = 60  # halve the interval 0..1 below a double's precision near 1e-12
_TERMS = 100_000  # of the continued fraction; it needs about the square root of the trials
_SETTLED = 1e-14  # relative change by one more term
_TINY = 1e-300  # stands for 0 in a denominator


@dataclass(frozen=True, slots=True)
class Rate:
    """`errors` of `trials`. Raises ValueError for what cannot be counted."""

    errors: int
    trials: int

    def __post_init__(self) -> None:
        if not 0 <= self.errors <= self.trials:
            raise ValueError(f"{self.errors} of {self.trials} is no error rate")

    @property
    def value(self) -> float | None:
        """The rate, 0..1; None without a trial."""
        return self.errors / self.trials if self.trials else None

    @property
    def interval95(self) -> tuple[float, float] | None:
        """Where the true rate lies with 95 %; None without a trial.

        At 0 of n, or n of n, one end is certain and the rule of three gives the other; else Clopper-Pearson.
        """
        if not self.trials:
            return None
        if self.errors == 0:
            return 0.0, min(1.0, RULE_OF_THREE / self.trials)
        if self.errors == self.trials:
            return max(0.0, 1 - RULE_OF_THREE / self.trials), 1.0
        good = self.trials - self.errors
        return _beta_quantile(TAIL, self.errors, good + 1), _beta_quantile(1 - TAIL, self.errors + 1, good)


def needed_trials(rate: float) -> int:
    """Return how many trials without one error a claim of at most `rate` (0 < rate < 1) needs: 3/rate."""
    return math.ceil(RULE_OF_THREE / rate - 1e-6)  # 3/1e-4 is 30,000 whatever a double makes of it


def most_errors(rate: float, trials: int) -> int | None:
    """Return with how many errors of `trials` the interval still ends at or below `rate`; None: not even with none."""
    if not trials or not _carried(0, trials, rate):
        return None
    low, high = 0, min(trials, math.ceil(rate * trials) + 1)  # with `high` the rate itself is above
    while high - low > 1:
        middle = (low + high) // 2
        low, high = (middle, high) if _carried(middle, trials, rate) else (low, middle)
    return low


def _carried(errors: int, trials: int, rate: float) -> bool:
    if errors == 0:
        return trials >= needed_trials(rate)
    interval = Rate(errors, trials).interval95
    return interval is not None and interval[1] <= rate


def _beta_quantile(share: float, a: int, b: int) -> float:
    """Where the distribution function of Beta(a, b) reaches `share`."""
    low, high = 0.0, 1.0
    for _ in range(_BISECTIONS):
        middle = (low + high) / 2
        low, high = (middle, high) if _beta_share(middle, a, b) < share else (low, middle)
    return (low + high) / 2


def _beta_share(x: float, a: float, b: float) -> float:
    """The regularised incomplete beta function (DLMF 8.17), by its continued fraction on the side that converges."""
    if x <= 0 or x >= 1:
        return 0.0 if x <= 0 else 1.0
    log_front = math.lgamma(a + b) - math.lgamma(a) - math.lgamma(b) + a * math.log(x) + b * math.log1p(-x)
    front = math.exp(log_front)
    if x < (a + 1) / (a + b + 2):
        return front / a / _beta_fraction(x, a, b)
    return 1 - front / b / _beta_fraction(1 - x, b, a)


def _beta_fraction(x: float, a: float, b: float) -> float:
    """The fraction of DLMF 8.17.22, 1 + d1/(1 + d2/(1 + …)), from the front (Lentz's method)."""
    value = above = 1.0
    below = 0.0
    for term in range(1, _TERMS):
        m = term // 2
        if term % 2:
            d = -(a + m) * (a + b + m) * x / ((a + 2 * m) * (a + 2 * m + 1))
        else:
            d = m * (b - m) * x / ((a + 2 * m - 1) * (a + 2 * m))
        below = 1 / (1 + d * below or _TINY)
        above = 1 + d / above or _TINY
        value *= above * below
        if abs(above * below - 1) < _SETTLED:
            break
    return value
