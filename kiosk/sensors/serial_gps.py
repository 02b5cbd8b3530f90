"""A GPS receiver on a serial port: one thread reads bytes, feeds a FixTracker and survives a pulled plug."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable
from dataclasses import replace

from evidence.status import Part
from kiosk.sensors.gps import FixTracker, GpsReading, Place
from kiosk.sensors.gps_sky import Satellite
from kiosk.sensors.nmea import LineSplitter

REOPEN_AFTER_S = 2.0  # a USB receiver needs about as long to come back
READ_TIMEOUT_S = 0.5  # how soon the thread notices that it shall stop
READ_BYTES = 512  # half a second at 9600 baud
SILENT_AFTER_S = 5.0  # receivers speak every second
REOPEN_SILENT_S = 10.0  # some USB receivers that hang speak again only after their port was closed
LARGEST_CLOCK_DIFFERENCE_S = 2.0  # satellites against the terminal's clock, of which up to 1 s is the serial line


def _now_us() -> int:
    return time.monotonic_ns() // 1000


class SerialGps:
    """Reads `port` at `baud` into `tracker` and gives its readings; `wall_clock` returns seconds since 1970."""

    def __init__(
        self,
        port: str,
        baud: int,
        tracker: FixTracker,
        *,
        reopen_after_s: float = REOPEN_AFTER_S,
        reopen_silent_s: float = REOPEN_SILENT_S,
        wall_clock: Callable[[], float] = time.time,
    ) -> None:
        self.port = port
        self._baud = baud
        self._tracker = tracker
        self._reopen_after_s = reopen_after_s
        self._reopen_silent_s = reopen_silent_s
        self._wall_clock = wall_clock
        self._lock = threading.Lock()  # the tracker and the fields below; never held while reading the port
        self._started_s: float | None = None
        self._heard_s: float | None = None  # when the latest accepted sentence came, by time.monotonic
        self._trouble: str | None = None  # why the port is not open
        self._stop = threading.Event()
        self._thread = threading.Thread(target=self._run, name="gps", daemon=True)

    def start(self) -> None:
        """Open the port and begin; returns at once."""
        with self._lock:
            self._started_s = time.monotonic()
        self._thread.start()

    def stop(self) -> None:
        """End and close the port."""
        self._stop.set()
        if self._thread.is_alive():
            self._thread.join(4 * READ_TIMEOUT_S)

    def reading(self) -> GpsReading:
        """Judge what has come until now; the flag `clock_differs` says that the satellites' time is not ours."""
        now_us = _now_us()
        with self._lock:
            reading = self._tracker.reading(now_us)
            satellites_time = self._tracker.gnss_time(now_us)
        if satellites_time is None:
            return reading
        if abs(satellites_time.timestamp() - self._wall_clock()) <= LARGEST_CLOCK_DIFFERENCE_S:
            return reading
        return replace(reading, flags=(*reading.flags, "clock_differs"))

    def sky(self) -> tuple[Satellite, ...]:
        """The satellites in view, strongest first, for whoever looks for a place for the antenna."""
        with self._lock:
            return self._tracker.sky(_now_us())

    @property
    def home(self) -> Place | None:
        """Where the terminal stood when it first had enough fixes; None before."""
        with self._lock:
            return self._tracker.home

    @property
    def state(self) -> Part:
        """`working` while sentences come and there is a fix, `degraded` without a fix, `failed` without a receiver."""
        with self._lock:
            started_s, heard_s, trouble = self._started_s, self._heard_s, self._trouble
        if started_s is None or self._stop.is_set():
            return Part(state="unknown", reason="no_receiver: The receiver is not being read.")
        if trouble is not None:
            return Part(state="failed", reason=f"no_receiver: {trouble}"[:400])
        if heard_s is None or time.monotonic() - heard_s > SILENT_AFTER_S:
            if time.monotonic() - started_s <= SILENT_AFTER_S:
                return Part(state="unknown", reason="no_receiver: The receiver has not spoken yet.")
            what_to_do = f"check the speed ({self._baud} baud) and the wiring"
            return Part(state="failed", reason=f"stale: {self.port} sends no NMEA sentence: {what_to_do}.")
        reading = self.reading()
        verdict = reading.verdict
        if verdict == "no_fix" and "antenna_lost" in reading.flags:
            return Part(state="degraded", reason=f"antenna_lost: {_SENTENCES['antenna_lost']}")
        if verdict in ("no_fix", "suspect", "moving", "insufficient"):
            return Part(state="degraded", reason=f"{verdict}: {_SENTENCES[verdict]}")
        return Part(state="working")

    def _run(self) -> None:
        while not self._stop.is_set():
            try:
                self._read_until_gone()
            except Exception as error:
                # A pulled plug comes out of pyserial as SerialException, OSError, termios.error or TypeError.
                with self._lock:
                    self._trouble = f"{self.port} cannot be read ({error}): check the plug and the group dialout."
            self._stop.wait(self._reopen_after_s)

    def _read_until_gone(self) -> None:
        import serial

        splitter = LineSplitter()
        with serial.Serial(self.port, self._baud, timeout=READ_TIMEOUT_S) as port:
            with self._lock:
                self._trouble = None
                self._tracker.interrupted()
            spoke_s = time.monotonic()
            while not self._stop.is_set() and time.monotonic() - spoke_s <= self._reopen_silent_s:
                # One byte with patience, then what is already there: a sentence is judged when it comes.
                chunk = port.read(1)
                if chunk:
                    spoke_s = time.monotonic()
                    self._take(splitter.feed(chunk + port.read(min(port.in_waiting, READ_BYTES))))

    def _take(self, lines: list[bytes]) -> None:
        now_us = _now_us()
        with self._lock:
            before = self._tracker.accepted
            try:
                for line in lines:
                    self._tracker.feed(line, now_us)
            except Exception:
                # What a broken judge has let through so far is worth nothing: without this, fixes would add up over
                # the reopenings while the signs of a simulator are never looked at. Where it stood before is kept: a
                # home took twenty fixes without a fault, and a terminal that was carried off must not find a new one.
                self._tracker = FixTracker(self._tracker.fence, self._tracker.home)
                raise
            if self._tracker.accepted > before:
                self._heard_s = time.monotonic()


_SENTENCES = {
    "no_fix": "The receiver speaks and has no fix: give its antenna a view of the sky.",
    "antenna_lost": "The receiver hears no satellite any more: check the antenna and its cable.",
    "suspect": "The satellite signal looks simulated.",
    "moving": "The position moves.",
    "insufficient": "Too few good fixes yet: it needs 3-D, HDOP up to 2.5 and six satellites.",
}
