"""From sentences to a judgement of the place: which fixes count, when there are enough, what looks simulated. Pure.

The order of the rules is the order of `_verdict`: a spoofing sign wins over everything, then no fix, movement, too few
good fixes, and only then inside or outside. Times are microseconds of the monotonic clock and come with the lines, so a
recording is judged by the time inside it (`nmea.line_times`) and a live receiver by the terminal's own.
"""

from __future__ import annotations

import math
import statistics
from collections import Counter, deque
from collections.abc import Collection
from dataclasses import dataclass
from datetime import UTC, datetime, time

from kiosk.sensors.gps_signs import FRESH_US, AntennaSigns, SpoofSigns, TimeSigns
from kiosk.sensors.gps_sky import Satellite, Sky
from kiosk.sensors.nmea import Antenna, Gga, Gsa, Gsv, Other, Rejected, Rmc, Sentence, read_sentence

MARGIN_M = 25  # what a good consumer receiver is wrong by among scaffolding
ENOUGH_FIXES = 20  # of the last MOST_FIXES; the median of fewer still wanders
MOST_FIXES = 30
WINDOW_US = 60_000_000  # older fixes are another situation
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
SUSPECT_FLAGS = frozenset({"simulator", "flat_snr"})  # the others are for a reviewer only (docs/adr/0015)
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
    time_jumped, antenna_lost, moved, climbed, clock_differs. `rejected` counts refused lines by reason.
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
class Place:
    """A position in degrees, WGS 84, and metres above the sea."""

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


def median_place(fixes: Collection[_Fix | Place]) -> Place:
    """The median of positions, each coordinate by itself; right on the date line. Raises ValueError for none."""
    longitudes = [fix.longitude for fix in fixes]
    if max(longitudes) - min(longitudes) > 180:  # both sides of the date line
        longitudes = [one + 360 if one < 0 else one for one in longitudes]
    longitude = statistics.median(longitudes)
    altitudes = [fix.altitude_m for fix in fixes if fix.altitude_m is not None]
    return Place(
        latitude=statistics.median(fix.latitude for fix in fixes),
        longitude=longitude - 360 if longitude > 180 else longitude,
        altitude_m=statistics.median(altitudes) if altitudes else None,
    )


