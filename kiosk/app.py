"""The composition root of the terminal: settings in, running parts out. The only file that knows every part."""

from __future__ import annotations

import functools
import secrets
import threading
import time
from collections.abc import Callable, Sequence
from contextlib import ExitStack
from datetime import timedelta
from pathlib import Path
from types import TracebackType
from typing import TYPE_CHECKING, Self

import structlog

from evidence.command import ERASE_WORKER, SPOT_CHECK
from evidence.events import (
    Ask,
    Check,
    ConfigAppliedBody,
    Kind,
    Outcome,
    SensorChangedBody,
    Verdict,
)
from evidence.keys import PublicKey
from evidence.status import Part
from kiosk.attendant import Attendant, Surroundings
from kiosk.badge_codes import worker_of
from kiosk.clip_store import ClipError, ClipStore
from kiosk.clips import Clips
from kiosk.clock import Stamp, SystemClock, step_ms
from kiosk.commands import CommandDesk
from kiosk.control import ControlServer
from kiosk.coverage import Coverage, Look
from kiosk.enclosure import Enclosure, Keys
from kiosk.enrolment import Consent, Enrolled
from kiosk.errors import BadgeCodesUnreadable, ControlError, JournalError, JournalFailed, JournalFull
from kiosk.gallery_key import gallery_key, keys_part
from kiosk.health import clock_part, free_bytes, gather, state_of, troubles
from kiosk.hearing import Hearing
from kiosk.joined import joined_of
from kiosk.journal import Journal
from kiosk.ledger_watch import LedgerWatch
from kiosk.operations import Enrolment, Operations
from kiosk.ordered_erasure import OrderedErasure
from kiosk.owed import Owed
from kiosk.place import beacon_check, clock_check, gps_check, judged
from kiosk.policy import PROFILES
from kiosk.renewal import CertificateKeeper
from kiosk.scene_watch import SceneWatch
from kiosk.sensors.badges import BadgeSource, RecordedBadges
from kiosk.sensors.camera import Camera
from kiosk.sensors.enclosure import GpioTamperLoop, lgpio_pins
from kiosk.sensors.evdev_badges import EvdevBadges
from kiosk.sensors.gps import Fence, FixTracker, GpsReading, Place
from kiosk.sensors.gps_home import read_home, write_home
from kiosk.sensors.lamps import Lamps
from kiosk.sensors.newest_frame import NewestFrame
from kiosk.sensors.picamera2_camera import Picamera2Camera
from kiosk.sensors.serial_gps import SerialGps
from kiosk.sensors.v4l2 import V4l2Camera
from kiosk.sensors.video_file import VideoFileCamera
from kiosk.settings import KioskSettings
from kiosk.spot_check import SpotChecks
from kiosk.spot_check_file import AttemptsFile
from kiosk.terminal.serve import TerminalServer
from kiosk.terminal_key import TerminalKey
from kiosk.tpm import choose_tpm
from kiosk.uplink import Uplink
from kiosk.verify.face import Face, open_face
from kiosk.verify.face_settings import FaceSettings
from kiosk.verify.gallery import Gallery, GalleryError
from kiosk.verify.session import FaceSession

if TYPE_CHECKING:
    from gpiozero import Factory

log = structlog.get_logger(__name__)

HEALTH_EVERY_S = 5.0  # a console shows trouble within two of these
PRUNE_EVERY_S = 3600.0


def open_camera(settings: KioskSettings) -> Camera:
    """Open the camera that the settings name. Raises a SensorError."""
    if settings.camera.startswith("file:"):
        return VideoFileCamera(Path(settings.camera.removeprefix("file:")))
    if settings.camera.startswith("picamera2"):
        return Picamera2Camera(int(settings.camera.partition(":")[2] or 0))
    return V4l2Camera(settings.camera)


