"""Rotating identifiers: the published values, the window, and what a copy is worth.

The first two vectors are published by Radius Networks' ephemeral_calc, the others were made with `openssl enc
-aes-128-ecb` from the tables of the specification.
"""

from __future__ import annotations

import subprocess

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from kiosk.sensors.eddystone_eid import EidBeacon, EidBook, EidMatch, eid

KEY = bytes.fromhex("0102030405060708090a111213141516")
OTHER = bytes.fromhex("553c66da1485e9f78849de00f2cb178e")
ZERO_S = 1_790_000_000
PERIOD_S = 1024


def badge(name: str = "badge-17", key: bytes = KEY, exponent: int = 10, zero_s: int = ZERO_S) -> EidBeacon:
    return EidBeacon(name, key, exponent, zero_s)


@pytest.mark.parametrize(
    ("key", "exponent", "counter_s", "expected"),
    [
        (KEY, 10, 0, "a9b76a71c5f89290"),
        (KEY, 10, 2000, "4144413e45fefa58"),
        (OTHER, 12, 0x00011FFF, "d31c8129299a4d79"),
        (bytes(range(16)), 15, 0xFFFFFFFF, "2b0a5389efad8131"),
        (bytes(range(16)), 0, 42, "45d199655bc1114e"),
    ],
)
def test_known_answers(key: bytes, exponent: int, counter_s: int, expected: str) -> None:
    assert eid(key, exponent, counter_s).hex() == expected


def openssl(key: bytes, block: str) -> bytes:
    command = ["openssl", "enc", "-aes-128-ecb", "-nopad", "-K", key.hex()]
    return subprocess.run(command, input=bytes.fromhex(block), capture_output=True, check=True).stdout


@settings(max_examples=10, deadline=None)
@given(st.binary(min_size=16, max_size=16), st.integers(0, 15), st.integers(0, 2**32 - 1))
def test_openssl_comes_to_the_same(key: bytes, exponent: int, counter_s: int) -> None:
    temporary = openssl(key, "00" * 11 + "ff0000" + f"{counter_s:08x}"[:4])
    cleared = counter_s - counter_s % 2**exponent
    assert eid(key, exponent, counter_s) == openssl(temporary, "00" * 11 + f"{exponent:02x}{cleared:08x}")[:8]


@given(st.integers(0, 15), st.integers(0, 2**32 - 1), st.integers(0, 2**32 - 1))
def test_it_stays_for_a_period_and_then_is_another(exponent: int, one_s: int, other_s: int) -> None:
    same = one_s >> exponent == other_s >> exponent
    assert (eid(KEY, exponent, one_s) == eid(KEY, exponent, other_s)) is same


@pytest.mark.parametrize(("behind", "known"), [(-3, False), (-2, True), (-1, True), (0, True), (2, True), (3, False)])
def test_two_periods_either_side_are_taken_and_no_more(behind: int, known: bool) -> None:
    now_s = ZERO_S + 100 * PERIOD_S + 500
    sent = eid(KEY, 10, (100 + behind) * PERIOD_S)
    assert EidBook([badge()]).resolve(sent, now_s) == (EidMatch("badge-17", 100 + behind) if known else None)


def test_each_of_many_is_told_from_the_others() -> None:
    beacons = [badge(f"badge-{n}", bytes([n] * 16), n % 16, ZERO_S - 977 * n) for n in range(40)]
    book = EidBook(beacons)
    for now_s in (ZERO_S + 5, ZERO_S + 5000, ZERO_S + 100_000):
        for one in beacons:
            match = book.resolve(eid(one.key, one.exponent, now_s - one.zero_s), now_s)
            assert match is not None
            assert match.name == one.name


def test_a_copy_is_worth_nothing_once_a_newer_one_was_heard() -> None:
    book = EidBook([badge()])
    copied = eid(KEY, 10, 50 * PERIOD_S)
    assert book.resolve(copied, ZERO_S + 50 * PERIOD_S) is not None
    later_s = ZERO_S + 51 * PERIOD_S
    assert book.resolve(copied, later_s) is not None, "it may change late"
    assert book.resolve(eid(KEY, 10, 51 * PERIOD_S), later_s) is not None
    assert book.resolve(copied, later_s) is None


def test_a_copy_is_worth_nothing_after_its_window() -> None:
    copied = eid(KEY, 10, 50 * PERIOD_S)
    book = EidBook([badge()])
    assert book.resolve(copied, ZERO_S + 53 * PERIOD_S - 1) is not None
    assert book.resolve(copied, ZERO_S + 53 * PERIOD_S) is None


def test_a_clock_that_was_set_back_finds_the_identifiers_of_that_time() -> None:
    book = EidBook([badge(), badge("badge-18", OTHER)])
    assert book.resolve(eid(KEY, 10, 900 * PERIOD_S), ZERO_S + 900 * PERIOD_S) is not None
    assert book.resolve(eid(OTHER, 10, 100 * PERIOD_S), ZERO_S + 100 * PERIOD_S) is not None


def test_a_counter_that_has_run_over_begins_again() -> None:
    now_s = ZERO_S + 2**32 + 3 * PERIOD_S
    assert EidBook([badge()]).resolve(eid(KEY, 10, 3 * PERIOD_S), now_s) is not None


def test_before_its_counter_began_a_beacon_sends_nothing() -> None:
    assert EidBook([badge()]).resolve(eid(KEY, 10, 0), ZERO_S - 3 * PERIOD_S) is None
    assert EidBook([]).resolve(eid(KEY, 10, 0), ZERO_S) is None


def test_a_book_that_has_forgotten_resolves_nobody_and_holds_no_key_until_it_is_given_them_back() -> None:
    book, now_s = EidBook([badge()]), ZERO_S + 51 * PERIOD_S
    old, new = eid(KEY, 10, 50 * PERIOD_S), eid(KEY, 10, 51 * PERIOD_S)
    assert book.resolve(new, now_s) is not None
    book.forget()
    assert book.resolve(new, now_s) is None
    assert (book._beacons, book._names, book._held) == ({}, {}, {}), "neither a key nor what was made from one"
    book.take_back([badge()])
    assert book.resolve(old, now_s) is None, "still a copy"
    assert book.resolve(new, now_s) is not None


@given(st.lists(st.tuples(st.binary(max_size=12), st.floats(-1e6, 5e9)), max_size=20))
def test_garbage_is_nobodys(heard: list[tuple[bytes, float]]) -> None:
    book = EidBook([badge(), badge("badge-18", OTHER, 0)])
    for identifier, unix_s in heard:
        assert book.resolve(identifier, unix_s) is None


@pytest.mark.parametrize(("key", "exponent"), [(KEY[:-1], 10), (KEY + b"\x00", 10), (KEY, 16), (KEY, -1)])
def test_a_key_or_an_exponent_that_cannot_be_is_refused(key: bytes, exponent: int) -> None:
    with pytest.raises(ValueError):
        badge(key=key, exponent=exponent)


def test_a_key_is_not_printed() -> None:
    assert KEY.hex() not in repr(badge())
    assert repr(KEY)[2:-1] not in repr(badge())
