"""Looks at the parts for the signed coverage (`coverage`); signs a report when it is time, and at an orderly stop."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import structlog

from evidence.events import Kind
from kiosk.clock import Clock, Stamp
from kiosk.coverage import Coverage, Look
from kiosk.errors import JournalFailed, JournalFull
from kiosk.journal import Journal
from kiosk.sensors.beacons import BeaconSensor
from kiosk.sensors.newest_frame import NewestFrame
from kiosk.sensors.serial_gps import SerialGps
from kiosk.uplink import Uplink

log = structlog.get_logger(__name__)


@dataclass(frozen=True, slots=True)
class Covered:
    """The parts whose working is added up; None: this terminal has none."""

    eyes: NewestFrame | None
    gps: SerialGps | None
    beacons: BeaconSensor | None
    uplink: Uplink

    def look(self, mono_us: int) -> Look:
        """How they are at this moment, monotonic microseconds."""
        eyes, gps, beacons = self.eyes, self.gps, self.beacons
        return Look(
            mono_us,
            camera=None if eyes is None else eyes.state.state == "working",
            scanner=None if beacons is None else beacons.state.state == "working",
            gps=None if gps is None else gps.state.state == "working",
            uplink=self.uplink.state.state == "working" or self.uplink.over_https,
            frames=None if eyes is None else eyes.delivered,
            advertisements=None if beacons is None else beacons.reading().advertisements,
        )


class CoverageKeeper:
    """`look` says how the parts are; a report is signed every `every_s` seconds. Not for two threads at once."""

    def __init__(
        self,
        clock: Clock,
        journal: Journal,
        look: Callable[[int], Look],
        *,
        started: Stamp,
        every_s: float,
        screen: bool,
        wake: Callable[[], None],
        checkpoint: Callable[[], str | None] = lambda: None,
    ) -> None:
        """`started`, `screen`: as in Coverage. `checkpoint` gives the newest one of the ledger that was seen here."""
        self._clock, self._journal, self._look = clock, journal, look
        self._every_s, self._wake, self._checkpoint = every_s, wake, checkpoint
        self._coverage = Coverage(started, screen=screen)

    def cover(self, *, last: bool = False) -> None:
        """Add up how long each part works, and sign it when it is time; `last`: whatever the time."""
        now = self._clock.stamp()
        self._coverage.look(self._look(now.mono_us))
        if not last and self._coverage.lasted_s(now.mono_us) < self._every_s:
            return
        try:
            report = self._coverage.report(now, self._journal.depth, last=last, checkpoint=self._checkpoint())
            self._journal.append(Kind.COVERAGE, report)
        except (JournalFailed, JournalFull) as error:  # the period goes on, and the next report says more
            log.error("coverage_not_signed", reason=str(error))
            return
        self._coverage.signed(now)
        self._wake()
