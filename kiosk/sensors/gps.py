"""From sentences to a judgement of the place: which fixes count, when there are enough, what looks simulated. Pure.

The order of the rules is the order of `_verdict`: a spoofing sign wins over everything, then no fix, movement, too few
good fixes, and only then inside or outside. Times are microseconds of the monotonic clock and come with the lines, so a
recording is judged by the time inside it (`nmea.line_times`) and a live receiver by the terminal's own.
"""

from __future__ import annotations

import math
import statistics
from collections import Counter, deque
from dataclasses import dataclass
from datetime import UTC, datetime, time, timedelta

from kiosk.sensors.nmea import Gga, Gsa, Gsv, Other, Rejected, Rmc, read_sentence

MARGIN_M = 25  # what a good consumer receiver is wrong by among scaffolding
ENOUGH_FIXES = 20  # of the last MOST_FIXES; the median of fewer still wanders
MOST_FIXES = 30
WINDOW_US = 60_000_000  # older fixes are another situation
FRESH_US = 5_000_000
WORST_HDOP = 2.5
FEWEST_SATELLITES = 6
GOOD_QUALITIES = frozenset(
    {1, 2, 4, 5}
)  # GPS, differential, RTK fixed and float; 6 dead reckoning, 7 manual, 8 simulator
NOT_MEASURED_MODES = frozenset("EMN")  # FAA mode: estimated, manual, not valid
SIMULATOR_QUALITY = 8
MOVING_KNOTS = 2.0  # 1 m/s: walking pace; a still receiver reports up to 0.5 among reflections
SPEEDS = 5  # one wrong speed does not make a terminal move
FEWEST_SPEEDS = 3
FLAT_SPREAD_DB = 0.8  # a simulator gives 0.0 to 0.5, the sky at least 1.1 (typically 5) over the satellites in use
FEWEST_STRENGTHS = 3  # a spread of two says nothing
SUSPECT_AFTER_US = 10_000_000
SUSPECT_HOLDS_US = 10_000_000  # after the last sentence that says it is simulated
MOVED_M = 50  # a bolted terminal does not move
CLIMBED_M = 100
EARTH_RADIUS_M = 6_371_008.8


@dataclass(frozen=True, slots=True)
class Fence:
    """A site as a circle."""

    latitude_e7: int
    longitude_e7: int
    radius_m: int


@dataclass(frozen=True, slots=True)
class GpsReading:
    """What the receiver says now, judged.

    `verdict` is suspect, no_fix, moving, insufficient, still, inside or outside. The position is the median of the
    good fixes where there are enough, else the latest fix. `flags` are signs for a reviewer: simulator, flat_snr,
    moved, climbed, clock_differs. `rejected` counts refused lines by reason.
    """

    verdict: str
    latitude_e7: int | None
    longitude_e7: int | None
    hdop_tenths: int | None
    satellites: int | None
    fixes: int
    age_ms: int | None
    flags: tuple[str, ...]
    rejected: dict[str, int]


@dataclass(frozen=True, slots=True)
class _Fix:
    mono_us: int
    latitude: float
    longitude: float
    altitude_m: float | None
    hdop: float | None
    satellites: int | None


@dataclass(frozen=True, slots=True)
class _Place:
    latitude: float
    longitude: float
    altitude_m: float | None


def distance_m(latitude_a: float, longitude_a: float, latitude_b: float, longitude_b: float) -> float:
    """Metres over the sphere between two positions in degrees (haversine; wrong by at most 0.5 %)."""
    phi_a, phi_b = math.radians(latitude_a), math.radians(latitude_b)
    half_phi = (phi_b - phi_a) / 2
    half_lambda = math.radians(longitude_b - longitude_a) / 2
    chord = math.sin(half_phi) ** 2 + math.cos(phi_a) * math.cos(phi_b) * math.sin(half_lambda) ** 2
    return 2 * EARTH_RADIUS_M * math.asin(math.sqrt(min(1.0, chord)))


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
        """Note the strengths of one GSV."""
        for number, strength in gsv.strengths:
            if strength is None:
                self._strengths.pop((gsv.system, number), None)
            else:
                self._strengths[gsv.system, number] = (strength, mono_us)

    def spread_db(self, mono_us: int) -> float | None:
        """Standard deviation of the strengths of the satellites in use; None when too few are known."""
        strengths = [found for one in self._used if (found := self._strength(*one, mono_us)) is not None]
        return statistics.pstdev(strengths) if len(strengths) >= FEWEST_STRENGTHS else None

    def sky(self, mono_us: int) -> dict[str, int]:
        """Strength in dB-Hz of each satellite in view that was heard lately, by system and number."""
        fresh = ((key, strength) for key, (strength, at_us) in self._strengths.items() if mono_us - at_us <= FRESH_US)
        return {f"{system}{number}": strength for (system, number), strength in sorted(fresh)}

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


