"""What an installer sees of the air: every beacon heard and every satellite in view, as values and as bars to draw."""

from __future__ import annotations

import statistics
import threading
import time
from collections import OrderedDict, deque
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import Literal

from kiosk.sensors.beacons import ENTER_DBM, LEAVE_DBM, Sighting, normal_id
from kiosk.sensors.gps_sky import Satellite

MOST_BEACONS = 256  # a crowd of phones must not fill the memory
SAMPLES = 20  # of one beacon, in its median
GOOD_DB_HZ, FAIR_DB_HZ = 35, 25  # an open sky gives 35 to 50; below 25 a receiver hardly uses a satellite
LEAST_DB_HZ, MOST_DB_HZ = 10, 50
LONGEST_NAME = 16  # characters on a chip
SYSTEM_LETTERS = {"GP": "G", "GL": "R", "GA": "E", "GB": "C", "GQ": "J"}  # as RINEX has them: a bar is 21 px wide

Tone = Literal["good", "fair", "poor"]


@dataclass(frozen=True, slots=True)
class Heard:
    """A beacon: `id` as the settings take it, its median in dBm (None: not measured), its anchor as written there."""

    id: str
    rssi_dbm: int | None
    anchor: str | None
    packets: int  # in the median, SAMPLES at most
    age_s: int  # since the last


@dataclass(frozen=True, slots=True)
class Bar:
    """One of them to draw: a chip with `name` and `value`, or a bar `percent` high.

    `whole` is the name in full, as the settings take it. `marked`: an anchor of the site.
    """

    kind: Literal["beacon", "satellite"]
    name: str
    whole: str
    value: str
    percent: int
    tone: Tone
    marked: bool = False


class Ear:
    """Keeps what was heard lately. `anchors` as the settings write them. Safe from any thread."""

    def __init__(self, anchors: Iterable[str]) -> None:
        self._anchors = {normal_id(one): one for one in anchors}
        self._lock = threading.Lock()
        self._heard: OrderedDict[str, deque[tuple[int, int | None]]] = OrderedDict()  # (mono_us, dBm)

    def sighted(self, sighting: Sighting) -> None:
        """Take one sighting, in the scanner's thread."""
        for beacon in sighting.beacons:
            with self._lock:
                heard = self._heard.setdefault(beacon.id, deque(maxlen=SAMPLES))
                heard.append((sighting.mono_us, sighting.rssi))
                self._heard.move_to_end(beacon.id)
                if len(self._heard) > MOST_BEACONS:
                    # A crowd never pushes out what the installer looks for.
                    del self._heard[next((id_ for id_ in self._heard if id_ not in self._anchors), beacon.id)]

    def heard(self) -> list[Heard]:
        """Every beacon, strongest first."""
        now_us = time.monotonic_ns() // 1000
        with self._lock:
            found = [(id_, list(samples)) for id_, samples in self._heard.items()]
        beacons = [self._one(id_, samples, now_us) for id_, samples in found]
        return sorted(beacons, key=lambda one: (one.rssi_dbm is None, -(one.rssi_dbm or 0), one.id))

    def _one(self, id_: str, samples: Sequence[tuple[int, int | None]], now_us: int) -> Heard:
        measured = [rssi for _, rssi in samples if rssi is not None]
        return Heard(
            id=id_,
            rssi_dbm=round(statistics.median(measured)) if measured else None,
            anchor=self._anchors.get(id_),
            packets=len(samples),
            age_s=max(0, now_us - samples[-1][0]) // 1_000_000,
        )


def beacon_bars(heard: Iterable[Heard]) -> tuple[Bar, ...]:
    """Chips, the site's anchors first: what does not fit the screen are strangers."""
    return tuple(_chip(one) for one in sorted(heard, key=lambda one: one.anchor is None))


def satellite_bars(sky: Iterable[Satellite]) -> tuple[Bar, ...]:
    """Bars of the satellites that are tracked, strongest first."""
    return tuple(
        Bar(
            "satellite",
            SYSTEM_LETTERS.get(one.id[:2], "?") + one.id[2:],
            one.id,
            str(one.snr),
            _percent(one.snr),
            _tone(one.snr, GOOD_DB_HZ, FAIR_DB_HZ),
        )
        for one in sky
        if one.snr is not None
    )


def short_name(beacon: str) -> str:
    """A beacon for a chip: without its kind, both ends where it is too long; the whole id is in the JSON."""
    _, _, rest = beacon.partition(":")
    if not rest or len(rest) <= LONGEST_NAME:
        return rest or beacon
    return f"{rest[:4]}…{rest[-(LONGEST_NAME - 5) :]}"


def _chip(one: Heard) -> Bar:
    marked, dbm = one.anchor is not None, one.rssi_dbm
    tone: Tone = "poor" if dbm is None else _tone(dbm, ENTER_DBM, LEAVE_DBM)
    value, percent = ("?", 0) if dbm is None else (str(dbm), min(100, max(0, dbm + 100)))
    return Bar("beacon", short_name(one.id), one.anchor or one.id, value, percent, tone, marked)


def _percent(db_hz: int) -> int:
    return min(100, max(4, round(100 * (db_hz - LEAST_DB_HZ) / (MOST_DB_HZ - LEAST_DB_HZ))))


def _tone(value: int, good: int, fair: int) -> Tone:
    return "good" if value >= good else "fair" if value >= fair else "poor"
