"""For how long the terminal could have seen a worker: what makes "no punch" mean something later. Pure.

The keeper looks at the parts every few seconds; a stretch between two looks counts for a part only where the part
worked at both ends, and for nobody where the looks lie too far apart. So the sums err towards less, never more.
"""

from __future__ import annotations

from collections import Counter
from dataclasses import dataclass

from evidence.events import CoverageBody
from kiosk.clock import Stamp

PARTS = ("camera", "scanner", "gps", "uplink")
LONGEST_STRETCH_US = 15_000_000  # three rounds of the keeper; what happened in a longer one nobody saw


@dataclass(frozen=True, slots=True)
class Look:
    """The parts at one moment: True where one works, None where the terminal has none; counts since the start."""

    mono_us: int
    camera: bool | None
    scanner: bool | None
    gps: bool | None
    uplink: bool | None
    frames: int | None = None
    advertisements: int | None = None


class Coverage:
    """Adds up looks into one report after the other. Not for two threads at once."""

    def __init__(self, started: Stamp, *, screen: bool) -> None:
        """`screen`: whether a screen is served, without which nobody can punch."""
        self._screen = screen
        self._first = True
        self._look: Look | None = None
        self._has: set[str] = set()  # what this terminal has
        self._begin(started)

    def look(self, look: Look) -> None:
        """Take one look; the stretch since the last one is added up."""
        before, self._look = self._look, look
        self._has.update(part for part in PARTS if getattr(look, part) is not None)
        self._has.update(what for what in ("frames", "advertisements") if getattr(look, what) is not None)
        for what in ("frames", "advertisements"):
            self._counts[what] += _more(before, look, what)
        stretch_us = 0 if before is None else look.mono_us - before.mono_us
        if before is None or not 0 < stretch_us <= LONGEST_STRETCH_US:
            return
        self._observed_us += stretch_us
        for part in PARTS:
            if getattr(before, part) and getattr(look, part):
                self._worked_us[part] += stretch_us

    def lasted_s(self, mono_us: int) -> float:
        """Seconds since the period began."""
        return (mono_us - self._since.mono_us) / 1e6

    def report(self, now: Stamp, unsent: int, *, last: bool = False, checkpoint: str | None = None) -> CoverageBody:
        """Say what the period came to until `now`; it goes on until `signed` says that the report is kept.

        `checkpoint` is the newest one of the ledger that was seen here.
        """
        return CoverageBody(
            since=self._since.time,
            until=now.time,
            seconds=max(0, now.mono_us - self._since.mono_us) // 1_000_000,
            observed_s=self._observed_us // 1_000_000,
            first=self._first,
            last=last,
            screen=self._screen,
            camera_s=self._worked("camera"),
            scanner_s=self._worked("scanner"),
            gps_s=self._worked("gps"),
            uplink_s=self._worked("uplink"),
            frames=self._counts["frames"] if "frames" in self._has else None,
            advertisements=self._counts["advertisements"] if "advertisements" in self._has else None,
            unsent=unsent,
            checkpoint=checkpoint,
        )

    def signed(self, now: Stamp) -> None:
        """Begin the next period where the report left off."""
        self._first = False
        self._begin(now)

    def _begin(self, now: Stamp) -> None:
        self._since = now
        self._observed_us = 0
        self._worked_us: Counter[str] = Counter()
        self._counts: Counter[str] = Counter()

    def _worked(self, part: str) -> int | None:
        return self._worked_us[part] // 1_000_000 if part in self._has else None


def _more(before: Look | None, look: Look, what: str) -> int:
    """How many more than at the last look; a counter that fell was begun anew."""
    now: int = getattr(look, what) or 0
    then: int = 0 if before is None else getattr(before, what) or 0
    return now - then if now >= then else now
