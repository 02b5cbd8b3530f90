"""A receiver that is pulled, comes back or stands elsewhere: every punch is kept and says what was known."""

from __future__ import annotations

from pathlib import Path

import pytest

from evidence.events import Check, Outcome
from tests.kiosk.small_terminal import LATITUDE, LONGITUDE, check, punch, small_terminal, until
from zaigang.synthetic_gps import METRES_PER_DEGREE, PtyGps, standing_still


@pytest.fixture(autouse=True)
def _often(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("kiosk.keeper.HEALTH_EVERY_S", 0.1)


def receiver(latitude: float = LATITUDE) -> PtyGps:
    return PtyGps(standing_still(latitude, LONGITUDE, seconds_before=30), rate_hz=5, at_once=30).start()


def flags(one: Check) -> list[str]:
    assert isinstance(one.observed, dict)
    found = one.observed["flags"]
    assert isinstance(found, list)
    return [str(flag) for flag in found]


def test_punches_go_on_while_the_receiver_is_unplugged_and_each_says_so(tmp_path: Path) -> None:
    port = tmp_path / "gps0"
    first = receiver()
    port.symlink_to(first.port)
    with small_terminal(tmp_path, gps_port=str(port)) as kiosk:
        until(lambda: kiosk.parts()["gps"].state == "working", "a working receiver")
        assert check(punch(kiosk)[1], "gps").outcome is Outcome.PASSED
        first.unplug()
        port.unlink()
        until(lambda: kiosk.parts()["gps"].state == "failed", "the state to say so")
        gone = check(punch(kiosk)[1], "gps")
        assert (gone.outcome, gone.reason.partition(":")[0]) == (Outcome.NOT_RUN, "no_receiver")
        second = receiver()
        try:
            port.symlink_to(second.port)
            until(lambda: kiosk.parts()["gps"].state == "working", "the receiver to be found again")
            assert check(punch(kiosk)[1], "gps").outcome is Outcome.PASSED
        finally:
            second.stop()


def test_a_terminal_that_was_carried_off_while_it_was_switched_off_is_flagged_on_the_punch(tmp_path: Path) -> None:
    gps = receiver()
    try:
        with small_terminal(tmp_path, gps_port=gps.port) as kiosk:
            until(lambda: kiosk.settings.gps_home_file.exists(), "the place to be kept")
            assert "moved" not in flags(check(punch(kiosk)[1], "gps"))
    finally:
        gps.stop()
    gps = receiver(LATITUDE + 80 / METRES_PER_DEGREE)  # still inside its fence
    try:
        with small_terminal(tmp_path, gps_port=gps.port) as kiosk:
            until(lambda: kiosk.parts()["gps"].state == "working", "a working receiver")
            moved = check(punch(kiosk)[1], "gps")
            assert moved.outcome is Outcome.PASSED
            assert "moved" in flags(moved)
    finally:
        gps.stop()
