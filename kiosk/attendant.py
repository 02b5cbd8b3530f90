"""Serves one worker at a time: runs an attempt from tap to signed event, and keeps the view that the screen draws.

One thread of its own drives the attempt (camera frames, face session, place, journal); the calls of the screen only
leave a request or read the newest view, so the screen never waits for a camera or a disk.
"""

from __future__ import annotations

import secrets
import threading
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from datetime import datetime
from typing import Protocol
from zoneinfo import ZoneInfo

import structlog

from evidence.events import Check, LogType, Method, Outcome, Verdict
from evidence.status import Part
from kiosk.clock import Stamp
from kiosk.errors import JournalFailed, JournalFull
from kiosk.journal import Journal
from kiosk.policy import FACE_CHECKS, Policy
from kiosk.punch import Punch, Step, Tap
from kiosk.sensors.camera import Frame
from kiosk.terminal.picture import privacy_jpeg
from kiosk.terminal.view import Phase, Result, TerminalView
from kiosk.verify.gallery import Gallery
from kiosk.verify.session import FacePhase, FaceProgress, FaceResult, FaceSession

log = structlog.get_logger()

FRAME_TIMEOUT_S = 0.5  # how long one wait for a frame lasts before the attempt looks at the clock again
RESULT_LASTS_S = 60.0  # the page closes it much earlier; without a browser it closes all the same
RECEIPT_ALPHABET = "0123456789ABCDEFGHJKMNPQRSTVWXYZ"  # Crockford base 32: no I, L, O, U to misread aloud
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


