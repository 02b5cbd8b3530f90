"""Serves one worker at a time: runs an attempt from tap to signed event, and keeps the view that the screen draws.

One thread of its own drives the attempt (camera frames, face session, place, journal); the calls of the screen only
leave a request or read the newest view, so the screen never waits for a camera or a disk.
"""

from __future__ import annotations

import secrets
import threading
import time
from collections.abc import Callable, Sequence
from concurrent.futures import Future
from contextlib import AbstractContextManager
from dataclasses import dataclass, replace
from datetime import datetime
from typing import Literal, Protocol, TypeVar
from zoneinfo import ZoneInfo

import structlog

from evidence.events import Check, Kind, LogType, Method, Outcome, PunchBody, Verdict
from evidence.status import Part
from kiosk.clip_recording import Recording
from kiosk.clips import Clips
from kiosk.clock import Stamp
from kiosk.confirmation import COUNTED, ConfirmationRate
from kiosk.errors import JournalFailed, JournalFull, TerminalBusy
from kiosk.health import state_of
from kiosk.journal import Journal, Recorded
from kiosk.policy import Policy
from kiosk.punch import Draft, Punch, Step, Tap
from kiosk.screen_light import ScreenLight
from kiosk.sensors.camera import Frame
from kiosk.spot_check import Call, GoesOn, SpotChecks, no_clip
from kiosk.standing_in import counted, no_face, stand_in
from kiosk.terminal.picture import privacy_jpeg
from kiosk.terminal.view import BadgeRead, Called, Light, Phase, Purpose, Result, TerminalView
from kiosk.verify.gallery import Gallery, GalleryError
from kiosk.verify.session import FacePhase, FaceProgress, FaceResult, FaceSession

log = structlog.get_logger()
T = TypeVar("T")

FRAME_TIMEOUT_S = 0.5  # how long one wait for a frame lasts before the attempt looks at the clock again
RESULT_LASTS_S = 60.0  # the page closes it much earlier; without a browser it closes all the same
LEND_PATIENCE_S = 30.0  # an attempt lasts 20 s at most; then the terminal is free, or in use all the time
CONSENT_PATIENCE_S = 60.0  # time to read three sentences twice; then it is a no
BADGE_KEPT_S = 20.0  # as long as the pad keeps what was typed (kiosk.terminal.entry)
UNKNOWN_SHOWN_S = 8.0  # long enough to read two lines
RECEIPT_ALPHABET = "0123456789ABCDEFGHJKMNPQRSTVWXYZ"  # Crockford base 32: no I, L, O, U to misread aloud
_LOCKED = "enclosure_opened: nobody can be recognised, for the faces' key left the memory when the case was opened"
_STEPS = {
    FacePhase.LOOKING: Step.LOOKING,
    FacePhase.HOLD: Step.HOLD,
    FacePhase.PROMPTED: Step.PROMPT,
    FacePhase.MATCHING: Step.CHECKING,
    FacePhase.DONE: Step.CHECKING,
}
_PHASES = {
    Step.LOOKING: Phase.LOOKING,
    Step.HOLD: Phase.HOLD,
    Step.PROMPT: Phase.PROMPT,
    Step.CHECKING: Phase.CHECKING,
    Step.DECIDED: Phase.CHECKING,
}


class Eyes(Protocol):
    """Where frames come from: kiosk.sensors.newest_frame.NewestFrame."""

    def wait_newer(self, index: int, timeout_s: float) -> Frame | None:
        """The newest frame after `index`, or None when none comes in time."""
        ...

    @property
    def newest(self) -> Frame | None:
        """The newest frame."""
        ...

    @property
    def state(self) -> Part:
        """How the camera is."""
        ...


