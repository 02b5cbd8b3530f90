"""The quick search gives the plain loop's answers."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra import numpy as hnp
from numpy.typing import NDArray

from kiosk.verify.gallery import Template
from kiosk.verify.lineup import Lineup, centre, distance
from kiosk.verify.matcher import Likeness, Match, MatchLimits, identify, verify

Faces = list[NDArray[np.float32]]
LIMITS = MatchLimits(threshold=0.54, margin=0.06)


def plain_loop(vector: NDArray[np.float32], templates: list[Template], limits: MatchLimits) -> Match:
    """What `identify` promises, said the slow way."""
    ranked = sorted((distance(vector, centre(one, limits.unit_length)), at) for at, one in enumerate(templates))
    if not ranked or ranked[0][0] > limits.threshold:
        return Match(Likeness.FAR, None)
    if len(ranked) > 1 and ranked[1][0] - ranked[0][0] < limits.margin:
        return Match(Likeness.AMBIGUOUS, None)
    return Match(Likeness.NEAR, templates[ranked[0][1]])


def enrolled(faces: Faces) -> list[Template]:
    return [Template(f"E-{number}", f"Name {number}", "model", vectors) for number, vectors in enumerate(faces)]


def answer(search: object, *arguments: object) -> object:
    try:
        match = search(*arguments)  # type: ignore[operator]
    except ValueError:
        return ValueError
    return match.likeness, match.template and match.template.worker


numbers = st.floats(-2, 2, width=32)
# Few values, so that ties and faces on the very edge of threshold and margin come up.
edges = st.sampled_from([0.0, 0.03, 0.06, 0.27, 0.54, 0.6, -0.54, 1.0])
anything = st.floats(width=32)


@settings(deadline=None, max_examples=300)
@given(st.data(), st.sampled_from([numbers, edges, anything]), st.booleans())
def test_the_quick_search_answers_as_the_plain_loop_does(
    data: st.DataObject, elements: st.SearchStrategy[float], unit_length: bool
) -> None:
    size, frames = data.draw(st.sampled_from([1, 2, 8, 128])), data.draw(st.integers(1, 3))
    one_face = hnp.arrays(np.float32, (frames, size), elements=elements)
    faces = data.draw(st.lists(one_face, max_size=12))
    faces = faces * data.draw(st.sampled_from([1, 1, 3]))  # the same people enrolled again
    vector = data.draw(hnp.arrays(np.float32, (size,), elements=elements))
    limits = MatchLimits(data.draw(st.sampled_from([0.3, 0.54, 1.0])), 0.06, unit_length)
    with np.errstate(all="ignore"):
        given_, found = enrolled(faces), answer(identify, vector, enrolled(faces), limits)
        assert found == answer(plain_loop, vector, given_, limits)


def test_ten_thousand_faces_are_searched_as_the_plain_loop_does() -> None:
    random = np.random.default_rng(5)
    templates = enrolled(list(random.normal(scale=0.1, size=(10_000, 1, 128)).astype(np.float32)))
    lineup, near = Lineup(templates), MatchLimits(threshold=1.2, margin=0.02)
    for number in range(40):
        vector = templates[number].vectors[0] + random.normal(scale=0.02 * (number % 5), size=128).astype(np.float32)
        assert answer(identify, vector, lineup, near) == answer(plain_loop, vector, templates, near)


def test_faces_nearer_to_each_other_than_the_matrix_can_tell_are_told_apart_all_the_same() -> None:
    random = np.random.default_rng(8)
    middle = random.normal(size=128).astype(np.float32)  # 11 from the origin: squares of 130, rounded to 1e-5
    for _ in range(20):
        templates = enrolled(list(middle + random.normal(scale=1e-4, size=(50, 1, 128)).astype(np.float32)))
        vector = middle + random.normal(scale=1e-4, size=128).astype(np.float32)
        limits = MatchLimits(threshold=0.54, margin=0)
        assert answer(identify, vector, templates, limits) == answer(plain_loop, vector, templates, limits)


def test_1_to_1_and_1_to_n_agree_on_the_last_bit_of_the_threshold() -> None:
    random = np.random.default_rng(6)
    for _ in range(50):
        templates = enrolled(list(random.normal(scale=0.1, size=(20, 3, 128)).astype(np.float32)))
        vector = random.normal(scale=0.1, size=128).astype(np.float32)
        (apart, nearest), _ = Lineup(templates).two_nearest(vector)
        own = next(one for one in templates if one.worker == nearest.worker)
        for limits in (MatchLimits(apart, 0), MatchLimits(float(np.nextafter(apart, 0)), 0)):
            assert verify(vector, own, limits).likeness is identify(vector, templates, limits).likeness


def test_the_mean_of_vectors_of_length_one_has_length_one() -> None:
    """A shorter mean would lie nearer to everybody: here it would let a stranger in."""
    frames = np.zeros((2, 128), np.float32)
    frames[0, :2], frames[1, :2] = (0.8, 0.6), (0.8, -0.6)
    stranger = np.zeros(128, np.float32)
    stranger[[0, 2]] = 0.4, 0.84**0.5
    template = enrolled([frames])[0]
    assert distance(stranger, frames.mean(axis=0)) < 1.05 < distance(stranger, centre(template, unit_length=True))
    assert verify(stranger, template, MatchLimits(1.05, 0, unit_length=True)).likeness is Likeness.FAR
    assert identify(stranger, [template], MatchLimits(1.05, 0, unit_length=True)).likeness is Likeness.FAR


def test_vectors_that_cancel_out_or_are_none_make_no_template() -> None:
    opposite = np.zeros((2, 128), np.float32)
    opposite[:, 0] = 1, -1
    with pytest.raises(ValueError, match="no common direction"):
        Lineup(enrolled([opposite]), unit_length=True)
    with pytest.raises(ValueError, match="holds no vectors"):
        Lineup(enrolled([np.zeros((0, 128), np.float32)]))


def test_a_lineup_of_the_other_kind_is_not_searched() -> None:
    with pytest.raises(ValueError, match="another kind of model"):
        identify(np.zeros(128, np.float32), Lineup([], unit_length=True), LIMITS)


def test_a_lineup_keeps_no_enrolled_frame() -> None:
    frames = np.arange(6, dtype=np.float32).reshape(3, 2)
    assert [one.vectors.tolist() for one in Lineup(enrolled([frames])).templates] == [[[2.0, 3.0]]]
