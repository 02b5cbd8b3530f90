"""A recording goes through the same decoder as the air, at its own pace, and a bad line is named."""

from __future__ import annotations

import threading
import time
from pathlib import Path

import pytest

from kiosk.sensors.advertisement import Advertisement
from kiosk.sensors.beacons import BeaconSensor, BeaconTracker
from kiosk.sensors.errors import RecordingUnreadable
from kiosk.sensors.recorded_beacons import RecordedBeacons, recording_line
from tests.kiosk.sensors.frames import FEAA, SITE, eddystone_uid, heard
from tests.support.waiting import until

ANCHOR = f"ibeacon:{SITE}:1:2"


def lines(count: int = 5, every_ms: int = 1000) -> list[str]:
    return [recording_line(heard(number * every_ms * 1000), 0) for number in range(count)]


def test_what_was_recorded_comes_back_as_it_was_heard() -> None:
    original = Advertisement("C0:FF:EE:00:00:01", -51, 7_000_000, {76: b"\x02\x15"}, {FEAA: eddystone_uid()})
    got: list[Advertisement] = []
    source = RecordedBeacons([recording_line(original, 5_000_000)], realtime=False)
    source.start(got.append)
    until(lambda: bool(got))
    assert (got[0].address, got[0].rssi) == (original.address, original.rssi)
    assert (got[0].manufacturer, got[0].services) == (original.manufacturer, original.services)
    source.stop()


def test_as_fast_as_asked_the_times_are_those_of_the_recording() -> None:
    got: list[Advertisement] = []
    source = RecordedBeacons(lines(100), realtime=False)
    source.start(got.append)
    until(lambda: source.state.state == "failed")
    assert [one.mono_us - got[0].mono_us for one in got] == [number * 1_000_000 for number in range(100)]
    assert source.state.reason == "no_scanner: The recording is over."
    source.stop()


def test_in_real_time_nothing_comes_early() -> None:
    early: list[Advertisement] = []
    enough = threading.Event()

    def callback(one: Advertisement) -> None:
        if one.mono_us > time.monotonic_ns() // 1000:
            early.append(one)
        if one.rssi == -33:
            enough.set()

    last = recording_line(heard(300_000, rssi=-33), 0)
    source = RecordedBeacons([*lines(3, every_ms=100), last])
    source.start(callback)
    assert enough.wait(20)
    assert early == []
    source.stop()


def test_a_file_in_a_loop_keeps_an_anchor_in_range(tmp_path: Path) -> None:
    path = tmp_path / "gate.jsonl"
    path.write_text("\n".join(lines(3)) + "\n\n")
    sensor = BeaconSensor(RecordedBeacons(path, loop=True), BeaconTracker([ANCHOR]))
    assert sensor.state.state == "unknown"
    sensor.start()
    until(lambda: sensor.reading().heard == (ANCHOR,))
    assert sensor.state.state == "working"
    sensor.stop()
    assert sensor.state.state == "unknown"


def test_stop_ends_a_recording_in_the_middle_of_a_long_pause() -> None:
    got: list[Advertisement] = []
    source = RecordedBeacons(lines(2, every_ms=3_600_000))
    source.start(got.append)
    until(lambda: len(got) == 1)
    source.stop()
    assert len(got) == 1


@pytest.mark.parametrize(
    ("line", "why"),
    [
        ("not json", "line 2"),
        ('{"at_ms": -1, "address": "a", "rssi": 1}', "at_ms"),
        ('{"at_ms": 1, "address": "a", "rssi": 1, "manufacturer": {"76": "xyz"}}', r"manufacturer\.76"),
        ('{"at_ms": 1, "address": "a", "rssi": 1, "manufacturer": {"apple": "00"}}', "manufacturer"),
        ('{"at_ms": 1, "address": "a", "rssi": 1, "manufacturer": {"76": "021"}}', "manufacturer"),
        ('{"at_ms": 1, "address": "a"}', "rssi"),
        ('{"at_ms": 1, "address": "a", "rssi": 1, "name": "?"}', "name"),
        ("[]", "line 2"),
    ],
)
def test_a_bad_line_is_named_before_anything_is_played(line: str, why: str) -> None:
    with pytest.raises(RecordingUnreadable, match=why):
        RecordedBeacons([*lines(1), line])


def test_a_recording_that_is_not_there_or_empty_says_so(tmp_path: Path) -> None:
    with pytest.raises(RecordingUnreadable, match="cannot be read"):
        RecordedBeacons(tmp_path / "missing.jsonl")
    with pytest.raises(RecordingUnreadable, match="empty"):
        RecordedBeacons([], loop=True)
