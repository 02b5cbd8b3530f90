"""From the code that a badge reader read to the worker whose badge it is; the reader's state, and the list's."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import structlog

from evidence.status import Part
from kiosk.badge_codes import worker_of
from kiosk.errors import BadgeCodesUnreadable
from kiosk.sensors.badges import BadgeSource

log = structlog.get_logger(__name__)


class BadgeReading:
    """`codes`: the site's list, read anew with each badge; `told` gets the employee code, None for nobody's badge."""

    def __init__(self, codes: Path | None, told: Callable[[str | None], None]) -> None:
        self._codes, self._told = codes, told
        self._trouble: str | None = None  # with the list, at the last badge
        self.reader: BadgeSource | None = None  # None: this terminal has none

    def read(self, code: str) -> None:
        """Take a badge that was held to the reader."""
        try:
            worker = worker_of(code, self._codes)
            self._trouble = None
        except BadgeCodesUnreadable as error:
            worker, self._trouble = None, f"{error.code}: {error}"[:400]
            log.error("badge_codes_unreadable", why=str(error))
        self._told(worker)

    @property
    def state(self) -> Part:
        """How the reader is; `degraded` where the list cannot be read."""
        if self.reader is None:
            return Part(state="absent")
        state = self.reader.state
        if state.state == "working" and self._trouble is not None:
            return Part(state="degraded", reason=self._trouble)
        return state
