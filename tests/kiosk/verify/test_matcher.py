from __future__ import annotations

import numpy as np
import pytest
from numpy.typing import NDArray

from kiosk.verify.gallery import Template
from kiosk.verify.matcher import Likeness, MatchLimits, distance, identify, verify

LIMITS = MatchLimits(threshold=0.54, margin=0.06)


def at(*apart: float) -> NDArray[np.float32]:
    """A vector that far from the origin along each of the first axes."""
    vector = np.zeros(128, np.float32)
    vector[: len(apart)] = apart
    return vector


def enrolled(worker: str, *vectors: NDArray[np.float32]) -> Template:
    return Template(worker, worker.title(), "model", np.stack(vectors))


HERE = at()


def test_a_mate_is_near_and_a_stranger_is_far() -> None:
    assert verify(HERE, enrolled("anna", at(0.51)), LIMITS).likeness is Likeness.NEAR
    match = verify(HERE, enrolled("anna", at(0.607)), LIMITS)
    assert (match.likeness, match.template) == (Likeness.FAR, None)


def test_the_threshold_shipped_parts_the_measured_mates_from_the_nearest_strangers() -> None:
    assert 0.51 < MatchLimits().threshold < (0.51 + 0.607) / 2


def test_more_enrolled_frames_do_not_make_a_face_easier_to_hit() -> None:
    one_lucky_frame = enrolled("anna", at(0.3), at(0.9), at(0.9))
    assert verify(HERE, one_lucky_frame, LIMITS).likeness is Likeness.FAR


def test_among_many_the_nearest_is_named() -> None:
    match = identify(HERE, [enrolled("anna", at(0.7)), enrolled("bert", at(0.4)), enrolled("cleo", at(0.5))], LIMITS)
    assert match.likeness is Likeness.NEAR
    assert match.template is not None
    assert match.template.worker == "bert"


def test_two_about_equally_near_are_ambiguous() -> None:
    match = identify(HERE, [enrolled("anna", at(0.40)), enrolled("bert", at(0, 0.44))], LIMITS)
    assert (match.likeness, match.template) == (Likeness.AMBIGUOUS, None)


def test_nobody_near_is_nobody() -> None:
    assert identify(HERE, [enrolled("anna", at(0.7)), enrolled("bert", at(0.8))], LIMITS).likeness is Likeness.FAR
    assert identify(HERE, [], LIMITS).likeness is Likeness.FAR


@pytest.mark.parametrize("vector", [np.full(128, np.nan, np.float32), np.zeros(64, np.float32)])
def test_what_cannot_be_compared_is_an_error_and_never_near(vector: NDArray[np.float32]) -> None:
    with pytest.raises(ValueError):
        verify(vector, enrolled("anna", HERE), LIMITS)
    with pytest.raises(ValueError):
        identify(HERE, [enrolled("anna", vector)], LIMITS)


def test_distance_is_euclidean() -> None:
    assert distance(at(0.3), at(0, 0.4)) == pytest.approx(0.5)
