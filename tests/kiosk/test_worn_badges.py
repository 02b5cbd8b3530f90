"""A badge corroborates a punch once for each of its identifiers, and its absence accuses nobody."""

from __future__ import annotations

from evidence.events import Check, LogType, Method, Outcome, PunchBody, Verdict
from kiosk.sensors.beacons import Near
from kiosk.worn_badges import WornBadges

EID = bytes.fromhex("a9b76a71c5f89290")
BADGES = {"eid:badge-17": "W-1", "IBEACON:AB:1:1": "W-2"}


class Ears:
    """Hears what it is told."""

    def __init__(self, heard: dict[str, Near]) -> None:
        self.heard = heard

    def near(self, ids: tuple[str, ...]) -> Near | None:
        return next((self.heard[one] for one in ids if one in self.heard), None)


def punch(*checks: Check, verdict: Verdict = Verdict.VERIFIED) -> PunchBody:
    return PunchBody(
        worker="W-1",
        log_type=LogType.IN,
        method=Method.FACE,
        verdict=verdict,
        checks=checks,
        policy="ab" * 32,
        receipt="0123ABCD",
        tapped_at="2026-11-22T00:00:00.000Z",
    )


def outcome(checks: tuple[Check, ...]) -> tuple[Outcome, str]:
    (one,) = checks
    return one.outcome, one.reason.partition(":")[0]


def test_a_worker_whose_badge_is_near_is_corroborated() -> None:
    worn = WornBadges(BADGES)
    (check,) = worn.check("W-1", Ears({"eid:badge-17": Near(-50, EID)}))
    assert (check.outcome, check.observed) == (Outcome.PASSED, {"rssi": -50, "eid": EID.hex()})
    assert outcome(worn.check("W-2", Ears({"ibeacon:ab:1:1": Near(-50, None)}))) == (Outcome.PASSED, "ok")


def test_an_identifier_serves_one_punch_and_the_next_identifier_the_next() -> None:
    worn = WornBadges(BADGES)
    ears = Ears({"eid:badge-17": Near(-50, EID)})
    worn.spend(punch(*worn.check("W-1", ears)))
    assert outcome(worn.check("W-1", ears)) == (Outcome.NOT_RUN, "eid_used")
    assert outcome(worn.check("W-1", Ears({"eid:badge-17": Near(-50, EID[::-1])}))) == (Outcome.PASSED, "ok")


def test_after_a_restart_the_journals_punches_have_spent_theirs() -> None:
    before, after = WornBadges(BADGES), WornBadges(BADGES)
    ears = Ears({"eid:badge-17": Near(-50, EID)})
    after.spend(punch(*before.check("W-1", ears)))
    assert outcome(after.check("W-1", ears)) == (Outcome.NOT_RUN, "eid_used")


def test_a_refused_attempt_uses_nothing_up() -> None:
    worn = WornBadges(BADGES)
    ears = Ears({"eid:badge-17": Near(-50, EID)})
    worn.spend(punch(*worn.check("W-1", ears), verdict=Verdict.REFUSED))
    assert outcome(worn.check("W-1", ears)) == (Outcome.PASSED, "ok")


def test_a_constant_identifier_is_not_used_up() -> None:
    worn = WornBadges(BADGES)
    ears = Ears({"ibeacon:ab:1:1": Near(-50, None)})
    worn.spend(punch(*worn.check("W-2", ears)))
    assert outcome(worn.check("W-2", ears)) == (Outcome.PASSED, "ok")


def test_a_badge_that_is_not_heard_accuses_nobody() -> None:
    worn = WornBadges(BADGES)
    assert outcome(worn.check("W-1", Ears({}))) == (Outcome.NOT_RUN, "badge_not_heard")
    assert outcome(worn.check("W-1", None)) == (Outcome.NOT_RUN, "no_scanner")


def test_a_worker_without_a_badge_and_a_stranger_are_not_asked_for_one() -> None:
    worn = WornBadges(BADGES)
    assert worn.check("W-3", Ears({})) == worn.check(None, Ears({})) == ()


def test_a_punch_that_some_other_version_signed_does_no_harm() -> None:
    worn = WornBadges(BADGES)
    for observed in (None, {}, {"eid": 7}, "x"):
        worn.spend(punch(Check(name="badge_near", outcome=Outcome.PASSED, observed=observed, reason="ok: x")))
    assert worn._spent == {}