class Kiosk:
    """A running terminal, between `start` and `stop`; a context manager does both.

    `camera` replaces the camera that the settings name: the demo passes a stage. `pins` makes the GPIO pins. `screen`
    False: no page is served, as for an enrolment from the command line. Raises a KioskError where the
    journal, the keys or the screen cannot be had; sensors and models that fail are states, not errors.
    """

    def __init__(
        self,
        settings: KioskSettings,
        *,
        camera: Callable[[], Camera] | None = None,
        pins: Callable[[], Factory] = lgpio_pins,
        screen: bool = True,
    ) -> None:
        self.settings = settings
        self._started_us = time.monotonic_ns() // 1000
        self._closing = ExitStack()
        self._stopping = threading.Event()
        self._policy_applied = False
        self.failed = threading.Event()  # set: end this process with an error, so that it is started again
        self.clock = SystemClock()
        self._pins = functools.cache(pins)  # one handle for all; a failure is not kept
        self._coverage = Coverage(self.clock.stamp(), screen=screen)
        tpm = choose_tpm(settings.tpm)
        if tpm is not None:
            self._closing.callback(tpm.close)
        self.key = TerminalKey(settings.key_file, tpm)
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
        loop = settings.enclosure.tamper_pin
        watched = loop is not None or self.journal.opening is not None
        self.policy = PROFILES[settings.profile].sealed() if watched else PROFILES[settings.profile]
        opened = self.journal.opening is not None
        self._gallery_keeper = gallery_key(settings.gallery_key_file, tpm)
        self.gallery = Gallery(settings.gallery_file, None if opened else self._gallery_keeper.load())
        self._last = self.journal.last_stamp  # a step is seen although it happened while nothing ran here
        self._closing.callback(self.gallery.close)
        self._owed = Owed(self.gallery, self.journal)
        self.ledger = LedgerWatch(self.journal, settings.data_dir, settings.ledger_keys, lambda: self.uplink.wake())
        self.uplink = Uplink(
            self.journal,
            settings,
            self.clock,
            on_command=self._receive_command,
            on_keys=self._trust,
            on_checkpoint=self.ledger.offer,
        )
        self._certificate = CertificateKeeper(
            joined_of(settings),
            settings.data_dir,
            self.key,
            clock_known=lambda: self.clock.stamp().clock.source != "none",
        )
        self.commands = CommandDesk(
            self.journal,
            site=settings.site,
            keys=settings.pinned_keys,
            now=lambda: self.clock.stamp().time,
            wake=self.uplink.wake,
        )
        self.clips = _clips(settings, self.gallery, self.journal, lambda: self.clock.stamp().time, self.uplink.wake)
        self._calls = SpotChecks(
            name_of=self._name_of,
            now_us=lambda: time.monotonic_ns() // 1000,
            answer=self.commands.answer,
            kept=AttemptsFile(settings.spot_check_file),
            forget_clip=self.clips.forget,
        )
        self.commands.handle(SPOT_CHECK, self._calls.order)
        self.commands.handle(ERASE_WORKER, OrderedErasure(lambda: self.operations.erasures()))
        self.enclosure = Enclosure(
            GpioTamperLoop(loop, self._pins) if loop is not None else None,
            self.journal,
            Keys(drop=self._drop_keys, restore=self._restore_keys),
            now=lambda: self.clock.stamp().time,
            signed=self.uplink.wake,
        )
        self._closing.callback(self.enclosure.stop)
        self._lamps = _lamps(settings, self._pins)
        self._fence = _fence(settings)
        self._home = read_home(settings.gps_home_file, self._fence)
        self._gps = _gps(settings, self._fence, self._home)
        self.hearing = Hearing(settings, self.journal, self.clock, self.uplink.wake, self._erased)
        self.eyes: NewestFrame | None = None
        self._face: Face | None = None
        self._face_part = Part(state="absent", reason="no_face_path: this site's policy has none")
        if self.policy.face is not None:
            self.eyes = NewestFrame(camera or (lambda: open_camera(settings)))
            self._face, self._face_part = open_face(
                settings.landmark_bundle,
                self.gallery,
                FaceSettings(
                    match_distance=settings.match_distance,
                    flash=settings.flash == "on",
                    flash_excused=settings.flash_excused,
                ),
                settings.embedder_choice,
            )
            if self._face is not None:  # also where nothing is started: an open landmarker hangs when it is collected
                self._closing.callback(self._face.close)  # after all that starts: a running attempt still looks
        self._scene = SceneWatch(settings.scene_file, self._sign_scene) if self.eyes is not None else None
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
                self.enclosure.judging,
                badge=self.hearing.badge,
                punched=self.hearing.punched,
                calls=self._calls,
                clips=self.clips,
                ended=self._show_lamps,
                hold_exposure=self.eyes.hold_exposure if self.eyes is not None else lambda held: False,
            ),
            site=settings.title,
            device=settings.device,
            tz=settings.tz,
            presence=self.hearing.presence is not None,
        )
        self._badge_trouble: str | None = None
        self._badge_reader = _badge_reader(settings, self._badge_read)
        self.screen: TerminalServer | None = None
        if screen:
            self.screen = TerminalServer(self.attendant, settings.language, settings.screen_host, settings.screen_port)
        # Operators reach a program that serves workers; one without a screen was started by an operator's own command.
        self._control = ControlServer(settings.data_dir, self.operations) if screen else None
        self._keeper = threading.Thread(target=self._keep, name="keeper", daemon=True)

    def start(self) -> None:
        """Start every part; the screen comes last, when there is something behind it."""
        try:
            self._watch_clock(self.clock.stamp())
        except (JournalFailed, JournalFull) as error:
            log.error("clock_step_not_signed", reason=str(error))  # the keeper finds it again
        self._apply_policy()
        self._sign_owed()
        self._resume_commands()
        self.enclosure.start()  # first of all: it is not there only for punches
        for part in (self.eyes, self._gps, self.hearing, self.uplink):
            if part is not None:
                part.start()
                self._closing.callback(part.stop)
        self._closing.callback(
            self._try, functools.partial(self._cover, last=True)
        )  # after the last punch, while the sensors still run
        for served in (self.attendant, self._badge_reader, self._lamps, self.screen):
            if served is not None:
                served.start()
                self._closing.callback(served.stop)
        self._start_control()
        self._keeper.start()
        url = self.screen.url if self.screen is not None else None
        log.info("terminal_started", device=self.settings.device, screen=url, policy=self.policy.name)

    def _start_control(self) -> None:
        """Let operators in; where that fails, workers punch all the same."""
        if self._control is None:
            return
        try:
            self._control.start()
            self._closing.callback(self._control.stop)
        except ControlError as error:
            log.error("control_unavailable", reason=str(error))

    def _apply_policy(self) -> None:
        """Sign once which policy is in force; on a full disk later, and the screen comes up to say so."""
        if self._policy_applied:
            return
        try:
            self.journal.append(
                Kind.CONFIG_APPLIED, ConfigAppliedBody(policy=self.policy.document(), policy_hash=self.policy.hash)
            )
            self._policy_applied = True
        except (JournalFailed, JournalFull) as error:
            log.error("policy_not_signed", reason=str(error))

    def _trust(self, keys: Sequence[PublicKey]) -> None:
        self.commands.trust(keys)
        self.ledger.trust(self.settings.ledger_keys)

    def _receive_command(self, data: bytes) -> None:
        self.commands.receive(data)

    def _resume_commands(self) -> None:
        try:
            self.commands.resume()
        except JournalError as error:  # they stay open until the next start
            log.error("commands_not_resumed", reason=str(error))

    def _name_of(self, worker: str) -> str | None:
        held = self.gallery.get(worker)
        return None if held is None else held.name

    def _erased(self, worker: str) -> bool:
        """Whether nobody is enrolled here under this code; a gallery that cannot say erases nobody's presence."""
        try:
            return worker not in self.gallery.workers()
        except GalleryError:
            log.exception("gallery_failed")
            return False

    def _sign_owed(self) -> None:
        """Sign what an interrupted erasure or enrolment still owes; what cannot be signed now is tried again."""
        self.ledger.sign()
        try:
            if self._owed.sign():
                self.uplink.wake()
        except (JournalError, GalleryError) as error:
            log.error("owed_not_signed", reason=str(error))

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

    @property
    def operations(self) -> Operations:
        """What an operator can ask of this terminal."""
        return Operations(
            settings=self.settings,
            clock=self.clock,
            journal=self.journal,
            gallery=self.gallery,
            owed=self._owed,
            clips=self.clips,
            forget=self.hearing.forget,
            attendant=self.attendant,
            eyes=self.eyes,
            face=self._face,
            face_part=self._face_part,
            parts=self.parts,
            wake=self.uplink.wake,
        )

    def enrol_face(
        self,
        authorisation: str,
        consent: Consent,
        *,
        pin: str | None = None,
        say: Callable[[str], None] = print,
        excused: Sequence[Ask] = (),
    ) -> Enrolled:
        """Enrol the worker before the camera. Raises an EnrolmentError, a JournalError or a VerifyError."""
        wanted = Enrolment(authorisation=authorisation, consent=consent, pin=pin, excused=tuple(excused))
        return self.operations.enrol(wanted, say)

    def enrol_pin(self, authorisation: str, pin: str) -> Enrolled:
        """Enrol badge and PIN without a face. Raises an EnrolmentError, a JournalError or a VerifyError."""
        return self.operations.enrol(Enrolment(authorisation=authorisation, pin=pin), lambda _: None)

    def clear_enclosure(self, clearance: str) -> int:
        """Clear the opened enclosure; return the seq of the event that says so. Raises NotCleared or a JournalError."""
        return self.enclosure.clear(clearance, keys=self.settings.pinned_keys, site=self.settings.site)

    def _drop_keys(self) -> None:
        self.gallery.lock()
        self.key.drop()

    def _restore_keys(self) -> None:
        self.gallery.unlock(self._gallery_keeper.load())
        self.key.hold()

    def placed(self) -> bool:
        """True when no check of the place is waiting for its sensor to warm up."""
        return all(check.outcome is not Outcome.NOT_RUN for check in self._place() if check.name != "clock")

    def parts(self) -> dict[str, Part]:
        """How each part is, now."""
        return {
            **self._local_parts(),
            "network": self._network_part(),
            "ledger": self.ledger.part,
            "clock": clock_part(self.clock.stamp()),
            "keys": keys_part(self._gallery_keeper, self.key),
        }

    def _network_part(self) -> Part:
        state, ended = self.uplink.state, self._certificate.trouble
        return Part(state="failed", reason=ended) if state.state == "failed" and ended is not None else state

    def _renew_certificate(self) -> None:
        self._certificate.tick(time.monotonic(), online=self.uplink.online)

    def _local_parts(self) -> dict[str, Part]:
        return {
            "journal": self.journal.state,
            "camera": state_of(self.eyes),
            "scene": self._scene.part if self._scene is not None else Part(state="absent"),
            "face": self._face_part,
            "gps": state_of(self._gps),
            "beacons": state_of(self.hearing),
            "presence": self.hearing.presence_state,
            "enclosure": self._enclosure_part(),
            "badge_reader": self._badge_part(),
        }

    def _badge_read(self, code: str) -> None:
        """A badge was read: whose is it?"""
        try:
            worker = worker_of(code, self.settings.badge_codes)
            self._badge_trouble = None
        except BadgeCodesUnreadable as error:
            worker, self._badge_trouble = None, f"{error.code}: {error}"[:400]
            log.error("badge_codes_unreadable", why=str(error))
        self.attendant.badge_read(worker)

    def _show_lamps(self, verdict: Verdict | None) -> None:
        if self._lamps is not None:
            self._lamps.show(verdict)

    def _enclosure_part(self) -> Part:
        state = self.enclosure.state
        if self._lamps is not None and self._lamps.trouble is not None and state.state in ("working", "absent"):
            return Part(state="degraded", reason=self._lamps.trouble)
        return state

    def _badge_part(self) -> Part:
        if self._badge_reader is None:
            return Part(state="absent")
        state = self._badge_reader.state
        if state.state == "working" and self._badge_trouble is not None:
            return Part(state="degraded", reason=self._badge_trouble)
        return state

    def _new_session(self, badge: str | None, tapped_us: int) -> FaceSession:
        assert self._face is not None and self.eyes is not None
        return self._face.session(badge, tapped_us, fps=self.eyes.fps, rng=secrets.SystemRandom())

    def _place(self) -> list[Check]:
        return [
            judged("gps", lambda: gps_check(self._located(), self._fence)),
            judged("beacon", lambda: beacon_check(self.hearing.reading(), self.settings.anchors)),
            judged("clock", lambda: clock_check(self.clock.stamp().clock)),
        ]

    def _located(self) -> GpsReading | None:
        # A receiver that is gone says nothing, not even that it has no fix.
        if self._gps is None or self._gps.state.state not in ("working", "degraded"):
            return None
        return self._gps.reading()

    def _troubles(self) -> tuple[str, ...]:
        # Network and clock are shown where they matter; asking the clock may cost a process, and a screen waits.
        parts = self._local_parts()
        del parts["presence"]  # nothing that a worker at the gate could do about it
        if self.policy.face is None:
            del parts["camera"], parts["face"], parts["scene"]
        return troubles(parts)

    def _online(self) -> bool:
        return self.uplink.online

    def _keep(self) -> None:
        """Tell operators how the terminal is, watch the clock, prune what has been kept long enough."""
        pruned_s = time.monotonic()
        while not self._stopping.wait(HEALTH_EVERY_S):
            try:
                now = self.clock.stamp()
                self._publish_health(now)
                self._try(self._renew_certificate)
                self._keep_home()
                if self.eyes is not None and self.eyes.stuck:
                    self.failed.set()  # only a new process frees a hung driver; systemd starts one
                if self.journal.corrupt:
                    self.failed.set()  # the next start saves what is readable and begins a new chain
                if self.journal.state.state == "failed" and not self.journal.probe():
                    continue  # nothing below can be written; the step is found again when there is room
                for duty in (self._apply_policy, self._sign_owed, self._look_at_scene, self._calls.tick, self._cover):
                    self._try(duty)
                self._try(functools.partial(self._watch_clock, now))
                if time.monotonic() - pruned_s > PRUNE_EVERY_S:
                    pruned_s = time.monotonic()
                    self.journal.prune(now.time)
                    self._try(self.clips.prune)
            except Exception:
                log.exception("keeper_failed")  # the next round tries again; punching does not depend on it

    def _try(self, duty: Callable[[], object]) -> None:
        """Do one of the keeper's duties; its failure is said, tried again next round, and keeps no other from its."""
        try:
            duty()
        except Exception:
            log.exception("keeper_failed", duty=getattr(duty, "__name__", "clock"))

    def _look_at_scene(self) -> None:
        """Between punches only: whoever stands there to punch hides the scene."""
        frame = self.eyes.newest if self.eyes is not None else None
        if self._scene is not None and frame is not None and self.attendant.idle:
            self._scene.see(frame.image, time.monotonic())

    def _sign_scene(self, body: SensorChangedBody) -> None:
        self.journal.append(Kind.SENSOR_CHANGED, body)
        self.uplink.wake()

    def _watch_clock(self, now: Stamp) -> None:
        """Sign a step since the last look, or since the last event before this start. Raises a JournalError."""
        if (step := step_ms(self._last, now)) is not None:
            self.journal.append(Kind.CLOCK_STEPPED, {"from": self._last.time, "step_ms": step})
            self.uplink.wake()
        self._last = now

    def _keep_home(self) -> None:
        home = self._gps.home if self._gps is not None else None
        if home is not None and home != self._home:
            try:
                write_home(self.settings.gps_home_file, self._fence, home)
            except OSError as error:  # a full disk; the next round tries again
                log.warning("gps_home_not_kept", why=str(error))
                return
            self._home = home

    def _cover(self, *, last: bool = False) -> None:
        """Add up how long each part works, and sign it when it is time, or at an orderly stop."""
        if last and self._keeper.is_alive():
            return  # it hangs: the report without a last one says that this was no orderly stop
        now = self.clock.stamp()
        self._coverage.look(self._look(now.mono_us))
        if not last and self._coverage.lasted_s(now.mono_us) < self.settings.coverage_every_s:
            return
        try:
            report = self._coverage.report(now, self.journal.depth, last=last, checkpoint=self.ledger.text)
            self.journal.append(Kind.COVERAGE, report)
        except (JournalFailed, JournalFull) as error:  # the period goes on, and the next report says more
            log.error("coverage_not_signed", reason=str(error))
            return
        self._coverage.signed(now)
        self.uplink.wake()

    def _look(self, mono_us: int) -> Look:
        eyes, gps, beacons = self.eyes, self._gps, self.hearing.sensor
        return Look(
            mono_us,
            camera=None if eyes is None else eyes.state.state == "working",
            scanner=None if beacons is None else beacons.state.state == "working",
            gps=None if gps is None else gps.state.state == "working",
            uplink=self.uplink.state.state == "working",
            frames=None if eyes is None else eyes.delivered,
            advertisements=None if beacons is None else beacons.reading().advertisements,
        )

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
                punches=self.attendant.rate.punches,
                confirmed=self.attendant.rate.confirmed,
                checkpoint_size=self.ledger.size,
            )
        )


