"""Presence: sightings of a punched-in worker's badge become intervals. Pure: sightings and time in, intervals out.

An interval says one of three things, and nothing is said of the time between intervals:
- heard: the badge was heard; from the first sighting to the last, never further;
- silent: the terminal listened without a hole, heard others and not the badge;
- deaf: the terminal heard nobody. Its own gap, never the badge's.
A badge proves where the badge is, not the person (docs/presence.md).
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass, field
from typing import Literal

from kiosk.breaks import Breaks

SILENT_AFTER_US = 120_000_000  # a body and a container before the antenna swallow a minute of packets, two rarely
DEAF_AFTER_US = 30_000_000  # an anchor sends at least every 2 s: fifteen in a row are not lost to chance
CUT_AFTER_US = 1_800_000_000  # what is known leaves the terminal every half hour
STEP_MS = 500  # wall clock against monotonic clock between two moments, as kiosk.clock takes it

State = Literal["heard", "silent", "deaf"]
Ending = Literal[
    "badge_silent",  # the badge fell silent while the terminal listened
    "badge_heard",  # it was heard again
    "scanner_stale",  # the terminal has heard nobody for a while
    "scanner_back",  # it hears again
    "cut",  # long enough; the next interval goes on from here
    "out",
    "in",  # punched in again without an OUT
    "break",
    "shift_limit",
    "terminal_stopped",
    "terminal_restarted",  # it had ended without a word; this is the last that was kept
    "clock_stepped",
]


@dataclass(frozen=True, slots=True)
class Moment:
    """One moment by both clocks of the terminal."""

    mono_us: int
    unix_ms: int


@dataclass(frozen=True, slots=True)
class Interval:
    """What is known of one badge between two moments of one boot."""

    worker: str
    state: State
    start: Moment
    end: Moment
    samples: int  # sightings counted; 0 unless heard
    median_rssi: int | None  # dBm
    ended_by: Ending


@dataclass(slots=True)
class _Sightings:
    start: Moment
    last: Moment
    counts: dict[int, int] = field(default_factory=dict)  # how often each dBm: a day's median in a few hundred bytes

    @property
    def samples(self) -> int:
        return sum(self.counts.values())

    def median(self) -> int:
        """The lower median in dBm."""
        middle, seen = (self.samples + 1) // 2, 0
        for dbm in sorted(self.counts):
            seen += self.counts[dbm]
            if seen >= middle:
                return dbm
        raise ValueError("no sightings have no median")


@dataclass(slots=True)
class _Shift:
    worker: str
    since: Moment  # from when on it is followed
    limit_us: int  # by the monotonic clock, which nobody sets
    began_ms: int | None = None  # Unix time of an IN of another boot: a clock that is set later corrects the limit
    heard: _Sightings | None = None
    silent_from: Moment | None = None  # since when it was listened for in vain
    goes_on: bool = False  # the silence continues one that was cut
    deaf_from: Moment | None = None


class Presence:
    """Follows the workers who are on shift. Not for two threads at once; moments never go back by the monotonic clock.

    `max_shift_us`: after so long without an OUT a shift is over for this terminal.
    """

    def __init__(self, *, breaks: Breaks, max_shift_us: int) -> None:
        self._breaks = breaks
        self._max_shift_us = max_shift_us
        self._shifts: dict[str, _Shift] = {}
        self._now: Moment | None = None  # the newest moment known
        self._ear: Moment | None = None  # when anybody was last heard; None: nobody since the start, a break or a step
        self._vain: Moment | None = None  # since when it has listened without having heard anybody at all
        self._deaf = False
        self._unknown: dict[str, int] = {}  # INs that lie ahead of the clock: nobody knows how long ago they were
        self._out: list[Interval] = []

    @property
    def on_shift(self) -> tuple[str, ...]:
        """Employee codes of those who are followed."""
        return tuple(self._shifts)

    def punched_in(self, worker: str, at: Moment, already_us: int = 0, began_ms: int | None = None) -> list[Interval]:
        """Begin to follow a worker. After a restart: `already_us` is how long the shift has lasted; of another boot
        nobody measured that, and `began_ms` is the wall clock's time of the IN.
        """
        at = self._advance(at)
        if worker in self._shifts:
            self._end(worker, at, "in")
        self._unknown.pop(worker, None)
        if began_ms is not None and began_ms > at.unix_ms:
            self._unknown[worker] = began_ms
        else:
            limit_us = at.mono_us + self._max_shift_us - already_us
            if began_ms is not None:
                limit_us = self._limit_us(began_ms, at)
            self._follow(_Shift(worker, at, limit_us, began_ms))
        return self._take()

    def punched_out(self, worker: str, at: Moment) -> list[Interval]:
        """Follow a worker no longer."""
        at = self._advance(at)
        self._unknown.pop(worker, None)
        if worker in self._shifts:
            self._end(worker, at, "out")
        return self._take()

    def forget(self, worker: str) -> None:
        """Follow an erased worker no longer; what is open about him is never said."""
        self._shifts.pop(worker, None)
        self._unknown.pop(worker, None)

    def heard(self, at: Moment, badges: Iterable[tuple[str, int | None]]) -> list[Interval]:
        """Take one advertisement: of anybody, and of these workers' badges with their dBm.

        Without dBm a badge was heard all the same: that is no silence, and no sample either.
        """
        if self._now is not None and at.mono_us < self._now.mono_us:
            return []  # from before what has been said already
        self._advance(at)
        if not self._breaks.on(at.unix_ms):
            self._listen(at)
            for worker, dbm in badges:
                shift = self._shifts.get(worker)
                if shift is not None:
                    self._sight(shift, at, dbm)
        return self._take()

    def tick(self, at: Moment) -> list[Interval]:
        """Let time pass; every few seconds."""
        if self._now is not None and at.mono_us < self._now.mono_us:
            return []
        self._advance(at)
        if self._ear is None and self._vain is None:
            self._vain = at  # in a break, too: the next moment forgets it
        since = self._ear or self._vain
        if since is not None and not self._deaf and at.mono_us - since.mono_us > DEAF_AFTER_US:
            self._go_deaf(since)
        for shift in list(self._shifts.values()):
            self._settle(shift)
        return self._take()

    def stop(self, at: Moment) -> list[Interval]:
        """Close everything: the terminal is being stopped. Shifts are found again in the journal."""
        self._close_all(self._advance(at), "terminal_stopped")
        return self._take()

    def unfinished(self) -> list[Interval]:
        """What would be left to say if the terminal died now, as it is to be signed at its next start."""
        self._out, out = [], self._out
        for shift in self._shifts.values():
            self._say_open(shift, self._now, "terminal_restarted")
        self._out, kept = out, self._out
        return kept

    # --- time

    def _advance(self, at: Moment) -> Moment:
        """Move to `at` and return it, or the newest moment where `at` is older.

        What lies between is dealt with first: a stepped clock, the beginning of a break, the end of a shift.
        """
        before = self._now
        if before is not None:
            if at.mono_us < before.mono_us:
                return before
            step_ms = at.unix_ms - before.unix_ms - (at.mono_us - before.mono_us) // 1000
            if abs(step_ms) > STEP_MS:
                self._close_all(before, "clock_stepped")
                self._measure_anew(at)
            elif (self._ear or self._vain) is not None and self._breaks.touched(before.unix_ms, at.unix_ms):
                self._close_all(before, "break")
        self._now = at
        for worker, shift in list(self._shifts.items()):
            over_us = at.mono_us - shift.limit_us
            if over_us >= 0:
                self._end(worker, Moment(shift.limit_us, at.unix_ms - over_us // 1000), "shift_limit")
        return at

    def _close_all(self, at: Moment, why: Ending) -> None:
        for shift in self._shifts.values():
            self._close(shift, at, why)
        self._forget_the_air()

    def _forget_the_air(self) -> None:
        self._ear, self._vain, self._deaf = None, None, False

    # --- how long a shift may last

    def _follow(self, shift: _Shift) -> None:
        if shift.limit_us <= shift.since.mono_us:
            return  # it is over for this terminal
        if self._deaf:
            shift.deaf_from = shift.since
        elif self._ear is not None:
            shift.silent_from = shift.since
        self._shifts[shift.worker] = shift

    def _limit_us(self, began_ms: int, at: Moment) -> int:
        """The end of a shift whose IN only the wall clock can tell; never later than a whole shift from now."""
        return at.mono_us + self._max_shift_us - max(0, at.unix_ms - began_ms) * 1000

    def _measure_anew(self, at: Moment) -> None:
        """The clock was set: what it said of INs before this boot was wrong."""
        for shift in self._shifts.values():
            if shift.began_ms is not None:
                shift.limit_us = self._limit_us(shift.began_ms, at)
        for worker, began_ms in list(self._unknown.items()):
            if began_ms <= at.unix_ms:
                del self._unknown[worker]
                self._follow(_Shift(worker, at, self._limit_us(began_ms, at), began_ms))

    # --- the air

    def _listen(self, at: Moment) -> None:
        """Somebody was heard: the terminal is not deaf."""
        since = self._ear or self._vain
        if since is not None and at.mono_us - since.mono_us > DEAF_AFTER_US:
            if not self._deaf:
                self._go_deaf(since)
            self._deaf = False
            for shift in self._shifts.values():
                self._say_deaf(shift, at, "scanner_back")
                shift.deaf_from, shift.silent_from = None, at
        elif self._ear is None:
            for shift in self._shifts.values():
                shift.silent_from = at
        self._ear, self._vain = at, None

    def _go_deaf(self, since: Moment) -> None:
        for shift in self._shifts.values():
            self._settle(shift)
            self._say_open(shift, since, "scanner_stale")
            begun = shift.silent_from or (shift.heard.start if shift.heard is not None else shift.since)
            shift.deaf_from = max(since, begun, key=lambda moment: moment.mono_us)  # a shift may be younger
            shift.heard, shift.silent_from, shift.goes_on = None, None, False
        self._deaf = True

    def _sight(self, shift: _Shift, at: Moment, dbm: int | None) -> None:
        self._settle(shift)
        if shift.silent_from is not None:
            self._say_silent(shift, at, "badge_heard")
            shift.silent_from, shift.goes_on = None, False
        if shift.heard is None:
            shift.heard = _Sightings(at, at)
        shift.heard.last = at
        if dbm is not None:
            shift.heard.counts[dbm] = shift.heard.counts.get(dbm, 0) + 1
        if at.mono_us - shift.heard.start.mono_us >= CUT_AFTER_US:
            self._say_heard(shift, "cut")
            shift.heard = _Sightings(at, at)

    def _settle(self, shift: _Shift) -> None:
        """Say what the listening so far has come to; only what others sent tells silence from deafness."""
        if self._ear is None or self._deaf:
            return
        if shift.heard is not None and self._ear.mono_us - shift.heard.last.mono_us >= SILENT_AFTER_US:
            self._say_heard(shift, "badge_silent")
            shift.silent_from, shift.heard = shift.heard.last, None
        if shift.silent_from is not None and self._ear.mono_us - shift.silent_from.mono_us >= CUT_AFTER_US:
            self._say_silent(shift, self._ear, "cut")
            shift.silent_from, shift.goes_on = self._ear, True

    # --- what is said

    def _end(self, worker: str, at: Moment, why: Ending) -> None:
        self._close(self._shifts.pop(worker), at, why)

    def _close(self, shift: _Shift, at: Moment, why: Ending) -> None:
        self._settle(shift)
        self._say_open(shift, at, why)
        shift.heard, shift.silent_from, shift.deaf_from, shift.goes_on = None, None, None, False

    def _say_open(self, shift: _Shift, at: Moment | None, why: Ending) -> None:
        """Say what is open, at most up to `at`."""
        if at is None:
            return
        self._say_heard(shift, why)
        if self._ear is not None:
            self._say_silent(shift, min(self._ear, at, key=lambda moment: moment.mono_us), why)
        self._say_deaf(shift, at, why)

    def _say_heard(self, shift: _Shift, why: Ending) -> None:
        heard = shift.heard
        if heard is not None and heard.counts:
            told = (heard.start, heard.last, heard.samples, heard.median())
            self._out.append(Interval(shift.worker, "heard", *told, why))

    def _say_silent(self, shift: _Shift, end: Moment, why: Ending) -> None:
        if shift.silent_from is None:
            return
        length_us = end.mono_us - shift.silent_from.mono_us
        if length_us >= (1 if shift.goes_on else SILENT_AFTER_US):
            self._out.append(Interval(shift.worker, "silent", shift.silent_from, end, 0, None, why))

    def _say_deaf(self, shift: _Shift, end: Moment, why: Ending) -> None:
        if shift.deaf_from is not None and end.mono_us > shift.deaf_from.mono_us:
            self._out.append(Interval(shift.worker, "deaf", shift.deaf_from, end, 0, None, why))

    def _take(self) -> list[Interval]:
        self._out, out = [], self._out
        return out
