"""Which of a site's anchor beacons this terminal hears, and the sensor that joins a scanner with that rule.

`BeaconTracker` is pure. The scanners are `bleak_beacons.BleakBeacons` and `recorded_beacons.RecordedBeacons`; both
give advertisements to the same decoder. Silence of the whole air is `stale`, not absence: a scanner that hears nothing
at all for 90 s proves nothing about the anchors.
"""

from __future__ import annotations

import statistics
import threading
import time
from collections import OrderedDict, deque
from collections.abc import Callable, Iterable
from dataclasses import dataclass, field
from typing import Protocol

from evidence.status import Part
from kiosk.sensors.advertisement import Advertisement, Beacon, decode, decode_all

__all__ = [
    "Advertisement",
    "Beacon",
    "BeaconReading",
    "BeaconSensor",
    "BeaconSource",
    "BeaconTracker",
    "decode",
    "decode_all",
]

ENTER_DBM = -60  # at the gate; never metres: a body before the antenna costs 20 dB
LEAVE_DBM = -68  # hysteresis, so that a beacon at the edge does not flicker
MEDIAN_OVER_US = 5_000_000
SILENT_AFTER_US = 10_000_000  # the slowest common beacons send every 2 s, and every second packet may be lost
STALE_AFTER_US = 90_000_000  # nothing from anybody: the scanner is broken, not the world silent
# A scanner that has heard somebody and then nobody for this long is called so on the screen: with the 5 s between two
# health messages operators know within 10 s. It proves nothing yet; the check waits for STALE_AFTER_US.
QUIET_AFTER_US = 5_000_000
NOT_MEASURED = frozenset({127, 0, -127})  # HCI's, a driver's and bleak's way to say that there is no RSSI
WEAKEST_DBM, STRONGEST_DBM = -126, 20  # the range of HCI; anything else is garbage
MOST_BEACONS = 256  # remembered at once: a sender that changes its id with each packet must not fill the memory
MOST_SAMPLES = 200  # of one beacon within the median


@dataclass(frozen=True, slots=True)
class BeaconReading:
    """What is heard now: ids in range, the strongest median in dBm (in range or not), and the scanner's life."""

    heard: tuple[str, ...]
    best_rssi: int | None
    stale: bool
    advertisements: int  # of anybody, since the start


class BeaconSource(Protocol):
    """A scanner."""

    def start(self, callback: Callable[[Advertisement], None]) -> None:
        """Begin; `callback` is called for each advertisement, in a thread of the source."""

    def stop(self) -> None:
        """End; no callback comes after it returns."""

    @property
    def state(self) -> Part:
        """How the scanner is."""


@dataclass(slots=True)
class _Heard:
    samples: deque[tuple[int, int]] = field(default_factory=lambda: deque(maxlen=MOST_SAMPLES))  # mono_us, dBm
    median_dbm: float = WEAKEST_DBM
    in_range: bool = False

    @property
    def last_us(self) -> int:
        return self.samples[-1][0]


class BeaconTracker:
    """Follows `anchors` (all beacons where empty) by the median of their RSSI. Not for two threads at once."""

    def __init__(self, anchors: Iterable[str] = ()) -> None:
        # As decoded: as the site wrote it. Hexadecimal digits may be written in either case.
        self._anchors = {_normal(anchor): anchor for anchor in anchors}
        self._beacons: OrderedDict[str, _Heard] = OrderedDict()
        self._advertisements = 0
        self._last_us: int | None = None

    def feed(self, advertisement: Advertisement) -> None:
        """Take one advertisement, whoever sent it and whatever is in it."""
        self._advertisements += 1
        self._last_us = max(self._last_us or 0, advertisement.mono_us)
        rssi = advertisement.rssi
        if rssi in NOT_MEASURED or not WEAKEST_DBM <= rssi <= STRONGEST_DBM:
            return
        for beacon in decode_all(advertisement):
            if beacon.telemetry is None and (not self._anchors or beacon.id in self._anchors):
                self._sample(beacon.id, rssi, advertisement.mono_us)

    def reading(self, mono_us: int) -> BeaconReading:
        """Say what is in range at `mono_us`, strongest first."""
        alive = [(id_, one) for id_, one in self._beacons.items() if mono_us - one.last_us <= SILENT_AFTER_US]
        alive.sort(key=lambda pair: -pair[1].median_dbm)
        return BeaconReading(
            heard=tuple(self._anchors.get(id_, id_) for id_, one in alive if one.in_range),
            best_rssi=round(alive[0][1].median_dbm) if alive else None,
            stale=self._last_us is None or mono_us - self._last_us > STALE_AFTER_US,
            advertisements=self._advertisements,
        )

    def _sample(self, id_: str, rssi: int, mono_us: int) -> None:
        heard = self._beacons.setdefault(id_, _Heard())
        self._beacons.move_to_end(id_)
        if len(self._beacons) > MOST_BEACONS:
            self._beacons.popitem(last=False)
        if heard.samples and mono_us - heard.last_us > SILENT_AFTER_US:
            heard.in_range = False  # it was away: it has to come near again
        heard.samples.append((mono_us, rssi))
        while mono_us - heard.samples[0][0] > MEDIAN_OVER_US:
            heard.samples.popleft()
        heard.median_dbm = statistics.median(dbm for _, dbm in heard.samples)
        heard.in_range = heard.median_dbm >= (LEAVE_DBM if heard.in_range else ENTER_DBM)


class BeaconSensor:
    """A scanner with a tracker behind a lock: what a terminal asks."""

    def __init__(self, source: BeaconSource, tracker: BeaconTracker) -> None:
        self._source = source
        self._tracker = tracker
        self._lock = threading.Lock()
        self._heard_us: int | None = None
        self._listeners: list[Callable[[Advertisement], None]] = []

    def listen(self, callback: Callable[[Advertisement], None]) -> None:
        """Call `callback` with every advertisement too, in the scanner's thread."""
        self._listeners.append(callback)

    def start(self) -> None:
        """Begin to scan."""
        self._source.start(self._feed)

    def stop(self) -> None:
        """End the scan."""
        self._source.stop()

    def reading(self) -> BeaconReading:
        """Say what is in range now."""
        with self._lock:
            return self._tracker.reading(time.monotonic_ns() // 1000)

    @property
    def state(self) -> Part:
        """The scanner's state; `degraded` where it scans and hears nobody at all."""
        state = self._source.state
        heard_us = self._heard_us
        if state.state != "working":
            return state
        if self.reading().stale:
            return Part(state="degraded", reason="stale: The scanner runs and has heard nobody for 90 s.")
        if heard_us is not None and time.monotonic_ns() // 1000 - heard_us > QUIET_AFTER_US:
            return Part(state="degraded", reason="stale: The scanner runs and hears nobody any more.")
        return state

    def _feed(self, advertisement: Advertisement) -> None:
        for callback in self._listeners:
            callback(advertisement)
        with self._lock:
            self._tracker.feed(advertisement)
            self._heard_us = advertisement.mono_us


def _normal(anchor: str) -> str:
    return anchor if anchor.startswith("eddystone-url:") else anchor.lower()