class FixTracker:
    """Takes lines, keeps the fixes that count, and says where the receiver stands. Not for two threads at once.

    `home` is where a bolted terminal stood before this start; None: it is where it first has enough fixes.
    """

    def __init__(self, fence: Fence | None, home: Place | None = None) -> None:
        self.fence = fence
        self.home = home
        self.lines = 0  # every line fed; accepted + rejected
        self.accepted = 0
        self.counted = 0  # fixes that the policy let count, `latest_counted` the last of them
        self.latest_counted: Place | None = None
        self._rejected: Counter[str] = Counter()
        self._signs = SpoofSigns()
        self._sky = Sky()
        self._times = TimeSigns()
        self._antenna = AntennaSigns()
        self._rmc: tuple[Rmc, int] | None = None
        self._gga: tuple[Gga, int] | None = None
        self._three_d_at_us: int | None = None
        self._second: int | None = None  # second of the day that the sentences are in
        self._fixed_second: int | None = None  # the second of the latest fix: one fix a second counts
        self._latest: _Fix | None = None
        self._flat: _Fix | None = None  # a fix that lacks only the word "3-D", which may follow within its second
        self._good: deque[_Fix] = deque(maxlen=MOST_FIXES)
        self._speeds: deque[tuple[int, float]] = deque(maxlen=SPEEDS)

    def feed(self, line: bytes, mono_us: int) -> None:
        """Take one line (with or without its line end) that came at `mono_us`; never raises."""
        self.lines += 1
        sentence = read_sentence(line.rstrip(b"\r\n"))
        if isinstance(sentence, Rejected):
            self._rejected[sentence.reason] += 1
            return
        self.accepted += 1
        self._take(sentence, mono_us)

    def interrupted(self) -> None:
        """Forget where it stands: the plug was pulled, and another receiver may be on it now. Home is kept."""
        self._rmc = self._gga = None
        self._three_d_at_us = self._second = self._fixed_second = None
        self._latest = self._flat = None
        self._good.clear()
        self._speeds.clear()
        self._times.interrupted()
        self._antenna.interrupted()

    def reading(self, mono_us: int) -> GpsReading:
        """Judge what has come until `mono_us`."""
        while self._good and mono_us - self._good[0].mono_us > WINDOW_US:
            self._good.popleft()
        place = self._place()
        fixed = self._latest is not None and mono_us - self._latest.mono_us <= FRESH_US
        flags = (
            *self._signs.flags(mono_us),
            *self._times.flags(mono_us),
            *self._antenna.flags(mono_us, fixed=fixed),
            *self._displacement(place),
        )
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

    def sky(self, mono_us: int) -> tuple[Satellite, ...]:
        """The satellites in view, strongest first."""
        return self._sky.view(mono_us)

    def gnss_time(self, mono_us: int) -> datetime | None:
        """UTC by the satellites at `mono_us`, None without a fresh fix; late by what the serial line takes."""
        return self._times.now(mono_us)

    def _take(self, sentence: Sentence, mono_us: int) -> None:
        if isinstance(sentence, Rmc):
            self._take_rmc(sentence, mono_us)
        elif isinstance(sentence, Gga):
            self._take_gga(sentence, mono_us)
        elif isinstance(sentence, Gsa):
            self._take_gsa(sentence, mono_us)
        elif isinstance(sentence, Gsv):
            self._signs.satellites_in_view(sentence, mono_us)
            self._sky.satellites_in_view(sentence, mono_us)
            self._antenna.satellites_in_view(sentence, mono_us)
        elif isinstance(sentence, Antenna):
            self._antenna.said(sentence.state)
        elif isinstance(sentence, Other) and sentence.simulated:
            self._signs.simulated(mono_us)

    def _verdict(self, mono_us: int, flags: tuple[str, ...], place: Place | None) -> str:
        if SUSPECT_FLAGS.intersection(flags):
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

    def _take_gsa(self, gsa: Gsa, mono_us: int) -> None:
        self._signs.satellites_used(gsa, self._second)
        if gsa.dimensions == 3:
            self._three_d_at_us = mono_us
            if self._flat is not None:
                self._count(self._flat)
        elif gsa.used or gsa.dimensions == 2:
            self._three_d_at_us = None

    def _enter_second(self, stamp: time, mono_us: int) -> None:
        second = _second_of_day(stamp)
        if second != self._second:
            self._signs.second_over(mono_us)
            self._second = second
            self._flat = None

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
            self._times.fix(datetime.combine(rmc.date, rmc.time, UTC), rmc_us)
        if rmc.speed_knots is not None:
            self._speeds.append((mono_us, rmc.speed_knots))
        if not self._sharp(fix):
            return
        if self._three_d_at_us is not None and mono_us - self._three_d_at_us <= FRESH_US:
            self._count(fix)
        else:
            self._flat = fix

    def _count(self, fix: _Fix) -> None:
        """Take a fix that the policy lets count; where it was while moving or simulated is not where it stands."""
        self._flat = None
        if self._signs.flags(fix.mono_us):
            self._good.clear()
            return
        self.counted += 1
        self.latest_counted = Place(fix.latitude, fix.longitude, fix.altitude_m)
        if self._moving(fix.mono_us):
            self._good.clear()
            return
        self._good.append(fix)
        if self.home is None:
            self.home = self._place()

    @staticmethod
    def _sharp(fix: _Fix) -> bool:
        sharp = fix.hdop is not None and fix.hdop <= WORST_HDOP
        return sharp and fix.satellites is not None and fix.satellites >= FEWEST_SATELLITES

    def _moving(self, mono_us: int) -> bool:
        speeds = [knots for at_us, knots in self._speeds if mono_us - at_us <= 2 * FRESH_US]
        return len(speeds) >= FEWEST_SPEEDS and statistics.median(speeds) > MOVING_KNOTS

    def _place(self) -> Place | None:
        if len(self._good) < ENOUGH_FIXES:
            return None
        return median_place(self._good)

    def _displacement(self, place: Place | None) -> tuple[str, ...]:
        """Signs that a bolted terminal is somewhere else than where it was bolted."""
        if place is None or self.home is None:
            return ()
        home = self.home
        flags = []
        if distance_m(home.latitude, home.longitude, place.latitude, place.longitude) > MOVED_M:
            flags.append("moved")
        climbed = place.altitude_m is not None and home.altitude_m is not None
        if climbed and abs((place.altitude_m or 0.0) - (home.altitude_m or 0.0)) > CLIMBED_M:
            flags.append("climbed")
        return tuple(flags)


def _second_of_day(stamp: time) -> int:
    return stamp.hour * 3600 + stamp.minute * 60 + stamp.second
