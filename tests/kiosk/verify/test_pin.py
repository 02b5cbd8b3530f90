from __future__ import annotations

import pytest

from kiosk.verify.pin import FAILURES_ALLOWED, LOCKED_US, InvalidPin, PinRecord, is_locked, new_pin, try_pin

BOOT, NEXT_BOOT = "a" * 32, "b" * 32


@pytest.fixture(scope="module")
def fresh() -> PinRecord:
    return new_pin("4711")


def locked(record: PinRecord, at_us: int = 1_000_000_000) -> PinRecord:
    kept: PinRecord | None = record
    for _ in range(FAILURES_ALLOWED):
        kept, check = try_pin(kept, "0000", BOOT, at_us)
    assert kept is not None
    assert check.reason.startswith("locked: ")
    return kept


def test_the_right_pin_passes_and_a_wrong_one_fails(fresh: PinRecord) -> None:
    _, right = try_pin(fresh, "4711", BOOT, 0)
    _, wrong = try_pin(fresh, "4712", BOOT, 0)
    assert (right.outcome, wrong.outcome) == ("passed", "failed")
    assert wrong.reason.startswith("wrong_pin: ")


@pytest.mark.parametrize("pin", ["", "123", "123456789", "12a4", "１２３４", "1234\n"])
def test_a_pin_has_four_to_eight_digits(pin: str) -> None:
    with pytest.raises(InvalidPin):
        new_pin(pin)


def test_the_fifth_wrong_pin_locks_even_the_right_one_for_five_minutes(fresh: PinRecord) -> None:
    at_us = 1_000_000_000
    kept = locked(fresh, at_us)
    _, check = try_pin(kept, "4711", BOOT, at_us + LOCKED_US - 1)
    assert (check.outcome, check.reason.split(":")[0]) == ("failed", "locked")
    _, check = try_pin(kept, "4711", BOOT, at_us + LOCKED_US)
    assert check.outcome == "passed"


def test_a_right_pin_forgives_the_wrong_ones_before(fresh: PinRecord) -> None:
    kept: PinRecord | None = fresh
    for _ in range(3):
        for _ in range(FAILURES_ALLOWED - 1):
            kept, _ = try_pin(kept, "0000", BOOT, 0)
        kept, check = try_pin(kept, "4711", BOOT, 0)
        assert check.outcome == "passed"


def test_a_reboot_does_not_shorten_the_lock(fresh: PinRecord) -> None:
    kept = locked(fresh)
    assert is_locked(kept, NEXT_BOOT, LOCKED_US - 1)
    assert not is_locked(kept, NEXT_BOOT, LOCKED_US)


def test_who_has_no_pin_fails(fresh: PinRecord) -> None:
    kept, check = try_pin(None, "4711", BOOT, 0)
    assert kept is None
    assert (check.outcome, check.reason.split(":")[0]) == ("failed", "no_pin")


def test_the_hash_is_argon2id_and_salted() -> None:
    one, other = new_pin("4711"), new_pin("4711")
    assert one.hash.startswith("$argon2id$")
    assert one.hash != other.hash
