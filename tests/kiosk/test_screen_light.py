"""What crosses between the attendant's thread and the page's: colours one way, words the other."""

from __future__ import annotations

from kiosk.screen_light import ScreenLight
from kiosk.terminal.view import Light

WHITE, BLUE = (255, 255, 255), (40, 80, 255)


class Session:
    def __init__(self) -> None:
        self.words: list[int] = []
        self.held: list[bool] = []

    def painted(self, number: int, mono_us: int) -> None:
        assert mono_us > 0
        self.words.append(number)

    def exposure_held(self, *, held: bool) -> None:
        self.held.append(held)


def test_the_page_sees_what_is_due_and_the_session_hears_what_it_says() -> None:
    light, session = ScreenLight(), Session()
    light.begin()
    assert light.due is None
    light.show(session, (0, WHITE))
    due = light.due
    assert due is not None
    assert (due.number, due.colour) == (0, WHITE)
    light.painted(due.attempt, 0, 5_000)
    assert session.words == []  # not from the page's thread
    light.hear(session)
    assert session.words == [0]


def test_a_word_about_another_attempt_or_while_dark_is_dropped() -> None:
    light, session = ScreenLight(), Session()
    light.begin()
    light.show(session, (0, WHITE))
    first = light.due
    assert isinstance(first, Light)
    light.painted(first.attempt, 0, 0)
    light.end()
    light.painted(first.attempt, 1, 0)
    light.begin()
    light.painted(first.attempt, 2, 0)
    light.show(session, (0, BLUE))
    light.painted(first.attempt, 3, 0)
    light.hear(session)
    assert session.words == []
    assert light.due is not None
    assert light.due.attempt != first.attempt


def test_exposure_is_held_from_the_first_colour_to_the_last_and_freed_whatever_happens() -> None:
    asked: list[bool] = []

    def hold(held: bool) -> bool:
        asked.append(held)
        return True

    light, session = ScreenLight(hold), Session()
    light.begin()
    light.show(session, None)
    light.show(session, (0, WHITE))
    light.show(session, (1, BLUE))
    assert (asked, session.held) == ([True], [True])
    light.show(session, None)
    assert asked == [True, False]
    light.show(session, (0, WHITE))
    light.end()
    light.end()
    assert asked == [True, False, True, False]


def test_a_camera_that_breaks_while_it_is_held_costs_no_attempt() -> None:
    def breaks(held: bool) -> bool:
        raise RuntimeError("no such control")

    light, session = ScreenLight(breaks), Session()
    light.begin()
    light.show(session, (0, WHITE))
    light.end()
    assert session.held == [False]
