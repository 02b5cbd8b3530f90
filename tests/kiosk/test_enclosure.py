"""An opened case caps every punch until a signed clear, whatever is deleted, restarted or full.

The whole terminal with real journal, gallery and keys; the pins are gpiozero's MockFactory with a wire behind them.
"""

from __future__ import annotations

import json
import sqlite3
import time
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest

from evidence.chain import read_event, verify_chain
from evidence.events import (
    EnclosureOpenedBody,
    Kind,
    LogType,
    Method,
    Outcome,
    PunchBody,
    Verdict,
)
from evidence.receipt import Receipt, sign_receipt
from kiosk.app import Kiosk
from kiosk.enclosure import READING_KEPT_S
from kiosk.enrolment import EnrolmentError
from kiosk.errors import JournalFull, OpeningStands
from kiosk.journal import Journal
from kiosk.keeper import HEALTH_EVERY_S
from kiosk.sensors.eddystone_eid import eid
from kiosk.settings_tables import EnclosureSettings, PresenceSettings
from kiosk.terminal.view import Phase, Result
from kiosk.verify.errors import GalleryLocked
from tests.kiosk.opened_case import (
    COLLECTOR,
    TAMPER,
    WORKER,
    bodies,
    clearance,
    cut,
    enclosure_check,
    enrol,
    never,
    opened,
    punch,
    settings,
    terminal,
)
from tests.support.gpio import Pins
from tests.support.waiting import until
from zaigang.demo.scene import Scene


def test_a_closed_case_is_said_in_every_punch_and_verifies(tmp_path: Path) -> None:
    with terminal(tmp_path, Pins()) as kiosk:
        enrol(kiosk)
        assert punch(kiosk).verdict is Verdict.VERIFIED
        assert enclosure_check(kiosk).outcome is Outcome.PASSED
        assert kiosk.parts()["enclosure"].state == "working"
        (applied,) = bodies(kiosk, Kind.CONFIG_APPLIED)
        assert applied[1].policy["seals"] == ["enclosure"]


