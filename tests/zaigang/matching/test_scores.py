from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from zaigang.matching.faces import Seen
from zaigang.matching.pairs import Pairs, Picture
from zaigang.matching.rates import needed_trials
from zaigang.matching.scores import ClaimRefused, Scores, compare, threshold_for


def seen(at: float | None, content: bytes) -> Seen:
    vector = None if at is None else np.array([at, 0], np.float32)
    return Seen(content, vector, "" if at is not None else "no_face: nobody", "ok")


def pairs(*rows: tuple[int, int, bool]) -> Pairs:
    first, second, mated = zip(*rows, strict=True)
    pictures = tuple(Picture(str(number), Path(str(number))) for number in range(max(first + second) + 1))
    return Pairs(Path("x.csv"), pictures, np.array(first, np.int32), np.array(second, np.int32), np.array(mated))


def scores(non_mated: list[float], mated: list[float] = []) -> Scores:  # noqa: B006
    return Scores(*(np.sort(np.array(one, np.float32)) for one in (mated, non_mated)), np.zeros(0, np.int64), 0, 0)


def test_both_rates_are_counted_at_the_threshold_itself_too() -> None:
    found = scores([0.5, 0.6, 0.75], [0.25, 0.5, 0.7])
    assert (found.fmr(0.5).errors, found.fmr(0.5).trials) == (1, 3)
    assert (found.fnmr(0.5).errors, found.fnmr(0.5).trials) == (1, 3)
    assert (found.fmr(0.499).errors, found.fnmr(0.499).errors) == (0, 2)


def test_a_pair_with_a_picture_without_a_face_is_lost_and_counted() -> None:
    found = compare(
        pairs((0, 1, True), (0, 2, False), (1, 2, False)), [seen(0, b"a"), seen(0.5, b"b"), seen(None, b"c")]
    )
    assert (found.mated.tolist(), found.non_mated.tolist(), found.lost.tolist()) == ([0.5], [], [1, 2])


def test_a_repeated_pair_adds_nothing_to_a_claim_whatever_the_pictures_are_called() -> None:
    faces = [seen(0, b"a"), seen(0.5, b"b"), seen(0, b"a"), seen(0.5, b"b")]
    given_ = pairs((0, 1, False), (1, 0, False), (2, 3, False), (0, 2, True))
    everything, distinct = compare(given_, faces), compare(given_, faces, distinct=True)
    assert (len(everything.non_mated), everything.repeated, everything.with_itself) == (3, 2, 1)
    assert (len(distinct.non_mated), len(distinct.mated), distinct.repeated) == (1, 0, 2)


def test_the_nearest_strangers_are_named_first() -> None:
    faces = [seen(at, bytes([number])) for number, at in enumerate((0, 0.9, 0.4, 0.3))]
    found = compare(pairs((0, 1, False), (0, 2, False), (0, 3, True), (1, 2, False)), faces)
    assert found.nearest == (1, 3, 0)


def test_no_face_at_all_is_no_error() -> None:
    found = compare(pairs((0, 1, True)), [seen(None, b""), seen(None, b"")])
    assert (len(found.mated), len(found.non_mated), found.lost.tolist()) == (0, 0, [0])


def test_fewer_pairs_than_three_over_the_rate_are_refused_in_words() -> None:
    with pytest.raises(
        ClaimRefused, match=r"^29,999 non-mated pairs cannot carry a claim of FMR <= 0\.0001.*30,000 pairs$"
    ):
        threshold_for(1e-4, scores([1.0] * 29_999))
    with pytest.raises(ClaimRefused, match="0 non-mated pairs"):
        threshold_for(0.5, scores([]))


def test_with_just_enough_pairs_the_threshold_stands_below_the_nearest_stranger() -> None:
    assert threshold_for(1e-4, scores([0.6071] + [0.9] * 29_999)) == 0.607
    assert threshold_for(0.5, scores([0.5, 0.75, 0.75, 0.75, 0.75, 0.75])) == 0.499


def test_strangers_no_distance_apart_leave_no_threshold() -> None:
    with pytest.raises(ClaimRefused, match="one person in two folders"):
        threshold_for(0.5, scores([0.0] * 8))


@settings(deadline=None)
@given(st.sampled_from([0.5, 0.1, 0.01]), st.lists(st.floats(0.015625, 1.5, width=32), min_size=6, max_size=600))
def test_the_interval_at_the_found_threshold_ends_at_or_below_the_wanted_rate(
    wanted: float, non_mated: list[float]
) -> None:
    found = scores(non_mated)
    try:
        threshold = threshold_for(wanted, found)
    except ClaimRefused:
        assert len(non_mated) < needed_trials(wanted) or found.fmr(0.016).errors
        return
    fmr = found.fmr(threshold)
    assert fmr.interval95 is not None
    assert fmr.interval95[1] <= wanted + 1e-9
    # And there is no wider one: half a decimal more than a step further and the claim no longer stands.
    wider = found.fmr(threshold + 0.0021).interval95
    assert wider is not None
    assert wider[1] > wanted or found.fmr(threshold + 0.0021).errors == fmr.errors


def test_in_nineteen_samples_of_twenty_the_claim_holds_for_strangers_to_come() -> None:
    """The threshold is chosen on the sample whose bound it states; that must not cost the bound."""
    random, wanted, broken = np.random.default_rng(3), 0.05, 0
    for _ in range(400):
        sample = random.uniform(size=200)
        broken += threshold_for(wanted, scores(sample.tolist())) > wanted  # uniform: the true FMR is the threshold
    assert broken <= 400 * 0.05
