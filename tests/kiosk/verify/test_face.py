"""What one attempt is asked, as the terminal's face path puts it together."""

from __future__ import annotations

import random
from collections.abc import Iterator
from pathlib import Path

import pytest

from evidence.events import Ask, ChallengeRecord, Check, Outcome, PromptRecord
from kiosk.verify.face import Face
from kiosk.verify.face_settings import FaceSettings
from kiosk.verify.flash import COLOURS, ROUNDS
from kiosk.verify.gallery import Gallery
from kiosk.verify.session import CHECKS, FaceRequest, FaceResult
from tests.support.faces import bundle

MINUTE_US = 60_000_000


@pytest.fixture
def gallery(tmp_path: Path) -> Iterator[Gallery]:
    one = Gallery(tmp_path / "gallery.db", bytes(32))
    yield one
    one.close()


@pytest.fixture
def face(gallery: Gallery) -> Iterator[Face]:
    one = Face(bundle(), gallery)
    yield one
    one.close()


@pytest.fixture
def lit(gallery: Gallery) -> Iterator[Face]:
    one = Face(bundle(), gallery, FaceSettings(flash=True, flash_excused=("E-17",)))
    yield one
    one.close()


def attempt(face: Face, badge: str | None, at_us: int, *, ends: Outcome | None = None) -> FaceRequest:
    """What is asked of one attempt, which then ends with all checks as `ends` says; None: it is left open."""
    session = face.session(badge, at_us, fps=25, rng=random.Random(at_us))
    if ends is not None:
        session.result = FaceResult(
            None, None, tuple(Check(name=name, outcome=ends, reason="x: y") for name in CHECKS), None
        )
    return session._request


def asked(face: Face, badge: str, times_us: range, ends: Outcome) -> list[int]:
    return [len(attempt(face, badge, at_us, ends=ends).asks) for at_us in times_us]


def test_after_a_failure_the_same_badge_is_asked_for_two_things_and_after_a_pass_mostly_for_one(face: Face) -> None:
    times = range(MINUTE_US, 3 * MINUTE_US, 3_000_000)
    assert set(asked(face, "E-17", times, Outcome.FAILED)[1:]) == {2}
    assert 1 in asked(face, "E-17", times, Outcome.PASSED)[1:]


def test_who_leaves_at_a_prompt_is_asked_for_two_things_next(face: Face) -> None:
    prompt = PromptRecord(ask=Ask.TURN_LEFT, shown_ms=1200, answered_ms=None)
    for at_us in range(MINUTE_US, 2 * MINUTE_US, 3_000_000):
        session = face.session("E-17", at_us, fps=25, rng=random.Random(at_us))
        if at_us > MINUTE_US:
            assert len(session._request.asks) == 2
        left = tuple(Check(name=name, outcome=Outcome.NOT_RUN, reason="cancelled: by the worker") for name in CHECKS)
        session.result = FaceResult(None, None, left, ChallengeRecord(prompts=(prompt,)))


@pytest.mark.parametrize("reason", ["cancelled: by the worker", "camera_failed: gone", "timeout: too long"])
def test_an_attempt_that_came_to_no_answer_forgives_nothing(face: Face, reason: str) -> None:
    """Else a tap that is cancelled at once would buy back the single prompt that a recording may fit."""
    attempt(face, "E-17", MINUTE_US, ends=Outcome.FAILED)
    for at_us in range(MINUTE_US + 3_000_000, 2 * MINUTE_US, 3_000_000):
        session = face.session("E-17", at_us, fps=25, rng=random.Random(at_us))
        assert len(session._request.asks) == 2
        none = tuple(Check(name=name, outcome=Outcome.NOT_RUN, reason=reason) for name in CHECKS)
        session.result = FaceResult(None, None, none, ChallengeRecord(prompts=()))


def test_a_failure_is_held_against_nobody_elses_badge(face: Face) -> None:
    others = []
    for at_us in range(MINUTE_US, 3 * MINUTE_US, 6_000_000):
        attempt(face, "E-17", at_us, ends=Outcome.FAILED)
        others.append(len(attempt(face, "E-18", at_us + 3_000_000, ends=Outcome.PASSED).asks))
    assert 1 in others


def test_a_terminal_that_does_not_flash_has_no_colours(face: Face) -> None:
    request = attempt(face, "E-18", 1)
    assert (request.colours, request.unlit) == ((), False)


def test_a_terminal_that_flashes_asks_two_things_of_everybody(lit: Face) -> None:
    for at_us in range(1, 12):
        request = attempt(lit, "E-18", at_us, ends=Outcome.PASSED)
        assert len(request.colours) == ROUNDS * COLOURS
        assert len(request.asks) == 2
        assert not request.unlit


@pytest.mark.parametrize("badge", ["E-17", None])
def test_who_is_excused_is_not_lit_and_without_a_badge_it_may_be_somebody_excused(lit: Face, badge: str | None) -> None:
    request = attempt(lit, badge, 1)
    assert (request.colours, request.unlit) == ((), True)
    assert len(request.asks) == 2
