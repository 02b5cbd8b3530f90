"""A badge code is read whole and as it was typed, or not at all."""

from __future__ import annotations

import re
import threading
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from kiosk.sensors.badges import GAP_US, INPUT_EVENT, MAX_CODE, BadgeDecoder, RecordedBadges
from kiosk.sensors.errors import BadgeReaderFailed
from tests.kiosk.sensors.key_events import (
    CAPS_LOCK,
    DOWN,
    ENTER,
    EV_SYN,
    F1,
    KEYS,
    KP_ENTER,
    LEFT_ALT,
    LEFT_CTRL,
    LEFT_SHIFT,
    REPEAT,
    RIGHT_SHIFT,
    UP,
    Keyboard,
)

CODES = st.text("0123456789abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ-_.", min_size=1, max_size=MAX_CODE)


@given(st.lists(CODES, max_size=4), st.integers(1, 100), st.booleans())
def test_codes_come_back_as_typed_however_the_bytes_are_cut(codes: list[str], cut: int, keypad: bool) -> None:
    keyboard, decoder = Keyboard(), BadgeDecoder()
    data = b"".join(keyboard.type(code, keypad=keypad) for code in codes)
    read = [code for at in range(0, len(data), cut) for code in decoder.feed(data[at : at + cut])]
    assert (read, decoder.dropped) == (codes, 0)


@given(st.lists(st.binary(max_size=200), max_size=10))
def test_no_bytes_raise_and_no_code_has_a_character_that_no_badge_has(chunks: list[bytes]) -> None:
    decoder = BadgeDecoder()
    for chunk in chunks:
        assert all(re.fullmatch(r"[0-9A-Za-z._-]{1,64}", code) for code in decoder.feed(chunk))


EVENTS = st.tuples(st.integers(0, 3_000_000), st.sampled_from([0, 1, 4]), st.integers(0, 120), st.integers(0, 2))


@given(st.lists(EVENTS, max_size=60))
def test_after_any_events_and_a_pause_the_next_code_is_read_whole(events: list[tuple[int, int, int, int]]) -> None:
    decoder, keyboard = BadgeDecoder(), Keyboard(0)
    for pause_us, kind, code, value in events:
        keyboard.at_us += pause_us
        for read in decoder.feed(keyboard.event(kind, code, value)):
            assert re.fullmatch(r"[0-9A-Za-z._-]{1,64}", read)
    keyboard.at_us += GAP_US + 1
    assert decoder.feed(keyboard.type("00417")) == ["00417"]


def test_keys_are_those_of_a_us_keyboard_by_position() -> None:
    keyboard, decoder = Keyboard(), BadgeDecoder()
    for text, code in KEYS.items():
        assert decoder.feed(keyboard.press(code) + keyboard.press(ENTER)) == [text]


@pytest.mark.parametrize("end", [ENTER, KP_ENTER])
@pytest.mark.parametrize("keypad", [False, True])
def test_enter_of_either_block_ends_a_code(end: int, keypad: bool) -> None:
    assert BadgeDecoder().feed(Keyboard().type("0123456789", keypad=keypad, end=end)) == ["0123456789"]


def test_a_held_key_counts_once() -> None:
    keyboard = Keyboard()
    held = keyboard.key(KEYS["7"], DOWN) + keyboard.key(KEYS["7"], REPEAT) * 3 + keyboard.key(KEYS["7"], UP)
    assert BadgeDecoder().feed(held + keyboard.press(ENTER)) == ["7"]


def test_a_held_shift_stays_held_while_it_repeats() -> None:
    keyboard = Keyboard()
    held = keyboard.key(LEFT_SHIFT, DOWN) + keyboard.key(LEFT_SHIFT, REPEAT) + keyboard.press(KEYS["a"])
    assert BadgeDecoder().feed(held + keyboard.key(LEFT_SHIFT, UP) + keyboard.press(ENTER)) == ["A"]


def test_shift_holds_until_it_is_let_go_and_caps_lock_until_pressed_again() -> None:
    keyboard = Keyboard()
    shifted = keyboard.key(RIGHT_SHIFT, DOWN) + keyboard.press(KEYS["a"]) + keyboard.press(KEYS["b"])
    data = shifted + keyboard.key(RIGHT_SHIFT, UP) + keyboard.press(KEYS["c"])
    data += (
        keyboard.press(CAPS_LOCK) + keyboard.press(KEYS["d"]) + keyboard.press(KEYS["1"]) + keyboard.press(CAPS_LOCK)
    )
    assert BadgeDecoder().feed(data + keyboard.press(KEYS["e"]) + keyboard.press(ENTER)) == ["ABcD1e"]


