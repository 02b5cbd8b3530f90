"""Which beacons this terminal hears near it (a site's anchors, workers' badges), and the sensor that asks a scanner.

`BeaconTracker` is pure. The scanners are `bleak_beacons.BleakBeacons` and `recorded_beacons.RecordedBeacons`; both
give advertisements to the same decoder. Silence of the whole air is `stale`, not absence: a scanner that has heard
nobody at all for a few seconds proves nothing about the anchors (docs/adr/0048).
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
from kiosk.sensors.eddystone_eid import EidBeacon, EidBook

__all__ = [
    "Advertisement",
    "Beacon",
    "BeaconReading",
    "BeaconSensor",
    "BeaconSource",
    "BeaconTracker",
    "Identified",
    "Near",
    "Sighting",
    "decode",
    "decode_all",
    "normal_id",
    "sighting_of",
]

ENTER_DBM = -60  # at the gate; never metres: a body before the antenna costs 20 dB
LEAVE_DBM = -68  # hysteresis, so that a beacon at the edge does not flicker
MEDIAN_OVER_US = 5_000_000
SILENT_AFTER_US = 10_000_000  # the slowest common beacons send every 2 s, and every second packet may be lost
STALE_AFTER_US = 90_000_000  # nothing from anybody: the scanner is broken, not the world silent; it is started anew
# Nobody at all for this long: the scanner may hang, and what it does not hear is not called absent any more. Half of
# SILENT_AFTER_US, so that at a hang of the scanner silence of everybody is seen before that of an anchor that sends at
# least every 5 s; and with the 4 s between two health messages operators know within 10 s.
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
    stale: bool  # nothing is in range and nobody at all has been heard lately: silence means nothing
    advertisements: int  # of anybody, since the start


@dataclass(frozen=True, slots=True)
class Identified:
    """Whose frame it was: `id` as settings write it (`eid:NAME` for a resolved EID), and the EID itself."""

    id: str
    eid: bytes | None = None


@dataclass(frozen=True, slots=True)
class Sighting:
    """One advertisement as this terminal understood it. Of a stranger it holds no ids, and is a sign of life."""

    mono_us: int
    unix_ms: int  # the terminal's wall clock when it was heard
    rssi: int | None  # dBm; None: not measured
    beacons: tuple[Identified, ...]


@dataclass(frozen=True, slots=True)
class Near:
    """A beacon in range now: its median in dBm, and the rotating identifier that it sent last."""

    rssi: int
    eid: bytes | None


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
    eid: bytes | None = None

    @property
    def last_us(self) -> int:
        return self.samples[-1][0]


class BeaconTracker:
    """Follows `anchors` (all beacons where empty) by the median of their RSSI. Not for two threads at once."""

    def __init__(self, anchors: Iterable[str] = ()) -> None:
        # As decoded: as the site wrote it. Hexadecimal digits may be written in either case.
        self._anchors = {normal_id(anchor): anchor for anchor in anchors}
        self._beacons: OrderedDict[str, _Heard] = OrderedDict()
        self._advertisements = 0
        self._last_us: int | None = None

    def feed(self, advertisement: Advertisement) -> None:
        """Take one advertisement, whoever sent it and whatever is in it; without keys no EID has a name."""
        self.take(sighting_of(advertisement, None, 0))

    def take(self, sighting: Sighting) -> None:
        """Take one advertisement that was understood already."""
        self._advertisements += 1
        self._last_us = max(self._last_us or 0, sighting.mono_us)
        if sighting.rssi is None:
            return
        for beacon in sighting.beacons:
            if not self._anchors or beacon.id in self._anchors:
                self._sample(beacon, sighting.rssi, sighting.mono_us)

    def near(self, ids: Iterable[str], mono_us: int) -> Near | None:
        """Return the strongest of `ids` that is in range at `mono_us`."""
        alive = [one for id_ in ids if (one := self._beacons.get(normal_id(id_))) and one.in_range]
        alive = [one for one in alive if mono_us - one.last_us <= SILENT_AFTER_US]
        best = max(alive, key=lambda one: one.median_dbm, default=None)
        return None if best is None else Near(round(best.median_dbm), best.eid)

    def reading(self, mono_us: int) -> BeaconReading:
        """Say what is in range at `mono_us`, strongest first."""
        alive = [(id_, one) for id_, one in self._beacons.items() if mono_us - one.last_us <= SILENT_AFTER_US]
        alive.sort(key=lambda pair: -pair[1].median_dbm)
        heard = tuple(self._anchors.get(id_, id_) for id_, one in alive if one.in_range)
        quiet = self._last_us is None or mono_us - self._last_us > QUIET_AFTER_US
        return BeaconReading(
            heard=heard,
            best_rssi=round(alive[0][1].median_dbm) if alive else None,
            stale=quiet and not heard,
            advertisements=self._advertisements,
        )

    def _sample(self, beacon: Identified, rssi: int, mono_us: int) -> None:
        heard = self._beacons.setdefault(beacon.id, _Heard())
        self._beacons.move_to_end(beacon.id)
        if len(self._beacons) > MOST_BEACONS:
            self._beacons.popitem(last=False)
        if heard.samples and mono_us - heard.last_us > SILENT_AFTER_US:
            heard.in_range = False  # it was away: it has to come near again
        heard.samples.append((mono_us, rssi))
        heard.eid = beacon.eid
        while mono_us - heard.samples[0][0] > MEDIAN_OVER_US:
            heard.samples.popleft()
        heard.median_dbm = statistics.median(dbm for _, dbm in heard.samples)
        heard.in_range = heard.median_dbm >= (LEAVE_DBM if heard.in_range else ENTER_DBM)


class BeaconSensor:
    """A scanner with its trackers behind a lock: what a terminal asks.

    `badges` follows what workers wear, `book` resolves rotating identifiers, `listener` is told of every sighting in
    the scanner's thread and must be quick.
    """

    def __init__(
        self,
        source: BeaconSource,
        tracker: BeaconTracker,
        *,
        badges: BeaconTracker | None = None,
        book: EidBook | None = None,
        listener: Callable[[Sighting], None] | None = None,
    ) -> None:
        self._source = source
        self._tracker, self._badges = tracker, badges
        self._book = book
        self._lock = threading.Lock()
        self._heard_us: int | None = None
        self._listeners: list[Callable[[Sighting], None]] = [] if listener is None else [listener]

    def listen(self, callback: Callable[[Sighting], None]) -> None:
        """Tell `callback` of every sighting too, in the scanner's thread."""
        self._listeners.append(callback)

    def start(self) -> None:
        """Begin to scan."""
        self._source.start(self._feed)

    def stop(self) -> None:
        """End the scan."""
        self._source.stop()

    def reading(self) -> BeaconReading:
        """Say which anchors are in range now."""
        with self._lock:
            return self._tracker.reading(time.monotonic_ns() // 1000)

    def near(self, ids: Iterable[str]) -> Near | None:
        """Return the strongest of these badges that is in range now."""
        with self._lock:
            return None if self._badges is None else self._badges.near(ids, time.monotonic_ns() // 1000)

    def forget_keys(self) -> None:
        """Let go of the keys of rotating identifiers: whoever sends one is nobody from now on."""
        with self._lock:
            if self._book is not None:
                self._book.forget()

    def take_back_keys(self, beacons: Iterable[EidBeacon]) -> None:
        """Hold these keys again."""
        with self._lock:
            if self._book is not None:
                self._book.take_back(beacons)

    @property
    def state(self) -> Part:
        """The scanner's state; `degraded` where it scans and hears nobody at all.

        One that is not there has `failed`: a site that has none does not make a sensor of it.
        """
        state = self._source.state
        heard_us = self._heard_us
        if state.state == "absent":
            return Part(state="failed", reason=state.reason)
        if state.state != "working":
            return state
        if heard_us is None:
            return Part(state="degraded", reason="stale: The scanner runs and has heard nobody yet.")
        if time.monotonic_ns() // 1000 - heard_us > QUIET_AFTER_US:
            return Part(state="degraded", reason="stale: The scanner runs and hears nobody any more.")
        return state

    def _feed(self, advertisement: Advertisement) -> None:
        with self._lock:
            sighting = sighting_of(advertisement, self._book, time.time_ns() // 1_000_000)
            self._tracker.take(sighting)
            if self._badges is not None:
                self._badges.take(sighting)
            self._heard_us = advertisement.mono_us
        for callback in self._listeners:
            callback(sighting)


def sighting_of(advertisement: Advertisement, book: EidBook | None, unix_ms: int) -> Sighting:
    """Decode an advertisement and give its EIDs their names; telemetry names nobody."""
    rssi = advertisement.rssi
    measured = rssi not in NOT_MEASURED and WEAKEST_DBM <= rssi <= STRONGEST_DBM
    frames = [frame for frame in decode_all(advertisement) if frame.telemetry is None]
    return Sighting(
        mono_us=advertisement.mono_us,
        unix_ms=unix_ms,
        rssi=rssi if measured else None,
        beacons=tuple(_identified(frame, book, unix_ms) for frame in frames),
    )


def normal_id(written: str) -> str:
    """Return an id as frames are decoded to it; hexadecimal digits may be written in either case."""
    return written if written.startswith("eddystone-url:") else written.lower()


def _identified(frame: Beacon, book: EidBook | None, unix_ms: int) -> Identified:
    match = book.resolve(frame.eid, unix_ms / 1000) if book is not None and frame.eid is not None else None
    return Identified(frame.id if match is None else f"eid:{match.name}", frame.eid)
