"""A receiver on a real serial device (a pseudo-terminal): noise, a cut line, a pulled plug, and back again."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator
from contextlib import suppress
from itertools import repeat
from pathlib import Path

import pytest

from kiosk.sensors.gps import Fence, FixTracker
from kiosk.sensors.serial_gps import SerialGps
from zaigang.synthetic_gps import PtyGps, standing_still

LATITUDE, LONGITUDE = 22.5431, 114.0579
FENCE = Fence(round(LATITUDE * 1e7), round(LONGITUDE * 1e7), 100)


def until(condition: Callable[[], bool], timeout_s: float = 30) -> None:
    deadline = time.monotonic() + timeout_s
    while not condition():
        assert time.monotonic() < deadline, "it never came"
        time.sleep(0.02)


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
    line.send(b"\x00\xff\x80noise\r\n" + next(items)[:30] + b"\n" + b"Z" * 3000 + b"\n")

    def inside_after_one_more_second() -> bool:
        line.send(next(items))  # a receiver goes on talking, however slowly a busy machine reads
        return gps.reading().verdict == "inside"

    until(inside_after_one_more_second)
    assert gps.reading().rejected == {"not_ascii": 1, "no_checksum": 1, "too_long": 1}


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
