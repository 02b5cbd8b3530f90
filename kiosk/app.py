"""The composition root of the terminal: settings in, running parts out. The only file that knows every part."""

from __future__ import annotations

import secrets
import threading
import time
from collections.abc import Callable
from contextlib import ExitStack
from datetime import timedelta
from pathlib import Path
from types import TracebackType
from typing import Self

import structlog

from evidence.events import Check, ConfigAppliedBody, Kind, Outcome
from evidence.status import Part
from kiosk.attendant import Attendant, Surroundings
from kiosk.clock import Stamp, SystemClock, step_ms
from kiosk.enrolment import Consent, Enrolled, EnrolmentDesk, EnrolmentError
from kiosk.errors import JournalFailed, JournalFull
from kiosk.health import clock_part, free_bytes, gather, troubles
from kiosk.hearing import Hearing
from kiosk.identity import load_or_create, load_or_create_gallery_key
from kiosk.journal import Journal
from kiosk.place import beacon_check, clock_check, gps_check
from kiosk.policy import PROFILES
from kiosk.sensors.camera import Camera
from kiosk.sensors.gps import Fence, FixTracker
from kiosk.sensors.newest_frame import NewestFrame
from kiosk.sensors.serial_gps import SerialGps
from kiosk.sensors.v4l2 import V4l2Camera
from kiosk.sensors.video_file import VideoFileCamera
from kiosk.settings import KioskSettings
from kiosk.terminal.serve import TerminalServer
from kiosk.uplink import Uplink
from kiosk.verify.face import Face, open_face
from kiosk.verify.gallery import Gallery
from kiosk.verify.session import FaceSession

log = structlog.get_logger(__name__)

HEALTH_EVERY_S = 5.0  # a console shows trouble within two of these
PRUNE_EVERY_S = 3600.0


def open_camera(settings: KioskSettings) -> Camera:
    """Open the camera that the settings name. Raises a SensorError."""
    if settings.camera.startswith("file:"):
        return VideoFileCamera(Path(settings.camera.removeprefix("file:")))
    return V4l2Camera(settings.camera)


