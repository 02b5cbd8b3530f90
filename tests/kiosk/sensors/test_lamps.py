"""Lamps and buzzer say how a punch ended, and nothing waits for them."""

from __future__ import annotations

import itertools
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import pytest

from evidence.events import Verdict
from kiosk.sensors.lamps import BEEP_S, TONE_S, TONES, Lamps
from tests.support.gpio import Pins
from tests.support.waiting import until

GREEN, RED, BUZZER = 22, 23, 24


@contextmanager
def running(pins: Pins, lit_s: float = 60.0, **changes: Any) -> Iterator[Lamps]:
    given: dict[str, Any] = {"green": GREEN, "red": RED, "buzzer": BUZZER} | changes
    lamps = Lamps(**given, pins=pins, lit_s=lit_s)
    lamps.start()
    yield lamps
    lamps.stop()


def beeps(pins: Pins) -> list[bool]:
    return [one.state for one in pins.pin(BUZZER).states if one.timestamp or one.state]


def lit(pins: Pins) -> tuple[bool, bool]:
    return bool(pins.pin(GREEN).state), bool(pins.pin(RED).state)


@pytest.mark.parametrize(
    ("verdict", "lamps", "times"),
    [
        (Verdict.VERIFIED, (True, False), 1),
        (Verdict.REVIEW, (True, True), 2),
        (Verdict.REFUSED, (False, True), 3),
        (None, (False, True), 3),
    ],
)
def test_each_end_has_lamps_and_a_number_of_beeps_of_its_own(
    verdict: Verdict | None, lamps: tuple[bool, bool], times: int
) -> None:
    pins = Pins()
    with running(pins) as one:
        one.show(verdict)
        until(lambda: beeps(pins).count(True) == times and not pins.pin(BUZZER).state, "the beeps")
        assert lit(pins) == lamps
    assert {pins.pin(one).function for one in (GREEN, RED, BUZZER)} == {"input"}  # let go


def test_lamps_go_out_by_themselves() -> None:
    pins = Pins()
    with running(pins, lit_s=0.1) as one:
        one.show(Verdict.VERIFIED)
        until(lambda: lit(pins) == (True, False), "green")
        until(lambda: lit(pins) == (False, False), "darkness")


def test_what_is_not_built_in_is_left_out() -> None:
    pins = Pins()
    with running(pins, red=None, buzzer=None) as one:
        one.show(Verdict.REVIEW)
        until(lambda: pins.pin(GREEN).state, "green")
        assert one.trouble is None


def test_pins_that_fail_are_told_and_tried_again_and_nobody_waits_for_them() -> None:
    pins = Pins()
    pins.failing = OSError("no chip")
    with running(pins) as one:
        one.show(Verdict.VERIFIED)
        until(lambda: one.trouble, "the trouble")
        assert one.trouble is not None and one.trouble.startswith("lamps_failed:")
        pins.failing = None
        one.show(Verdict.VERIFIED)
        until(lambda: lit(pins) == (True, False), "green")
        until(lambda: one.trouble is None, "an end of the trouble")


def sounded(pins: Pins) -> list[float]:
    """How long each sound was, in seconds."""
    states = pins.pin(BUZZER).states
    return [after.timestamp for before, after in itertools.pairwise(states) if before.state]


def test_a_call_is_two_long_tones_and_no_lamp() -> None:
    pins = Pins()
    with running(pins) as one:
        one.call()
        until(lambda: len(sounded(pins)) == TONES and not pins.pin(BUZZER).state, "the tones")
        assert min(sounded(pins)) >= TONE_S > 5 * BEEP_S
        assert lit(pins) == (False, False)


def test_calls_keep_no_lamp_burning() -> None:
    pins = Pins()
    with running(pins, lit_s=0.3) as one:
        one.show(Verdict.VERIFIED)
        until(lambda: lit(pins) == (True, False), "green")
        one.call()
        until(lambda: lit(pins) == (False, False), "darkness")


def test_the_end_of_a_punch_goes_before_calls_and_cuts_one_short() -> None:
    pins = Pins()
    with running(pins) as one:
        one.call()
        until(lambda: pins.pin(BUZZER).state, "the first tone")
        one.show(Verdict.REFUSED)
        one.call()
        until(lambda: lit(pins) == (False, True) and len(sounded(pins)) == 4, "one tone, three beeps")
        assert [length >= TONE_S for length in sounded(pins)] == [True, False, False, False]


def test_a_terminal_without_a_buzzer_calls_on_the_screen_alone() -> None:
    pins = Pins()
    with running(pins, buzzer=None) as one:
        one.call()
        one.show(Verdict.VERIFIED)
        until(lambda: lit(pins) == (True, False), "green")
        assert one.trouble is None


def test_a_buzzer_that_fails_at_a_call_is_told_and_tried_again() -> None:
    pins = Pins()
    pins.failing = OSError("no chip")
    with running(pins) as one:
        one.call()
        until(lambda: one.trouble, "the trouble")
        pins.failing = None
        one.call()
        until(lambda: len(sounded(pins)) == TONES, "the tones")
        until(lambda: one.trouble is None, "an end of the trouble")
