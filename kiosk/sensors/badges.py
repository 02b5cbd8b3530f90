"""Codes from badge readers, which are keyboards: the decoder of their key events, and a player of recorded ones.

Events are struct input_event of 64-bit Linux (linux/input.h). Keys are decoded by position, as a US keyboard has them,
whatever layout the machine uses: readers type as if plugged into one. Enter ends a code.
"""

from __future__ import annotations

import struct
import threading
import time
from collections.abc import Callable
from pathlib import Path
from typing import Protocol

import structlog

from evidence.status import Part
from kiosk.sensors.errors import BadgeReaderFailed

INPUT_EVENT = struct.Struct("<qqHHi")  # seconds, microseconds, type, code, value
MAX_CODE = 64  # characters, as an employee code has at most; an RFID number has 8 to 20
GAP_US = 1_000_000  # readers type a key every 2 to 50 ms; what stops for a second was torn off

_EV_SYN, _EV_KEY = 0, 1
_SYN_DROPPED = 3  # the kernel's buffer ran over: keys are missing
_UP, _DOWN = 0, 1  # 2 is auto-repeat
_ENDS = frozenset({28, 96, 15})  # Enter, the keypad's Enter, Tab
_SHIFTS = frozenset({42, 54})
_CAPS_LOCK = 58
_SILENT = frozenset({69})  # Num Lock: some readers press it before digits; the keypad means digits here anyway
_ROWS = {2: "1234567890", 16: "qwertyuiop", 30: "asdfghjkl", 44: "zxcvbnm", 71: "789", 75: "456", 79: "123", 82: "0."}
_PLAIN = {first + place: key for first, row in _ROWS.items() for place, key in enumerate(row)}
_PLAIN |= {12: "-", 52: ".", 74: "-"}  # minus, dot, the keypad's minus
_SHIFTED = {code: key.upper() for code, key in _PLAIN.items() if key.isalpha()} | {12: "_"}

log = structlog.get_logger(__name__)


class BadgeSource(Protocol):
    """A badge reader; it calls back with each code, in a thread of its own."""

    def start(self) -> None:
        """Begin; returns at once."""
        ...

    def stop(self) -> None:
        """End; no code comes after it returns."""
        ...

    @property
    def state(self) -> Part:
        """How the reader is."""
        ...


class BadgeDecoder:
    """Makes codes of event bytes, however they are cut. Codes have ASCII letters, digits, hyphen, underscore and dot.

    A code with any other key in it, one that is too long and one with keys missing is dropped whole and counted: half
    a code could be another worker's.
    """

    def __init__(self) -> None:
        self.dropped = 0
        self._rest = b""
        self._at_us = 0
        self._start_over()

    def feed(self, data: bytes) -> list[str]:
        """Take bytes as they were read; return the codes that ended in them. Never raises."""
        data = self._rest + data
        whole = len(data) - len(data) % INPUT_EVENT.size
        self._rest = data[whole:]
        codes = [self._take(*event) for event in INPUT_EVENT.iter_unpack(data[:whole])]
        return [code for code in codes if code]

    def _start_over(self) -> None:
        self._code, self._spoilt, self._shift, self._caps = "", False, False, False

    def _take(self, seconds: int, microseconds: int, kind: int, code: int, value: int) -> str | None:
        if kind == _EV_SYN and code == _SYN_DROPPED:
            # Its own time: the next key may be the first for an hour, and is the middle of a code all the same.
            self._spoilt, self._shift, self._at_us = True, False, seconds * 1_000_000 + microseconds
        if kind != _EV_KEY or value not in (_UP, _DOWN):
            return None
        at_us = seconds * 1_000_000 + microseconds
        if not 0 <= at_us - self._at_us <= GAP_US:  # backwards: the clock was set, or the reader is another one
            self._drop()
        self._at_us = at_us
        if code in _SHIFTS:
            self._shift = value == _DOWN
            return None
        return self._press(code) if value == _DOWN else None

    def _press(self, code: int) -> str | None:
        if code in _ENDS:
            return self._end()
        if code == _CAPS_LOCK:
            self._caps = not self._caps
        elif code not in _SILENT:
            self._type(code)
        return None

    def _type(self, code: int) -> None:
        upper = self._shift != self._caps if _PLAIN.get(code, "").isalpha() else self._shift
        key = (_SHIFTED if upper else _PLAIN).get(code)
        if key is None or len(self._code) == MAX_CODE:
            self._spoilt = True
            return
        self._code += key

    def _end(self) -> str | None:
        code, spoilt = self._code, self._spoilt
        if spoilt:
            self.dropped += 1
            log.warning("badge_code_dropped", count=self.dropped)
        self._start_over()
        return None if spoilt or not code else code

    def _drop(self) -> None:
        if self._code:
            self.dropped += 1
        self._start_over()


class RecordedBadges:
    """Plays a recording of event bytes, each event at its time; raises BadgeReaderFailed at once for none.

    Made with `cat /dev/input/by-id/… > FILE`.
    """

    def __init__(self, path: Path, on_code: Callable[[str], None]) -> None:
        try:
            data = path.read_bytes()
        except OSError as error:
            raise BadgeReaderFailed(f"{path} cannot be read: {error.strerror}.") from error
        if len(data) % INPUT_EVENT.size:
            raise BadgeReaderFailed(f"{path} is no recording: an event has {INPUT_EVENT.size} bytes.")
        self._events = [data[place : place + INPUT_EVENT.size] for place in range(0, len(data), INPUT_EVENT.size)]
        self._on_code = on_code
        self._over = False
        self._stop = threading.Event()
        self._thread = threading.Thread(target=self._play, name="badges", daemon=True)

    def start(self) -> None:
        """Begin to play."""
        self._thread.start()

    def stop(self) -> None:
        """Stop playing."""
        self._stop.set()
        if self._thread.is_alive():
            self._thread.join(5)

    @property
    def state(self) -> Part:
        """`working` while it plays, `failed` when it is over."""
        if self._over:
            return Part(state="failed", reason="no_badge_reader: the recording is over")
        return Part(state="working")

    def _play(self) -> None:
        decoder, start_us, first_us = BadgeDecoder(), time.monotonic_ns() // 1000, None
        for event in self._events:
            seconds, microseconds, *_ = INPUT_EVENT.unpack(event)
            at_us = seconds * 1_000_000 + microseconds
            first_us = at_us if first_us is None else first_us
            wait_s = (start_us + at_us - first_us - time.monotonic_ns() // 1000) / 1e6
            if self._stop.wait(max(0.0, wait_s)):
                return
            for code in decoder.feed(event):
                self._on_code(code)
        self._over = True
