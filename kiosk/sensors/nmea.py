"""NMEA 0183 from a serial line: bytes into lines, lines into the four sentences that a position needs. Pure.

pynmea2 splits and checks; it returns the raw text of a field that it cannot convert, accepts `nan`, and raises only
when a property is read. So every value is checked here, and a bad line becomes a Rejected with its reason.
"""

from __future__ import annotations

import math
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from datetime import date, time

import pynmea2

LONGEST_LINE = 120  # bytes; the standard says 82, real receivers send up to 110
REJECT_REASONS = (
    "empty", "too_long", "not_ascii", "not_nmea", "no_checksum", "bad_checksum", "unknown_type", "bad_field",
)  # fmt: skip
SECONDS_OF_DAY = 86_400
OUT_OF_ORDER_S = 2.0  # sentences of one second may come in any order; what lies further back was set back


class LineSplitter:
    """Cuts a stream of bytes at newlines; a line that outgrows LONGEST_LINE comes out once, cut, to be rejected."""

    def __init__(self) -> None:
        self._rest = b""
        self._discarding = False

    def feed(self, chunk: bytes) -> list[bytes]:
        """Return the lines that `chunk` completes, without their line ends."""
        lines: list[bytes] = []
        *whole, rest = (self._rest + chunk).split(b"\n")
        for line in whole:
            if self._discarding:
                self._discarding = False
            else:
                lines.append(line.rstrip(b"\r")[: LONGEST_LINE + 1])
        if not self._discarding and len(rest) > LONGEST_LINE + 1:  # + 1: the carriage return
            lines.append(rest[: LONGEST_LINE + 1])
            self._discarding = True
        self._rest = b"" if self._discarding else rest
        return lines


@dataclass(frozen=True, slots=True)
class Rmc:
    """Recommended minimum: is there a fix, how fast, on which day. `mode` is the FAA mode letter or empty."""

    time: time
    active: bool
    mode: str
    speed_knots: float | None
    date: date | None


@dataclass(frozen=True, slots=True)
class Gga:
    """The fix itself, in signed degrees and metres; a receiver without a fix leaves nearly all of it out."""

    time: time | None
    quality: int
    latitude: float | None
    longitude: float | None
    satellites: int | None
    hdop: float | None
    altitude_m: float | None


@dataclass(frozen=True, slots=True)
class Gsa:
    """Which satellites are used and in how many dimensions; `system` None: the sentence does not say whose ids."""

    system: str | None
    dimensions: int
    used: tuple[int, ...]


@dataclass(frozen=True, slots=True)
class InView:
    """A satellite: strength in dB-Hz, None where it is not tracked; degrees in the sky, None where unknown."""

    number: int
    strength: int | None
    elevation: int | None = None
    azimuth: int | None = None


@dataclass(frozen=True, slots=True)
class Gsv:
    """Satellites in view of one system."""

    system: str
    satellites: tuple[InView, ...]


@dataclass(frozen=True, slots=True)
class Other:
    """A good sentence of a kind that says nothing about the fix; `simulated` where its mode letter says S."""

    simulated: bool = False


@dataclass(frozen=True, slots=True)
class Antenna:
    """What the receiver says of its antenna in a TXT sentence: `ok`, `open` or `short`."""

    state: str


@dataclass(frozen=True, slots=True)
class Rejected:
    """A line that is not a sentence to believe; `reason` is one of REJECT_REASONS."""

    reason: str


Sentence = Rmc | Gga | Gsa | Gsv | Antenna | Other | Rejected

_GSA_SYSTEMS = {"1": "GP", "2": "GL", "3": "GA", "4": "GB", "5": "GQ"}  # NMEA 4.10, table of GNSS identification
_ALIASES = {"BD": "GB"}  # BeiDou's talker before NMEA 4.11


def read_sentence(line: bytes) -> Sentence:
    """Read one line without its line end; anything at all may come, nothing is raised."""
    if len(line) > LONGEST_LINE:
        return Rejected("too_long")
    if not line.strip():
        return Rejected("empty")
    if not line.isascii():
        return Rejected("not_ascii")
    if not line.startswith(b"$"):
        return Rejected("not_nmea")
    try:
        message = pynmea2.parse(line.decode("ascii"), check=True)
    except pynmea2.ChecksumError:
        return Rejected("bad_checksum" if b"*" in line else "no_checksum")
    except pynmea2.SentenceTypeError:
        return Rejected("unknown_type")
    except pynmea2.ParseError:
        return Rejected("not_nmea")
    except Exception:  # its proprietary sentences index into fields that may be missing
        return Rejected("bad_field")
    try:
        return _sentence(message)
    except (ValueError, IndexError, OverflowError):
        return Rejected("bad_field")


