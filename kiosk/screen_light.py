"""The flash between face path and page: which colour the screen shall show now, and since when it has.

The attendant's thread drives the session, the screen's thread asks and answers; what crosses goes through here, so that
a session is only ever touched by the attendant. Exposure is held from the first colour to the last.
"""

from __future__ import annotations

import itertools
import threading
import time
from collections.abc import Callable
from dataclasses import dataclass
from typing import Protocol

import structlog

from kiosk.terminal.view import Light

log = structlog.get_logger()


class Lit(Protocol):
    """What is used of FaceSession."""

    def painted(self, number: int, mono_us: int) -> None:
        """Take the page's word."""
        ...

    def exposure_held(self, *, held: bool) -> None:
        """Say whether the exposure is locked."""
        ...


@dataclass(frozen=True, slots=True)
class _Word:
    number: int
    mono_us: int


class ScreenLight:
    """One terminal's. `hold(True)` locks the camera's exposure and says whether it could; `hold(False)` frees it."""

    def __init__(self, hold: Callable[[bool], bool] = lambda held: False) -> None:
        self._hold = hold
        self._lock = threading.Lock()
        self._attempts = itertools.count(1)
        self._attempt = 0
        self._due: Light | None = None
        self._words: list[_Word] = []
        self._holding = False

    # The attendant's side

    def begin(self) -> None:
        """Start an attempt: words about the one before count for nothing."""
        with self._lock:
            self._attempt, self._due, self._words = next(self._attempts), None, []

    def hear(self, session: Lit) -> None:
        """Pass on what the page has said since."""
        with self._lock:
            words, self._words = self._words, []
        for word in words:
            session.painted(word.number, word.mono_us)

    def show(self, session: Lit, flash: tuple[int, tuple[int, int, int]] | None) -> None:
        """Say what is due now; the camera's exposure is held before the first colour and freed after the last."""
        if flash is not None and not self._holding:
            self._holding = True
            session.exposure_held(held=self._try_hold(held=True))
        with self._lock:
            self._due = None if flash is None else Light(self._attempt, *flash)
        if flash is None:
            self._free()

    def end(self) -> None:
        """The attempt is over: dark, and the camera is free."""
        with self._lock:
            self._due, self._words = None, []
        self._free()

    def _free(self) -> None:
        if self._holding:
            self._holding = False
            self._try_hold(held=False)

    def _try_hold(self, *, held: bool) -> bool:
        try:
            return self._hold(held)
        except Exception:  # a camera that cannot costs the flash its word, never the attempt
            log.exception("exposure_not_held", held=held)
            return False

    # The screen's side

    @property
    def due(self) -> Light | None:
        """What the page shall show now; None: nothing of this."""
        with self._lock:
            return self._due

    def painted(self, attempt: int, number: int, age_us: int) -> None:
        """The page has shown that colour since `age_us` ago; a word about another attempt is dropped."""
        now_us = time.monotonic_ns() // 1000
        with self._lock:
            if attempt == self._attempt and self._due is not None:
                self._words.append(_Word(number, now_us - max(0, age_us)))
