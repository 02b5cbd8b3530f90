"""Serves one worker at a time: takes what the screen asks, runs the attempt, and keeps the view that the screen draws.

One thread of its own drives the attempt (`attempt`, `face_look`); the calls of the screen only leave a request or read
the newest view, so the screen never waits for a camera or a disk. A thread inside a library's call cannot be ended: an
attempt that does not come back is said (`hung`) and signed by somebody else (`end_hung`), and the process ends.
"""

from __future__ import annotations

import threading
import time
from collections.abc import Callable, Sequence
from concurrent.futures import Future
from dataclasses import replace
from typing import Literal, TypeVar

import structlog

from evidence.events import Check, LogType, Method
from kiosk.attempt import AttemptDesk, Request, Surroundings
from kiosk.confirmation import ConfirmationRate
from kiosk.errors import TerminalBusy
from kiosk.face_look import Eyes, FaceLook
from kiosk.hang_watch import HangWatch, Hung
from kiosk.journal import Journal
from kiosk.policy import Policy
from kiosk.screen_light import ScreenLight
from kiosk.sensors.camera import Frame
from kiosk.terminal.picture import privacy_jpeg
from kiosk.terminal.view import BadgeRead, Called, Light, Phase, Purpose, Result, TerminalView
from kiosk.verify.face_attempt import FacePhase, FaceProgress
from kiosk.verify.gallery import Gallery
from kiosk.verify.session import FaceSession

log = structlog.get_logger()
T = TypeVar("T")