def _sentence(message: pynmea2.NMEASentence) -> Sentence:
    if isinstance(message, pynmea2.RMC):
        return _rmc(message)
    if isinstance(message, pynmea2.GGA):
        return _gga(message)
    if isinstance(message, pynmea2.GSA):
        return _gsa(message)
    if isinstance(message, pynmea2.GSV):
        return _gsv(message)
    if isinstance(message, pynmea2.VTG | pynmea2.GLL):
        return Other(simulated=message.data[-1] == "S")
    if isinstance(message, pynmea2.GNS):
        return Other(simulated="S" in message.data[5])
    if isinstance(message, pynmea2.TXT):
        return _txt(message)
    return Other()


def _rmc(message: pynmea2.RMC) -> Rmc:
    # Not message.is_valid: it calls every u-blox void, which says nav status V for "I do not judge safety".
    if not isinstance(message.timestamp, time):
        if message.status != "A":
            return Rmc(time(0), active=False, mode="N", speed_knots=None, date=None)
        raise ValueError("an active RMC without a time")
    day = message.datestamp
    return Rmc(
        time=message.timestamp,
        active=message.status == "A",
        mode=message.mode_indicator,
        speed_knots=_number(message.spd_over_grnd),
        date=day if isinstance(day, date) else None,
    )


def _gga(message: pynmea2.GGA) -> Gga:
    quality = message.gps_qual
    if quality is not None and not isinstance(quality, int):
        raise ValueError("fix quality")
    placed = bool(message.lat and message.lon)
    latitude = message.latitude if placed else None  # pynmea2 says 0.0 for a position that is not there
    longitude = message.longitude if placed else None
    if placed and not (message.lat_dir in ("N", "S") and message.lon_dir in ("E", "W")):
        raise ValueError("hemisphere")
    if latitude is not None and longitude is not None and not (abs(latitude) <= 90 and abs(longitude) <= 180):
        raise ValueError("position")
    return Gga(
        time=message.timestamp if isinstance(message.timestamp, time) else None,
        quality=quality or 0,
        latitude=latitude,
        longitude=longitude,
        satellites=int(message.num_sats) if message.num_sats else None,
        hdop=_number(message.horizontal_dil),
        altitude_m=_number(message.altitude),
    )


def _gsa(message: pynmea2.GSA) -> Gsa:
    system = None if message.talker == "GN" else _ALIASES.get(message.talker, message.talker)
    if len(message.data) > 17:
        system = _GSA_SYSTEMS.get(message.data[17], system)
    used = tuple(int(number) for number in message.data[2:14] if number)
    return Gsa(system, dimensions=int(message.mode_fix_type or 1), used=used)


def _gsv(message: pynmea2.GSV) -> Gsv:
    satellites = []
    for start in range(3, len(message.data) - 3, 4):
        number, elevation, azimuth, strength = message.data[start : start + 4]
        if number:
            up, around = _degrees(elevation, -90, 90), _degrees(azimuth, 0, 360)
            satellites.append(InView(int(number), int(strength) if strength else None, up, around))
    return Gsv(_ALIASES.get(message.talker, message.talker), tuple(satellites))


def _degrees(field: str, least: int, most: int) -> int | None:
    """Whole degrees; None for anything else: where a satellite stands decides nothing, so no sentence is refused."""
    try:
        degrees = int(field)
    except ValueError:
        return None
    return degrees if least <= degrees <= most else None


def _txt(message: pynmea2.TXT) -> Antenna | Other:
    """u-blox says ANTSTATUS=OPEN when it changes, others ANTENNA OPEN every second; INIT and the rest say nothing."""
    text = message.data[3].upper().replace("=", " ")
    words = text.split()
    if len(words) == 2 and words[0] in ("ANTSTATUS", "ANTENNA") and words[1] in ("OK", "OPEN", "SHORT"):
        return Antenna(words[1].lower())
    return Other()


def _number(value: object) -> float | None:
    """A finite number, None for an empty field; ValueError for anything else (pynmea2 hands over the raw text)."""
    if value is None or value == "":
        return None
    number = float(str(value))
    if not math.isfinite(number):
        raise ValueError("not a finite number")
    return number


def line_times(lines: Iterable[bytes], start_us: int = 0) -> Iterator[tuple[bytes, int]]:
    """Give each line of a recording a monotonic time in microseconds from the clock inside its sentences.

    Lines before the first time stand at `start_us`; time never runs backwards, and midnight is not a jump. Where the
    clock inside was set back, time goes on from there, so that what follows is judged as a live receiver would be.
    """
    now_us, last_s = start_us, None
    for raw in lines:
        line = raw.rstrip(b"\r\n")
        sentence = read_sentence(line)
        stamp = sentence.time if isinstance(sentence, Rmc | Gga) else None
        if stamp is not None and not (isinstance(sentence, Rmc) and not sentence.active):
            second = stamp.hour * 3600 + stamp.minute * 60 + stamp.second + stamp.microsecond / 1e6
            step_s = 0.0 if last_s is None else (second - last_s) % SECONDS_OF_DAY
            if step_s < SECONDS_OF_DAY / 2:
                now_us += round(step_s * 1e6)
                last_s = second
            elif SECONDS_OF_DAY - step_s > OUT_OF_ORDER_S:
                last_s = second
        yield line, now_us
