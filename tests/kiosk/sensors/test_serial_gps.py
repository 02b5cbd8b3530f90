"""A receiver on a real serial device (a pseudo-terminal): noise, a cut line, a pulled plug, and back again."""

from __future__ import annotations

import random
import time
from collections.abc import Callable, Iterator
from contextlib import suppress
from datetime import UTC, datetime
from itertools import chain, islice, repeat
from pathlib import Path

import pytest

from kiosk.sensors import gps_signs, serial_gps
from kiosk.sensors.gps import Fence, FixTracker, Place
from kiosk.sensors.serial_gps import SerialGps
from tests.support.waiting import until
from zaigang.synthetic_gps import PtyGps, standing_still, without_antenna

LATITUDE, LONGITUDE = 22.5431, 114.0579
FENCE = Fence(round(LATITUDE * 1e7), round(LONGITUDE * 1e7), 100)


def receiver() -> PtyGps:
    """A receiver that has been standing there for half a minute."""
    return PtyGps(standing_still(LATITUDE, LONGITUDE, seconds_before=30), rate_hz=5, at_once=30)


@pytest.fixture
def line() -> Iterator[PtyGps]:
    pty = receiver()
    yield pty
    pty.stop()


@pytest.fixture
def read() -> Iterator[Callable[..., SerialGps]]:
    readers: list[SerialGps] = []

    def start(port: str | Path, **options: object) -> SerialGps:
        readers.append(SerialGps(str(port), 9600, FixTracker(FENCE), reopen_after_s=0.1, **options))  # type: ignore[arg-type]
        readers[-1].start()
        return readers[-1]

    yield start
    for one in readers:
        one.stop()


def test_a_receiver_on_the_site_is_inside_and_working(line: PtyGps, read: Callable[..., SerialGps]) -> None:
    gps = read(line.start().port)
    until(lambda: gps.reading().verdict == "inside")
    assert gps.state.state == "working"
    until(lambda: gps.reading().flags == ())  # the first seconds are past ones, which differ from the clock


def test_noise_and_a_cut_line_cost_a_line_and_are_counted(line: PtyGps, read: Callable[..., SerialGps]) -> None:
    gps = read(line.port)
    until(lambda: gps.state.reason.endswith("spoken yet."))
    items = standing_still(LATITUDE, LONGITUDE, seconds_before=30)
    wait_open(line)

    def inside_after_one_more_second() -> bool:
        line.send(next(items))  # a receiver goes on talking, however slowly a busy machine reads
        return gps.reading().verdict == "inside"

    until(inside_after_one_more_second)  # it reads by now; what comes between opening and reading is dropped
    line.send(b"\x00\xff\x80noise\r\n" + next(items)[:30] + b"\n" + b"Z" * 3000 + b"\n")
    found = {"not_ascii": 1, "no_checksum": 1, "too_long": 1}
    until(lambda: inside_after_one_more_second() and gps.reading().rejected == found)


def test_a_judge_that_breaks_does_not_forget_where_the_terminal_stood(
    line: PtyGps, read: Callable[..., SerialGps]
) -> None:
    gps = read(line.start().port)
    until(lambda: gps.home)
    before = gps._tracker
    before.home = Place(LATITUDE + 0.01, LONGITUDE, None)  # a kilometre away, before somebody carried it here

    def broken(*_: object) -> None:
        raise RuntimeError("a fault of ours")

    before.feed = broken  # type: ignore[method-assign]
    until(lambda: gps._tracker is not before, "a new judge")
    until(lambda: gps._tracker.counted >= 20, "enough fixes for a home")
    assert gps.home == before.home
    until(lambda: "moved" in gps.reading().flags, "the sign that it was moved")


def wait_open(pty: PtyGps) -> None:
    assert pty._wait_for_a_reader()


def test_a_pulled_plug_is_said_and_the_receiver_is_found_again(
    tmp_path: Path, line: PtyGps, read: Callable[..., SerialGps]
) -> None:
    port = tmp_path / "gps0"  # as udev links a receiver's name to whatever device it gets
    port.symlink_to(line.start().port)
    gps = read(port)
    until(lambda: gps.reading().verdict == "inside")
    line.unplug()
    port.unlink()
    until(lambda: gps.state.state == "failed")
    assert gps.state.reason.startswith("no_receiver: ")
    again = receiver().start()
    try:
        port.symlink_to(again.port)
        until(lambda: gps.state.state == "working")
    finally:
        again.stop()


def test_a_port_that_is_not_there_is_a_failed_receiver(tmp_path: Path, read: Callable[..., SerialGps]) -> None:
    gps = read(tmp_path / "nothing")
    until(lambda: gps.state.state == "failed")
    assert gps.state.reason.startswith("no_receiver: ")
    assert gps.reading().verdict == "no_fix"


def test_a_receiver_without_a_fix_is_degraded(read: Callable[..., SerialGps]) -> None:
    void = PtyGps(repeat(b"$GPRMC,,V,,,,,,,,,,N*53\r\n"), rate_hz=20).start()
    try:
        gps = read(void.port)
        until(lambda: gps.state.state == "degraded")
        assert gps.state.reason.startswith("no_fix: ")
    finally:
        void.stop()


