"""Who may stand for whom, and how often that happens here."""

from __future__ import annotations

from pathlib import Path

from hypothesis import given
from hypothesis import strategies as st

from evidence.events import Check, Kind, Method, Outcome, PunchBody, Verdict
from evidence.keys import Ed25519Key
from kiosk.clock import SystemClock
from kiosk.confirmation import COUNTED, ConfirmationRate, confirmation, objection
from kiosk.journal import Journal
from kiosk.policy import FACE_CHECKS
from kiosk.verify.gallery import GalleryWorker

BOSS = GalleryWorker("B-1", "赵强", (), has_pin=True, role="supervisor")


def punch(method: Method) -> PunchBody:
    return PunchBody(
        worker="W-1",
        log_type=None,
        method=method,
        verdict=Verdict.REVIEW,
        checks=(),
        policy="aa" * 32,
        receipt="7K3M9QXA",
        tapped_at="2026-03-01T08:00:00.000Z",
        confirmed_by="B-1" if method is Method.SUPERVISOR else None,
    )


def test_an_identified_supervisor_with_confirmations_left_may_confirm_another() -> None:
    assert objection("W-1", "B-1", BOSS, limited=False) is None
    for worker, held, limited, code in [
        ("B-1", BOSS, False, "own_punch"),
        ("b-1", BOSS, False, "own_punch"),
        ("W-1", None, False, "no_supervisor"),
        ("W-1", GalleryWorker("B-1", "", (), has_pin=True), False, "no_supervisor"),
        ("W-1", BOSS, True, "too_many_confirmations"),
    ]:
        check = objection(worker, "B-1", held, limited=limited)
        assert check is not None
        assert (check.outcome, check.reason.partition(":")[0]) == (Outcome.FAILED, code)


@given(st.dictionaries(st.sampled_from([*FACE_CHECKS, "pin"]), st.sampled_from(list(Outcome))), st.booleans())
def test_only_a_whole_identification_confirms(outcomes: dict[str, Outcome], by_face: bool) -> None:
    checks = [Check(name=name, outcome=outcome, reason="x: x") for name, outcome in outcomes.items()]
    judged = confirmation("B-1", checks, by_face=by_face)
    needed = FACE_CHECKS if by_face else ("pin",)
    whole = all(outcomes.get(name) is Outcome.PASSED for name in needed) and Outcome.FAILED not in outcomes.values()
    assert judged.outcome is (Outcome.PASSED if whole else Outcome.FAILED)


def test_the_rate_is_of_the_newest_thousand_and_comes_back_from_the_journal(tmp_path: Path) -> None:
    rate = ConfirmationRate()
    for _ in range(COUNTED):
        rate.note(punch(Method.SUPERVISOR))
    for _ in range(10):
        rate.note(punch(Method.FACE))
    assert (rate.punches, rate.confirmed) == (COUNTED, COUNTED - 10)

    journal = Journal(tmp_path / "journal.db", Ed25519Key.generate(), "gate-1", "east", "UTC", SystemClock())
    for method in (Method.FACE, Method.SUPERVISOR, Method.BADGE_PIN):
        journal.append(Kind.PUNCH_RECORDED, punch(method))
    kept = [*reversed(journal.newest([Kind.PUNCH_RECORDED], 2)), b"no envelope"]
    journal.close()
    again = ConfirmationRate.of(kept)
    assert (again.punches, again.confirmed) == (2, 1)