def test_an_opened_case_is_signed_first_then_the_keys_are_dropped(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    order: list[tuple[str, bool]] = []
    append = Journal.append

    def watched(self: Journal, kind: str, body: Any) -> Any:
        order.append((kind, kiosk.key.held and not kiosk.gallery.locked))
        return append(self, kind, body)

    pins = Pins()
    with terminal(tmp_path, pins) as kiosk:
        enrol(kiosk)
        monkeypatch.setattr(Journal, "append", watched)
        seq = cut(kiosk, pins)
        assert order == [(Kind.ENCLOSURE_OPENED, True)]
        ((signed, body),) = bodies(kiosk, Kind.ENCLOSURE_OPENED)
        assert (signed, isinstance(body, EnclosureOpenedBody) and body.found) == (seq, "running")
        assert kiosk.gallery.locked and not kiosk.key.held
        with pytest.raises(GalleryLocked):
            kiosk.gallery.get(WORKER)


def test_an_opened_case_drops_the_beacons_keys_and_the_clear_brings_them_back(tmp_path: Path) -> None:
    """What they named is not called absent meanwhile: a badge, an anchor, presence."""
    zero = datetime.now(UTC).replace(microsecond=0) - timedelta(seconds=100)
    keys, air = tmp_path / "eid-keys.toml", tmp_path / "air.jsonl"
    names = {"badge-17": bytes(range(16)), "anchor-1": bytes(16)}
    tables = [
        f'[{name}]\nkey = "{key.hex()}"\nexponent = 15\ncounter_zero = {zero.isoformat()}\n'
        for name, key in names.items()
    ]
    keys.write_text("".join(tables))
    keys.chmod(0o600)
    sent = {f"c0:ff:ee:00:00:{at:02x}": b"\x30\xe7" + eid(key, 15, 100) for at, key in enumerate(names.values())}
    lines = [
        json.dumps({"at_ms": number * 200, "address": address, "rssi": -50, "services": {"feaa": frame.hex()}})
        for number in range(10)
        for address, frame in sent.items()
    ]
    air.write_text("\n".join(lines) + "\n")
    given: dict[str, Any] = {
        "badges": {"eid:badge-17": WORKER},
        "anchors": ("eid:anchor-1",),
        "eid_keys": keys,
        "beacons": f"file:{air}",
        "presence": PresenceSettings(),
    }

    def beacons(kiosk: Kiosk) -> dict[str, tuple[Outcome, str]]:
        checks = (*kiosk.hearing.badge(WORKER), *kiosk._place())
        wanted = ("badge_near", "beacon")
        return {one.name: (one.outcome, one.reason.partition(":")[0]) for one in checks if one.name in wanted}

    def sighted(kiosk: Kiosk) -> int:
        assert kiosk.hearing.presence is not None
        return sum(one.samples for one in kiosk.hearing.presence._presence.unfinished())

    unknown = dict.fromkeys(("badge_near", "beacon"), (Outcome.NOT_RUN, "enclosure_opened"))
    known = dict.fromkeys(unknown, (Outcome.PASSED, "ok"))
    pins = Pins()
    with terminal(tmp_path, pins, **given) as kiosk:
        enrol(kiosk)
        until(lambda: beacons(kiosk) == known, "badge and anchor")
        assert punch(kiosk).verdict is not Verdict.REFUSED
        until(lambda: sighted(kiosk), "presence")
        assert kiosk.hearing.sensor is not None and kiosk.hearing.sensor._book is not None
        seq = cut(kiosk, pins)
        until(lambda: kiosk.hearing.sensor and not kiosk.hearing.sensor._book._beacons, "the dropped keys")
        before = sighted(kiosk)
        until(lambda: beacons(kiosk) == unknown, "the end of what was heard before")
        assert sighted(kiosk) <= before
    pins.pin(TAMPER).mend()
    with terminal(tmp_path, pins, **given) as kiosk:  # a restart reads none of them
        assert kiosk.hearing.sensor is not None and kiosk.hearing.sensor._book is not None
        until(lambda: kiosk.hearing.reading(), "the scanner")
        assert not kiosk.hearing.sensor._book._beacons
        until(lambda: beacons(kiosk) == unknown, "somebody unknown")
        until(lambda: kiosk.enclosure._closed, "the closed loop")
        kiosk.clear_enclosure(clearance(kiosk, seq))
        spent = {**known, "badge_near": (Outcome.NOT_RUN, "eid_used")}  # at the punch before
        until(lambda: beacons(kiosk) == spent, "badge and anchor")
        until(lambda: sighted(kiosk), "presence")


def test_after_an_opening_punches_are_recorded_and_none_is_verified(tmp_path: Path) -> None:
    pins = Pins()
    with terminal(tmp_path, pins) as kiosk:
        enrol(kiosk)
        seq = cut(kiosk, pins)
        pins.pin(TAMPER).mend()  # a case that is closed again was open all the same
        result = punch(kiosk)
        assert (result.verdict, result.reasons[0]) == (Verdict.REVIEW, "enclosure_opened")
        assert result.receipt_qr is not None  # signed, by a key that is read for this one signature
        check = enclosure_check(kiosk)
        assert (check.outcome, check.observed) == (Outcome.FAILED, {"opening": seq})
        assert kiosk.parts()["enclosure"].reason.startswith("enclosure_opened:")
        assert "enclosure_opened" in kiosk.attendant.view().troubles
        assert not kiosk.key.held
        chain = [envelope for _, envelope in kiosk.journal.unsent(-1, 1000)]
        assert verify_chain(chain, {"gate-1": kiosk.key.public}).ok


def test_a_case_opened_while_an_attempt_runs_caps_that_attempt(tmp_path: Path) -> None:
    pins = Pins()
    with terminal(tmp_path, pins) as kiosk:
        enrol(kiosk)
        place = kiosk.attendant._around.place

        def opening_meanwhile() -> Any:
            pins.pin(TAMPER).cut()
            return place()

        object.__setattr__(kiosk.attendant._around, "place", opening_meanwhile)
        assert punch(kiosk).verdict is Verdict.REVIEW
        assert enclosure_check(kiosk).outcome is Outcome.FAILED
        _, body = bodies(kiosk, Kind.PUNCH_RECORDED)[-1]
        # The PIN was found right before the case was opened: only the seal stands against it.
        assert [check.name for check in body.checks if check.outcome is Outcome.FAILED] == ["enclosure"]


def test_no_opening_comes_between_a_verdict_and_its_place_in_the_chain(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    pins = Pins()
    with terminal(tmp_path, pins) as kiosk:
        enrol(kiosk)
        append = Journal.append

        def opening_at_the_commit(self: Journal, kind: str, body: Any) -> Any:
            if kind == Kind.PUNCH_RECORDED:
                pins.pin(TAMPER).cut()  # the verdict is made
                never(lambda: self.opening)  # the watch waits for the verdict's place
            return append(self, kind, body)

        monkeypatch.setattr(Journal, "append", opening_at_the_commit)
        assert punch(kiosk).verdict is Verdict.VERIFIED
        opened(kiosk)
        kinds = [read_event(one, {"gate-1": kiosk.key.public})[0].kind for _, one in kiosk.journal.unsent(-1, 1000)]
        assert kinds[-2:] == [Kind.PUNCH_RECORDED, Kind.ENCLOSURE_OPENED]


def test_nobody_is_enrolled_at_an_opened_terminal_and_the_permission_is_not_used_up(tmp_path: Path) -> None:
    pins = Pins()
    with terminal(tmp_path, pins) as kiosk:
        seq = cut(kiosk, pins)
        with pytest.raises(EnrolmentError, match="opened"):
            enrol(kiosk)
        pins.pin(TAMPER).mend()
        until(lambda: kiosk.enclosure._closed, "the closed loop")
        kiosk.clear_enclosure(clearance(kiosk, seq))
        assert kiosk.key.held  # a clear in the running terminal brings the keys back too
        enrol(kiosk)
        assert punch(kiosk).verdict is Verdict.VERIFIED


@pytest.mark.parametrize("method", list(Method))
def test_the_journal_signs_no_verified_punch_of_any_method_while_an_opening_stands(
    tmp_path: Path, method: Method
) -> None:
    pins = Pins()
    with terminal(tmp_path, pins) as kiosk:
        cut(kiosk, pins)
        head = kiosk.journal.head
        body = PunchBody(
            worker=WORKER,
            log_type=LogType.IN,
            method=method,
            verdict=Verdict.VERIFIED,
            checks=(),
            policy="0" * 64,
            receipt="01234567",
            tapped_at="2026-01-01T00:00:00.000Z",
            confirmed_by="W-0007" if method is Method.SUPERVISOR else None,
        )
        with pytest.raises(OpeningStands):
            kiosk.journal.append(Kind.PUNCH_RECORDED, body)
        assert kiosk.journal.head == head
        kiosk.journal.append(Kind.PUNCH_RECORDED, body.model_copy(update={"verdict": Verdict.REVIEW}))


def test_the_cap_outlives_a_restart_deleted_files_and_a_deleted_setting(tmp_path: Path) -> None:
    pins = Pins()
    with terminal(tmp_path, pins) as kiosk:
        enrol(kiosk)
        seq = cut(kiosk, pins)
        pins.pin(TAMPER).mend()
    for file in (tmp_path / "terminal").iterdir():
        if file.is_file() and file.name not in ("journal.db", "terminal.pem", "gallery.db", "gallery.key"):
            file.unlink()
    for changes in ({}, {"enclosure": EnclosureSettings()}):
        with terminal(tmp_path, pins, **changes) as kiosk:
            assert kiosk.journal.opening == seq
            assert kiosk.gallery.locked and not kiosk.key.held
            assert punch(kiosk).verdict is Verdict.REVIEW
            assert enclosure_check(kiosk).outcome is Outcome.FAILED


def test_a_loop_found_open_at_the_start_is_an_opening_and_one_that_stays_open_is_not_signed_twice(
    tmp_path: Path,
) -> None:
    pins = Pins()
    with terminal(tmp_path, pins) as kiosk:
        enrol(kiosk)
    pins.pin(TAMPER).cut()
    with terminal(tmp_path, pins) as kiosk:
        seq = opened(kiosk)
        assert bodies(kiosk, Kind.ENCLOSURE_OPENED)[0][1].found == "start"
        assert punch(kiosk).verdict is Verdict.REVIEW
    with terminal(tmp_path, pins) as kiosk:
        assert [one for one, _ in bodies(kiosk, Kind.ENCLOSURE_OPENED)] == [seq]


def test_a_second_opening_within_the_same_minute_is_signed_at_the_end_of_the_process_at_the_latest(
    tmp_path: Path,
) -> None:
    pins = Pins()
    with terminal(tmp_path, pins) as kiosk:
        cut(kiosk, pins)
        pins.pin(TAMPER).mend()
        until(lambda: kiosk.enclosure._closed, "the closed loop")
        pins.pin(TAMPER).cut()  # within the minute in which a rattling loop signs once
        until(lambda: kiosk.enclosure._seen, "the second opening")
    with terminal(tmp_path, pins) as kiosk:
        assert len(bodies(kiosk, Kind.ENCLOSURE_OPENED)) == 2


@pytest.mark.parametrize("when", ["at the start", "later", "no library"])
def test_a_loop_that_cannot_be_read_prevents_verified_and_comes_back(tmp_path: Path, when: str) -> None:
    pins = Pins()
    if when == "at the start":
        pins.pin(TAMPER).broken = OSError("input/output error")
    if when == "no library":
        pins.failing = ModuleNotFoundError("No module named 'lgpio'")
    with terminal(tmp_path, pins) as kiosk:
        enrol(kiosk)
        if when == "later":
            assert punch(kiosk).verdict is Verdict.VERIFIED
            pins.pin(TAMPER).broken = OSError("input/output error")
        until(lambda: kiosk.parts()["enclosure"].state == "failed", "the failed loop")
        assert kiosk.parts()["enclosure"].reason.startswith("enclosure_unreadable:")
        assert punch(kiosk).verdict is Verdict.REVIEW
        assert enclosure_check(kiosk).outcome is Outcome.NOT_RUN
        assert kiosk.journal.opening is None  # nobody saw an opening
        pins.pin(TAMPER).broken = pins.failing = None
        until(lambda: kiosk.parts()["enclosure"].state == "working", "the loop again")
        assert punch(kiosk).verdict is Verdict.VERIFIED


def test_a_loop_that_hangs_is_told_within_ten_seconds_and_does_not_hang_the_punches(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    pins = Pins()
    with terminal(tmp_path, pins) as kiosk:
        enrol(kiosk)
        hanging = until(lambda: kiosk.enclosure._loop, "the loop")
        go_on = kiosk.enclosure._stopping.wait
        monkeypatch.setattr(hanging, "closed", lambda: go_on())
        started_s = time.monotonic()
        until(lambda: kiosk.parts()["enclosure"].state == "failed", "the state to say so")
        # The last reading held for its time, and no longer; what is left of ten seconds is the keeper's.
        assert READING_KEPT_S - 1 < time.monotonic() - started_s < 10 - HEALTH_EVERY_S
        assert punch(kiosk).verdict is Verdict.REVIEW
        assert enclosure_check(kiosk).outcome is Outcome.NOT_RUN


def test_with_a_full_journal_the_screen_says_so_nothing_is_verified_and_the_opening_is_signed_when_there_is_room(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    pins = Pins()
    monkeypatch.setattr("kiosk.enclosure.RETRY_S", 0.2)
    with terminal(tmp_path, pins) as kiosk:
        enrol(kiosk)
        database = kiosk.journal._store.database
        (pages,) = database.execute("PRAGMA page_count").fetchone()
        database.execute(f"PRAGMA max_page_count = {pages}")
        with pytest.raises(JournalFull):
            for _ in range(100):
                kiosk.journal.append(Kind.CLOCK_STEPPED, {"from": "2026-01-01T00:00:00.000Z", "step_ms": 1})
        pins.pin(TAMPER).cut()
        until(lambda: not kiosk.key.held and kiosk.gallery.locked, "the dropped keys")
        assert kiosk.journal.opening is None  # there was no room to say it
        view = until(lambda: (v := kiosk.attendant.view()).phase is Phase.OUT_OF_ORDER and v, "the screen to say so")
        assert {"disk_full", "enclosure_opened"} <= set(view.troubles)
        assert kiosk.parts()["enclosure"].state == "failed"
        head = kiosk.journal.head
        with kiosk.enclosure.judging() as checks:
            assert [(one.name, one.outcome) for one in checks] == [("enclosure", Outcome.FAILED)]
        assert kiosk.journal.head == head
        database.execute(f"PRAGMA max_page_count = {pages + 100}")
        opened(kiosk)
        assert kiosk.journal.probe()
        assert punch(kiosk).verdict is Verdict.REVIEW


def test_pruning_keeps_what_the_state_is_derived_from(tmp_path: Path) -> None:
    pins = Pins()
    with terminal(tmp_path, pins) as kiosk:
        seq = cut(kiosk, pins)
        for _ in range(5):
            kiosk.journal.append(Kind.CLOCK_STEPPED, {"from": "2026-01-01T00:00:00.000Z", "step_ms": 1})
        head = kiosk.journal.head
        receipt = Receipt(
            device="gate-1",
            chain=head.chain,
            upto=head.seq,
            head=head.hash,
            tree_size=1,
            time="2020-01-01T00:00:00.000Z",
        )
        kiosk.journal.release(sign_receipt(receipt, COLLECTOR), COLLECTOR.public)
        assert kiosk.journal.prune("2026-01-01T00:00:00.000Z") > 0
        path = kiosk.journal.path
    with sqlite3.connect(path) as database:
        assert [row[0] for row in database.execute("SELECT seq FROM events ORDER BY seq")][:2] == [seq, head.seq]
    with terminal(tmp_path, pins) as kiosk:
        assert kiosk.journal.opening == seq


EXCHANGED = "UPDATE events SET envelope = (SELECT envelope FROM events WHERE seq = 0) WHERE kind = 'enclosure.opened'"
DELETED = "DELETE FROM events WHERE kind = 'enclosure.opened'"
CUT_OFF = "DELETE FROM events WHERE seq >= (SELECT seq FROM events WHERE kind = 'enclosure.opened')"


@pytest.mark.parametrize("damage", [EXCHANGED, DELETED, CUT_OFF])
def test_a_spoilt_or_deleted_opening_does_not_close_the_case(tmp_path: Path, damage: str) -> None:
    pins = Pins()
    with terminal(tmp_path, pins) as kiosk:
        cut(kiosk, pins)
        for _ in range(3):  # the head and the event before it are checked anyway
            kiosk.journal.append(Kind.CLOCK_STEPPED, {"from": "2026-01-01T00:00:00.000Z", "step_ms": 1})
        path = kiosk.journal.path
    with sqlite3.connect(path) as database:
        database.execute(damage)
        database.commit()
        database.execute("PRAGMA secure_delete = ON")
        database.execute("VACUUM")
        database.execute("PRAGMA wal_checkpoint(TRUNCATE)")  # else the row is read from where it lay before
    pins.pin(TAMPER).mend()
    with terminal(tmp_path, pins) as kiosk:  # a new chain, and the case counts as open in it
        assert kiosk.journal.state.reason.startswith("new_chain: ")
        assert kiosk.journal.opening is not None
        assert punch(kiosk).verdict is not Verdict.VERIFIED


def test_a_terminal_without_a_loop_says_nothing_of_one(tmp_path: Path) -> None:
    with terminal(tmp_path, Pins(), enclosure=EnclosureSettings()) as kiosk:
        enrol(kiosk)
        assert punch(kiosk).verdict is Verdict.VERIFIED
        _, body = bodies(kiosk, Kind.PUNCH_RECORDED)[-1]
        assert "enclosure" not in [check.name for check in body.checks]
        assert kiosk.parts()["enclosure"].state == "absent"


def test_a_terminal_without_a_loop_whose_new_chain_begins_in_doubt_records_punches_for_review(tmp_path: Path) -> None:
    with terminal(tmp_path, Pins(), enclosure=EnclosureSettings()) as kiosk:
        enrol(kiosk)
        doubt = EnclosureOpenedBody(found="unknown", seen_at="2026-01-01T00:00:00.000Z")
        kiosk.journal.append(Kind.ENCLOSURE_OPENED, doubt)  # as a journal does that began anew while running
        assert punch(kiosk).verdict is Verdict.REVIEW


def test_lamps_say_how_a_punch_ended_and_their_failure_keeps_nobody_from_punching(tmp_path: Path) -> None:
    pins = Pins()
    built = EnclosureSettings(tamper_pin=TAMPER, green_pin=22, red_pin=23, buzzer_pin=24)
    with terminal(tmp_path, pins, enclosure=built) as kiosk:
        enrol(kiosk)
        assert punch(kiosk).verdict is Verdict.VERIFIED
        until(lambda: pins.pin(22).function == "output" and pins.pin(22).state, "green")
        assert not pins.pin(23).state
        lamps = kiosk._lamps
        assert lamps is not None
        lamps._devices["green"].close()  # writing to a closed device raises
        assert punch(kiosk).verdict is Verdict.VERIFIED
        part = until(lambda: (p := kiosk.parts()["enclosure"]).state == "degraded" and p, "the state to say so")
        assert part.reason.startswith("lamps_failed:")
        assert punch(kiosk).verdict is Verdict.VERIFIED
        until(lambda: kiosk.parts()["enclosure"].state == "working", "the lamps again")


def test_a_case_opened_during_a_face_attempt_caps_it_and_after_that_no_face_is_looked_for(tmp_path: Path) -> None:
    pins, scene = Pins(), Scene()
    scene.stand("worker")
    changed = settings(tmp_path, profile="indoor")
    with Kiosk(changed, camera=scene.open_camera, pins=pins, screen=False) as kiosk:  # type: ignore[arg-type]
        enrol(kiosk)
        until(lambda: kiosk.attendant.view().face_available, "the camera")
        kiosk.attendant.tap(LogType.IN, WORKER)
        until(lambda: kiosk.attendant.picture(), "the face path")
        cut(kiosk, pins)

        def looked() -> Result | None:
            scene.look_at(view := kiosk.attendant.view())
            return view.result

        assert until(looked, "a result").verdict is not Verdict.VERIFIED
        assert not kiosk.attendant.view().face_available
        kiosk.attendant.dismiss()
        kiosk.attendant.tap(LogType.IN, WORKER)
        result = until(lambda: kiosk.attendant.view().result, "a result")
        assert (result.verdict, result.reasons[0]) == (Verdict.REVIEW, "enclosure_opened")
        _, body = bodies(kiosk, Kind.PUNCH_RECORDED)[-1]
        outcomes = {check.name: (check.outcome, check.reason.partition(":")[0]) for check in body.checks}
        assert outcomes["face_match"] == (Outcome.NOT_RUN, "enclosure_opened")
        assert outcomes["enclosure"] == (Outcome.FAILED, "enclosure_opened")
