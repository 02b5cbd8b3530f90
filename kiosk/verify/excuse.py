"""Excuses: prompts that one worker is never asked, such as turning with a stiff neck. From some, never from all."""

from __future__ import annotations

from collections.abc import Collection

from evidence.events import Ask
from kiosk.verify.challenge import BLINK_MIN_FPS, choose_asks
from kiosk.verify.errors import VerifyError


class ExcusedFromAll(VerifyError):
    """Nothing would be left to ask."""


def require_some_prompt(excused: Collection[Ask]) -> None:
    """Raise ExcusedFromAll where this terminal could ask nothing any more.

    A camera too slow for blinks counts against the worker then (`not_asked`), never for him.
    """
    asks, _ = choose_asks(_First(), BLINK_MIN_FPS, frozenset(excused))
    if not asks:
        raise ExcusedFromAll("nobody is excused from every prompt; leave one, or enrol without a face (--no-face)")


class _First:
    """Draws the lowest; only whether anything can be drawn is asked."""

    def randrange(self, start: int, stop: int, /) -> int:
        return start
