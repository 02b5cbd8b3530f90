"""Wall time, monotonic time and boot, with an honest word about where the wall time comes from.

A time is never corrected here: an event carries what the clock said and how far to believe it. The source is asked
of chrony where it runs, else of the kernel's own record of its synchronisation (adjtimex(2)); where neither vouches
for it, a battery-backed RTC may still have kept it. Both go on vouching long after their source is gone, while the
error that they state grows: beyond a bound they are not believed, and the reading still says source and error.
"""

from __future__ import annotations

import ctypes
import math
import secrets
import shutil
import subprocess
import threading
import time
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import Protocol

from evidence.events import ClockReading

STEP_MS = 500  # below it lie NTP slews and scheduling noise; above it somebody or something set the clock
READING_KEPT_S = 10.0  # asking chrony costs a process; its own figures change every 16 s at the fastest
CHRONYC_TIMEOUT_S = 0.5  # it answers in 5 ms or not at all, and a worker is waiting
RTC = Path("/sys/class/rtc/rtc0/since_epoch")  # whole seconds; a Pi 5's charges its battery only when told to
RTC_AGREES_S = 2.0  # the RTC is read to the second, and the system's clock was set from it to the second
BOOT_ID = Path("/proc/sys/kernel/random/boot_id")

LARGEST_ERROR_MS = 1000  # of chrony: a worker's own watch is no better; without a source it takes hours to days
# The kernel adds 500 ppm since the last correction, and timesyncd asks every 2048 s: 1.02 s is health, this is one
# answer that was lost.
LARGEST_KERNEL_ERROR_MS = 2100

_STA_UNSYNC = 0x0040  # timex.h: clock unsynchronised
_TIME_ERROR = 5  # timex.h: the return value that says the same
_REFCLOCKS = ("GPS", "GNSS", "PPS", "NMEA")  # customary refids of chrony's satellite reference clocks
_LOCAL_REFERENCE = "7F7F0101"  # chrony's "local" directive: synchronised to nothing but itself
_UNKNOWN = ClockReading(source="none", synced=False)


@dataclass(frozen=True, slots=True)
class Stamp:
    """One moment as this terminal knows it."""

    time: str  # RFC 3339 UTC with milliseconds
    clock: ClockReading
    boot: str  # 32 hex digits
    mono_us: int  # microseconds of the monotonic clock


class Clock(Protocol):
    """Whatever can stamp an event."""

    def stamp(self) -> Stamp:
        """Return this moment; never raises."""
        ...


