"""How each part of this terminal is, by the names that status, console and self-test know."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

from evidence.status import Part
from kiosk.attendant import Attendant
from kiosk.badge_reading import BadgeReading
from kiosk.clock import Clock
from kiosk.enclosure import Enclosure
from kiosk.gallery_key import GalleryKey, keys_part
from kiosk.health import asked, clock_part, state_of, troubles
from kiosk.hearing import Hearing
from kiosk.journal import Journal
from kiosk.ledger_watch import LedgerWatch
from kiosk.renewal import CertificateKeeper
from kiosk.scene_watch import SceneWatch
from kiosk.sensors.lamps import Lamps
from kiosk.sensors.newest_frame import NewestFrame
from kiosk.sensors.serial_gps import SerialGps
from kiosk.terminal_key import TerminalKey
from kiosk.uplink import Uplink


@dataclass(frozen=True, slots=True)
class PartStates:
    """The parts themselves; None: this terminal has none."""

    journal: Journal
    uplink: Uplink
    ledger: LedgerWatch
    certificate: CertificateKeeper
    clock: Clock
    gallery_key: GalleryKey
    key: TerminalKey
    eyes: NewestFrame | None
    scene: SceneWatch | None
    face: Callable[[], Part]
    attendant: Attendant
    gps: SerialGps | None
    hearing: Hearing
    enclosure: Enclosure
    lamps: Lamps | None
    badges: BadgeReading
    transfer: Callable[[], Part]  # the exchange of faces with other terminals

    def every(self) -> dict[str, Part]:
        """Each part's state, now."""
        return {
            **self._local(),
            "network": asked(self._network),
            "ledger": asked(lambda: self.ledger.part),
            "clock": asked(lambda: clock_part(self.clock.stamp())),
            "keys": asked(lambda: keys_part(self.gallery_key, self.key)),
            "transfer": asked(self.transfer),
        }

    def troubles(self, *, faces: bool) -> tuple[str, ...]:
        """Codes for the screen, what failed first. `faces`: whether this site looks at faces."""
        # Network and clock are shown where they matter; asking the clock may cost a process, and a screen waits.
        parts = self._local()
        del parts["presence"]  # nothing that a worker at the gate could do about it
        if not faces:
            del parts["camera"], parts["face"], parts["scene"]
        return troubles(parts)

    def _local(self) -> dict[str, Part]:
        parts = self._each()
        hung = self.attendant.hung
        if hung is not None:
            parts[hung.part] = Part(state="failed", reason=hung.reason)
        return parts

    def _each(self) -> dict[str, Part]:
        return {
            "journal": state_of(self.journal),
            "camera": state_of(self.eyes),
            "scene": asked(self._scene),
            "face": asked(self.face),
            "gps": state_of(self.gps),
            "beacons": state_of(self.hearing),
            "presence": asked(lambda: self.hearing.presence_state),
            "enclosure": asked(self._enclosure),
            "badge_reader": state_of(self.badges),
        }

    def _scene(self) -> Part:
        if self.scene is None:
            return Part(state="absent")
        if state_of(self.eyes).state not in ("working", "degraded"):
            return Part(state="unknown", reason="scene_unseen: the camera delivers no pictures to judge the scene by")
        return self.scene.part

    def _network(self) -> Part:
        state, ended = self.uplink.state, self.certificate.trouble
        return Part(state="failed", reason=ended) if state.state == "failed" and ended is not None else state

    def _enclosure(self) -> Part:
        state = self.enclosure.state
        if self.lamps is not None and self.lamps.trouble is not None and state.state in ("working", "absent"):
            return Part(state="degraded", reason=self.lamps.trouble)
        return state
