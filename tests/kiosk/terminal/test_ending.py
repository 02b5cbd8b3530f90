"""A result goes away by itself: eight seconds after a punch, twenty after a refusal."""

from __future__ import annotations

from dataclasses import replace

from kiosk.terminal.ending import Deadline
from tests.kiosk.terminal.scripted import IDLE
from tests.kiosk.terminal.states import STATES


def test_a_punch_is_shown_eight_seconds_and_a_refusal_twenty() -> None:
    assert Deadline().left_s(STATES["verified"], 100) == 8
    assert Deadline().left_s(STATES["review"], 100) == 8
    assert Deadline().left_s(STATES["refused"], 100) == 20
    assert Deadline().left_s(STATES["review_called"], 100) == 20


def test_a_second_look_at_the_same_result_does_not_begin_again() -> None:
    deadline = Deadline()
    deadline.left_s(STATES["verified"], 100)
    later = replace(STATES["verified"], version=9, unsent=4)
    assert deadline.left_s(later, 105) == 3


def test_another_result_has_its_full_time() -> None:
    deadline = Deadline()
    deadline.left_s(STATES["verified"], 100)
    assert deadline.left_s(STATES["refused"], 105) == 20
    deadline.reset()
    assert deadline.left_s(STATES["refused"], 110) == 20


def test_without_a_result_no_time_is_left() -> None:
    assert Deadline().left_s(IDLE, 1) == 0