@dataclass(frozen=True, slots=True)
class Surroundings:
    """Everything outside the attendant that an attempt asks, as plain callables."""

    stamp: Callable[[], Stamp]
    place: Callable[[], Sequence[Check]]  # gps and beacon checks, judged now
    troubles: Callable[[], tuple[str, ...]]
    online: Callable[[], bool]
    recorded: Callable[[], None]  # called after each commit: wakes the uplink
    judging: Callable[[], AbstractContextManager[Sequence[Check]]]  # the seal's check; it holds until the commit
    badge: Callable[[str | None], Sequence[Check]] = lambda worker: ()  # whether this worker's badge is near
    punched: Callable[[PunchBody], None] = lambda body: None  # told of each committed punch, refused ones too
    calls: SpotChecks | None = None  # who is called here
    clips: Clips | None = None  # keeps a clip of a called worker who agreed to that
    ended: Callable[[Verdict | None], None] = lambda verdict: (
        None
    )  # how a punch ended, None: not recorded; lamps, buzzer
    hold_exposure: Callable[[bool], bool] = lambda held: False  # locks or frees the camera's; whether it could


@dataclass(frozen=True, slots=True)
class _Request:
    method: Method
    log_type: LogType | None
    badge: str | None
    pin: str | None
    supervisor: str | None = None  # who is to confirm, by the PIN above or else by face
    call: Call | None = None  # the spot check that this attempt answers; then it is no punch


