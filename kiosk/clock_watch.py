"""Signs each step of the wall clock, the one that happened while nothing ran here, too."""

from __future__ import annotations

from collections.abc import Callable

from evidence.events import Kind
from kiosk.clock import Stamp, step_ms
from kiosk.journal import Journal


class ClockWatch:
    """Compares each look with the last one, the first with the journal's last event. `wake`: the uplink.

    Raises a JournalError where that cannot be read.
    """

    def __init__(self, journal: Journal, wake: Callable[[], None]) -> None:
        self._journal, self._wake = journal, wake
        self._last = journal.last_stamp

    def look(self, now: Stamp) -> None:
        """Sign a step since the last look. Raises a JournalError; then the next look finds it again."""
        if (step := step_ms(self._last, now)) is not None:
            self._journal.append(Kind.CLOCK_STEPPED, {"from": self._last.time, "step_ms": step})
            self._wake()
        self._last = now
