from __future__ import annotations

import math

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from zaigang.matching.rates import Rate, most_errors, needed_trials


def at_most(errors: int, trials: int, rate: float) -> float:
    """The chance of at most `errors`, summed up from the binomial distribution."""
    return math.fsum(math.comb(trials, k) * rate**k * (1 - rate) ** (trials - k) for k in range(errors + 1))


@settings(deadline=None)
@given(st.integers(2, 300).flatmap(lambda trials: st.tuples(st.integers(1, trials - 1), st.just(trials))))
def test_at_the_ends_of_the_interval_as_extreme_a_count_has_a_chance_of_one_in_forty(counted: tuple[int, int]) -> None:
    errors, trials = counted
    low, high = Rate(errors, trials).interval95 or (0, 0)
    assert at_most(errors, trials, high) == pytest.approx(0.025, rel=1e-6)
    assert 1 - at_most(errors - 1, trials, low) == pytest.approx(0.025, rel=1e-6)


@pytest.mark.parametrize(
    ("errors", "trials", "low", "high"),
    # Computed with scipy.stats.beta, once.
    [
        (1, 10, 0.0025285785, 0.4450161170),
        (5, 30_000, 5.411835662e-05, 3.889011774e-04),
        (9, 10, 0.5549838830, 0.9974714215),
    ],
)
def test_known_intervals(errors: int, trials: int, low: float, high: float) -> None:
    assert Rate(errors, trials).interval95 == pytest.approx((low, high), rel=1e-7)


def test_where_nothing_erred_the_rule_of_three_bounds_it_and_where_all_did_too() -> None:
    assert Rate(0, 30_000).interval95 == (0, pytest.approx(1e-4))
    assert Rate(30_000, 30_000).interval95 == (pytest.approx(1 - 1e-4), 1)
    assert Rate(0, 2).interval95 == (0, 1)


def test_without_a_trial_there_is_no_rate() -> None:
    assert (Rate(0, 0).value, Rate(0, 0).interval95) == (None, None)
    with pytest.raises(ValueError, match="no error rate"):
        Rate(2, 1)


@pytest.mark.parametrize(("rate", "trials"), [(1e-4, 30_000), (1e-3, 3_000), (1e-2, 300), (0.5, 6), (1e-6, 3_000_000)])
def test_a_claim_needs_three_over_the_rate(rate: float, trials: int) -> None:
    assert needed_trials(rate) == trials
    assert most_errors(rate, trials) is not None
    assert most_errors(rate, trials - 1) is None


@settings(deadline=None)
@given(st.sampled_from([0.5, 0.1, 1e-2, 1e-3]), st.integers(0, 20_000))
def test_the_most_errors_are_the_last_whose_interval_ends_below_the_rate(rate: float, trials: int) -> None:
    most = most_errors(rate, trials)
    if most is None:
        assert trials < needed_trials(rate)
        return
    assert most == 0 or (Rate(most, trials).interval95 or (0, 1))[1] <= rate
    assert (Rate(most + 1, trials).interval95 or (0, 0))[1] > rate


def test_twelve_million_trials_are_counted_at_once() -> None:
    low, high = Rate(1_200, 12_000_000).interval95 or (0, 0)
    assert (low, high) == pytest.approx((9.442166906e-05, 1.0582182217e-04), rel=1e-6)
