"""What looks wrong about a satellite signal: a simulator, a time that jumps, an antenna that is gone. Pure.

A sign is a flag on the record for whoever reviews it, and never a reason to drop a punch; only a simulator makes the
whole reading suspect (docs/adr/0015). All times are microseconds of the monotonic clock of whoever reads.
"""

from __future__ import annotations

import statistics
from collections import deque
from datetime import UTC, datetime, timedelta

from kiosk.sensors.nmea import Gsa, Gsv

FRESH_US = 5_000_000  # older than this a strength or a time says nothing about now
MOST_SATELLITES = 128  # remembered at once; five systems show some 50 at a time
FLAT_SPREAD_DB = 0.8  # a simulator gives 0.0 to 0.5, the sky at least 1.1 (typically 5) over the satellites in use
FEWEST_STRENGTHS = 3  # a spread of two says nothing
SUSPECT_AFTER_US = 10_000_000
SUSPECT_HOLDS_US = 10_000_000  # after the last sentence that says it is simulated
JUMP_US = 2_000_000  # a cold receiver corrects its leap seconds by up to 2 s within its first quarter of an hour
STEADY_US = 500_000  # times of one clock agree to this; lines that waited in a buffer come in a burst and do not
FEWEST_STEADY = 3  # one late or wrong time is no jump
JUMP_HOLDS_US = 600_000_000  # a taken-over receiver jumps once and then runs smoothly: the next punches carry the sign
OFFSETS = 5  # the least late of these is the truest: a serial line only ever delays
SILENT_SKY_US = 10_000_000  # a passing crane does not take every satellite for so long


class SpoofSigns:
    """Watches for a simulator: one that says so, and one whose satellites are all equally strong."""

    def __init__(self) -> None:
        self._used: set[tuple[str | None, int]] = set()
        self._used_second: int | None = None
        self._strengths: dict[tuple[str, int], tuple[int, int]] = {}  # (system, id): dB-Hz, mono_us
        self._flat_since_us: int | None = None
        self._flat_at_us: int | None = None
        self._said_at_us: int | None = None

    def simulated(self, mono_us: int) -> None:
        """Note a sentence that calls itself simulated."""
        self._said_at_us = mono_us

    def satellites_used(self, gsa: Gsa, second: int | None) -> None:
        """Note the satellites of one GSA; several follow each other within a second, one a system."""
        if second != self._used_second:
            self._used.clear()
            self._used_second = second
        self._used.update((gsa.system, number) for number in gsa.used)

    def satellites_in_view(self, gsv: Gsv, mono_us: int) -> None:
        """Note the strengths of one GSV; those of other senders are old within seconds, and room is bounded anyway."""
        for place, (_, at_us) in list(self._strengths.items()):
            if mono_us - at_us > FRESH_US:
                del self._strengths[place]
        for one in gsv.satellites:
            if one.strength is None:
                self._strengths.pop((gsv.system, one.number), None)
            elif (gsv.system, one.number) in self._strengths or len(self._strengths) < MOST_SATELLITES:
                self._strengths[gsv.system, one.number] = (one.strength, mono_us)

    def spread_db(self, mono_us: int) -> float | None:
        """Standard deviation of the strengths of the satellites in use; None when too few are known."""
        strengths = [found for one in self._used if (found := self._strength(*one, mono_us)) is not None]
        return statistics.pstdev(strengths) if len(strengths) >= FEWEST_STRENGTHS else None

    def second_over(self, mono_us: int) -> None:
        """Judge the second that just ended."""
        spread = self.spread_db(mono_us)
        if spread is None or spread >= FLAT_SPREAD_DB:
            self._flat_since_us = None
            return
        if self._flat_since_us is None:
            self._flat_since_us = mono_us
        self._flat_at_us = mono_us

    def flags(self, mono_us: int) -> tuple[str, ...]:
        """`simulator` where a sentence says so, `flat_snr` where the strengths have been equal for ten seconds."""
        flags = []
        if self._said_at_us is not None and mono_us - self._said_at_us <= SUSPECT_HOLDS_US:
            flags.append("simulator")
        if self._flat_since_us is not None and self._flat_at_us is not None:
            lasting = self._flat_at_us - self._flat_since_us >= SUSPECT_AFTER_US
            if lasting and mono_us - self._flat_at_us <= FRESH_US:
                flags.append("flat_snr")
        return tuple(flags)

    def _strength(self, system: str | None, number: int, mono_us: int) -> int | None:
        found = [
            strength
            for (of_system, of_number), (strength, at_us) in self._strengths.items()
            if of_number == number and system in (None, of_system) and mono_us - at_us <= FRESH_US
        ]
        # A mixed GSA that does not name its system may mean two satellites: neither is looked up then.
        return found[0] if len(found) == 1 else None