RESULT_LASTS_S = 60.0  # the page closes it much earlier; without a browser it closes all the same
LEND_PATIENCE_S = 30.0  # an attempt lasts 20 s at most; then the terminal is free, or in use all the time
CONSENT_LOOK_S = 0.5  # how often the seconds left are counted, and a cancellation is seen
CONSENT_PATIENCE_S = 60.0  # time to read three sentences twice; then it is a no
BADGE_KEPT_S = 20.0  # as long as the pad keeps what was typed (kiosk.terminal.entry)
UNKNOWN_SHOWN_S = 8.0  # long enough to read two lines
_PHASES = {
    FacePhase.LOOKING: Phase.LOOKING,
    FacePhase.HOLD: Phase.HOLD,
    FacePhase.PROMPTED: Phase.PROMPT,
    FacePhase.MATCHING: Phase.CHECKING,
    FacePhase.DONE: Phase.CHECKING,
}


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
        self._policy, self._journal = policy, journal
        self._eyes, self._around = eyes, surroundings
        self._light = ScreenLight(surroundings.hold_exposure)
        self._lock = threading.Condition()
        self._request: Request | None = None
        self._errand: Callable[[], None] | None = None
        self._hangs = HangWatch(policy.attempt_limit_s)
        self._cancelled = threading.Event()
        self._shown_s = 0.0  # when the result came up, by time.monotonic
        self._badge_s = 0.0  # when the last badge was read
        self._unknown_s: float | None = None  # when a badge was read that nobody has
        self._stopping = False
        self._asking = False  # somebody is being asked for a consent
        self._consent: Literal["zh", "en"] | None = None  # the language in which he has agreed
        self._view = TerminalView(
            version=1, phase=Phase.IDLE, site=site, device=device, face_available=False, tz=tz, presence=presence
        )
        self._box: tuple[float, float, float, float] | None = None
        self._look = FaceLook(
            policy, gallery, eyes, new_session, light=self._light, cancelled=self._cancelled, follow=self._follow
        )
        self._desk = AttemptDesk(policy, journal, gallery, self._look, surroundings, tz=tz, checking=self._check)
        self._thread = threading.Thread(target=self._run, name="attendant", daemon=True)

    def start(self) -> None:
        """Begin to serve."""
        self._thread.start()

    def stop(self) -> None:
        """Finish the running attempt as one that the terminal ended, and end."""
        self._look.stopping = True
        with self._lock:
            self._stopping = True
            self._lock.notify_all()
        self._cancelled.set()
        self._thread.join(0 if self.hung is not None else 10)

    # What the screen asks

    def view(self) -> TerminalView:
        """The newest snapshot, with the queue, the network and the troubles as they are now."""
        troubles, online, over_https = self._around.troubles(), self._around.online(), self._around.over_https()
        unsent, journal = self._journal.depth, self._journal.state.state
        with self._lock:
            self._close_old_result()
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
                face_available=self._look.works,
                supervisor_available=self._desk.supervisor_works,
                call=self._called(),
                unsent=unsent,
                online=online or over_https,
                over_https=over_https,
                troubles=troubles,
            )
            return self._view

    def _close_old_result(self) -> None:
        if self._view.phase is Phase.RESULT and time.monotonic() - self._shown_s > RESULT_LASTS_S:
            self.dismiss()

    def _called(self) -> Called | None:
        call = self._around.calls.call if self._around.calls is not None else None
        if call is None:
            return None
        return Called(call.name, max(0, call.until_us - time.monotonic_ns() // 1000) // 1_000_000)

    @property
    def idle(self) -> bool:
        """True while nobody punches and no result is shown."""
        with self._lock:
            self._close_old_result()  # without a browser nobody else does
            return self._request is None and self._view.phase in (Phase.IDLE, Phase.OUT_OF_ORDER)

    @property
    def hung(self) -> Hung | None:
        """What has lasted longer than anything may: only a new process helps. None: nothing."""
        with self._lock:
            if self._request is None and self._errand is None:
                return None
            return self._hangs.hung(at_face=self._errand is not None or self._look.running)

    def end_hung(self) -> None:
        """Sign the attempt that hangs, once, with what is known of it; its own thread signs nothing any more.

        Raises what signing raises.
        """
        if self.hung is None:
            return
        result = self._desk.give_up()
        if result is not None:
            self._end(result)

    def tap(self, log_type: LogType, badge: str | None) -> None:
        """Start the face path."""
        self._ask(Request(Method.FACE, log_type, badge, None))

    def badge_pin(self, log_type: LogType, badge: str, pin: str) -> None:
        """Punch without a face."""
        self._ask(Request(Method.BADGE_PIN, log_type, badge, pin))

    def confirm(self, log_type: LogType, badge: str, supervisor: str, pin: str | None) -> None:
        """Let a supervisor stand for the worker; without a PIN the camera looks at the supervisor."""
        self._ask(Request(Method.SUPERVISOR, log_type, badge, pin, supervisor))

    def answer_call(self, pin: str | None) -> None:
        """The called worker is there: look at the face, or check the PIN where one is given."""
        calls = self._around.calls
        call = calls.begin() if calls is not None else None
        if calls is None or call is None:
            return
        method = Method.FACE if pin is None else Method.BADGE_PIN
        if not self._ask(Request(method, None, call.worker, pin, call=call)):
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
        return self._desk.rate

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
            self._hangs.errand_begins()
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
                self._lock.wait(CONSENT_LOOK_S)
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
        return self._look.look(badge, stamp, stamp.mono_us, None).checks

    # The attempt

    @property
    def _free(self) -> bool:
        idle = self._view.phase in (Phase.IDLE, Phase.RESULT)
        return self._request is None and self._errand is None and idle

    def _ask(self, request: Request) -> bool:
        """Begin; False where somebody is being served or the site does not offer the method."""
        with self._lock:
            if not self._free:
                return False  # one worker at a time: the screen shows no button that leads here
            if self._policy.demand(request.method) is None:
                return False
            self._cancelled.clear()
            self._request = request
            self._hangs.attempt_begins()
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
                result = self._desk.serve(request)
            except Exception:
                # An error of ours must neither record a punch nor leave the worker before a frozen screen.
                log.exception("attempt_failed")
                if request.call is not None and self._around.calls is not None:
                    self._around.calls.give_back(request.call)
                result = self._desk.unrecorded(request, None, "error")
            with self._lock:
                self._request = None
            self._end(result)

    def _end(self, result: Result) -> None:
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

    def _check(self) -> None:
        self._show(phase=Phase.CHECKING, hint=None, ask=None)

    def _follow(self, frame: Frame, progress: FaceProgress, left_s: int) -> None:
        with self._lock:
            self._box = progress.box
            self._show(
                phase=_PHASES[progress.phase],
                hint=progress.hint,
                ask=progress.ask,
                prompt_step=progress.step,
                seconds_left=left_s,
            )
        self._desk.film(frame, progress.box)

    def _finish(self, result: Result) -> None:
        with self._lock:
            self._box, self._shown_s = None, time.monotonic()
            self._show(phase=Phase.RESULT, result=result, hint=None, ask=None, seconds_left=None)
            self._lock.notify_all()

    def _show(self, **changes: object) -> None:
        with self._lock:
            changed = replace(self._view, **changes)  # type: ignore[arg-type]  # names are checked by replace itself
            if changed != self._view:
                self._view = replace(changed, version=self._view.version + 1)
