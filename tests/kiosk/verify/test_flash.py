from __future__ import annotations

import random
import secrets
from itertools import pairwise

import pytest

from kiosk.verify.flash import CHANGE_US, COLOURS, PALETTE, PATIENCE_US, FlashMeter, FlashResponse, choose_colours
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


def test_each_colour_is_due_until_it_has_been_on_the_screen_for_its_time_and_then_none() -> None:
    colours = choose_colours(random.Random(1))
    meter, now_us = FlashMeter(colours), 5_000_000
    for number, colour in enumerate(colours):
        assert meter.due(now_us) == (number, colour)
        now_us += 200_000  # the page is slow
        meter.painted(number, now_us)
        assert meter.due(now_us + CHANGE_US - 1) == (number, colour)
        now_us += CHANGE_US
    assert meter.due(now_us) is None


def test_whoever_goes_away_is_lit_anew_by_colours_nobody_has_seen() -> None:
    colours = choose_colours(random.Random(1), 2 * COLOURS)
    meter, now_us, shown = FlashMeter(colours), 0, []

    def paint(count: int) -> None:
        nonlocal now_us
        for _ in range(count):
            due = meter.due(now_us)
            assert due is not None
            shown.append(due)
            meter.painted(due[0], now_us)
            now_us += CHANGE_US

    paint(3)
    meter.forget()
    assert not meter.begun
    assert meter.response().painted == 0
    meter.painted(2, now_us)  # a word about a colour from before
    paint(COLOURS)
    assert meter.due(now_us) is None
    assert shown == [*enumerate(colours[:3]), *((COLOURS + place, one) for place, one in enumerate(colours[COLOURS:]))]
    meter.forget()
    assert meter.due(now_us) is None, "there are no colours for a third"


def test_two_colours_never_come_up_nearer_than_a_third_of_a_second_however_the_page_lags() -> None:
    lag = random.Random(5)
    for _ in range(50):
        meter, now_us, shown, painted = FlashMeter(choose_colours(lag)), 0, -1, []
        while (due := meter.due(now_us)) is not None:
            now_us += lag.randrange(5_000, 120_000)
            if due[0] != shown:
                shown = due[0]
                painted.append(now_us)
                meter.painted(shown, now_us)
        assert len(painted) == COLOURS
        assert min(b - a for a, b in pairwise(painted)) >= 1_000_000 / 3


def test_a_page_that_says_nothing_is_asked_no_further() -> None:
    meter = FlashMeter(choose_colours(random.Random(1)))
    assert meter.due(0) is not None
    assert meter.due(PATIENCE_US) is not None
    assert meter.due(PATIENCE_US + 1) is None
    meter.painted(0, PATIENCE_US + 2)
    assert meter.due(PATIENCE_US + 3) is None
    response = meter.response()
    assert (response.painted, response.acknowledged) == (0, False)


def test_only_the_first_word_about_a_colour_counts_and_none_from_before_it_was_due() -> None:
    meter = FlashMeter(choose_colours(random.Random(1)))
    meter.due(1_000_000)
    meter.painted(1, 1_000_000)  # not due yet
    meter.painted(0, 400_000)  # before it was due: counts from then
    meter.painted(0, 9_000_000)
    assert meter.due(1_000_000 + CHANGE_US - 1) == (0, meter.due(1_000_001)[1])  # type: ignore[index]
    number, _ = meter.due(1_000_000 + CHANGE_US) or (None, None)
    assert number == 1


def test_a_meter_that_saw_nothing_says_so() -> None:
    meter = FlashMeter(choose_colours(random.Random(1)))
    meter.painted(0, 1)
    meter.painted(99, 1)
    assert meter.response().painted == 0


@pytest.mark.parametrize(
    ("response", "said"),
    [
        (None, "not_run switched_off"),
        (FlashResponse(2, 0.3, 0.95, 0.05, 0.2, acknowledged=False), "not_run no_acknowledgement"),
        (FlashResponse(2, 0.3, 0.95, 0.05, 0.2), "not_run not_reached"),  # answered before three colours were shown
        (FlashResponse(4, 0.01, 0.95, 0.0, 0.2, held=False), "not_run exposure_free"),
        (FlashResponse(4, 0.3, 0.95, 0.05, 0.2, held=False), "passed ok"),
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


def test_who_is_excused_is_not_judged_by_it() -> None:
    check = flash_check(None, LIMITS, excused=True)
    assert (check.outcome, check.reason.partition(":")[0]) == ("not_run", "excused")
