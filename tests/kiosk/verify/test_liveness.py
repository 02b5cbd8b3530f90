from __future__ import annotations

from itertools import product

import pytest

from evidence.events import Check, Outcome
from kiosk.verify.liveness import (
    LIVENESS_CHECKS,
    OPTIONAL_CHECKS,
    PlanarityLimits,
    ScreenLimits,
    alive,
    planarity_check,
    screen_check,
    turns_check,
)
from kiosk.verify.planarity import PlaneFit
from kiosk.verify.screen_signs import SignsSeen

LIMITS = PlanarityLimits()


def checks(*outcomes: Outcome) -> list[Check]:
    return [Check(name=name, outcome=one, reason="x: y") for name, one in zip(LIVENESS_CHECKS, outcomes, strict=True)]


ALL = [Outcome.PASSED] * len(LIVENESS_CHECKS)


def test_alive_means_that_all_passed() -> None:
    assert alive(checks(*ALL)) is Outcome.PASSED


@pytest.mark.parametrize("outcomes", list(product(Outcome, repeat=len(LIVENESS_CHECKS))))
def test_one_failure_is_a_failure_and_one_not_run_is_never_a_pass(outcomes: tuple[Outcome, ...]) -> None:
    fused = alive(checks(*outcomes))
    assert (fused is Outcome.FAILED) == (Outcome.FAILED in outcomes)
    assert (fused is Outcome.PASSED) == (set(outcomes) == {Outcome.PASSED})


@pytest.mark.parametrize("name", OPTIONAL_CHECKS)
def test_an_optional_check_that_failed_is_a_failure_and_one_not_run_changes_nothing(name: str) -> None:
    for outcome, fused in ((Outcome.FAILED, Outcome.FAILED), (Outcome.NOT_RUN, Outcome.PASSED)):
        assert alive([*checks(*ALL), Check(name=name, outcome=outcome, reason="x: y")]) is fused


def test_a_missing_check_is_not_run() -> None:
    for left_out in range(len(ALL)):
        assert alive([one for place, one in enumerate(checks(*ALL)) if place != left_out]) is Outcome.NOT_RUN
    assert alive([]) is Outcome.NOT_RUN


# Residual, outliers: what was measured (see PlanarityLimits).
@pytest.mark.parametrize(("residual", "outliers"), [(0.061, 0.77), (0.16, 0.86), (0.10, 0.86), (0.66, 0.93)])
def test_the_measured_heads_pass(residual: float, outliers: float) -> None:
    assert planarity_check(PlaneFit(residual, outliers, 80, 20), LIMITS).outcome == "passed"


@pytest.mark.parametrize(("residual", "outliers"), [(0.005, 0.02), (0.008, 0.13), (0.012, 0.27), (0.023, 0.53)])
def test_the_measured_papers_fail(residual: float, outliers: float) -> None:
    assert planarity_check(PlaneFit(residual, outliers, 80, 20), LIMITS).outcome == "failed"


@pytest.mark.parametrize(("residual", "outliers"), [(0.1, 0.1), (0.001, 0.9)])
def test_both_figures_must_speak_for_a_head(residual: float, outliers: float) -> None:
    assert planarity_check(PlaneFit(residual, outliers, 80, 20), LIMITS).outcome == "failed"


def test_a_small_turn_is_no_verdict_even_where_it_looks_alive() -> None:
    assert planarity_check(PlaneFit(0.2, 0.9, 80, 14), LIMITS).outcome == "not_run"


def test_a_squeezed_plane_is_flat_even_where_the_mesh_saw_no_turn() -> None:
    paper = PlaneFit(0.001, 0, 80, 1, squeeze=0.82, squeezed_residual=0.006)
    head = PlaneFit(0.06, 0.7, 80, 21, squeeze=0.82, squeezed_residual=0.05)
    assert planarity_check(paper, LIMITS).outcome == "failed"
    assert planarity_check(head, LIMITS).outcome == "passed"


def test_a_torn_track_is_another_face_however_little_it_is_a_plane() -> None:
    torn = PlaneFit(1.4, 0.93, 74, 21, tear=0.49, kept=0.93)
    check = planarity_check(torn, LIMITS)
    assert (check.outcome, check.reason.split(":")[0]) == ("failed", "face_changed")
    living = PlaneFit(0.72, 0.93, 69, 18, tear=0.27, kept=0.86)  # the worst that was measured
    assert planarity_check(living, LIMITS).outcome == "passed"


def test_most_of_the_points_must_have_been_followed_to_the_end() -> None:
    check = planarity_check(PlaneFit(0.2, 0.9, 40, 21, kept=0.5), LIMITS)
    assert (check.outcome, check.reason.split(":")[0]) == ("not_run", "points_lost")


HEAD, PAPER, GLANCE = PlaneFit(0.1, 0.8, 80, 22), PlaneFit(0.004, 0.05, 80, 22), PlaneFit(0.1, 0.8, 80, 9)


@pytest.mark.parametrize(
    ("turns", "said"),
    [
        ([], "not_run too_little_turn"),
        ([HEAD, HEAD], "passed ok"),
        ([PAPER, HEAD], "failed flat"),
        ([HEAD, PAPER], "failed flat"),
        ([GLANCE, PAPER], "failed flat"),
        ([GLANCE, HEAD], "not_run too_little_turn"),
        ([HEAD, GLANCE], "not_run too_little_turn"),
    ],
)
def test_the_worst_of_the_turns_decides(turns: list[PlaneFit], said: str) -> None:
    check = turns_check(turns, LIMITS)
    assert f"{check.outcome} {check.reason.split(':')[0]}" == said


@pytest.mark.parametrize(
    ("seen", "said"),
    [
        (SignsSeen(looks=4, framed=0, moire=3.7, replayed=False), "passed ok"),
        (SignsSeen(looks=4, framed=1, moire=3.7, replayed=False), "passed ok"),
        (SignsSeen(looks=4, framed=2, moire=3.7, replayed=False), "failed framed"),
        (SignsSeen(looks=4, framed=4, moire=9.0, replayed=False), "failed moire"),
        (SignsSeen(looks=4, framed=0, moire=0.0, replayed=True), "failed replayed"),
        (SignsSeen(looks=4, framed=0, moire=0.0, replayed=False, wander=0.4), "passed ok"),
        (SignsSeen(looks=4, framed=0, moire=0.0, replayed=False, wander=1.2), "failed held"),
        (SignsSeen(looks=1, framed=1, moire=0.0, replayed=False), "not_run not_reached"),
    ],
)
def test_a_sign_counts_when_it_was_seen_twice(seen: SignsSeen, said: str) -> None:
    check = screen_check(seen, ScreenLimits())
    assert f"{check.outcome} {check.reason.partition(':')[0]}" == said
