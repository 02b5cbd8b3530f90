"""Which satellites a receiver has in view, how strong each is and where it stands: for whoever places an antenna.

A value that the receiver does not know or that cannot be is None; the satellite is listed all the same. Pure.
"""

from __future__ import annotations

from dataclasses import dataclass

from kiosk.sensors.gps_signs import FRESH_US, MOST_SATELLITES
from kiosk.sensors.nmea import Gsv


@dataclass(frozen=True, slots=True)
class Satellite:
    """One in view: `id` by system and number (GP03), strength in dB-Hz (None: not tracked), degrees in the sky."""

    id: str
    snr: int | None
    elevation: int | None
    azimuth: int | None


class Sky:
    """Keeps what the receiver said last of each satellite. Not for two threads at once."""

    def __init__(self) -> None:
        self._seen: dict[tuple[str, int], tuple[Satellite, int]] = {}  # (system, number): mono_us

    def satellites_in_view(self, gsv: Gsv, mono_us: int) -> None:
        """Note one GSV."""
        for one in gsv.satellites:
            name = f"{gsv.system}{one.number:02d}"
            self._seen[gsv.system, one.number] = (
                Satellite(name, one.strength, one.elevation, one.azimuth),
                mono_us,
            )
        if len(self._seen) > MOST_SATELLITES:
            newest = sorted(self._seen.items(), key=lambda item: item[1][1])[-MOST_SATELLITES:]
            self._seen = dict(newest)

    def view(self, mono_us: int) -> tuple[Satellite, ...]:
        """The satellites of the last seconds, strongest first, then those that are not tracked."""
        fresh = [one for _, (one, at_us) in sorted(self._seen.items()) if mono_us - at_us <= FRESH_US]
        return tuple(sorted(fresh, key=lambda one: -1 if one.snr is None else one.snr, reverse=True))
