"""Only a position outside the fence, or a working scanner that hears no anchor, fails a punch."""

from __future__ import annotations

import pytest

from evidence.events import ClockReading, Outcome
from kiosk.place import beacon_check, clock_check, gps_check
from kiosk.sensors.beacons import BeaconReading
from kiosk.sensors.gps import Fence, GpsReading

FENCE = Fence(312304000, 1214737000, 100)
ANCHOR = "ibeacon:f7826da6-4fa2-4e98-8024-bc5b71e0893e:1:7"


def gps(verdict: str) -> GpsReading:
    return GpsReading(verdict, 312304000, 1214737000, 9, 9, 25, 800, (), {})


@pytest.mark.parametrize(
    ("verdict", "outcome"),
    [
        ("inside", Outcome.PASSED),
        ("outside", Outcome.FAILED),
        ("suspect", Outcome.NOT_RUN),
        ("no_fix", Outcome.NOT_RUN),
        ("moving", Outcome.NOT_RUN),
        ("insufficient", Outcome.NOT_RUN),
        ("still", Outcome.NOT_RUN),
    ],
)
def test_only_a_position_inside_passes_and_only_outside_fails(verdict: str, outcome: Outcome) -> None:
    check = gps_check(gps(verdict), FENCE)
    assert check.outcome is outcome
    assert check.reason.startswith("ok:" if outcome is Outcome.PASSED else f"{verdict}:")


def test_no_receiver_is_not_run_with_its_reason() -> None:
    check = gps_check(None, FENCE)
    assert (check.outcome, check.reason.partition(":")[0]) == (Outcome.NOT_RUN, "no_receiver")


@pytest.mark.parametrize(
    ("reading", "outcome", "code"),
    [
        (BeaconReading((ANCHOR,), -50, False, 9), Outcome.PASSED, "ok"),
        (BeaconReading(("ibeacon:another:1:1",), -50, False, 9), Outcome.FAILED, "not_heard"),
        (BeaconReading((), None, False, 9), Outcome.FAILED, "not_heard"),
        (BeaconReading((ANCHOR,), -50, True, 0), Outcome.NOT_RUN, "stale"),
        (None, Outcome.NOT_RUN, "no_scanner"),
    ],
)
def test_a_silent_scanner_is_not_an_absent_beacon(reading: BeaconReading | None, outcome: Outcome, code: str) -> None:
    check = beacon_check(reading, (ANCHOR,))
    assert (check.outcome, check.reason.partition(":")[0]) == (outcome, code)


def test_a_site_without_anchors_cannot_pass_the_beacon_check() -> None:
    assert beacon_check(BeaconReading((ANCHOR,), -50, False, 9), ()).outcome is Outcome.NOT_RUN


def test_an_unsynchronised_clock_is_said_and_never_passes() -> None:
    assert clock_check(ClockReading(source="none", synced=False)).outcome is Outcome.NOT_RUN
    assert clock_check(ClockReading(source="ntp", synced=True, error_ms=4)).outcome is Outcome.PASSED
    lost = clock_check(ClockReading(source="ntp", synced=False, error_ms=4000))
    assert (lost.outcome, lost.reason.partition(":")[0]) == (Outcome.NOT_RUN, "clock_unsynced")
    assert lost.observed == {"source": "ntp", "synced": False, "error_ms": 4000}