class Attendant:
    """The terminal as its screen knows it (kiosk.terminal.view.TerminalService)."""

    def __init__(
        self,
        *,
        policy: Policy,
        journal: Journal,
        gallery: Gallery,
        eyes: Eyes | None,
        new_session: Callable[[str | None, int], FaceSession] | None,
        surroundings: Surroundings,
        site: str,
        device: str,
        tz: str,
        presence: bool = False,
    ) -> None:
        """`new_session(badge, tapped_us)` makes a face session; None where this terminal has no face path.

        `presence`: this site notes workers' badges, and the screen says so.
        """
        self._policy, self._journal, self._gallery = policy, journal, gallery
        self._eyes, self._new_session, self._around = eyes, new_session, surroundings
        self._light = ScreenLight(surroundings.hold_exposure)
        self._lock = threading.Condition()
        self._request: _Request | None = None
        self._errand: Callable[[], None] | None = None
        self._rate = ConfirmationRate.of(reversed(journal.newest([Kind.PUNCH_RECORDED], COUNTED)))
        self._cancelled = threading.Event()
        self._shown_s = 0.0  # when the result came up, by time.monotonic
        self._badge_s = 0.0  # when the last badge was read
        self._unknown_s: float | None = None  # when a badge was read that nobody has
        self._stopping = False
        self._asking = False  # somebody is being asked for a consent
        self._consent: Literal["zh", "en"] | None = None  # the language in which he has agreed
        self._tz = tz
        self._view = TerminalView(
            version=1, phase=Phase.IDLE, site=site, device=device, face_available=False, tz=tz, presence=presence
        )
        self._box: tuple[float, float, float, float] | None = None
        self._recording: Recording | None = None  # of the called worker who is being looked at
        self._thread = threading.Thread(target=self._run, name="attendant", daemon=True)

    def start(self) -> None:
        """Begin to serve."""
        self._thread.start()

    def stop(self) -> None:
        """Finish the running attempt as cancelled and end."""
        with self._lock:
            self._stopping = True
            self._lock.notify_all()
        self._cancelled.set()
        self._thread.join(10)

    # What the screen asks

    def view(self) -> TerminalView:
        """The newest snapshot, with the queue, the network and the troubles as they are now."""
        troubles, online = self._around.troubles(), self._around.online()
        unsent, journal = self._journal.depth, self._journal.state.state
        with self._lock:
            if self._view.phase is Phase.RESULT and time.monotonic() - self._shown_s > RESULT_LASTS_S:
                self.dismiss()
            now_s = time.monotonic()
            if self._view.badge is not None and now_s - self._badge_s > BADGE_KEPT_S:
                self._show(badge=None)
            if self._unknown_s is not None and now_s - self._unknown_s < UNKNOWN_SHOWN_S:
                troubles = ("badge_unknown", *troubles)
            phase = self._view.phase
            if phase is Phase.IDLE and journal == "failed":
                phase = Phase.OUT_OF_ORDER
            elif phase is Phase.OUT_OF_ORDER and journal != "failed":
                phase = Phase.IDLE
            self._show(
                phase=phase,
                face_available=self._face_works(),
                supervisor_available=self._supervisor_works(),
                call=self._called(),
                unsent=unsent,
                online=online,
                troubles=troubles,
            )
            return self._view

    def _called(self) -> Called | None:
        call = self._around.calls.call if self._around.calls is not None else None
        if call is None:
            return None
        return Called(call.name, max(0, call.until_us - time.monotonic_ns() // 1000) // 1_000_000)

    @property
    def idle(self) -> bool:
        """True while nobody punches and no result is shown."""
        with self._lock:
            return self._request is None and self._view.phase in (Phase.IDLE, Phase.OUT_OF_ORDER)

    def tap(self, log_type: LogType, badge: str | None) -> None:
        """Start the face path."""
        self._ask(_Request(Method.FACE, log_type, badge, None))

    def badge_pin(self, log_type: LogType, badge: str, pin: str) -> None:
        """Punch without a face."""
        self._ask(_Request(Method.BADGE_PIN, log_type, badge, pin))

    def confirm(self, log_type: LogType, badge: str, supervisor: str, pin: str | None) -> None:
        """Let a supervisor stand for the worker; without a PIN the camera looks at the supervisor."""
        self._ask(_Request(Method.SUPERVISOR, log_type, badge, pin, supervisor))

    def answer_call(self, pin: str | None) -> None:
        """The called worker is there: look at the face, or check the PIN where one is given."""
        calls = self._around.calls
        call = calls.begin() if calls is not None else None
        if calls is None or call is None:
            return
        method = Method.FACE if pin is None else Method.BADGE_PIN
        if not self._ask(_Request(method, None, call.worker, pin, call=call)):
            calls.give_back(call)

    def badge_read(self, worker: str | None) -> None:
        """A badge was held to the reader: whose it is, None where nobody knows it. Counts only between two punches."""
        with self._lock:
            result = self._view.result
            if not self._free:
                return
            if result is not None and result.worker == worker:
                return  # the reader read the same badge once more, and its owner is reading the result
            now_s = time.monotonic()
            if worker is None:
                self._unknown_s = now_s
                return
            self._unknown_s, self._badge_s = None, now_s
            read = BadgeRead(time.monotonic_ns() // 1000, worker)
            self._show(phase=Phase.IDLE, result=None, log_type=None, hint=None, ask=None, badge=read)

    def cancel(self) -> None:
        """Give up the running attempt; it is kept."""
        self._cancelled.set()

    def dismiss(self) -> None:
        """Close the result."""
        with self._lock:
            if self._view.phase in (Phase.RESULT, Phase.OUT_OF_ORDER):
                self._show(phase=Phase.IDLE, result=None, log_type=None, hint=None, ask=None)

    def picture(self) -> bytes | None:
        """The newest picture while an attempt looks at a face, bystanders blurred; None otherwise."""
        with self._lock:
            looking = self._view.phase in (Phase.LOOKING, Phase.HOLD, Phase.PROMPT)
            box = self._box
        frame = self._eyes.newest if looking and self._eyes is not None else None
        return None if frame is None else privacy_jpeg(frame.image, box)

    def light(self) -> Light | None:
        """What colour the screen shall show now."""
        return self._light.due

    def painted(self, attempt: int, number: int, age_us: int) -> None:
        """The page has shown that colour since `age_us` ago."""
        self._light.painted(attempt, number, age_us)

    # What operators ask

    @property
    def rate(self) -> ConfirmationRate:
        """How many of the newest punches a supervisor confirmed."""
        return self._rate

    @property
    def cancelled(self) -> bool:
        """True when whoever stands there, or the end of the program, has ended what is going on."""
        return self._cancelled.is_set()

    def lend(self, work: Callable[[], T], patience_s: float = LEND_PATIENCE_S) -> T:
        """Run `work` on the attendant's own thread, with the camera, the detector and the screen to itself.

        Raises TerminalBusy where workers are served all the time, and whatever `work` raises.
        """
        future: Future[T] = Future()

        def errand() -> None:
            try:
                future.set_result(work())
            except BaseException as error:
                future.set_exception(error)

        with self._lock:
            if not self._thread.is_alive():
                raise TerminalBusy("the terminal is not running: nobody drives its camera")
            if not self._lock.wait_for(lambda: self._free or self._stopping, patience_s) or self._stopping:
                raise TerminalBusy("the terminal is serving workers; try again in a moment")
            self._cancelled.clear()
            self._errand = errand
            self._show(phase=Phase.LOOKING, purpose=Purpose.ENROL, result=None, log_type=None, hint=None, ask=None)
            self._lock.notify_all()
        return future.result()

    def guide(
        self, hint: str | None, box: tuple[float, float, float, float] | None, step: tuple[int, int] = (0, 0)
    ) -> None:
        """Tell whoever is being enrolled what keeps the camera from seeing well, and how many frames are taken."""
        with self._lock:
            self._box = box
            self._show(phase=Phase.LOOKING, hint=hint, ask=None, prompt_step=step, seconds_left=None)

    def ask_consent(self) -> Literal["zh", "en"] | None:
        """Ask whoever was just enrolled, and return the language in which he has agreed; None: he has not.

        Only for work that was lent the thread.
        """
        deadline = time.monotonic() + CONSENT_PATIENCE_S
        with self._lock:
            self._consent, self._asking, self._box = None, True, None
            while self._asking and not self._cancelled.is_set() and (left := deadline - time.monotonic()) > 0:
                self._show(phase=Phase.CONSENT, hint=None, ask=None, prompt_step=(0, 0), seconds_left=int(left))
                self._lock.wait(FRAME_TIMEOUT_S)
            self._asking = False
            self._show(phase=Phase.CHECKING, seconds_left=None)
            return self._consent

    def answer_consent(self, *, agreed: bool, language: Literal["zh", "en"]) -> None:
        """Whoever was asked has decided; the first answer counts."""
        with self._lock:
            if self._asking:
                self._consent, self._asking = language if agreed else None, False
                self._lock.notify_all()

    def identify(self, badge: str) -> Sequence[Check]:
        """Look at a face and compare it with the one enrolled under `badge`; only for work that was lent the thread."""
        stamp = self._around.stamp()
        return self._look(badge, stamp.mono_us, None).checks

    # The attempt

    @property
    def _free(self) -> bool:
        idle = self._view.phase in (Phase.IDLE, Phase.RESULT)
        return self._request is None and self._errand is None and idle

    def _ask(self, request: _Request) -> bool:
        """Begin; False where somebody is being served or the site does not offer the method."""
        with self._lock:
            if not self._free:
                return False  # one worker at a time: the screen shows no button that leads here
            if self._policy.demand(request.method) is None:
                return False
            self._cancelled.clear()
            self._request = request
            looks = request.method is not Method.BADGE_PIN and request.pin is None
            self._show(
                phase=Phase.LOOKING if looks else Phase.CHECKING,
                purpose=Purpose.CONFIRM if request.method is Method.SUPERVISOR else Purpose.PUNCH,
                result=None,
                log_type=request.log_type,
                hint=None,
                ask=None,
                badge=None,
            )
            self._lock.notify_all()
        return True

    def _run(self) -> None:
        while True:
            with self._lock:
                self._lock.wait_for(lambda: self._request is not None or self._errand is not None or self._stopping)
                request, errand = self._request, self._errand
                if request is None and errand is None:
                    return
            if request is None:
                assert errand is not None
                self._run_errand(errand)
                continue
            try:
                result = self._serve(request)
            except Exception:
                # An error of ours must neither record a punch nor leave the worker before a frozen screen.
                log.exception("attempt_failed")
                if request.call is not None and self._around.calls is not None:
                    self._around.calls.give_back(request.call)
                result = self._unrecorded(request, None, "error")
            with self._lock:
                self._request = None
                self._finish(result)
            self._tell_end(result)
            # Only now does anyone see it; the line is what a crash test holds the journal against.
            log.info("punch_shown", verdict=result.verdict, receipt=result.receipt_code)

    def _tell_end(self, result: Result) -> None:
        """Lamps and buzzer; whatever they do, the next worker is served."""
        try:
            self._around.ended(result.verdict if result.receipt_code is not None else None)
        except Exception:
            log.exception("end_not_told")

    def _run_errand(self, errand: Callable[[], None]) -> None:
        errand()
        with self._lock:
            self._errand, self._box = None, None
            self._show(phase=Phase.IDLE, purpose=Purpose.PUNCH, hint=None, ask=None, prompt_step=(0, 0))
            self._lock.notify_all()

    def _serve(self, request: _Request) -> Result:
        stamp = self._around.stamp()
        tap = Tap(request.method, request.log_type, request.badge, stamp.time, stamp.mono_us)
        punch = Punch(tap, self._policy, "".join(secrets.choice(RECEIPT_ALPHABET) for _ in range(8)))
        self._recording = self._record_clip(request)
        if request.method is Method.FACE:
            self._identify_by_face(punch)
        elif request.method is Method.SUPERVISOR:
            self._identify_by_supervisor(punch, request)
        else:
            self._identify_by_pin(punch, request)
        self._show(phase=Phase.CHECKING, hint=None, ask=None)
        punch.add(*self._around.place(), *self._around.badge(punch.worker))
        with self._around.judging() as seals:  # no opening comes between this verdict and its place in the chain
            punch.add(*seals)
            draft = punch.decide()
            try:
                recorded = self._record(request, draft)
            except (JournalFull, JournalFailed) as error:
                log.error("punch_not_recorded", reason=str(error))
                code = "disk_full" if isinstance(error, JournalFull) else "journal_failed"
                punch.not_recorded(code)
                return self._unrecorded(request, punch, code)
        if isinstance(recorded, GoesOn):
            return self._again(request, punch, draft.body)
        punch.recorded(recorded.seq)
        if draft.kind == Kind.PUNCH_RECORDED and request.call is None:
            self._rate.note(draft.body)
        self._around.recorded()
        if request.call is None:
            self._around.punched(draft.body)
        return Result(
            verdict=draft.body.verdict,
            method=request.method,
            worker=punch.worker,
            name=punch.name,
            log_type=request.log_type,
            local_time=_local_time(recorded.event.time, recorded.event.tz),
            clock_synced=recorded.event.clock.synced,
            receipt_code=punch.receipt,
            receipt_qr=self._receipt_qr(recorded),
            reasons=(*(("confirmed",) if punch.confirmed_by else ()), *_reasons(draft.body.checks)),
            other_methods=self._other_methods(request.method, draft.body.verdict),
        )

    def _record(self, request: _Request, draft: Draft) -> Recorded | GoesOn:
        """Sign the punch; of a called worker, what came of the call, once it is over.

        Raises JournalFull or JournalFailed.
        """
        if request.call is None or self._around.calls is None:
            return self._journal.append(draft.kind, draft.body)
        call, clips, recording = request.call, self._around.clips, self._recording
        keep = no_clip if clips is None else lambda: clips.keep(call, recording)
        recorded = self._around.calls.finish(call, draft.body, keep)
        if recorded is None:
            raise JournalFailed("journal_failed: the call was answered before")
        return recorded

    def _record_clip(self, request: _Request) -> Recording | None:
        """Record a called worker who agreed to that; a fault costs the clip."""
        if request.call is None or self._around.clips is None or request.method is not Method.FACE:
            return None
        try:
            return self._around.clips.recording(request.call.worker)
        except Exception:
            log.exception("clip_not_recorded")
            return None

    def _film(self, frame: Frame) -> None:
        """Add a frame as it was judged to the recording; a fault ends the recording, not the attempt."""
        if self._recording is None:
            return
        try:
            self._recording.add(frame.mono_us, frame.image, self._box)
        except Exception:
            log.exception("clip_not_recorded")
            self._recording = None

    def _again(self, request: _Request, punch: Punch, body: PunchBody) -> Result:
        """A called worker who was not verified and may try again: noted, signed with the call's end."""
        codes = _reasons(body.checks)
        first = codes[0] if codes else "error"
        noted = replace(self._unrecorded(request, punch, first), verdict=body.verdict)
        return replace(noted, reasons=(first, "call_goes_on", *codes[1:]))

    def _receipt_qr(self, recorded: Recorded) -> str | None:
        """The worker's own proof; without one a punch that stands in the journal is shown as recorded all the same."""
        try:
            return self._journal.punch_receipt(recorded)
        except Exception:
            log.exception("receipt_not_made", seq=recorded.seq)
            return None

    def _identify_by_face(self, punch: Punch) -> None:
        result = self._look(punch.tap.badge, punch.tap.mono_us, punch)
        # Unrecognised, the attempt stands under the code that was typed: whoever reviews it must find it.
        punch.identified(result.worker or punch.tap.badge, result.name, result.checks, result.challenge)

    def _look(self, badge: str | None, since_us: int, punch: Punch | None) -> FaceResult:
        if self._locked():
            return no_face(_LOCKED)
        return counted(self._gallery, badge, self._around.stamp(), lambda: self._attempt(badge, since_us, punch))

    def _attempt(self, badge: str | None, since_us: int, punch: Punch | None) -> FaceResult:
        if self._new_session is None or self._eyes is None or not self._face_works():
            return no_face(state_of(self._eyes).reason or "camera_failed: no picture")
        try:
            self._light.begin()
            return self._watch(self._eyes, self._new_session(badge, since_us), since_us, punch)
        except Exception as error:  # a camera or a model that breaks costs the face, never the attempt's record
            log.exception("face_path_failed")
            return no_face(_error(error))
        finally:
            self._light.end()

    def _watch(self, eyes: Eyes, session: FaceSession, since_us: int, punch: Punch | None) -> FaceResult:
        """Feed the session from the tap until it has a result."""
        newest = eyes.newest
        index = -1 if newest is None else newest.index  # frames from before the tap are not looked at
        while session.result is None:
            frame = eyes.wait_newer(index, FRAME_TIMEOUT_S)
            now_us = time.monotonic_ns() // 1000
            if self._cancelled.is_set():
                session.give_up(now_us, "cancelled: the worker ended the attempt")
            elif punch.out_of_time(now_us) if punch is not None else self._left_s(since_us, now_us) < 0:
                session.give_up(now_us, "timeout: the attempt took longer than the site allows")
            elif frame is not None:
                index = frame.index
                self._light.hear(session)
                progress = session.feed(frame.mono_us, frame.image)
                self._light.show(session, progress.flash)
                self._follow(since_us, punch, progress)
                self._film(frame)
            elif eyes.state.state == "failed":
                session.give_up(now_us, eyes.state.reason or "camera_failed: the camera delivers nothing")
        return session.result

    def _identify_by_supervisor(self, punch: Punch, request: _Request) -> None:
        assert request.badge is not None and request.supervisor is not None
        stood = stand_in(
            self._gallery,
            request.badge,
            request.supervisor,
            request.pin,
            stamp=self._around.stamp(),
            an_hour=self._policy.confirmations_an_hour,
            look=lambda code: self._look(code, punch.tap.mono_us, punch),
        )
        punch.confirmed_by = stood.by
        punch.identified(request.badge, stood.name, stood.checks, stood.challenge)

    def _left_s(self, since_us: int, now_us: int) -> int:
        """Whole seconds that an attempt may still last; negative: none."""
        return (self._policy.attempt_limit_s * 1_000_000 - (now_us - since_us)) // 1_000_000

    def _follow(self, since_us: int, punch: Punch | None, progress: FaceProgress) -> None:
        step = _STEPS[progress.phase]
        if punch is not None:
            punch.progress(step, hint=progress.hint, ask=progress.ask)
        left_s = max(0, self._left_s(since_us, time.monotonic_ns() // 1000))
        with self._lock:
            self._box = progress.box
            self._show(
                phase=_PHASES[step],
                hint=progress.hint,
                ask=progress.ask,
                prompt_step=progress.step,
                seconds_left=left_s,
            )

    def _identify_by_pin(self, punch: Punch, request: _Request) -> None:
        assert request.badge is not None and request.pin is not None
        stamp = self._around.stamp()
        try:
            check = self._gallery.check_pin(request.badge, request.pin, boot=stamp.boot, mono_us=stamp.mono_us)
            # Only the right PIN is answered with a name: nobody reads names off the screen by typing codes.
            worker = self._gallery.get(request.badge) if check.outcome is Outcome.PASSED else None
        except Exception as error:
            log.exception("pin_path_failed")
            check, worker = Check(name="pin", outcome=Outcome.NOT_RUN, reason=_error(error)), None
        # The code that was typed is kept even where nobody answers to it: an attempt is evidence too.
        punch.identified(request.badge, worker.name if worker else None, [check])

    def _finish(self, result: Result) -> None:
        with self._lock:
            self._box, self._shown_s = None, time.monotonic()
            self._show(phase=Phase.RESULT, result=result, hint=None, ask=None, seconds_left=None)
            self._lock.notify_all()

    def _unrecorded(self, request: _Request, punch: Punch | None, code: str) -> Result:
        stamp = self._around.stamp()
        return Result(
            verdict=Verdict.REFUSED,
            method=request.method,
            worker=punch.worker if punch else request.badge,
            name=punch.name if punch else None,
            log_type=request.log_type,
            local_time=_local_time(stamp.time, self._tz),
            clock_synced=stamp.clock.synced,
            receipt_code=None,
            receipt_qr=None,
            reasons=(code,),
            other_methods=(),
        )

    def _other_methods(self, used: Method, verdict: Verdict) -> tuple[Method, ...]:
        if verdict is Verdict.VERIFIED:
            return ()
        works = {Method.FACE: self._face_works(), Method.SUPERVISOR: self._supervisor_works()}
        offered = [method for method in self._policy.methods() if works.get(method, True)]
        return tuple(sorted(offered, key=lambda method: method is used))  # another way first, then once more

    def _face_works(self) -> bool:
        return (
            self._new_session is not None
            and self._eyes is not None
            and self._policy.face is not None
            and not self._locked()
            and state_of(self._eyes).state in ("working", "degraded")
        )

    def _locked(self) -> bool:
        """Whether faces cannot be compared now; a gallery that cannot say compares none."""
        try:
            return self._gallery.locked
        except Exception:
            log.exception("gallery_failed")
            return True

    def _supervisor_works(self) -> bool:
        """Offered where the policy has it and somebody here could do it."""
        try:
            return self._policy.supervisor is not None and bool(self._gallery.supervisors())
        except GalleryError:
            return False

    def _show(self, **changes: object) -> None:
        with self._lock:
            changed = replace(self._view, **changes)  # type: ignore[arg-type]  # names are checked by replace itself
            if changed != self._view:
                self._view = replace(changed, version=self._view.version + 1)


def _reasons(checks: Sequence[Check]) -> tuple[str, ...]:
    """Codes of what failed, then of what could not run, each once."""
    ordered = [check for check in checks if check.outcome is Outcome.FAILED]
    ordered += [check for check in checks if check.outcome is Outcome.NOT_RUN]
    codes = (check.reason.partition(":")[0] for check in ordered)
    return tuple(dict.fromkeys(code for code in codes if code not in ("not_reached", "switched_off")))


def _local_time(utc: str, zone: str) -> str:
    return f"{datetime.fromisoformat(utc).astimezone(ZoneInfo(zone)):%Y-%m-%d %H:%M:%S}"


def _error(error: Exception) -> str:
    return f"error: {type(error).__name__}: {error}"[:400]  # as long as a check's reason may be