class SystemClock:
    """The machine's own clocks. Safe from any thread."""

    def __init__(self) -> None:
        self._boot = _boot_id()
        self._chronyc = shutil.which("chronyc") or shutil.which("chronyc", path="/usr/bin:/usr/sbin")
        self._lock = threading.Lock()
        self._reading = _UNKNOWN
        self._read_at: float | None = None

    def stamp(self) -> Stamp:
        """Return this moment; the word about its source is at most READING_KEPT_S old. Never raises."""
        reading = self._current()
        return Stamp(format_time(time.time_ns()), reading, self._boot, time.monotonic_ns() // 1000)

    def _current(self) -> ClockReading:
        with self._lock:
            now = time.monotonic()
            if self._read_at is None or now - self._read_at > READING_KEPT_S:
                self._reading = self._ask()
                self._read_at = now
            return self._reading

    def _ask(self) -> ClockReading:
        if self._chronyc is not None:
            try:
                done = subprocess.run(  # noqa: S603 - a fixed command found on the system's own path
                    [self._chronyc, "-c", "tracking"], capture_output=True, timeout=CHRONYC_TIMEOUT_S, check=False
                )
            except (OSError, subprocess.SubprocessError):
                done = None
            if done is not None and done.returncode == 0:
                reading = parse_tracking(done.stdout.decode("utf-8", "replace"))
                return reading if reading.source != "none" else _kept_by_rtc()
        reading = _kernel_reading()
        return reading if reading.source != "none" else _kept_by_rtc()


def parse_tracking(line: str) -> ClockReading:
    """Read one line of `chronyc -c tracking`.

    The error is |offset| + root delay / 2 + root dispersion, chrony's own bound, which grows while no source answers;
    above LARGEST_ERROR_MS the clock is not synchronised. A line that cannot be read is an unsynchronised clock of no
    source.
    """
    cells = line.strip().split(",")
    try:
        refid, name, leap = cells[0], cells[1], cells[13]
        reference_s, offset_s, delay_s, dispersion_s = (float(cells[i]) for i in (3, 4, 10, 11))
        error_ms = math.ceil((abs(offset_s) + delay_s / 2 + dispersion_s) * 1000)
        synced_at = format_time(int(reference_s * 1e9))
    except (IndexError, ValueError, OverflowError, OSError):
        return _UNKNOWN
    if leap == "Not synchronised" or refid.upper() in (_LOCAL_REFERENCE, "00000000"):
        return _UNKNOWN
    satellite = name.upper().rstrip("0123456789") in _REFCLOCKS
    return ClockReading(
        source="gps" if satellite else "ntp",
        synced=error_ms <= LARGEST_ERROR_MS,
        error_ms=max(0, error_ms),
        synced_at=synced_at,
    )


def step_ms(before: Stamp, after: Stamp) -> int | None:
    """Return by how many milliseconds the wall clock was set between two stamps, or None where it was not.

    Within one boot the monotonic clock tells the true interval; NTP slews both clocks alike, so the stamps may lie far
    apart. Over a restart of the machine only a fall is sure, and it was at least as large.
    """
    wall_ms = round((parse_time(after.time) - parse_time(before.time)) / 1_000_000)
    if before.boot != after.boot:
        return wall_ms if wall_ms < -STEP_MS else None
    step = wall_ms - round((after.mono_us - before.mono_us) / 1000)
    return step if abs(step) > STEP_MS else None


def format_time(unix_ns: int) -> str:
    """Write nanoseconds since 1970 as RFC 3339 UTC with milliseconds, cut, not rounded."""
    seconds, rest = divmod(unix_ns, 1_000_000_000)
    return f"{datetime.fromtimestamp(seconds, UTC):%Y-%m-%dT%H:%M:%S}.{rest // 1_000_000:03d}Z"


def parse_time(text: str) -> int:
    """Read what `format_time` wrote as nanoseconds since 1970. Raises ValueError."""
    moment = datetime.strptime(text, "%Y-%m-%dT%H:%M:%S.%fZ").replace(tzinfo=UTC)
    return int(moment.replace(microsecond=0).timestamp()) * 1_000_000_000 + moment.microsecond * 1000


def _boot_id() -> str:
    try:
        text = BOOT_ID.read_text().strip().replace("-", "")
        if len(text) == 32 and int(text, 16) >= 0:
            return text.lower()
    except (OSError, ValueError):
        pass
    return secrets.token_hex(16)  # no boot id here: this process counts as a boot of its own


class _Timex(ctypes.Structure):
    """The head of `struct timex`; the kernel fills in 208 bytes, the tail is room for it."""

    _fields_ = (
        ("modes", ctypes.c_uint),
        ("offset", ctypes.c_long),
        ("freq", ctypes.c_long),
        ("maxerror", ctypes.c_long),
        ("esterror", ctypes.c_long),
        ("status", ctypes.c_int),
        ("rest", ctypes.c_byte * 256),
    )


def _kept_by_rtc() -> ClockReading:
    """Nothing sets the clock now: say `rtc` where one is there and tells the same time, else `none`."""
    try:
        rtc_s = int(RTC.read_text())
    except (OSError, ValueError):
        return _UNKNOWN
    if abs(rtc_s - time.time()) > RTC_AGREES_S:
        return _UNKNOWN
    return ClockReading(source="rtc", synced=False)


def _kernel_reading() -> ClockReading:
    """Ask the kernel whether something disciplines its clock (adjtimex with modes 0 only reads)."""
    try:
        timex = _Timex()
        result = ctypes.CDLL(None).adjtimex(ctypes.byref(timex))
    except (OSError, AttributeError):
        return _UNKNOWN
    if result < 0 or result == _TIME_ERROR or timex.status & _STA_UNSYNC:
        return _UNKNOWN
    error_ms = max(0, math.ceil(timex.maxerror / 1000))
    return ClockReading(source="ntp", synced=error_ms <= LARGEST_KERNEL_ERROR_MS, error_ms=error_ms)
