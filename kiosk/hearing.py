"""What a terminal hears over Bluetooth, put together: the site's anchors, the badges that workers wear, presence.

A fault in here costs a check or an interval, never a punch: every call of the attendant's ends in an answer.
"""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import structlog

from evidence.errors import InvalidBody
from evidence.events import Check, Kind, Outcome, PunchBody, parse_body
from evidence.status import Part
from kiosk.breaks import Breaks
from kiosk.clock import Clock, format_time, parse_time
from kiosk.eid_keys import load_eid_keys
from kiosk.journal import Journal
from kiosk.presence import Presence
from kiosk.presence_keeper import PresenceKeeper
from kiosk.sensors.beacons import BeaconReading, BeaconSensor, BeaconSource, BeaconTracker, Sighting
from kiosk.sensors.bleak_beacons import BleakBeacons
from kiosk.sensors.eddystone_eid import EidBook
from kiosk.sensors.recorded_beacons import RecordedBeacons
from kiosk.settings import KioskSettings
from kiosk.worn_badges import CHECK_NAME, WornBadges

LONGEST_EID_WINDOW_NS = 5 * (1 << 15) * 1_000_000_000  # five periods of the slowest rotation, 45 hours

log = structlog.get_logger(__name__)


class Hearing:
    """The scanner and all that listens to it; `wake` is called after each interval that was signed, `erased` says
    whether nothing of a worker may be taken up again. `opened`: the case is, and the beacons' keys are left unread.

    Raises a KioskError where the keys or the journal cannot be read; a scanner that fails is a state.
    """

    def __init__(
        self,
        settings: KioskSettings,
        journal: Journal,
        clock: Clock,
        wake: Callable[[], None],
        erased: Callable[[str], bool] = lambda worker: False,
        *,
        opened: bool = False,
    ) -> None:
        self._eid_keys = settings.eid_keys
        self._nameless = opened and self._eid_keys is not None  # the beacons' keys are dropped
        self._rotating = any(badge.startswith("eid:") for badge in settings.badges)
        self._worn = _worn_badges(settings, journal, clock)
        self.presence = _presence(settings, self._worn, journal, clock, wake, erased)
        self.sensor = _sensor(settings, self._sighted, opened=opened)

    def start(self) -> None:
        """Take up presence, then listen."""
        if self.presence is not None:
            self.presence.start()
        if self.sensor is not None:
            self.sensor.start()

    def stop(self) -> None:
        """Stop listening, then close what is open."""
        if self.sensor is not None:
            self.sensor.stop()
        if self.presence is not None:
            self.presence.stop()

    @property
    def state(self) -> Part:
        """The scanner's state; `absent` where the settings name none."""
        return self.sensor.state if self.sensor is not None else Part(state="absent")

    @property
    def presence_state(self) -> Part:
        """Whether presence is noted and signed; `absent` where the site has none."""
        return self.presence.state if self.presence is not None else Part(state="absent")

    def reading(self) -> BeaconReading | None:
        """Say which anchors are heard; None where no scanner works, which says nothing about them."""
        scanner = self._scanner()
        return None if scanner is None else scanner.reading()

    @property
    def nameless(self) -> bool:
        """True while rotating identifiers are not resolved, for an opened case has dropped their keys."""
        return self._nameless

    def drop_keys(self) -> None:
        """Let go of the beacons' identity keys; until they are back, silence says nothing about who sends by them."""
        if self._eid_keys is None:
            return
        self._nameless = True
        if self.sensor is not None:
            self.sensor.forget_keys()

    def restore_keys(self) -> None:
        """Read the beacons' identity keys again. Raises KeyFileExposed or KeyFileUnreadable."""
        if self._eid_keys is None:
            return
        if self.sensor is not None:
            self.sensor.take_back_keys(load_eid_keys(self._eid_keys))
        self._nameless = False

    def badge(self, worker: str | None) -> tuple[Check, ...]:
        """Say whether the worker's badge is near."""
        try:
            checks = self._worn.check(worker, self._scanner())
            if self._nameless and worker is not None and any(one.startswith("eid:") for one in self._worn.of(worker)):
                return tuple(check if check.outcome is Outcome.PASSED else _NAMELESS for check in checks)
            return checks
        except Exception as error:
            log.exception("badge_check_failed")
            return (Check(name=CHECK_NAME, outcome=Outcome.NOT_RUN, reason=f"error: {type(error).__name__}"),)

    def punched(self, body: PunchBody) -> None:
        """Take a committed punch; what goes wrong here must not make it look unrecorded."""
        try:
            self._worn.spend(body)
            if self.presence is not None:
                self.presence.punched(body)
        except Exception:
            log.exception("punch_not_followed")

    def forget(self, worker: str) -> None:
        """Erase what presence has not signed yet of a worker."""
        if self.presence is not None:
            self.presence.forget(worker)

    def _sighted(self, sighting: Sighting) -> None:
        """For presence; but while nobody can name the badges, all of them are this terminal's gap, none is silent."""
        if self.presence is not None and not (self._nameless and self._rotating):
            self.presence.sighted(sighting)

    def _scanner(self) -> BeaconSensor | None:
        scans = self.sensor is not None and self.sensor.state.state in ("working", "degraded")
        return self.sensor if scans else None


_NAMELESS = Check(
    name=CHECK_NAME,
    outcome=Outcome.NOT_RUN,
    reason="enclosure_opened: the badges' keys left the memory when the case was opened",
)


def _sensor(settings: KioskSettings, sighted: Callable[[Sighting], None], *, opened: bool) -> BeaconSensor | None:
    if settings.beacons is None:
        return None
    source: BeaconSource
    if settings.beacons.startswith("file:"):
        source = RecordedBeacons(Path(settings.beacons.removeprefix("file:")), loop=True)
    else:
        source = BleakBeacons()
    book = None
    if settings.eid_keys is not None:
        book = EidBook(() if opened else load_eid_keys(settings.eid_keys))
    return BeaconSensor(
        source,
        BeaconTracker(settings.anchors),
        badges=BeaconTracker(settings.badges) if settings.badges else None,
        book=book,
        listener=None if settings.presence is None else sighted,
    )


def _presence(
    settings: KioskSettings,
    worn: WornBadges,
    journal: Journal,
    clock: Clock,
    wake: Callable[[], None],
    erased: Callable[[str], bool],
) -> PresenceKeeper | None:
    if settings.presence is None:
        return None
    max_shift_us = settings.presence.max_shift_hours * 3_600_000_000
    presence = Presence(breaks=Breaks(settings.presence.breaks, settings.tz), max_shift_us=max_shift_us)
    return PresenceKeeper(
        presence,
        worn,
        journal,
        clock,
        settings.presence_file,
        max_shift_us=max_shift_us,
        wake=wake,
        erased=erased,
    )


def _worn_badges(settings: KioskSettings, journal: Journal, clock: Clock) -> WornBadges:
    """Whose badge is whose; identifiers that served a punch before this start stay used."""
    worn = WornBadges(settings.badges)
    since = format_time(parse_time(clock.stamp().time) - LONGEST_EID_WINDOW_NS)
    for event in journal.recent((Kind.PUNCH_RECORDED,), since) if settings.badges else ():
        try:
            body = parse_body(event)
        except InvalidBody:  # of another version; it stands in the journal all the same
            continue
        if isinstance(body, PunchBody):
            worn.spend(body)
    return worn