def test_a_pause_cuts_half_a_code() -> None:
    keyboard, decoder = Keyboard(), BadgeDecoder()
    assert decoder.feed(keyboard.type("0041", end=None)) == []
    keyboard.at_us += GAP_US + 1
    assert decoder.feed(keyboard.press(ENTER) + keyboard.type("99")) == ["99"]
    assert decoder.dropped == 1


def test_a_pause_of_a_slow_reader_cuts_nothing() -> None:
    keyboard, decoder = Keyboard(), BadgeDecoder()
    decoder.feed(keyboard.type("00", end=None))
    keyboard.at_us += GAP_US // 2
    assert decoder.feed(keyboard.type("41")) == ["0041"]


def test_a_clock_that_was_set_back_cuts_too() -> None:
    keyboard, decoder = Keyboard(), BadgeDecoder()
    decoder.feed(keyboard.type("00", end=None))
    keyboard.at_us -= 5_000_000
    assert decoder.feed(keyboard.type("41")) == ["41"]


@pytest.mark.parametrize("key", [F1, LEFT_CTRL, LEFT_ALT, 13, 26, 51, 53, 57, 111, 200, 767])
def test_a_key_that_no_badge_has_spoils_its_code_and_not_the_next(key: int) -> None:
    keyboard, decoder = Keyboard(), BadgeDecoder()
    assert decoder.feed(keyboard.type("12", end=None) + keyboard.press(key) + keyboard.type("34")) == []
    assert (decoder.feed(keyboard.type("56")), decoder.dropped) == (["56"], 1)


def test_a_shifted_digit_is_a_sign_and_spoils_its_code() -> None:
    keyboard = Keyboard()
    shifted = keyboard.key(LEFT_SHIFT, DOWN) + keyboard.press(KEYS["1"]) + keyboard.key(LEFT_SHIFT, UP)
    assert BadgeDecoder().feed(shifted + keyboard.type("23")) == []


def test_a_code_that_is_too_long_is_dropped_whole() -> None:
    keyboard, decoder = Keyboard(), BadgeDecoder()
    assert decoder.feed(keyboard.type("1" * MAX_CODE)) == ["1" * MAX_CODE]
    assert decoder.feed(keyboard.type("1" * (MAX_CODE + 1))) == []
    assert decoder.feed(keyboard.type("2")) == ["2"]


def test_events_that_the_kernel_dropped_spoil_the_code() -> None:
    keyboard, decoder = Keyboard(), BadgeDecoder()
    data = keyboard.type("12", end=None) + keyboard.event(EV_SYN, 3, 0) + keyboard.type("34")
    assert decoder.feed(data + keyboard.type("56")) == ["56"]


def test_they_spoil_it_too_where_the_beginning_is_what_was_lost() -> None:
    keyboard, decoder = Keyboard(), BadgeDecoder()
    assert decoder.feed(keyboard.type("0012")) == ["0012"]
    keyboard.at_us += 60_000_000
    assert decoder.feed(keyboard.event(EV_SYN, 3, 0) + keyboard.type("34")) == []
    assert decoder.dropped == 1
    assert decoder.feed(keyboard.type("56")) == ["56"]


def test_enter_alone_is_no_code() -> None:
    keyboard = Keyboard()
    assert BadgeDecoder().feed(keyboard.press(ENTER) * 2) == []


def test_a_recording_plays_through_the_same_decoder(tmp_path: Path) -> None:
    file, keyboard, over = tmp_path / "badges.bin", Keyboard(), threading.Event()
    file.write_bytes(keyboard.type("0041") + keyboard.type("W-2"))
    read: list[str] = []

    def take(code: str) -> None:
        read.append(code)
        if len(read) == 2:
            over.set()

    source = RecordedBadges(file, take)
    source.start()
    assert over.wait(20)
    source.stop()
    assert read == ["0041", "W-2"]


def test_what_is_no_recording_is_said_at_once(tmp_path: Path) -> None:
    (tmp_path / "short").write_bytes(bytes(INPUT_EVENT.size + 1))
    for name in ("short", "nowhere"):
        with pytest.raises(BadgeReaderFailed):
            RecordedBadges(tmp_path / name, lambda _: None)
