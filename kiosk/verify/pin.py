"""The other way in: a PIN, hashed with Argon2id, locked after five wrong ones. Pure: the record in, the record out.

The lock needs no wall clock, which can be set: within one boot the monotonic clock counts, and after a reboot the time
since boot (which Linux's monotonic clock is) cannot exceed the time since the lock, so the lock counts from the boot.
"""

from __future__ import annotations

import re
from dataclasses import dataclass, replace

from pwdlib import PasswordHash
from pwdlib.hashers.argon2 import Argon2Hasher

from evidence.events import Check, Outcome
from kiosk.verify.errors import VerifyError

CHECK_NAME = "pin"
FAILURES_ALLOWED = 5
LOCKED_US = 300_000_000  # five minutes: 60 guesses an hour against 10^4 to 10^8 PINs
# RFC 9106's second recommended choice but for the memory, which a Pi with four browsers has to spare: about 0.1 s.
_HASHER = PasswordHash((Argon2Hasher(time_cost=3, memory_cost=65536, parallelism=2),))
SHORTEST, LONGEST = 4, 8  # digits
_SHAPE = re.compile(f"[0-9]{{{SHORTEST},{LONGEST}}}")


class InvalidPin(VerifyError):
    """The PIN is not four to eight digits."""


@dataclass(frozen=True, slots=True)
class PinRecord:
    """What is kept, encrypted, of one worker's PIN."""

    hash: str
    failures: int = 0  # wrong ones in a row
    locked_boot: str | None = None  # boot in which it was locked; None: it is not
    locked_us: int = 0  # monotonic microseconds of that boot


def require_pin(pin: str) -> str:
    """Return `pin` if it may be one. Raises InvalidPin."""
    if not _SHAPE.fullmatch(pin):
        raise InvalidPin(f"a PIN has {SHORTEST} to {LONGEST} digits")
    return pin


def new_pin(pin: str) -> PinRecord:
    """Hash a PIN. Raises InvalidPin."""
    return PinRecord(_HASHER.hash(require_pin(pin)))


def is_locked(record: PinRecord, boot: str, mono_us: int) -> bool:
    """Say whether the PIN is locked now. `mono_us`: CLOCK_MONOTONIC of this boot, microseconds."""
    if record.locked_boot is None:
        return False
    since_us = mono_us - record.locked_us if record.locked_boot == boot else mono_us
    return since_us < LOCKED_US


def too_many_here() -> Check:
    """The outcome where so many wrong PINs were typed at this terminal, under whatever badge, that none is tried."""
    return _failed("locked", "too many wrong PINs at this terminal; use another way, or wait ten minutes")


def try_pin(record: PinRecord | None, pin: str, boot: str, mono_us: int) -> tuple[PinRecord | None, Check]:
    """Try a PIN; return the record to keep and the outcome. None: nobody enrolled one.

    Without a record a hash is computed all the same, so that the time taken does not tell who has a PIN.
    """
    if record is None:
        _HASHER.hash(pin)
        return None, _failed("no_pin", "no PIN is set for this badge; ask the site office")
    if is_locked(record, boot, mono_us):
        return record, _failed("locked", "too many wrong PINs; wait five minutes or ask the site office")
    if _HASHER.verify(pin, record.hash):
        passed = Check(name=CHECK_NAME, outcome=Outcome.PASSED, reason="ok: the PIN is right")
        return replace(record, failures=0, locked_boot=None, locked_us=0), passed
    failures = record.failures + 1
    if failures >= FAILURES_ALLOWED:
        kept = replace(record, failures=0, locked_boot=boot, locked_us=mono_us)
        return kept, _failed("locked", "too many wrong PINs; wait five minutes or ask the site office")
    return replace(record, failures=failures, locked_boot=None, locked_us=0), _failed("wrong_pin", "the PIN is wrong")


def _failed(code: str, sentence: str) -> Check:
    return Check(name=CHECK_NAME, outcome=Outcome.FAILED, reason=f"{code}: {sentence}")
