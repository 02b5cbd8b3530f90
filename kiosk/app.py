"""The composition root of the terminal: settings in, running parts out. The only file that knows every part."""

from __future__ import annotations

import functools
import secrets
import time
from collections.abc import Callable, Sequence
from contextlib import ExitStack
from datetime import timedelta
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
from kiosk.attempt import Surroundings
from kiosk.attendant import Attendant
from kiosk.badge_reading import BadgeReading
from kiosk.clips import open_clips
from kiosk.clock import Stamp, SystemClock
from kiosk.clock_watch import ClockWatch
from kiosk.commands import CommandDesk
from kiosk.control import ControlServer
from kiosk.coverage_keeper import CoverageKeeper, Covered
from kiosk.enclosure import Enclosure, Keys
from kiosk.enrolment import Consent, Enrolled
from kiosk.errors import ControlError, JournalError, JournalFailed, JournalFull
from kiosk.gallery_key import gallery_key
from kiosk.hardware import badge_reader_of, fence_of, gps_of, lamps_of, open_camera
from kiosk.health import free_bytes, gather
from kiosk.hearing import Hearing
from kiosk.https_delivery import HttpsDelivery
from kiosk.joined import joined_of
from kiosk.journal import Journal
from kiosk.keeper import Keeper, attempt
from kiosk.ledger_watch import LedgerWatch
from kiosk.operations import Enrolment, Operations
from kiosk.ordered_erasure import OrderedErasure
from kiosk.owed import Owed
from kiosk.part_states import PartStates
from kiosk.place import beacon_check, clock_check, gps_check, judged
from kiosk.policy import PROFILES
from kiosk.renewal import CertificateKeeper
from kiosk.scene_watch import CHANGES_SOUGHT, SceneWatch, told_of
from kiosk.sensors.camera import Camera
from kiosk.sensors.enclosure import GpioTamperLoop, lgpio_pins
from kiosk.sensors.gps import GpsReading
from kiosk.sensors.gps_home import read_home, write_home
from kiosk.sensors.newest_frame import NewestFrame
from kiosk.settings import KioskSettings
from kiosk.spot_check import SpotChecks
from kiosk.spot_check_file import AttemptsFile
from kiosk.terminal.serve import TerminalServer
from kiosk.terminal_key import TerminalKey
from kiosk.tpm import Tpm, choose_tpm
from kiosk.transfer.ending import Leases
from kiosk.transfer.exchange import Around, Exchange, comparing, open_exchange, transfer_part
from kiosk.uplink import Uplink
from kiosk.verify.errors import GalleryError
from kiosk.verify.face import Face, open_face
from kiosk.verify.face_settings import FaceSettings
from kiosk.verify.gallery import Gallery
from kiosk.verify.session import FaceSession

if TYPE_CHECKING:
    from gpiozero import Factory

