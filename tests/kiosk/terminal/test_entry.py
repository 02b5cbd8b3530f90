"""What is typed is used once and forgotten soon."""

from __future__ import annotations

from evidence.events import Method
from kiosk.terminal.entry import FORGET_AFTER_S, MAX_BADGE, MAX_PIN, ByFace, ByPin, BySupervisor, Entry, Missing


def typed(method: Method, badge: str = "", pin: str = "") -> Entry:
    entry = Entry()
    entry.choose(method, 0)
    for one in badge:
        entry.press(one, 0)
    if pin:
        entry.focus("pin", 0)
    for one in pin:
        entry.press(one, 0)
    return entry


def test_a_face_punch_needs_no_badge() -> None:
    assert typed(Method.FACE).submit(1) == ByFace(None)


def test_a_typed_badge_goes_along_with_the_face_and_is_forgotten() -> None:
    entry = typed(Method.FACE, "10086")
    assert entry.submit(1) == ByFace("10086")
    assert entry.badge == ""


def test_badge_and_pin_are_used_once() -> None:
    entry = typed(Method.BADGE_PIN, "10086", "2468")
    assert entry.submit(1) == ByPin("10086", "2468")
    assert (entry.badge, entry.pin, entry.field) == ("", "", "badge")
    assert entry.submit(2) == Missing("badge")


def test_what_is_missing_is_asked_for_and_typed_into() -> None:
    entry = typed(Method.BADGE_PIN, "10086")
    assert entry.submit(1) == Missing("pin")
    assert (entry.field, entry.missing) == ("pin", "pin")
    entry.press("2", 2)
    assert (entry.pin, entry.missing) == ("2", None)


def test_everything_is_forgotten_after_twenty_seconds_untouched() -> None:
    entry = typed(Method.BADGE_PIN, "10086", "2468")
    assert not entry.expire(FORGET_AFTER_S - 0.1, Method.FACE)
    assert entry.pin == "2468"
    assert entry.expire(FORGET_AFTER_S, Method.FACE)
    assert (entry.badge, entry.pin, entry.method) == ("", "", Method.FACE)


def test_every_touch_starts_the_twenty_seconds_again() -> None:
    entry = typed(Method.BADGE_PIN, "10086")
    entry.press("7", 15)
    assert not entry.expire(34, Method.FACE)
    assert entry.expire(35, Method.FACE)


def test_an_untouched_pad_does_not_change_again_and_again() -> None:
    entry = Entry(method=Method.BADGE_PIN)
    assert not entry.expire(1000, Method.BADGE_PIN)


def test_changing_the_way_forgets_the_pin_and_keeps_the_number() -> None:
    entry = typed(Method.BADGE_PIN, "10086", "2468")
    entry.choose(Method.FACE, 1)
    assert (entry.badge, entry.pin) == ("10086", "")
    entry.choose(Method.BADGE_PIN, 2)
    assert entry.field == "pin"


def test_a_field_takes_only_what_fits_it() -> None:
    entry = typed(Method.BADGE_PIN, "E-7/+ é" + "1" * 40, "12ab34" + "5" * 40)
    assert entry.badge == ("E-7" + "1" * 40)[:MAX_BADGE]
    assert entry.pin == ("1234" + "5" * 40)[:MAX_PIN]


def test_erasing_an_empty_pin_goes_back_to_the_badge() -> None:
    entry = typed(Method.BADGE_PIN, "12", "3")
    entry.erase(1)
    assert (entry.pin, entry.field) == ("", "pin")
    entry.erase(1)
    assert entry.field == "badge"
    entry.erase(1)
    assert entry.badge == "1"


def test_a_badge_that_was_read_takes_the_place_of_what_was_typed_and_asks_for_the_pin_where_there_is_no_face() -> None:
    entry = typed(Method.BADGE_PIN, "99", "12")
    entry.take("10086", Method.FACE, 1)
    assert entry.submit(1) == ByFace("10086")
    entry.take("10086", Method.BADGE_PIN, 2)
    assert (entry.field, entry.pin) == ("pin", "")
    entry.press("7", 2)
    assert entry.submit(2) == ByPin("10086", "7")


def test_a_supervisor_s_confirmation_needs_both_numbers_and_without_a_camera_the_pin() -> None:
    entry = typed(Method.SUPERVISOR, "10086")
    assert entry.submit(1) == Missing("supervisor")
    entry.press("7", 2)
    assert entry.submit(3, face=False) == Missing("pin")
    entry.press("2", 4)
    assert entry.submit(5, face=False) == BySupervisor("10086", "7", "2")
    assert (entry.badge, entry.supervisor, entry.pin, entry.field) == ("", "", "", "badge")
    again = typed(Method.SUPERVISOR, "10086")
    again.focus("supervisor", 1)
    again.press("7", 1)
    assert again.submit(2) == BySupervisor("10086", "7", None)


def test_the_supervisor_s_number_is_forgotten_with_the_way_and_with_time() -> None:
    entry = typed(Method.SUPERVISOR, "10086")
    entry.focus("supervisor", 0)
    entry.press("7", 0)
    assert entry.expire(FORGET_AFTER_S, Method.FACE)
    assert (entry.badge, entry.supervisor, entry.method) == ("", "", Method.FACE)
    entry = typed(Method.SUPERVISOR, "10086")
    entry.focus("supervisor", 0)
    entry.press("7", 0)
    entry.choose(Method.BADGE_PIN, 1)
    assert (entry.badge, entry.supervisor) == ("10086", "")


def test_the_keyboard_is_put_away_by_done_however_often_it_is_pressed_and_by_the_pin() -> None:
    entry = typed(Method.BADGE_PIN)
    entry.show_letters(1)
    entry.press("W", 1)
    entry.clear_field()
    assert entry.letters
    entry.hide_letters(2)
    entry.hide_letters(2)
    assert not entry.letters
    entry.show_letters(3)
    entry.focus("pin", 3)
    assert not entry.letters
    entry.show_letters(4)
    assert not entry.letters
