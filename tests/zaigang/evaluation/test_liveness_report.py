"""What the table says of attempts that one thing alone stopped."""

from __future__ import annotations

import pytest

from evidence.events import Check, Outcome
from kiosk.policy import FACE_CHECKS, FACE_SIGNS
from zaigang.evaluation.liveness_report import FACE, Judged, ablation, decide, report


def judged(species: str, **failed: str) -> Judged:
    """One attempt in which every check passed but for `failed`: reasons by name."""
    checks = tuple(
        Check(
            name=name,
            outcome=Outcome.FAILED if name in failed else Outcome.PASSED,
            reason=failed.get(name, "ok: well"),
        )
        for name in (*FACE_CHECKS, *FACE_SIGNS)
    )
    return Judged(species, "0", checks, decide(checks, FACE), "all checks", FACE)


@pytest.mark.parametrize(
    ("failed", "marked"),
    [
        ({"screen_signs": "framed: a border"}, 1),
        ({"flash": "unlit: the face did not answer"}, 1),
        ({"screen_signs": "framed: a border", "flash": "unlit: the face did not answer"}, 1),
        ({"screen_signs": "moire: pixels"}, 0),
        ({"screen_signs": "framed: a border", "planarity": "flat: paper"}, 0),
        ({}, 0),
    ],
)
def test_what_only_a_drawn_border_or_a_simulated_flash_stopped_is_marked(failed: dict[str, str], marked: int) -> None:
    assert ablation([judged("phone", **failed)])["phone"]["only_border_or_flash"] == marked


def test_alone_and_off_say_who_would_have_been_let_in() -> None:
    entry = ablation([judged("print", planarity="flat: paper"), judged("print", challenge="no_answer: nothing")])[
        "print"
    ]
    assert entry["n"] == 2
    assert (entry["alone"]["planarity"], entry["alone"]["challenge"], entry["alone"]["continuity"]) == (1, 1, 2)
    assert (entry["off"]["planarity"], entry["off"]["challenge"], entry["off"]["continuity"]) == (1, 1, 0)


def test_the_worst_species_is_named_and_no_mean_is_taken() -> None:
    rows = [judged("print", planarity="flat: paper")] * 9 + [judged("mask"), judged("mask", planarity="flat: paper")]
    said = report(rows, kind="synthetic")
    assert said["worst_species"] == "mask"
    assert said["species"]["mask"]["apcer"] == 0.5
    assert said["species"]["print"]["apcer"] == 0.0
    assert "apcer" not in said
