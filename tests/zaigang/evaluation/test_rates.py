from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from zaigang.evaluation.rates import upper95


@pytest.mark.parametrize("trials", [10, 150, 300])
def test_none_of_n_means_less_than_three_in_n(trials: int) -> None:
    assert upper95(0, trials) == pytest.approx(1 - 0.05 ** (1 / trials), abs=1e-9)
    assert upper95(0, trials) < 3 / trials


def test_the_bound_is_the_one_in_the_books() -> None:
    assert upper95(5, 100) == pytest.approx(0.1023, abs=5e-4)  # Clopper-Pearson, one-sided


@given(st.integers(1, 300), st.data())
def test_the_bound_is_above_the_rate_and_rises_with_the_count(trials: int, data: st.DataObject) -> None:
    count = data.draw(st.integers(0, trials - 1))
    assert count / trials < upper95(count, trials) < upper95(count + 1, trials) <= 1


@pytest.mark.parametrize(("count", "trials"), [(1, 0), (-1, 5), (6, 5)])
def test_what_is_no_rate_has_no_bound(count: int, trials: int) -> None:
    with pytest.raises(ValueError, match="no rate"):
        upper95(count, trials)