def _clips(
    settings: KioskSettings, gallery: Gallery, journal: Journal, now: Callable[[], str], wake: Callable[[], None]
) -> Clips:
    """Open the clips; a folder that cannot be used costs clips, not punches."""
    key = gallery_key(settings.clip_key_file)
    try:
        store = ClipStore(settings.clips_folder, key.load, low_space_bytes=settings.low_space_mib << 20)
    except ClipError as error:
        log.error("clips_unavailable", reason=str(error))
        return Clips(None, gallery, journal, now, trouble=f"{error.code}: {error}", wake=wake)
    return Clips(store, gallery, journal, now, wake=wake)


def _fence(settings: KioskSettings) -> Fence | None:
    fence = settings.fence
    return None if fence is None else Fence(fence.latitude_e7, fence.longitude_e7, fence.radius_m)


def _gps(settings: KioskSettings, fence: Fence | None, home: Place | None) -> SerialGps | None:
    if settings.gps_port is None:
        return None
    return SerialGps(settings.gps_port, settings.gps_baud, FixTracker(fence, home))


def _badge_reader(settings: KioskSettings, on_code: Callable[[str], None]) -> BadgeSource | None:
    if settings.badge_reader is None:
        return None
    if settings.badge_reader.startswith("file:"):
        return RecordedBadges(Path(settings.badge_reader.removeprefix("file:")), on_code)
    return EvdevBadges(settings.badge_reader, on_code)


def _lamps(settings: KioskSettings, pins: Callable[[], Factory]) -> Lamps | None:
    built = settings.enclosure
    if built.green_pin is None and built.red_pin is None and built.buzzer_pin is None:
        return None
    return Lamps(green=built.green_pin, red=built.red_pin, buzzer=built.buzzer_pin, pins=pins)