log = structlog.get_logger(__name__)


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
        self._policy_applied = False
        self._hung_told = False
        self.clock = SystemClock()
        started = self.clock.stamp()
        self._pins = functools.cache(pins)  # one handle for all; a failure is not kept
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
        self._closing.callback(self.gallery.close)
        self._owed = Owed(self.gallery, self.journal)
        self.exchange = self._open_exchange(tpm)
        self._leases = Leases(
            self.gallery, self._owed, lambda worker: self.clips.erasing(worker), exchanging=self.exchange is not None
        )
        self.ledger = LedgerWatch(self.journal, settings.data_dir, settings.ledger_keys, lambda: self.uplink.wake())
        self.uplink = Uplink(
            self.journal,
            settings,
            self.clock,
            on_command=self._receive_command,
            on_keys=self._trust,
            exchange=self.exchange,
            on_checkpoint=self.ledger.offer,
            https=self._https_delivery(),
        )
        self._clock_watch = ClockWatch(self.journal, self.uplink.wake)
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
            wake=self._changed,
        )
        self.clips = open_clips(settings, self.gallery, self.journal, lambda: self.clock.stamp().time, self.uplink.wake)
        self._calls = SpotChecks(
            name_of=self._name_of,
            now_us=lambda: time.monotonic_ns() // 1000,
            answer=self.commands.answer,
            kept=AttemptsFile(settings.spot_check_file),
            forget_clip=self.clips.forget,
        )
        self.commands.handle(SPOT_CHECK, self._calls.order)
        self.commands.handle(ERASE_WORKER, OrderedErasure(lambda: self.operations.erasures()))
        self.hearing = Hearing(settings, self.journal, self.clock, self.uplink.wake, self._erased, opened=opened)
        self.enclosure = Enclosure(
            GpioTamperLoop(loop, self._pins) if loop is not None else None,
            self.journal,
            Keys(drop=self._drop_keys, restore=self._restore_keys),
            now=lambda: self.clock.stamp().time,
            signed=self.uplink.wake,
        )
        self._closing.callback(self.enclosure.stop)
        self._lamps = lamps_of(settings, self._pins)
        self._fence = fence_of(settings)
        self._home = read_home(settings.gps_home_file, self._fence)
        self._gps = gps_of(settings, self._fence, self._home)
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
                    identify_at_most=settings.identify_at_most,
                    flash=settings.flash == "on",
                    flash_excused=settings.flash_excused,
                ),
                settings.embedder_choice,
            )
            if self._face is not None:  # also where nothing is started: an open landmarker hangs when it is collected
                self._closing.callback(self._face.close)  # after all that starts: a running attempt still looks
        if self.eyes is None:
            self._scene = None
        else:
            told = told_of(self.journal.newest([Kind.SENSOR_CHANGED], CHANGES_SOUGHT))
            self._scene = SceneWatch(settings.scene_file, self._sign_scene, told)
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
                over_https=self._over_https,
                ended=self._show_lamps,
                hold_exposure=self.eyes.hold_exposure if self.eyes is not None else lambda held: False,
            ),
            site=settings.title,
            device=settings.device,
            tz=settings.tz,
            presence=self.hearing.presence is not None,
        )
        self.badges = BadgeReading(settings.badge_codes, self.attendant.badge_read)
        self.badges.reader = badge_reader_of(settings, self.badges.read)
        self._states = PartStates(
            journal=self.journal,
            uplink=self.uplink,
            ledger=self.ledger,
            certificate=self._certificate,
            clock=self.clock,
            gallery_key=self._gallery_keeper,
            key=self.key,
            eyes=self.eyes,
            scene=self._scene,
            face=self._face_state,
            attendant=self.attendant,
            gps=self._gps,
            hearing=self.hearing,
            enclosure=self.enclosure,
            lamps=self._lamps,
            badges=self.badges,
            transfer=lambda: transfer_part(self.exchange, switched_on=settings.transfer is not None),
        )
        self._coverage = CoverageKeeper(
            self.clock,
            self.journal,
            Covered(self.eyes, self._gps, self.hearing.sensor, self.uplink).look,
            started=started,
            every_s=settings.coverage_every_s,
            screen=screen,
            wake=self.uplink.wake,
            checkpoint=lambda: self.ledger.text,
        )
        self.screen: TerminalServer | None = None
        if screen:
            self.screen = TerminalServer(self.attendant, settings.language, settings.screen_host, settings.screen_port)
        # Operators reach a program that serves workers; one without a screen was started by an operator's own command.
        self._control = ControlServer(settings.data_dir, self.operations) if screen else None
        self._keeper = Keeper(
            self.clock,
            self.journal,
            first=(self._ring, self._leases.look, self._publish_health, self._renew_certificate, self._keep_home),
            signing=(
                self._apply_policy,
                self.attendant.end_hung,
                self._sign_owed,
                self._look_at_scene,
                self._calls.tick,
                self._coverage.cover,
            ),
            last=(self._clock_watch.look,),
            hourly=(self._prune,),
            broken=self._broken,
        )
        self.failed = self._keeper.failed  # set: end this process with an error, so that it is started again

    def start(self) -> None:
        """Start every part; the screen comes last, when there is something behind it."""
        try:
            self._clock_watch.look(self.clock.stamp())
        except (JournalFailed, JournalFull) as error:
            log.error("clock_step_not_signed", reason=str(error))  # the keeper finds it again
        self._apply_policy()
        attempt(self._leases.look, self.clock.stamp())
        self._sign_owed()
        self._resume_commands()
        self.enclosure.start()  # first of all: it is not there only for punches
        for part in (self.eyes, self._gps, self.hearing, self.uplink):
            if part is not None:
                part.start()
                self._closing.callback(part.stop)
        self._closing.callback(attempt, self._cover_last)  # after the last punch, while the sensors still run
        if self.exchange is not None:
            self.exchange.start()
        for served in (self.attendant, self.badges.reader, self._lamps, self.screen):
            if served is not None:
                served.start()
                self._closing.callback(served.stop)
        self._start_control()
        self._keeper.start()
        url = self.screen.url if self.screen is not None else None
        log.info("terminal_started", device=self.settings.device, screen=url, policy=self.policy.name)

    def _https_delivery(self) -> HttpsDelivery | None:
        """The way without a broker, for a terminal that has joined a collector."""
        joined = joined_of(self.settings)
        if joined is None or self.settings.https_after_s == 0:
            return None
        clock_known = lambda: self.clock.stamp().clock.source != "none"  # noqa: E731
        return HttpsDelivery(joined, self.settings.data_dir, self.key, self.journal, clock_known=clock_known)

    def _open_exchange(self, tpm: Tpm | None) -> Exchange | None:
        """Faces to and from other terminals; parts that are made later are asked for when they are needed."""
        around = Around(
            device=self.settings.device,
            site=self.settings.site,
            folder=self.settings.data_dir,
            journal=self.journal,
            gallery=self.gallery,
            owed=self._owed,
            key=self.key,
            tpm=tpm,
            now=lambda: self.clock.stamp().time,
            face=lambda: comparing(self._face),
            wake=lambda: self.uplink.wake(),
            no_clips=lambda worker: self.clips.erasing(worker),
        )
        exchange = open_exchange(around, switched_on=self.settings.transfer is not None)
        if exchange is not None:
            self._closing.callback(exchange.stop)  # before gallery and journal, which its last step needs
        return exchange

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

    def _changed(self) -> None:
        """Something was signed, and the gallery may be another than before."""
        self.uplink.wake()
        if self.exchange is not None:
            self.exchange.poke()

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
        self._keeper.stop()
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
            face_part=self._face_state(),
            parts=self.parts,
            hand_over=self.uplink.take_handovers,
            wake=self._changed,
            exchange=self.exchange,
            asks=self.screen is not None,
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
        self.hearing.drop_keys()

    def _restore_keys(self) -> None:
        self.gallery.unlock(self._gallery_keeper.load())
        self.key.hold()
        self.hearing.restore_keys()

    def placed(self) -> bool:
        """True when no check of the place is waiting for its sensor to warm up."""
        return all(check.outcome is not Outcome.NOT_RUN for check in self._place() if check.name != "clock")

    def parts(self) -> dict[str, Part]:
        """How each part is, now."""
        return self._states.every()

    def _face_state(self) -> Part:
        return self._face_part if self._face is None else self._face.part

    def try_lamps(self) -> None:
        """Light the green lamp and sound the buzzer, as after a punch, for an installer; wrong pins are found."""
        self._show_lamps(Verdict.VERIFIED)

    def lamps_tried(self) -> bool:
        """Whether it is known if the lamps can be driven; also where there are none."""
        return self._lamps is None or self._lamps.driven

    def _show_lamps(self, verdict: Verdict | None) -> None:
        if self._lamps is not None:
            self._lamps.show(verdict)

    def _ring(self, _: Stamp) -> None:
        """Call the worker who is to show up, once a round, while nobody stands at the terminal."""
        if self._lamps is not None and self._calls.waiting and self.attendant.idle:
            self._lamps.call()

    def _new_session(self, badge: str | None, tapped_us: int) -> FaceSession:
        assert self._face is not None and self.eyes is not None
        return self._face.session(badge, tapped_us, fps=self.eyes.fps, rng=secrets.SystemRandom())

    def _place(self) -> list[Check]:
        return [
            judged("gps", lambda: gps_check(self._located(), self._fence)),
            judged("beacon", self._heard),
            judged("clock", lambda: clock_check(self.clock.stamp().clock)),
        ]

    def _heard(self) -> Check:
        return beacon_check(self.hearing.reading(), self.settings.anchors, nameless=self.hearing.nameless)

    def _located(self) -> GpsReading | None:
        # A receiver that is gone says nothing, not even that it has no fix.
        if self._gps is None or self._gps.state.state not in ("working", "degraded"):
            return None
        return self._gps.reading()

    def _troubles(self) -> tuple[str, ...]:
        return self._states.troubles(faces=self.policy.face is not None)

    def _online(self) -> bool:
        return self.uplink.online

    def _over_https(self) -> bool:
        return self.uplink.over_https

    # What the keeper does

    def _renew_certificate(self, _: Stamp) -> None:
        # Without a broker in the settings the certificate keeps nobody out.
        self._certificate.tick(time.monotonic(), online=self.uplink.online or not self.settings.broker)

    def _broken(self) -> bool:
        """Whether only a new process helps: it is rid of a hung driver or model, and saves what is readable of a
        damaged journal.
        """
        return (self.eyes is not None and self.eyes.stuck) or self._hung_told or self.journal.corrupt

    def _look_at_scene(self) -> None:
        """Between punches only: whoever stands there to punch hides the scene."""
        frame = self.eyes.newest if self.eyes is not None else None
        if self._scene is not None and frame is not None and self.attendant.idle:
            self._scene.see(frame.image, time.monotonic())

    def _sign_scene(self, body: SensorChangedBody) -> None:
        self.journal.append(Kind.SENSOR_CHANGED, body)
        self.uplink.wake()

    def _keep_home(self, _: Stamp) -> None:
        home = self._gps.home if self._gps is not None else None
        if home is not None and home != self._home:
            try:
                write_home(self.settings.gps_home_file, self._fence, home)
            except OSError as error:  # a full disk; the next round tries again
                log.warning("gps_home_not_kept", why=str(error))
                return
            self._home = home

    def _cover_last(self) -> None:
        if not self._keeper.running:  # it hangs: the report without a last one says that this was no orderly stop
            self._coverage.cover(last=True)

    def _prune(self, now: Stamp) -> None:
        self.journal.prune_by_receipts(now.time)
        attempt(lambda: self.clips.prune(now))

    def _publish_health(self, now: Stamp) -> None:
        self._hung_told = self.attendant.hung is not None  # before the process ends for it, the status has said it
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
