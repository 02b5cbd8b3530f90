from __future__ import annotations

import random
import secrets
from itertools import pairwise

import pytest

from kiosk.verify.flash import CHANGE_US, COLOURS, PALETTE, FlashMeter, FlashResponse, choose_colours
from kiosk.verify.liveness import FlashLimits, flash_check

LIMITS = FlashLimits()


def test_no_colour_is_a_saturated_red_and_changes_are_at_most_three_a_second() -> None:
    for red, green, blue in PALETTE:
        assert red < 0.8 * (red + green + blue)  # WCAG 2.3.1
    assert 1_000_000 / CHANGE_US <= 3


def test_colours_are_random_and_no_two_neighbours_are_alike() -> None:
    found = {choose_colours(secrets.SystemRandom()) for _ in range(200)}
    assert len(found) > 50
    assert all(len(one) == COLOURS and all(a != b for a, b in pairwise(one)) for one in found)


def test_each_colour_is_due_in_its_time_and_then_none() -> None:
    colours = choose_colours(random.Random(1))
    meter = FlashMeter(colours)
    due = [meter.due(5_000_000 + number * CHANGE_US) for number in range(COLOURS + 1)]
    assert due == [*enumerate(colours), None]


def test_a_meter_that_saw_nothing_says_so() -> None:
    meter = FlashMeter(choose_colours(random.Random(1)))
    meter.painted(0, 1)
    meter.painted(99, 1)
    assert meter.response().painted == 0


@pytest.mark.parametrize(
    ("response", "said"),
    [
        (None, "not_run switched_off"),
        (FlashResponse(2, 0.3, 0.95, 0.05, 0.2), "not_run no_acknowledgement"),
        (FlashResponse(4, 0.3, 0.95, 0.05, 0.2), "passed ok"),
        (FlashResponse(4, 0.3, 0.95, 0.2, 0.2), "failed no_reflection"),  # the wall answers as much: no face before it
        (FlashResponse(4, 0.01, 0.95, 0.0, 0.2), "failed no_reflection"),
        (FlashResponse(4, 0.3, 0.2, 0.0, 0.2), "failed no_reflection"),  # it changed, but not as the screen did
        (FlashResponse(4, 0.01, 0.3, 0.0, 0.6), "not_run bright_room"),
    ],
)
def test_what_a_response_means(response: FlashResponse | None, said: str) -> None:
    check = flash_check(response, LIMITS)
    assert f"{check.outcome} {check.reason.partition(':')[0]}" == said
