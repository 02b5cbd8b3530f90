"""A punch reaches RECORDED only by the journal's word, and every way out has a verdict."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from evidence.events import Ask, Check, Kind, LogType, Method, Outcome, Verdict
from kiosk.policy import FACE_CHECKS, PROFILES
from kiosk.punch import Punch, PunchError, Step, Tap

DEMO = PROFILES["demo"]


def punch(method: Method = Method.FACE) -> Punch:
    tap = Tap(method, LogType.IN, "w-1", "2026-11-22T00:00:00.000Z", 1_000_000)
    return Punch(tap, DEMO, "0123ABCD")


def passed(*names: str) -> list[Check]:
    return [Check(name=name, outcome=Outcome.PASSED, reason="ok: test") for name in names]


def test_a_tap_that_passes_everything_is_verified_and_recorded() -> None:
    one = punch()
    one.progress(Step.HOLD)
    one.progress(Step.PROMPT, ask=Ask.TURN_LEFT)
    one.identified("w-1", "Wang", passed(*FACE_CHECKS))
    one.add(*passed("gps", "beacon"))
    draft = one.decide()
    assert draft.kind is Kind.PUNCH_RECORDED
    assert draft.body.verdict is Verdict.VERIFIED
    assert draft.body.tapped_at == one.tap.time
    one.recorded(7)
    assert (one.step, one.seq) == (Step.RECORDED, 7)


def test_a_refused_verdict_is_punch_refused_and_keeps_the_attempt() -> None:
    one = punch()
    failed = Check(name="face_match", outcome=Outcome.FAILED, reason="no_match: test")
    one.identified(None, None, [*passed(*FACE_CHECKS[:-1]), failed])
    draft = one.decide()
    assert (draft.kind, draft.body.verdict) == (Kind.PUNCH_REFUSED, Verdict.REFUSED)
    assert draft.body.checks[-1].outcome is Outcome.NOT_RUN  # the place was never asked, and the event says so


def test_nothing_can_be_added_after_the_verdict() -> None:
    one = punch()
    one.identified("w-1", None, passed(*FACE_CHECKS))
    one.decide()
    with pytest.raises(PunchError):
        one.add(*passed("gps"))
    with pytest.raises(PunchError):
        one.identified("w-2", None, [])


def test_recorded_needs_a_verdict_first() -> None:
    with pytest.raises(PunchError):
        punch().recorded(1)


def test_a_journal_that_fails_ends_in_lost_with_its_reason() -> None:
    one = punch()
    one.identified("w-1", None, [])
    one.decide()
    one.not_recorded("disk_full")
    assert (one.step, one.lost, one.seq) == (Step.LOST, "disk_full", None)
    with pytest.raises(PunchError):
        one.recorded(1)


def test_a_method_that_the_site_does_not_offer_is_no_punch() -> None:
    tap = Tap(Method.FACE, LogType.IN, "w-1", "2026-11-22T00:00:00.000Z", 1_000_000)
    with pytest.raises(PunchError):
        Punch(tap, PROFILES["badge-only"], "0123ABCD")


def test_an_attempt_has_a_limit() -> None:
    one = punch()
    assert not one.out_of_time(1_000_000 + DEMO.attempt_limit_s * 1_000_000)
    assert one.out_of_time(1_000_001 + DEMO.attempt_limit_s * 1_000_000)


@given(
    st.lists(st.sampled_from([Step.LOOKING, Step.HOLD, Step.PROMPT, Step.CHECKING]), max_size=12),
    st.lists(st.sampled_from([*FACE_CHECKS, "gps", "beacon"]), max_size=10),
)
def test_no_order_of_progress_verifies_what_did_not_pass(steps: list[Step], names: list[str]) -> None:
    one = punch()
    for step in steps:
        try:
            one.progress(step)
        except PunchError:
            break
    one.identified("w-1", None, passed(*names))
    verdict = one.decide().body.verdict
    assert (verdict is Verdict.VERIFIED) == ({*FACE_CHECKS, "gps", "beacon"} <= set(names))
    assert verdict is not Verdict.REFUSED
