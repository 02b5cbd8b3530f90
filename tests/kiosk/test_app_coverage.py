"""The running terminal signs how long each of its parts worked: in time, at an orderly stop, and when one dies."""

from __future__ import annotations

from pathlib import Path

import pytest

from evidence.events import CoverageBody, Kind, parse_body
from kiosk.app import Kiosk
from kiosk.errors import JournalFull
from kiosk.settings import KioskSettings
from tests.kiosk.small_terminal import LATITUDE, LONGITUDE, events, punch, small_terminal, until
from zaigang.demo.scene import beacon_recording
from zaigang.synthetic_gps import PtyGps, standing_still

COVERAGE_EVERY_S = 5


@pytest.fixture(autouse=True)
def _often(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("kiosk.keeper.HEALTH_EVERY_S", 0.1)


def reports(kiosk: Kiosk) -> list[CoverageBody]:
    bodies = [parse_body(event) for event in events(kiosk) if event.kind == Kind.COVERAGE]
    return [body for body in bodies if isinstance(body, CoverageBody)]


def reports_after(folder: Path) -> list[CoverageBody]:
    """What lies in the journal of a terminal that was stopped; read without starting it."""
    settings = KioskSettings(device="gate-1", site="east", data_dir=folder / "terminal", profile="badge-only")
    kiosk = Kiosk(settings, screen=False)
    try:
        return reports(kiosk)
    finally:
        kiosk.stop()


def test_a_receiver_that_dies_halfway_is_in_the_next_report(tmp_path: Path) -> None:
    recording = tmp_path / "beacons.jsonl"
    recording.write_text(beacon_recording())
    gps = PtyGps(standing_still(LATITUDE, LONGITUDE, seconds_before=30), rate_hz=5, at_once=30).start()
    try:
        with small_terminal(
            tmp_path, gps_port=gps.port, beacons=f"file:{recording}", coverage_every_s=COVERAGE_EVERY_S
        ) as kiosk:
            until(lambda: len(reports(kiosk)) == 1, "the first report")
            gps.unplug()
            until(lambda: len(reports(kiosk)) == 3, "two reports more")
            whole, _half, none = reports(kiosk)
            punch(kiosk)  # the terminal goes on
    finally:
        gps.stop()
    assert (whole.first, whole.last) == (True, False)
    assert whole.gps_s is not None and whole.gps_s > 0
    assert none.gps_s == 0
    assert none.scanner_s is not None and none.scanner_s > 0
    assert none.advertisements is not None and none.advertisements > 0
    assert (none.camera_s, none.frames, none.uplink_s) == (None, None, 0)  # no camera here, and nobody at the broker
    assert none.unsent >= 3


def test_an_orderly_stop_signs_the_last_report_after_the_last_punch(tmp_path: Path) -> None:
    with small_terminal(tmp_path) as kiosk:
        punched, _ = punch(kiosk)
    (body,) = reports_after(tmp_path)
    assert (body.first, body.last, body.screen) == (True, True, False)
    assert body.until >= punched.time
    with small_terminal(tmp_path):
        pass
    second = reports_after(tmp_path)[-1]
    assert (second.first, second.last) == (True, True)
    assert second.since >= body.until  # the time between belongs to nobody


def test_a_terminal_that_is_opened_and_not_started_claims_no_coverage(tmp_path: Path) -> None:
    with small_terminal(tmp_path):
        pass
    assert len(reports_after(tmp_path)) == 1
    assert len(reports_after(tmp_path)) == 1


def test_a_full_disk_keeps_no_report_from_being_made_later_and_no_terminal_from_stopping(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    with small_terminal(tmp_path, coverage_every_s=COVERAGE_EVERY_S) as kiosk:
        append, refused = kiosk.journal.append, list[str]()

        def full(kind: str, body: object) -> object:
            refused.append(kind)
            raise JournalFull("disk_full: no room")

        monkeypatch.setattr(kiosk.journal, "append", full)
        until(lambda: Kind.COVERAGE in refused, "a report that is refused")
        monkeypatch.setattr(kiosk.journal, "append", append)
        (body,) = until(lambda: reports(kiosk), "the report to be made")
        assert body.first
        assert body.seconds >= COVERAGE_EVERY_S
        monkeypatch.setattr(kiosk.journal, "append", full)
