"""A reader that is unplugged comes back, and what it types reaches nobody else.

The device file is a pseudo-terminal in raw mode behind a link, as /dev/input/by-id has them: real open, read, select
and hang-up. It cannot be grabbed, so `take` is passed in; the ioctl itself needs a kernel with an input device.
"""

from __future__ import annotations

import errno
import os
import queue
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from kiosk.sensors.evdev_badges import EvdevBadges
from tests.kiosk.sensors.plugged_reader import Plug
from tests.support.waiting import until


@pytest.fixture
def plug(tmp_path: Path) -> Iterator[Plug]:
    one = Plug(tmp_path / "usb-reader-event-kbd")
    yield one
    one.pull()


class Reading:
    def __init__(self, plug: Plug, take: Callable[[int], None]) -> None:
        self.codes: queue.Queue[str] = queue.Queue()
        self.source = EvdevBadges(str(plug.path), self.codes.put, take=take, reopen_after_s=0.05)

    def next(self) -> str:
        return self.codes.get(timeout=20)


@pytest.fixture
def start(plug: Plug) -> Iterator[Callable[..., Reading]]:
    running: list[Reading] = []

    def started(take: Callable[[int], None] = lambda _: None) -> Reading:
        running.append(Reading(plug, take))
        running[-1].source.start()
        return running[-1]

    yield started
    for one in running:
        one.source.stop()


def state(reading: Reading) -> str:
    return reading.source.state.state


def test_codes_are_read_from_a_device_that_was_grabbed_first(plug: Plug, start: Callable[..., Reading]) -> None:
    grabbed: list[str] = []
    plug.insert()
    reading = start(lambda handle: grabbed.append(os.ttyname(handle)))
    until(lambda: state(reading) == "working", "the reader")
    assert grabbed == [str(plug.path.readlink())]
    plug.type("0041")
    plug.type("W-2")
    assert [reading.next(), reading.next()] == ["0041", "W-2"]


def test_a_reader_that_appears_vanishes_and_comes_back_is_told_and_read(
    plug: Plug, start: Callable[..., Reading]
) -> None:
    reading = start()
    until(lambda: "No such file" in reading.source.state.reason, "a missing reader")
    for code in ("1", "2"):
        plug.insert()
        until(lambda: state(reading) == "working", "the reader")
        plug.type(code)
        assert reading.next() == code
        plug.pull()
        until(lambda: state(reading) == "failed", "the pulled plug")
        assert reading.source.state.reason.startswith("no_badge_reader:")


def test_half_a_code_before_the_plug_was_pulled_is_not_continued_after(
    plug: Plug, start: Callable[..., Reading]
) -> None:
    plug.insert()
    reading = start()
    until(lambda: state(reading) == "working", "the reader")
    plug.write(plug.keyboard.type("00", end=None))
    until(lambda: plug.read_out, "the half code")
    plug.pull()
    until(lambda: state(reading) == "failed", "the pulled plug")
    plug.insert()
    plug.type("41")
    assert reading.next() == "41"


def test_a_reader_that_another_program_holds_is_not_read_and_is_told(plug: Plug, start: Callable[..., Reading]) -> None:
    holders = [True]

    def take(_: int) -> None:
        if holders:
            raise OSError(errno.EBUSY, os.strerror(errno.EBUSY))

    plug.insert()
    reading = start(take)
    until(lambda: "busy" in reading.source.state.reason, "a busy reader")
    plug.type("1")
    holders.clear()
    until(lambda: state(reading) == "working", "the reader")


def test_a_file_that_is_no_input_device_is_not_read(plug: Plug) -> None:
    plug.insert()
    reading = EvdevBadges(str(plug.path), lambda _: None, reopen_after_s=0.05)
    reading.start()
    until(lambda: "Inappropriate ioctl" in reading.state.reason, "the refusal")
    reading.stop()


def test_garbage_does_not_end_the_reading(plug: Plug, start: Callable[..., Reading]) -> None:
    plug.insert()
    reading = start()
    until(lambda: state(reading) == "working", "the reader")
    plug.write(bytes(range(24)) * 20)
    plug.keyboard.at_us += 10_000_000
    plug.type("5")
    assert reading.next() == "5"


def test_an_error_of_whoever_is_called_back_does_not_end_the_reading(plug: Plug) -> None:
    codes: queue.Queue[str] = queue.Queue()

    def take(code: str) -> None:
        codes.put(code)
        raise RuntimeError("a fault of ours")

    plug.insert()
    source = EvdevBadges(str(plug.path), take, take=lambda _: None, reopen_after_s=0.05)
    source.start()
    for code in ("1", "2"):
        until(lambda: source.state.state == "working", "the reader")
        plug.type(code)
        assert codes.get(timeout=20) == code
        until(lambda: source.state.state == "working", "the reader again")
    source.stop()
