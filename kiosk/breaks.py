"""A site's breaks, in its own local time: what a terminal must not look at. Pure."""

from __future__ import annotations

import re
from collections.abc import Iterable
from datetime import datetime
from zoneinfo import ZoneInfo

MINUTE_MS = 60_000
_WRITTEN = re.compile(r"^([01][0-9]|2[0-3]):([0-5][0-9])-([01][0-9]|2[0-3]):([0-5][0-9])$")


def parse_break(text: str) -> tuple[int, int]:
    """Read `12:00-13:00` as minutes of the day, the second exclusive; it may run over midnight. Raises ValueError."""
    found = _WRITTEN.match(text)
    if found is None:
        raise ValueError("a break is written 12:00-13:00")
    hours_minutes = [int(part) for part in found.groups()]
    start, end = hours_minutes[0] * 60 + hours_minutes[1], hours_minutes[2] * 60 + hours_minutes[3]
    if start == end:
        raise ValueError("a break has a beginning and another end, such as 12:00-13:00")
    return start, end


class Breaks:
    """Daily spans in the zone `tz` (IANA). Asked for the same minute again it does not compute again."""

    def __init__(self, spans: Iterable[str], tz: str) -> None:
        self._spans = [parse_break(span) for span in spans]
        self._zone = ZoneInfo(tz)
        self._minute = -1
        self._on = False

    def on(self, unix_ms: int) -> bool:
        """True while a break lasts; breaks begin and end on a full minute."""
        minute = unix_ms // MINUTE_MS
        if self._spans and minute != self._minute:
            local = datetime.fromtimestamp(minute * 60, self._zone)
            self._minute, self._on = minute, any(_within(local.hour * 60 + local.minute, span) for span in self._spans)
        return self._on

    def touched(self, after_ms: int, until_ms: int) -> bool:
        """True where any part of a break lies between two moments: a machine may have slept through all of it."""
        minutes = range(after_ms // MINUTE_MS + 1, until_ms // MINUTE_MS)
        return self.on(until_ms) or (bool(self._spans) and any(self.on(minute * MINUTE_MS) for minute in minutes))


def _within(minute: int, span: tuple[int, int]) -> bool:
    start, end = span
    return start <= minute < end if start < end else minute >= start or minute < end
