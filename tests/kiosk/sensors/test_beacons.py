"""Which anchors are in range: the median of the RSSI with hysteresis, and the difference of silent and stale."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from kiosk.sensors.advertisement import APPLE, Advertisement
from kiosk.sensors.beacons import MOST_BEACONS, BeaconReading, BeaconTracker, Near, Sighting, sighting_of
from kiosk.sensors.eddystone_eid import EidBeacon, EidBook, eid
from tests.kiosk.sensors.frames import FEAA, SITE, eddystone_uid, heard, ibeacon

ANCHOR = f"ibeacon:{SITE}:1:2"
SECOND = 1_000_000


def track(levels: list[int], tracker: BeaconTracker | None = None, start_s: int = 0) -> BeaconReading:
    """Hear the anchor once a second at `levels` and read at the last one."""
    tracker = tracker or BeaconTracker([ANCHOR])
    for second, rssi in enumerate(levels, start_s):
        tracker.feed(heard(second * SECOND, rssi))
    return tracker.reading((start_s + len(levels) - 1) * SECOND)


def test_an_anchor_at_the_gate_is_in_range_at_the_level_of_its_median() -> None:
    reading = track([-50, -55, -52, -90, -51])
    assert reading.heard == (ANCHOR,)
    assert reading.best_rssi == -52
    assert reading.advertisements == 5
    assert not reading.stale


@pytest.mark.parametrize(("level", "in_range"), [(-60, True), (-61, False), (-40, True), (-100, False)])
def test_it_comes_into_range_at_minus_60(level: int, in_range: bool) -> None:
    assert bool(track([level] * 6).heard) is in_range


@pytest.mark.parametrize(("level", "in_range"), [(-68, True), (-69, False), (-61, True)])
def test_it_stays_in_range_until_below_minus_68(level: int, in_range: bool) -> None:
    tracker = BeaconTracker([ANCHOR])
    assert track([-50] * 6, tracker).heard
    assert bool(track([level] * 10, tracker, start_s=6).heard) is in_range


def test_an_anchor_that_falls_silent_is_no_longer_heard_and_has_to_come_near_again() -> None:
    tracker = BeaconTracker([ANCHOR])
    track([-50] * 6, tracker)
    assert tracker.reading(15 * SECOND).heard == (ANCHOR,)
    silent = tracker.reading(16 * SECOND)
    assert silent.heard == ()
    assert silent.best_rssi is None
    assert track([-65] * 6, tracker, start_s=40).heard == ()


@pytest.mark.parametrize("nothing", [127, 0, -127, 90, -200])
def test_an_rssi_that_was_not_measured_is_ignored_but_shows_a_living_scanner(nothing: int) -> None:
    tracker = BeaconTracker([ANCHOR])
    reading = track([nothing] * 5, tracker)
    assert reading.heard == ()
    assert reading.best_rssi is None
    assert (reading.advertisements, reading.stale) == (5, False)
    assert track([-50, nothing, nothing, -50, nothing], tracker, start_s=5).best_rssi == -50


def test_a_few_seconds_without_anybody_are_stale_and_so_is_the_beginning() -> None:
    tracker = BeaconTracker([ANCHOR])
    assert tracker.reading(0).stale
    tracker.feed(Advertisement("AA", -80, SECOND, {6: b"some phone"}))
    assert not tracker.reading(6 * SECOND).stale
    assert tracker.reading(6 * SECOND + 1).stale


def test_an_anchor_that_vanishes_among_others_is_absent_and_not_stale() -> None:
    tracker = BeaconTracker([ANCHOR])
    track([-50] * 6, tracker)
    for second in range(6, 60):
        tracker.feed(Advertisement("AA", -80, second * SECOND, {6: b"some phone"}))
        reading = tracker.reading(second * SECOND)
        assert bool(reading.heard) == (second <= 15)
        assert not reading.stale


@given(
    every_ms=st.integers(100, 5000),  # how often the anchor sends
    others_ms=st.integers(50, 20_000),  # and somebody else
    hang_ms=st.integers(10_000, 40_000),
    after_ms=st.integers(0, 120_000),
)
def test_a_scanner_that_hangs_never_makes_an_anchor_absent(
    every_ms: int, others_ms: int, hang_ms: int, after_ms: int
) -> None:
    """Whenever the reading is taken: the anchor is in range, or nothing is said of it."""
    tracker = BeaconTracker([ANCHOR])
    sent = [(ms, True) for ms in range(0, hang_ms, every_ms)] + [(ms, False) for ms in range(0, hang_ms, others_ms)]
    for ms, anchor in sorted(sent):
        one = heard(ms * 1000, -50) if anchor else Advertisement("AA", -80, ms * 1000, {6: b"some phone"})
        tracker.feed(one)
    reading = tracker.reading((hang_ms + after_ms) * 1000)
    assert reading.heard or reading.stale


def test_what_is_out_of_range_is_absent_only_while_somebody_is_heard() -> None:
    tracker = BeaconTracker([ANCHOR])
    reading = track([-90] * 6, tracker)
    assert (reading.heard, reading.stale) == ((), False)
    assert tracker.reading(11 * SECOND).stale


def test_strangers_are_not_heard_and_do_not_set_the_level() -> None:
    tracker = BeaconTracker([ANCHOR])
    for second in range(5):
        tracker.feed(heard(second * SECOND, -40, minor=99))
        tracker.feed(heard(second * SECOND, -80))
    reading = tracker.reading(4 * SECOND)
    assert reading.heard == ()
    assert reading.best_rssi == -80


def test_an_anchor_is_heard_as_the_site_wrote_it() -> None:
    written = f"ibeacon:{str(SITE).upper()}:1:2"
    assert track([-50] * 3, BeaconTracker([written])).heard == (written,)


def test_without_anchors_every_beacon_is_heard_strongest_first() -> None:
    tracker = BeaconTracker()
    both = {APPLE: ibeacon()}
    for second in range(5):
        tracker.feed(Advertisement("AA", -55, second * SECOND, both))
        tracker.feed(Advertisement("BB", -45, second * SECOND, {}, {FEAA: eddystone_uid()}))
    heard_ids = tracker.reading(4 * SECOND).heard
    assert [one.split(":")[0] for one in heard_ids] == ["eddystone-uid", "ibeacon"]


def test_a_sender_that_changes_its_id_with_each_packet_does_not_fill_the_memory() -> None:
    tracker = BeaconTracker()
    for minor in range(MOST_BEACONS * 3):
        tracker.feed(heard(minor, minor=minor))
    assert len(tracker._beacons) == MOST_BEACONS


BADGE = EidBeacon("badge-17", bytes(range(16)), 10, 1_790_000_000)
SENT = eid(BADGE.key, BADGE.exponent, 5000)


def wearing(sent: bytes, mono_us: int, rssi: int = -50) -> Sighting:
    advertisement = Advertisement("AA", rssi, mono_us, {}, {FEAA: b"\x30\xe7" + sent})
    return sighting_of(advertisement, EidBook([BADGE]), (BADGE.zero_s + 5000) * 1000)


def test_a_badge_with_a_rotating_identifier_is_near_under_its_name() -> None:
    tracker = BeaconTracker(["eid:badge-17", "eid:badge-18"])
    for second in range(3):
        tracker.take(wearing(SENT, second * SECOND))
    assert tracker.near(["eid:badge-17"], 3 * SECOND) == Near(-50, SENT)
    assert tracker.near(["eid:badge-18"], 3 * SECOND) is None
    assert tracker.near(["eid:badge-18", "eid:badge-17"], 13 * SECOND) is None, "it has been silent"


def test_a_badge_beyond_the_gate_is_not_near() -> None:
    tracker = BeaconTracker(["eid:badge-17"])
    tracker.take(wearing(SENT, 0, rssi=-70))
    assert tracker.near(["eid:badge-17"], 0) is None


def test_an_identifier_that_no_key_explains_keeps_its_own_name() -> None:
    assert wearing(bytes(8), 0).beacons[0].id == "eddystone-eid:0000000000000000"


@given(
    st.lists(st.tuples(st.integers(-300, 300), st.integers(0, 200 * SECOND), st.binary(max_size=30)), max_size=60),
    st.integers(0, 400 * SECOND),
)
def test_any_advertisements_in_any_order_are_counted_and_never_raise(
    packets: list[tuple[int, int, bytes]], now_us: int
) -> None:
    tracker = BeaconTracker()
    for rssi, mono_us, data in packets:
        tracker.feed(Advertisement("AA", rssi, mono_us, {APPLE: data}))
        tracker.feed(heard(mono_us, rssi))
    reading = tracker.reading(now_us)
    assert reading.advertisements == 2 * len(packets)
    assert set(reading.heard) <= {ANCHOR}