class TimeSigns:
    """Compares the satellites' time with the monotonic clock: what they say now, and whether it has jumped."""

    def __init__(self) -> None:
        self._offsets_us: deque[tuple[int, int]] = deque(maxlen=OFFSETS)  # (GNSS minus monotonic, when)
        self._steady_us: int | None = None  # the offset that the clock is believed to have
        self._other_us: list[int] = []  # offsets that differ from it and agree with each other
        self._jumped_at_us: int | None = None

    def fix(self, moment: datetime, mono_us: int) -> None:
        """Note the time of a fix: `moment` in UTC, heard at `mono_us`."""
        offset_us = round(moment.timestamp() * 1e6) - mono_us
        self._offsets_us.append((offset_us, mono_us))
        if self._steady_us is None:
            self._steady_us = offset_us
        elif abs(offset_us - self._steady_us) <= JUMP_US:
            self._other_us.clear()
            # A drifting crystal is followed; a burst from a full buffer, late by a second or two, hardly counts.
            self._steady_us += (offset_us - self._steady_us) // 8
        else:
            if self._other_us and abs(offset_us - self._other_us[-1]) > STEADY_US:
                self._other_us.clear()
            self._other_us.append(offset_us)
            if len(self._other_us) >= FEWEST_STEADY:
                self._jump(offset_us, mono_us)

    def now(self, mono_us: int) -> datetime | None:
        """UTC by the satellites at `mono_us`; None without a fresh fix. Late by what the serial line takes."""
        fresh = [offset_us for offset_us, at_us in self._offsets_us if mono_us - at_us <= FRESH_US]
        if not fresh:
            return None
        return datetime.fromtimestamp(0, UTC) + timedelta(microseconds=max(fresh) + mono_us)

    def flags(self, mono_us: int) -> tuple[str, ...]:
        """`time_jumped` for ten minutes after the satellites' time left the monotonic clock's by more than 2 s."""
        if self._jumped_at_us is None or mono_us - self._jumped_at_us > JUMP_HOLDS_US:
            return ()
        return ("time_jumped",)

    def interrupted(self) -> None:
        """Forget the times of a receiver that was unplugged; a jump that was seen stays seen."""
        self._offsets_us.clear()
        self._other_us.clear()
        self._steady_us = None

    def _jump(self, offset_us: int, mono_us: int) -> None:
        self._jumped_at_us, self._steady_us = mono_us, offset_us
        self._offsets_us = deque(list(self._offsets_us)[-FEWEST_STEADY:], maxlen=OFFSETS)
        self._other_us.clear()


class AntennaSigns:
    """Watches for an antenna that is cut off or torn down: the receiver says so, or every satellite fell silent."""

    def __init__(self) -> None:
        self._said_lost = False  # receivers say it once, when it changes
        self._heard_at_us: int | None = None  # the last satellite with any strength
        self._told_at_us: int | None = None  # the last sentence about satellites in view

    def said(self, state: str) -> None:
        """Note what the receiver says of its antenna: `ok`, `open` or `short`."""
        self._said_lost = state != "ok"

    def satellites_in_view(self, gsv: Gsv, mono_us: int) -> None:
        """Note one GSV."""
        self._told_at_us = mono_us
        if any(one.strength for one in gsv.satellites):
            self._heard_at_us = mono_us

    def flags(self, mono_us: int, *, fixed: bool) -> tuple[str, ...]:
        """`antenna_lost`; never while there is a fix, for some receivers call every passive antenna open."""
        if fixed:
            return ()
        told = self._told_at_us is not None and mono_us - self._told_at_us <= FRESH_US
        fell_silent = self._heard_at_us is not None and mono_us - self._heard_at_us > SILENT_SKY_US
        return ("antenna_lost",) if self._said_lost or (told and fell_silent) else ()

    def interrupted(self) -> None:
        """Forget what was heard of a receiver that was unplugged."""
        self._said_lost = False
        self._heard_at_us = self._told_at_us = None
