"""What the self-test says of the air: all of it, whole ids, strongest first, an anchor as the settings write it."""

from __future__ import annotations

import time

from hypothesis import given
from hypothesis import strategies as st

from kiosk.selftest_air import LONGEST_NAME, MOST_BEACONS, SAMPLES, Ear, beacon_bars, satellite_bars, short_name
from kiosk.sensors.beacons import Identified, Sighting
from kiosk.sensors.gps import FixTracker
from kiosk.sensors.gps_sky import MOST_SATELLITES, Satellite, Sky
from kiosk.sensors.nmea import Gsv, InView, read_sentence
from zaigang.synthetic_gps import sentence

ANCHOR = "ibeacon:F7826DA6-4FA2-4E98-8024-BC5B71E0893E:1:1"


def sighting(id_: str, rssi: int | None) -> Sighting:
    return Sighting(time.monotonic_ns() // 1000, 0, rssi, (Identified(id_),))


def test_all_beacons_are_said_strongest_first_with_whole_ids_and_the_anchor_as_it_is_written() -> None:
    ear = Ear([ANCHOR, "eid:gate"])
    for number in range(40):
        ear.sighted(sighting(f"eddystone-uid:{number:032x}", -90 + number))
    ear.sighted(sighting(ANCHOR.lower(), -70))
    ear.sighted(sighting("eid:gate", -80))
    ear.sighted(sighting("altbeacon:unmeasured", None))
    heard = ear.heard()
    assert len(heard) == 43
    measured = [one.rssi_dbm for one in heard if one.rssi_dbm is not None]
    assert measured == sorted(measured, reverse=True) and heard[-1].rssi_dbm is None
    assert {one.id: one.anchor for one in heard if one.anchor} == {ANCHOR.lower(): ANCHOR, "eid:gate": "eid:gate"}
    assert all(len(one.id) == len("eddystone-uid:") + 32 for one in heard if one.id.startswith("eddystone"))
    bars = beacon_bars(heard)
    assert [one.marked for one in bars[:3]] == [True, True, False]  # what does not fit the screen are strangers
    assert bars[0].whole == ANCHOR


def test_a_crowd_of_phones_does_not_fill_the_memory_and_pushes_no_anchor_out() -> None:
    ear = Ear([ANCHOR])
    ear.sighted(sighting(ANCHOR.lower(), -50))
    for number in range(3 * MOST_BEACONS):
        ear.sighted(sighting(f"ibeacon:{number}", -60))
    heard = ear.heard()
    assert len(heard) == MOST_BEACONS
    assert heard[0].anchor == ANCHOR


def test_the_strength_is_the_median_of_the_latest() -> None:
    ear = Ear([])
    for rssi in [-30] * SAMPLES + [-70] * (SAMPLES - 5) + [-20] * 5:
        ear.sighted(sighting("ibeacon:1", rssi))
    (one,) = ear.heard()
    assert (one.rssi_dbm, one.packets) == (-70, SAMPLES)


@given(st.text(max_size=80))
def test_a_name_on_a_chip_is_short_and_keeps_the_end_in_which_beacons_of_one_maker_differ(beacon: str) -> None:
    assert len(short_name(f"ibeacon:{beacon}")) <= max(LONGEST_NAME, len("ibeacon:"))
    assert short_name(f"ibeacon:{beacon}")[-5:] == f"ibeacon:{beacon}"[-5:] or not beacon or len(beacon) < 5


def test_satellites_are_said_with_their_place_strongest_first_and_the_silent_ones_last() -> None:
    tracker = FixTracker(None)
    tracker.feed(sentence("GPGSV,2,1,05,03,41,100,38,04,12,359,,05,,,22,06,95,400,45"), 1)
    tracker.feed(sentence("GLGSV,1,1,01,70,xx,-1,30"), 1)
    assert tracker.sky(2) == (
        Satellite("GP06", 45, None, None),  # no such place in the sky
        Satellite("GP03", 38, 41, 100),
        Satellite("GL70", 30, None, None),
        Satellite("GP05", 22, None, None),
        Satellite("GP04", None, 12, 359),
    )
    bars = satellite_bars(tracker.sky(2))
    assert [(one.name, one.whole) for one in bars] == [
        ("G06", "GP06"),
        ("G03", "GP03"),
        ("R70", "GL70"),
        ("G05", "GP05"),
    ]
    assert tracker.sky(10_000_000) == ()  # an old word says nothing of now


def test_where_a_satellite_stands_never_costs_the_sentence() -> None:
    read = read_sentence(sentence("GPGSV,1,1,01,03,x,y,38").strip())
    assert read == Gsv("GP", (InView(3, 38),))


def test_made_up_satellites_do_not_fill_the_memory() -> None:
    sky = Sky()
    for number in range(10 * MOST_SATELLITES):
        sky.satellites_in_view(Gsv("GP", (InView(number, 40),)), number)
    assert len(sky.view(0)) <= MOST_SATELLITES