class FixTracker:
    """Takes lines, keeps the fixes that count, and says where the receiver stands. Not for two threads at once."""

    def __init__(self, fence: Fence | None) -> None:
        self.fence = fence
        self.lines = 0  # every line fed; accepted + rejected
        self.accepted = 0
        self._rejected: Counter[str] = Counter()
        self._signs = SpoofSigns()
        self._rmc: tuple[Rmc, int] | None = None
        self._gga: tuple[Gga, int] | None = None
        self._three_d_at_us: int | None = None
        self._second: int | None = None  # second of the day that the sentences are in
        self._fixed_second: int | None = None  # the second of the latest fix: one fix a second counts
        self._latest: _Fix | None = None
        self._good: deque[_Fix] = deque(maxlen=MOST_FIXES)
        self._speeds: deque[tuple[int, float]] = deque(maxlen=SPEEDS)
        self._home: _Place | None = None  # where it stood when it first had enough fixes
        self._clock: tuple[datetime, int] | None = None

    def feed(self, line: bytes, mono_us: int) -> None:
        """Take one line (with or without its line end) that came at `mono_us`; never raises."""
        self.lines += 1
        sentence = read_sentence(line.rstrip(b"\r\n"))
        if isinstance(sentence, Rejected):
            self._rejected[sentence.reason] += 1
            return
        self.accepted += 1
        if isinstance(sentence, Rmc):
            self._take_rmc(sentence, mono_us)
        elif isinstance(sentence, Gga):
            self._take_gga(sentence, mono_us)
        elif isinstance(sentence, Gsa):
            self._signs.satellites_used(sentence, self._second)
            if sentence.dimensions == 3:
                self._three_d_at_us = mono_us
            elif sentence.used or sentence.dimensions == 2:
                self._three_d_at_us = None
        elif isinstance(sentence, Gsv):
            self._signs.satellites_in_view(sentence, mono_us)
        elif isinstance(sentence, Other) and sentence.simulated:
            self._signs.simulated(mono_us)

    def reading(self, mono_us: int) -> GpsReading:
        """Judge what has come until `mono_us`."""
        while self._good and mono_us - self._good[0].mono_us > WINDOW_US:
            self._good.popleft()
        place = self._place()
        flags = (*self._signs.flags(mono_us), *self._displacement(place))
        verdict = self._verdict(mono_us, flags, place)
        latest = None if verdict == "no_fix" else self._latest
        shown = place if place is not None and verdict in ("inside", "outside", "still") else latest
        return GpsReading(
            verdict=verdict,
            latitude_e7=None if shown is None else round(shown.latitude * 1e7),
            longitude_e7=None if shown is None else round(shown.longitude * 1e7),
            hdop_tenths=None if latest is None or latest.hdop is None else round(latest.hdop * 10),
            satellites=None if latest is None else latest.satellites,
            fixes=len(self._good),
            age_ms=None if self._latest is None else max(0, (mono_us - self._latest.mono_us) // 1000),
            flags=flags,
            rejected=dict(self._rejected),
        )

    def sky(self, mono_us: int) -> dict[str, int]:
        """Strength in dB-Hz of each satellite in view."""
        return self._signs.sky(mono_us)

    def gnss_time(self, mono_us: int) -> datetime | None:
        """UTC by the satellites at `mono_us`, None without a fresh fix; late by what the serial line takes."""
        if self._clock is None or mono_us - self._clock[1] > FRESH_US:
            return None
        return self._clock[0] + timedelta(microseconds=mono_us - self._clock[1])

    def _verdict(self, mono_us: int, flags: tuple[str, ...], place: _Place | None) -> str:
        if "simulator" in flags or "flat_snr" in flags:
            return "suspect"
        if self._latest is None or mono_us - self._latest.mono_us > FRESH_US:
            return "no_fix"
        if self._moving(mono_us):
            return "moving"
        if place is None or mono_us - self._good[-1].mono_us > FRESH_US:
            return "insufficient"
        if self.fence is None:
            return "still"
        latitude, longitude = self.fence.latitude_e7 / 1e7, self.fence.longitude_e7 / 1e7
        away_m = distance_m(latitude, longitude, place.latitude, place.longitude)
        return "inside" if away_m <= self.fence.radius_m + MARGIN_M else "outside"

    def _take_rmc(self, rmc: Rmc, mono_us: int) -> None:
        if rmc.mode == "S":
            self._signs.simulated(mono_us)
        if rmc.active:
            self._enter_second(rmc.time, mono_us)
        self._rmc = (rmc, mono_us)
        self._pair(mono_us)

    def _take_gga(self, gga: Gga, mono_us: int) -> None:
        if gga.quality == SIMULATOR_QUALITY:
            self._signs.simulated(mono_us)
        if gga.time is not None:
            self._enter_second(gga.time, mono_us)
        self._gga = (gga, mono_us)
        self._pair(mono_us)

    def _enter_second(self, stamp: time, mono_us: int) -> None:
        second = _second_of_day(stamp)
        if second != self._second:
            self._signs.second_over(mono_us)
            self._second = second

    def _pair(self, mono_us: int) -> None:
        """Make a fix when an RMC and a GGA of the same second have come."""
        if self._rmc is None or self._gga is None:
            return
        (rmc, rmc_us), (gga, gga_us) = self._rmc, self._gga
        if gga.time is None or _second_of_day(rmc.time) != _second_of_day(gga.time):
            return
        if abs(rmc_us - gga_us) > FRESH_US or _second_of_day(gga.time) == self._fixed_second:
            return
        if not rmc.active or rmc.mode in NOT_MEASURED_MODES or gga.quality not in GOOD_QUALITIES:
            return
        if gga.latitude is None or gga.longitude is None:
            return
        fix = _Fix(mono_us, gga.latitude, gga.longitude, gga.altitude_m, gga.hdop, gga.satellites)
        self._fixed_second = _second_of_day(gga.time)
        self._latest = fix
        if rmc.date is not None:
            self._clock = (datetime.combine(rmc.date, rmc.time, UTC), rmc_us)
        if rmc.speed_knots is not None:
            self._speeds.append((mono_us, rmc.speed_knots))
        if self._moving(mono_us):
            self._good.clear()  # where it was before it moved is not where it is
        elif self._counts(fix):
            self._good.append(fix)
            self._remember_home()

    def _counts(self, fix: _Fix) -> bool:
        three_d = self._three_d_at_us is not None and fix.mono_us - self._three_d_at_us <= FRESH_US
        sharp = fix.hdop is not None and fix.hdop <= WORST_HDOP
        return three_d and sharp and fix.satellites is not None and fix.satellites >= FEWEST_SATELLITES

    def _moving(self, mono_us: int) -> bool:
        speeds = [knots for at_us, knots in self._speeds if mono_us - at_us <= 2 * FRESH_US]
        return len(speeds) >= FEWEST_SPEEDS and statistics.median(speeds) > MOVING_KNOTS

    def _place(self) -> _Place | None:
        if len(self._good) < ENOUGH_FIXES:
            return None
        longitudes = [fix.longitude for fix in self._good]
        if max(longitudes) - min(longitudes) > 180:  # both sides of the date line
            longitudes = [one + 360 if one < 0 else one for one in longitudes]
        longitude = statistics.median(longitudes)
        altitudes = [fix.altitude_m for fix in self._good if fix.altitude_m is not None]
        return _Place(
            latitude=statistics.median(fix.latitude for fix in self._good),
            longitude=longitude - 360 if longitude > 180 else longitude,
            altitude_m=statistics.median(altitudes) if altitudes else None,
        )

    def _remember_home(self) -> None:
        if self._home is None:
            self._home = self._place()

    def _displacement(self, place: _Place | None) -> tuple[str, ...]:
        """Signs that a bolted terminal is somewhere else than when it was started."""
        if place is None or self._home is None:
            return ()
        home = self._home
        flags = []
        if distance_m(home.latitude, home.longitude, place.latitude, place.longitude) > MOVED_M:
            flags.append("moved")
        climbed = place.altitude_m is not None and home.altitude_m is not None
        if climbed and abs((place.altitude_m or 0.0) - (home.altitude_m or 0.0)) > CLIMBED_M:
            flags.append("climbed")
        return tuple(flags)


def _second_of_day(stamp: time) -> int:
    return stamp.hour * 3600 + stamp.minute * 60 + stamp.second