class Kiosk:
    """A running terminal, between `start` and `stop`; a context manager does both.

    `camera` replaces the camera that the settings name: the demo passes a stage. `screen` False: no page is served,
    as for an enrolment from the command line. Raises a KioskError where the
    journal, the keys or the screen cannot be had; sensors and models that fail are states, not errors.
    """

    def __init__(
        self, settings: KioskSettings, *, camera: Callable[[], Camera] | None = None, screen: bool = True
    ) -> None:
        self.settings = settings
        self._started_us = time.monotonic_ns() // 1000
        self._closing = ExitStack()
        self._stopping = threading.Event()
        self._policy_applied = False
        self.failed = threading.Event()  # set: end this process with an error, so that it is started again
        self.clock = SystemClock()
        self.key = load_or_create(settings.key_file)
        self.policy = PROFILES[settings.profile]
        self.journal = Journal(
            settings.journal_file,
            self.key,
            settings.device,
            settings.site,
            settings.tz,
            self.clock,
            retention=timedelta(days=settings.retention_days),
            low_space_bytes=settings.low_space_mib << 20,
            max_pages=settings.journal_max_pages,
        )
        self._closing.callback(self.journal.close)
        self.gallery = Gallery(settings.gallery_file, load_or_create_gallery_key(settings.gallery_key_file))
        self._closing.callback(self.gallery.close)
        self.uplink = Uplink(self.journal, settings, self.clock)
        self._fence = _fence(settings)
        self._gps = _gps(settings, self._fence)
        self.hearing = Hearing(settings, self.journal, self.clock, self.uplink.wake)
        self.eyes: NewestFrame | None = None
        self._face: Face | None = None
        self._face_part = Part(state="absent", reason="no_face_path: this site's policy has none")
        if self.policy.face is not None:
            self.eyes = NewestFrame(camera or (lambda: open_camera(settings)))
            self._face, self._face_part = open_face(settings.landmark_bundle, self.gallery)
        self.attendant = Attendant(
            policy=self.policy,
            journal=self.journal,
            gallery=self.gallery,
            eyes=self.eyes,
            new_session=self._new_session if self._face is not None else None,
            surroundings=Surroundings(
                self.clock.stamp,
                self._place,
                self._troubles,
                self._online,
                self.uplink.wake,
                badge=self.hearing.badge,
                punched=self.hearing.punched,
            ),
            site=settings.title,
            device=settings.device,
            tz=settings.tz,
            presence=self.hearing.presence is not None,
        )
        self.screen: TerminalServer | None = None
        if screen:
            self.screen = TerminalServer(self.attendant, settings.language, settings.screen_host, settings.screen_port)
        self._keeper = threading.Thread(target=self._keep, name="keeper", daemon=True)

    def start(self) -> None:
        """Start every part; the screen comes last, when there is something behind it."""
        self._apply_policy()
        if self._face is not None:
            self._closing.callback(self._face.close)  # last of all: a running attempt still looks
        for part in (self.eyes, self._gps, self.hearing, self.uplink, self.attendant, self.screen):
            if part is not None:
                part.start()
                self._closing.callback(part.stop)
        self._keeper.start()
        url = self.screen.url if self.screen is not None else None
        log.info("terminal_started", device=self.settings.device, screen=url, policy=self.policy.name)

    def _apply_policy(self) -> None:
        """Sign which policy is in force; on a full disk later, and the screen comes up to say so."""
        try:
            self.journal.append(
                Kind.CONFIG_APPLIED, ConfigAppliedBody(policy=self.policy.document(), policy_hash=self.policy.hash)
            )
            self._policy_applied = True
        except (JournalFailed, JournalFull) as error:
            log.error("policy_not_signed", reason=str(error))

    def stop(self) -> None:
        """Stop every part, last started first."""
        self._stopping.set()
        if self._keeper.is_alive():
            self._keeper.join(HEALTH_EVERY_S)
        self._closing.close()

    def __enter__(self) -> Self:
        """Start."""
        self.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        """Stop."""
        self.stop()

    def enrol_face(
        self, authorisation: str, consent: Consent, *, pin: str | None = None, say: Callable[[str], None] = print
    ) -> Enrolled:
        """Enrol the worker before the camera. Raises an EnrolmentError, a JournalError or a VerifyError."""
        if self._face is None or self.eyes is None:
            raise EnrolmentError(f"this terminal has no face path: {self._face_part.reason}")
        enrolled = self._desk().enrol_face(authorisation, consent, eyes=self.eyes, face=self._face, pin=pin, say=say)
        self.uplink.wake()
        return enrolled

    def enrol_pin(self, authorisation: str, pin: str) -> Enrolled:
        """Enrol badge and PIN without a face. Raises an EnrolmentError, a JournalError or a VerifyError."""
        enrolled = self._desk().enrol_pin(authorisation, pin)
        self.uplink.wake()
        return enrolled

    def _desk(self) -> EnrolmentDesk:
        return EnrolmentDesk(
            device=self.settings.device,
            site=self.settings.site,
            collector_keys=self.settings.pinned_keys,
            now=lambda: self.clock.stamp().time,
            journal=self.journal,
            gallery=self.gallery,
        )

    def placed(self) -> bool:
        """True when no check of the place is waiting for its sensor to warm up."""
        return all(check.outcome is not Outcome.NOT_RUN for check in self._place() if check.name != "clock")

    def parts(self) -> dict[str, Part]:
        """How each part is, now."""
        return {**self._local_parts(), "network": self.uplink.state, "clock": clock_part(self.clock.stamp())}

    def _local_parts(self) -> dict[str, Part]:
        absent = Part(state="absent")
        return {
            "journal": self.journal.state,
            "camera": self.eyes.state if self.eyes is not None else absent,
            "face": self._face_part,
            "gps": self._gps.state if self._gps is not None else absent,
            "beacons": self.hearing.state,
            "presence": self.hearing.presence_state,
        }

    def _new_session(self, badge: str | None, tapped_us: int) -> FaceSession:
        assert self._face is not None and self.eyes is not None
        return self._face.session(badge, tapped_us, fps=self.eyes.fps, rng=secrets.SystemRandom())

    def _place(self) -> list[Check]:
        gps = self._gps.reading() if self._gps is not None else None
        return [
            gps_check(gps, self._fence),
            beacon_check(self.hearing.reading(), self.settings.anchors),
            clock_check(self.clock.stamp().clock),
        ]

    def _troubles(self) -> tuple[str, ...]:
        # Network and clock are shown where they matter; asking the clock may cost a process, and a screen waits.
        parts = self._local_parts()
        del parts["presence"]  # nothing that a worker at the gate could do about it
        if self.policy.face is None:
            del parts["camera"], parts["face"]
        return troubles(parts)

    def _online(self) -> bool:
        return self.uplink.online

    def _keep(self) -> None:
        """Tell operators how the terminal is, watch the clock, prune what has been kept long enough."""
        last: Stamp = self.clock.stamp()
        pruned_s = time.monotonic()
        while not self._stopping.wait(HEALTH_EVERY_S):
            try:
                now = self.clock.stamp()
                self._publish_health(now)
                if self.eyes is not None and self.eyes.stuck:
                    self.failed.set()  # only a new process frees a hung driver; systemd starts one
                if self.journal.state.state == "failed" and not self.journal.probe():
                    continue  # nothing below can be written; the step is found again when there is room
                if not self._policy_applied:
                    self._apply_policy()
                if (step := step_ms(last, now)) is not None:
                    self.journal.append(Kind.CLOCK_STEPPED, {"from": last.time, "step_ms": step})
                    self.uplink.wake()
                last = now
                if time.monotonic() - pruned_s > PRUNE_EVERY_S:
                    pruned_s = time.monotonic()
                    self.journal.prune(now.time)
            except Exception:
                log.exception("keeper_failed")  # the next round tries again; punching does not depend on it

    def _publish_health(self, now: Stamp) -> None:
        self.uplink.publish_health(
            gather(
                device=self.settings.device,
                site=self.settings.site,
                now=now,
                started_mono_us=self._started_us,
                unsent=self.journal.depth,
                oldest_unsent=self.journal.oldest_unsent,
                head_seq=self.journal.head.seq,
                disk_free_bytes=free_bytes(self.settings.data_dir),
                parts=self.parts(),
            )
        )


def _fence(settings: KioskSettings) -> Fence | None:
    fence = settings.fence
    return None if fence is None else Fence(fence.latitude_e7, fence.longitude_e7, fence.radius_m)


def _gps(settings: KioskSettings, fence: Fence | None) -> SerialGps | None:
    if settings.gps_port is None:
        return None
    return SerialGps(settings.gps_port, settings.gps_baud, FixTracker(fence))
