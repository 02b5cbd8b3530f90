"""Presence on a real journal: signed intervals, and what a stop, a crash or a full disk leaves."""

from __future__ import annotations

import json
import stat
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from evidence.events import Kind, LogType, Method, PresenceIntervalBody, PunchBody, Verdict, parse_body
from evidence.keys import Ed25519Key
from kiosk import presence_keeper
from kiosk.breaks import Breaks
from kiosk.clock import SystemClock
from kiosk.errors import JournalFull
from kiosk.journal import Journal
from kiosk.presence import Moment, Presence
from kiosk.presence_keeper import PresenceKeeper
from kiosk.sensors.beacons import Identified, Sighting
from kiosk.worn_badges import WornBadges

KEY = Ed25519Key.generate()
BADGES = {"eid:badge-17": "W-1", "ibeacon:ab:1:1": "W-2"}
HOUR_US = 3_600_000_000


class Hands:
    """The terminal's clocks for the presence, moved by hand from the real ones on."""

    def __init__(self, monkeypatch: pytest.MonkeyPatch) -> None:
        self.ahead_us = 0
        monkeypatch.setattr(presence_keeper, "_moment", self.now)

    def now(self) -> Moment:
        return Moment(time.monotonic_ns() // 1000 + self.ahead_us, time.time_ns() // 1_000_000 + self.ahead_us // 1000)


class Run:
    """One process of the terminal, as far as presence goes."""

    def __init__(self, folder: Path, hands: Hands, max_shift_us: int = 12 * HOUR_US, erased: str = "") -> None:
        self.hands = hands
        self.journal = Journal(folder / "journal.db", KEY, "gate-1", "east", "Asia/Shanghai", SystemClock())
        self.worn = WornBadges(BADGES)
        presence = Presence(breaks=Breaks((), "Asia/Shanghai"), max_shift_us=max_shift_us)
        self.keeper = PresenceKeeper(
            presence,
            self.worn,
            self.journal,
            SystemClock(),
            folder / "presence.json",
            max_shift_us=max_shift_us,
            erased=lambda worker: worker == erased,
        )
        self.keeper.start()

    def punch(self, log_type: LogType, worker: str = "W-1", verdict: Verdict = Verdict.VERIFIED) -> None:
        body = PunchBody(
            worker=worker,
            log_type=log_type,
            method=Method.BADGE_PIN,
            verdict=verdict,
            checks=(),
            policy="ab" * 32,
            receipt="0123ABCD",
            tapped_at="2026-11-22T00:00:00.000Z",
        )
        self.journal.append(Kind.PUNCH_REFUSED if verdict is Verdict.REFUSED else Kind.PUNCH_RECORDED, body)
        self.keeper.punched(body)

    def air(self, seconds: int, badge: str | None = "eid:badge-17", rssi: int | None = -60) -> None:
        for _ in range(seconds):
            self.hands.ahead_us += 1_000_000
            now = self.hands.now()
            ids = (Identified(badge),) if badge is not None else ()
            self.keeper.sighted(Sighting(now.mono_us, now.unix_ms, rssi, (Identified("ibeacon:anchor:1:1"), *ids)))

    def crash(self) -> None:
        """End without a word: the last thing on disk is what was kept last."""
        self.keeper._stopping.set()
        self.keeper._thread.join()
        self.journal.close()

    def stop(self) -> None:
        self.keeper.stop()
        self.journal.close()

    def intervals(self) -> list[PresenceIntervalBody]:
        bodies = [parse_body(event) for event in self.journal.recent((Kind.PRESENCE_INTERVAL,), "")]
        return [body for body in bodies if isinstance(body, PresenceIntervalBody)]

    def said(self) -> list[tuple[str, str, int, str]]:
        return [(one.worker, one.state, one.samples, one.ended_by) for one in self.intervals()]


@pytest.fixture
def run(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Callable[..., Run]:
    hands = Hands(monkeypatch)
    monkeypatch.setattr(presence_keeper, "KEEP_EVERY_S", 0.0)
    return lambda **options: Run(tmp_path, hands, **options)


def test_a_shift_becomes_signed_intervals(run: Callable[..., Run]) -> None:
    one = run()
    one.air(5)
    one.punch(LogType.IN)
    one.air(60)
    one.air(300, badge=None)
    one.punch(LogType.OUT)
    one.air(60)
    one.keeper.tick()
    assert one.said() == [("W-1", "heard", 60, "badge_silent"), ("W-1", "silent", 0, "out")]
    heard, silent = one.intervals()
    assert (heard.median_rssi, heard.badge, heard.boot) == (-60, "rotating", SystemClock().stamp().boot)
    assert heard.to == silent.since
    one.stop()


def test_a_badge_that_any_phone_can_copy_is_said_to_be_one(run: Callable[..., Run]) -> None:
    one = run()
    one.punch(LogType.IN, "W-2")
    one.air(5, badge="ibeacon:ab:1:1")
    one.punch(LogType.OUT, "W-2")
    one.stop()
    again = run()
    assert [body.badge for body in again.intervals()] == ["constant"]
    again.stop()


def test_a_badge_that_was_heard_without_a_strength_is_neither_silent_nor_a_sample(run: Callable[..., Run]) -> None:
    one = run()
    one.punch(LogType.IN)
    one.air(10)
    one.air(150, rssi=None)
    one.punch(LogType.OUT)
    one.stop()
    again = run()
    assert again.said() == [("W-1", "heard", 10, "out")]
    again.stop()


def test_a_silence_ends_with_a_badge_that_was_heard_without_a_strength(run: Callable[..., Run]) -> None:
    one = run()
    one.punch(LogType.IN)
    one.air(150, badge=None)
    one.air(150, rssi=None)
    one.punch(LogType.OUT)
    one.stop()
    again = run()
    assert again.said() == [("W-1", "silent", 0, "badge_heard")]
    again.stop()


def test_a_refused_in_follows_nobody_and_a_refused_out_ends_nothing(run: Callable[..., Run]) -> None:
    one = run()
    one.punch(LogType.IN, verdict=Verdict.REFUSED)
    assert one.keeper.on_shift == ()
    one.punch(LogType.IN, verdict=Verdict.REVIEW)
    one.punch(LogType.OUT, verdict=Verdict.REFUSED)
    assert one.keeper.on_shift == ("W-1",)
    one.punch(LogType.IN, "W-without-badge")
    assert one.keeper.on_shift == ("W-1",)
    one.stop()


def test_an_interval_open_at_a_crash_is_closed_at_the_last_kept_sighting_and_the_shift_goes_on(
    run: Callable[..., Run],
) -> None:
    one = run()
    one.punch(LogType.IN)
    one.air(60)
    one.keeper.tick()
    kept = one.hands.now()
    one.air(7)
    one.crash()
    again = run()
    assert again.keeper.on_shift == ("W-1",)
    again.air(30)
    again.punch(LogType.OUT)
    again.keeper.tick()
    assert again.said() == [("W-1", "heard", 60, "terminal_restarted"), ("W-1", "heard", 30, "out")]
    before, after = again.intervals()
    assert before.to_mono_us <= kept.mono_us
    assert before.to_mono_us < after.from_mono_us
    again.stop()


def test_what_was_signed_before_a_crash_is_not_signed_again(run: Callable[..., Run], tmp_path: Path) -> None:
    one = run()
    one.punch(LogType.IN)
    one.air(60)
    one.keeper.tick()
    old = (tmp_path / "presence.json").read_bytes()
    one.air(30)
    one.punch(LogType.OUT)
    one.keeper.tick()
    one.crash()
    (tmp_path / "presence.json").write_bytes(old)  # the commit came through, the file did not
    again = run()
    again.keeper.tick()
    assert again.said() == [("W-1", "heard", 90, "out")]
    again.stop()


def test_a_stop_closes_what_is_open_and_the_next_start_goes_on(run: Callable[..., Run], tmp_path: Path) -> None:
    one = run()
    one.punch(LogType.IN)
    one.air(60)
    one.stop()
    assert json.loads((tmp_path / "presence.json").read_bytes()) == []
    again = run()
    again.air(20)
    again.stop()
    last = run()
    assert last.said() == [("W-1", "heard", 60, "terminal_stopped"), ("W-1", "heard", 20, "terminal_stopped")]
    last.stop()


def test_a_shift_that_ended_is_not_taken_up_again(run: Callable[..., Run]) -> None:
    one = run()
    one.punch(LogType.IN)
    one.punch(LogType.OUT)
    one.punch(LogType.IN, "W-2")
    one.stop()
    again = run()
    assert again.keeper.on_shift == ("W-2",)
    again.stop()
    short = run(max_shift_us=1)
    assert short.keeper.on_shift == ()
    short.stop()


def test_a_full_disk_loses_no_interval(run: Callable[..., Run], monkeypatch: pytest.MonkeyPatch) -> None:
    one = run()
    one.punch(LogType.IN)
    one.air(60)
    one.punch(LogType.OUT)

    def full(*_: Any) -> None:
        raise JournalFull("disk_full: no room")

    with monkeypatch.context() as patch:
        patch.setattr(one.journal, "append", full)
        one.keeper.tick()
    assert one.said() == []
    assert (one.keeper.state.state, one.keeper.state.reason) == ("degraded", "disk_full: no room")
    one.crash()
    again = run()
    again.keeper.tick()
    assert again.said() == [("W-1", "heard", 60, "out")]
    assert again.keeper.state.state == "working"
    again.stop()


@pytest.mark.parametrize("content", [b"", b"{", b"[{}]", b"[1]", b"\xff"])
def test_a_spoiled_file_stops_nobody(run: Callable[..., Run], tmp_path: Path, content: bytes) -> None:
    (tmp_path / "presence.json").write_bytes(content)
    one = run()
    one.punch(LogType.IN)
    one.air(10)
    one.stop()
    again = run()
    assert again.said() == [("W-1", "heard", 10, "terminal_stopped")]
    again.stop()


def test_what_is_kept_is_for_nobody_elses_eyes(run: Callable[..., Run], tmp_path: Path) -> None:
    one = run()
    one.punch(LogType.IN)
    one.air(10)
    one.keeper.tick()
    path = tmp_path / "presence.json"
    assert stat.S_IMODE(path.stat().st_mode) == 0o600
    assert json.loads(path.read_bytes())[0]["worker"] == "W-1"
    one.stop()


def test_an_erased_workers_open_interval_goes_from_memory_and_disk_and_that_of_others_stays(
    run: Callable[..., Run], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    terminal, file = run(), tmp_path / "presence.json"
    terminal.punch(LogType.IN)
    terminal.punch(LogType.IN, "W-2")
    terminal.air(60)
    terminal.air(60, "ibeacon:ab:1:1")

    def full(*_: Any) -> None:
        raise JournalFull("disk_full: no room")

    with monkeypatch.context() as patch:
        patch.setattr(terminal.journal, "append", full)
        terminal.air(1900)  # one interval waits for room, the next is open
        terminal.keeper.tick()
        terminal.keeper._keep()
        assert b"W-1" in file.read_bytes() and b"W-2" in file.read_bytes()
        terminal.keeper.forget("W-1")
        assert b"W-1" not in file.read_bytes() and b"W-2" in file.read_bytes()
    assert terminal.keeper.on_shift == ("W-2",)
    terminal.keeper.stop()
    assert {one.worker for one in terminal.intervals()} == {"W-2"}
    terminal.journal.close()


def test_who_was_erased_is_not_taken_up_again_after_a_crash(run: Callable[..., Run], tmp_path: Path) -> None:
    first = run()
    first.punch(LogType.IN)
    first.air(60)
    first.keeper._keep()
    first.crash()
    again = run(erased="W-1")  # the gallery was erased, and the power went before the file was
    assert again.keeper.on_shift == ()
    again.keeper.tick()
    again.keeper._keep()
    assert again.intervals() == []
    assert b"W-1" not in (tmp_path / "presence.json").read_bytes()


def test_a_fault_of_ours_ends_neither_the_scan_nor_a_punch_and_is_said(
    run: Callable[..., Run], monkeypatch: pytest.MonkeyPatch
) -> None:
    one = run()
    one.punch(LogType.IN)

    def broken(*_: Any) -> None:
        raise RuntimeError("a fault of ours")

    with monkeypatch.context() as patch:
        patch.setattr(one.keeper._presence, "heard", broken)
        one.air(3)
        assert one.keeper.state.state == "failed"
    one.air(3)
    one.punch(LogType.OUT)
    one.keeper.tick()
    assert one.said() == [("W-1", "heard", 3, "out")]
    one.stop()