@dataclass(frozen=True, slots=True)
class _Request:
    method: Method
    log_type: LogType
    badge: str | None
    pin: str | None


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
    ) -> None:
        """`new_session(badge, tapped_us)` makes a face session; None where this terminal has no face path."""
        self._policy, self._journal, self._gallery = policy, journal, gallery
        self._eyes, self._new_session, self._around = eyes, new_session, surroundings
        self._lock = threading.Condition()
        self._request: _Request | None = None
        self._cancelled = threading.Event()
        self._shown_s = 0.0  # when the result came up, by time.monotonic
        self._stopping = False
        self._tz = tz
        self._view = TerminalView(version=1, phase=Phase.IDLE, site=site, device=device, face_available=False, tz=tz)
        self._box: tuple[float, float, float, float] | None = None
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
            phase = self._view.phase
            if phase is Phase.IDLE and journal == "failed":
                phase = Phase.OUT_OF_ORDER
            elif phase is Phase.OUT_OF_ORDER and journal != "failed":
                phase = Phase.IDLE
            self._show(
                phase=phase,
                face_available=self._face_works(),
                unsent=unsent,
                online=online,
                troubles=troubles,
            )
            return self._view

    def tap(self, log_type: LogType, badge: str | None) -> None:
        """Start the face path."""
        self._ask(_Request(Method.FACE, log_type, badge, None))

    def badge_pin(self, log_type: LogType, badge: str, pin: str) -> None:
        """Punch without a face."""
        self._ask(_Request(Method.BADGE_PIN, log_type, badge, pin))

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

    # The attempt

    def _ask(self, request: _Request) -> None:
        with self._lock:
            if self._request is not None or self._view.phase not in (Phase.IDLE, Phase.RESULT):
                return  # one worker at a time: the screen shows no button that leads here
            if self._policy.demand(request.method) is None:
                return
            self._cancelled.clear()
            self._request = request
            first = Phase.LOOKING if request.method is Method.FACE else Phase.CHECKING
            self._show(phase=first, result=None, log_type=request.log_type, hint=None, ask=None)
            self._lock.notify_all()

    def _run(self) -> None:
        while True:
            with self._lock:
                self._lock.wait_for(lambda: self._request is not None or self._stopping)
                request = self._request
                if request is None:
                    return
            try:
                result = self._serve(request)
            except Exception:
                # An error of ours must neither record a punch nor leave the worker before a frozen screen.
                log.exception("attempt_failed")
                result = self._unrecorded(request, None, "error")
            with self._lock:
                self._request = None
                self._finish(result)
            # Only now does anyone see it; the line is what a crash test holds the journal against.
            log.info("punch_shown", verdict=result.verdict, receipt=result.receipt_code)

    def _serve(self, request: _Request) -> Result:
        stamp = self._around.stamp()
        tap = Tap(request.method, request.log_type, request.badge, stamp.time, stamp.mono_us)
        punch = Punch(tap, self._policy, "".join(secrets.choice(RECEIPT_ALPHABET) for _ in range(8)))
        if request.method is Method.FACE:
            self._identify_by_face(punch)
        else:
            self._identify_by_pin(punch, request)
        self._show(phase=Phase.CHECKING, hint=None, ask=None)
        punch.add(*self._around.place())
        draft = punch.decide()
        try:
            recorded = self._journal.append(draft.kind, draft.body)
        except (JournalFull, JournalFailed) as error:
            log.error("punch_not_recorded", reason=str(error))
            code = "disk_full" if isinstance(error, JournalFull) else "journal_failed"
            punch.not_recorded(code)
            return self._unrecorded(request, punch, code)
        punch.recorded(recorded.seq)
        self._around.recorded()
        return Result(
            verdict=draft.body.verdict,
            method=request.method,
            worker=punch.worker,
            name=punch.name,
            log_type=request.log_type,
            local_time=_local_time(recorded.event.time, recorded.event.tz),
            clock_synced=recorded.event.clock.synced,
            receipt_code=punch.receipt,
            receipt_qr=self._journal.punch_receipt(recorded),
            reasons=_reasons(draft.body.checks),
            other_methods=self._other_methods(request.method, draft.body.verdict),
        )

    def _identify_by_face(self, punch: Punch) -> None:
        if self._new_session is None or self._eyes is None or not self._face_works():
            part = self._eyes.state if self._eyes is not None else Part(state="absent", reason="camera_failed: none")
            punch.identified(punch.tap.badge, None, _face_not_run(part.reason or "camera_failed: no picture"))
            return
        session = self._new_session(punch.tap.badge, punch.tap.mono_us)
        newest = self._eyes.newest
        index = -1 if newest is None else newest.index  # frames from before the tap are not looked at
        while session.result is None:
            frame = self._eyes.wait_newer(index, FRAME_TIMEOUT_S)
            now_us = time.monotonic_ns() // 1000
            if self._cancelled.is_set():
                session.give_up(now_us, "cancelled: the worker ended the attempt")
            elif punch.out_of_time(now_us):
                session.give_up(now_us, "timeout: the attempt took longer than the site allows")
            elif frame is not None:
                index = frame.index
                self._follow(punch, session.feed(frame.mono_us, frame.image))
            elif self._eyes.state.state == "failed":
                session.give_up(now_us, self._eyes.state.reason or "camera_failed: the camera delivers nothing")
        result: FaceResult = session.result
        # Unrecognised, the attempt stands under the code that was typed: whoever reviews it must find it.
        punch.identified(result.worker or punch.tap.badge, result.name, result.checks, result.challenge)

    def _follow(self, punch: Punch, progress: FaceProgress) -> None:
        punch.progress(_STEPS[progress.phase], hint=progress.hint, ask=progress.ask)
        now_us = time.monotonic_ns() // 1000
        left_s = max(0, self._policy.attempt_limit_s - (now_us - punch.tap.mono_us) // 1_000_000)
        with self._lock:
            self._box = progress.box
            self._show(
                phase=_PHASES[punch.step],
                hint=progress.hint,
                ask=progress.ask,
                prompt_step=progress.step,
                seconds_left=left_s,
            )

    def _identify_by_pin(self, punch: Punch, request: _Request) -> None:
        assert request.badge is not None and request.pin is not None
        stamp = self._around.stamp()
        check = self._gallery.check_pin(request.badge, request.pin, boot=stamp.boot, mono_us=stamp.mono_us)
        # Only the right PIN is answered with a name: nobody reads names off the screen by typing codes.
        worker = self._gallery.get(request.badge) if check.outcome is Outcome.PASSED else None
        # The code that was typed is kept even where nobody answers to it: an attempt is evidence too.
        punch.identified(request.badge, worker.name if worker else None, [check])

    def _finish(self, result: Result) -> None:
        with self._lock:
            self._box, self._shown_s = None, time.monotonic()
            self._show(phase=Phase.RESULT, result=result, hint=None, ask=None, seconds_left=None)

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
        offered = [method for method in self._policy.methods() if method is not Method.FACE or self._face_works()]
        return tuple(sorted(offered, key=lambda method: method is used))  # another way first, then once more

    def _face_works(self) -> bool:
        return (
            self._new_session is not None
            and self._eyes is not None
            and self._policy.face is not None
            and self._eyes.state.state in ("working", "degraded")
        )

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


def _face_not_run(reason: str) -> list[Check]:
    return [Check(name=name, outcome=Outcome.NOT_RUN, reason=reason) for name in FACE_CHECKS]