def test_a_line_that_carries_no_nmea_is_stale(monkeypatch: pytest.MonkeyPatch, read: Callable[..., SerialGps]) -> None:
    monkeypatch.setattr("kiosk.sensors.serial_gps.SILENT_AFTER_S", 0.3)
    wrong_speed = PtyGps(repeat(b"\xf8\x80\x00\xf8\n"), rate_hz=20).start()
    try:
        gps = read(wrong_speed.port)
        until(lambda: gps.state.state == "failed")
        assert gps.state.reason.startswith("stale: ")
        assert "9600" in gps.state.reason
    finally:
        wrong_speed.stop()


class Moody:
    """A receiver whose mood the test sets: what it sends instead of its sentences, or nothing."""

    def __init__(self) -> None:
        self.instead: Callable[[], bytes] | None = None

    def __iter__(self) -> Iterator[bytes]:
        for item in standing_still(LATITUDE, LONGITUDE, seconds_before=30):
            while self.instead is not None:
                yield self.instead()
            yield item


@pytest.mark.parametrize(
    "instead",
    [
        lambda: b"",  # it hangs: the port is open and silent
        lambda: random.randbytes(60),  # it sends garbage
        lambda: b"$GPRMC,120000.00,A,2232.58600,N,11403.47400,E,0.0,,180326,,,A*00\r\n",  # a bit falls over
    ],
)
def test_a_receiver_that_hangs_or_sends_garbage_is_said_and_comes_back(
    monkeypatch: pytest.MonkeyPatch, read: Callable[..., SerialGps], instead: Callable[[], bytes]
) -> None:
    monkeypatch.setattr("kiosk.sensors.serial_gps.SILENT_AFTER_S", 0.5)
    moody = Moody()
    pty = PtyGps(moody, rate_hz=20, at_once=30).start()
    try:
        gps = read(pty.port, reopen_silent_s=0.7)
        until(lambda: gps.state.state == "working")
        moody.instead = instead
        until(lambda: gps.state.state == "failed")
        assert gps.state.reason.startswith("stale: ")
        moody.instead = None
        until(lambda: gps.state.state == "working")
    finally:
        pty.stop()


def test_the_state_is_true_within_ten_seconds() -> None:
    assert serial_gps.SILENT_AFTER_S + serial_gps.READ_TIMEOUT_S <= 10
    assert gps_signs.FRESH_US <= 10_000_000


def test_a_silent_port_is_opened_again_and_finds_the_receiver_that_took_its_place(
    tmp_path: Path, line: PtyGps, read: Callable[..., SerialGps]
) -> None:
    """The old device stays open without an error, as after a reset inside the kernel's driver."""
    silent = PtyGps(repeat(b""), rate_hz=20).start()
    port = tmp_path / "gps0"
    port.symlink_to(silent.port)
    try:
        gps = read(port, reopen_silent_s=0.3)
        wait_open(silent)
        port.unlink()
        port.symlink_to(line.start().port)
        until(lambda: gps.state.state == "working")
    finally:
        silent.stop()


def test_fixes_from_before_the_plug_was_pulled_do_not_speak_for_the_receiver_that_comes_after(
    tmp_path: Path, line: PtyGps, read: Callable[..., SerialGps]
) -> None:
    port = tmp_path / "gps0"
    port.symlink_to(line.start().port)
    gps = read(port)
    until(lambda: gps.reading().verdict == "inside")
    home = gps.home
    line.unplug()
    port.unlink()
    other = PtyGps(standing_still(LATITUDE, LONGITUDE, seconds_before=2), rate_hz=1, at_once=2).start()
    try:
        port.symlink_to(other.port)
        until(lambda: gps.state.reason.startswith("insufficient: "))
        assert gps.reading().fixes < 20
        assert gps.home == home
    finally:
        other.stop()


def test_a_torn_antenna_is_said_in_the_state(monkeypatch: pytest.MonkeyPatch, read: Callable[..., SerialGps]) -> None:
    monkeypatch.setattr("kiosk.sensors.gps_signs.SILENT_SKY_US", 300_000)
    monkeypatch.setattr("kiosk.sensors.gps.FRESH_US", 300_000)
    torn = chain(islice(standing_still(LATITUDE, LONGITUDE, seconds_before=30), 30), without_antenna(datetime.now(UTC)))
    pty = PtyGps(torn, rate_hz=20, at_once=30).start()
    try:
        gps = read(pty.port)
        until(lambda: gps.state.reason.startswith("antenna_lost: "))
        assert gps.state.state == "degraded"
        assert "antenna_lost" in gps.reading().flags
    finally:
        pty.stop()


def test_satellites_that_say_another_time_than_the_terminal_are_flagged(
    line: PtyGps, read: Callable[..., SerialGps]
) -> None:
    gps = read(line.start().port, wall_clock=lambda: time.time() - 60)
    until(lambda: gps.reading().verdict == "inside")
    assert "clock_differs" in gps.reading().flags


def test_stop_ends_the_thread_and_frees_the_port(line: PtyGps, read: Callable[..., SerialGps]) -> None:
    gps = read(line.start().port)
    until(lambda: gps.reading().fixes > 0)
    gps.stop()
    assert not gps._thread.is_alive()
    assert gps.state.state == "unknown"
    with suppress(OSError):
        line.send(b"nobody reads this\n")
