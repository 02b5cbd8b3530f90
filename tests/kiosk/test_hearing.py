"""From the air to a signed interval: real bleak on a real D-Bus, a real journal; and faults that cost no punch."""

from __future__ import annotations

import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from evidence.events import Kind, LogType, Method, Outcome, PresenceIntervalBody, PunchBody, Verdict, parse_body
from evidence.keys import Ed25519Key
from kiosk import presence_keeper
from kiosk.clock import SystemClock
from kiosk.hearing import Hearing
from kiosk.journal import Journal
from kiosk.presence import Moment
from kiosk.sensors.advertisement import Advertisement
from kiosk.sensors.eddystone_eid import eid
from kiosk.settings import KioskSettings
from kiosk.settings_tables import PresenceSettings
from tests.kiosk.sensors.bluez import BlueZ, PrivateBus
from tests.kiosk.sensors.frames import FEAA, SITE, heard
from tests.support.waiting import until

KEY, ADDRESS = bytes(range(16)), "C0:FF:EE:00:00:17"
ANCHOR = f"ibeacon:{SITE}:1:2"


class Terminal:
    """What of a terminal hears, on a bus of its own."""

    def __init__(self, folder: Path) -> None:
        zero = int(time.time()) - 5000
        keys = folder / "eid-keys.toml"
        keys.touch(0o600)
        utc = time.strftime("%Y-%m-%dT%H:%M:%SZ", time.gmtime(zero))
        keys.write_text(f'[badge-17]\nkey = "{KEY.hex()}"\nexponent = 15\ncounter_zero = {utc}\n')
        settings = KioskSettings(
            device="gate-1",
            site="east",
            data_dir=folder,
            beacons="bleak",
            anchors=(ANCHOR,),
            badges={"eid:badge-17": "W-1"},
            eid_keys=keys,
            presence=PresenceSettings(),
        )
        clock = SystemClock()
        self.journal = Journal(settings.journal_file, Ed25519Key.generate(), "gate-1", "east", settings.tz, clock)
        self.hearing = Hearing(settings, self.journal, clock, lambda: None)

    def punch(self, log_type: LogType) -> PunchBody:
        body = PunchBody(
            worker="W-1",
            log_type=log_type,
            method=Method.FACE,
            verdict=Verdict.VERIFIED,
            checks=self.hearing.badge("W-1"),
            policy="ab" * 32,
            receipt="0123ABCD",
            tapped_at="2026-11-22T00:00:00.000Z",
        )
        self.journal.append(Kind.PUNCH_RECORDED, body)
        self.hearing.punched(body)
        return body

    def intervals(self) -> list[PresenceIntervalBody]:
        bodies = [parse_body(event) for event in self.journal.recent((Kind.PRESENCE_INTERVAL,), "")]
        return [body for body in bodies if isinstance(body, PresenceIntervalBody)]


@pytest.fixture
def air(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[BlueZ]:
    bus = PrivateBus(tmp_path)
    monkeypatch.setenv("DBUS_SYSTEM_BUS_ADDRESS", bus.address)
    daemon = BlueZ(bus.address)
    yield daemon
    daemon.stop()
    bus.stop()


@pytest.fixture
def terminal(tmp_path: Path) -> Iterator[Terminal]:
    one = Terminal(tmp_path)
    one.hearing.start()
    yield one
    one.hearing.stop()
    one.journal.close()


def badge() -> Advertisement:
    return Advertisement(ADDRESS, -55, 0, {}, {FEAA: b"\x30\xe7" + eid(KEY, 15, 5000)})


def sightings(terminal: Terminal) -> int:
    presence = terminal.hearing.presence
    assert presence is not None
    return sum(one.samples for one in presence._presence.unfinished())


def test_a_badge_in_the_air_corroborates_and_becomes_an_interval(air: BlueZ, terminal: Terminal) -> None:
    until(lambda: terminal.hearing.state.state == "degraded")  # it scans and has heard nobody yet
    air.advertise(badge())
    until(lambda: terminal.hearing.badge("W-1")[0].outcome is Outcome.PASSED)
    assert terminal.punch(LogType.IN).checks[0].observed == {"rssi": -55, "eid": eid(KEY, 15, 5000).hex()}
    for _ in range(5):
        air.advertise(heard())
        air.advertise(badge())
    until(lambda: sightings(terminal) == 5)
    assert terminal.punch(LogType.OUT).checks[0].reason.startswith("eid_used: ")
    assert terminal.hearing.presence is not None
    terminal.hearing.presence.tick()
    (one,) = terminal.intervals()
    assert (one.worker, one.state, one.samples, one.median_rssi) == ("W-1", "heard", 5, -55)
    assert (one.ended_by, one.badge) == ("out", "rotating")


def test_an_adapter_that_is_unplugged_is_the_terminals_gap_and_not_the_badges(
    air: BlueZ, terminal: Terminal, monkeypatch: pytest.MonkeyPatch
) -> None:
    presence = terminal.hearing.presence
    assert presence is not None
    until(lambda: terminal.hearing.state.state == "degraded")
    terminal.punch(LogType.IN)
    air.advertise(badge())
    until(lambda: sightings(terminal) == 1)
    air.unplug()
    until(lambda: terminal.hearing.state.state == "failed")
    assert terminal.hearing.badge("W-1")[0].reason.startswith("no_scanner: ")
    real = presence_keeper._moment()
    later = Moment(real.mono_us + 600_000_000, real.unix_ms + 600_000)
    monkeypatch.setattr(presence_keeper, "_moment", lambda: later)
    # The tick and the wall clock are ten minutes on; no sleeping is needed to have been deaf for so long.
    presence.tick()
    terminal.punch(LogType.OUT)
    presence.tick()
    assert [(one.state, one.ended_by) for one in terminal.intervals()] == [("heard", "scanner_stale"), ("deaf", "out")]
    first, second = terminal.intervals()
    assert first.to == second.since


def test_a_fault_in_the_check_of_the_badge_is_not_run(air: BlueZ, terminal: Terminal) -> None:
    def broken(*_: Any) -> None:
        raise RuntimeError("a fault of ours")

    terminal.hearing._worn.check = broken  # type: ignore[assignment]
    terminal.hearing._worn.spend = broken  # type: ignore[assignment]
    body = terminal.punch(LogType.IN)
    assert [(one.outcome, one.reason) for one in body.checks] == [(Outcome.NOT_RUN, "error: RuntimeError")]
