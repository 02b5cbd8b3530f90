"""One worker's attempt, from what was asked at the screen to the signed event and what the screen says of it."""

from __future__ import annotations

import secrets
import threading
from collections.abc import Callable, Sequence
from contextlib import AbstractContextManager
from dataclasses import dataclass, replace
from datetime import datetime
from zoneinfo import ZoneInfo

import structlog

from evidence.events import Check, Kind, LogType, Method, Outcome, PunchBody, Verdict
from kiosk.clip_recording import Recording
from kiosk.clips import Clips
from kiosk.clock import Stamp
from kiosk.confirmation import CHECK_NAME, COUNTED, ConfirmationRate
from kiosk.errors import JournalFailed, JournalFull
from kiosk.face_look import FaceLook
from kiosk.journal import Journal
from kiosk.journal_author import Recorded
from kiosk.policy import FACE_CHECKS, Policy
from kiosk.punch import Draft, Punch, Tap
from kiosk.sensors.camera import Frame
from kiosk.spot_check import Call, GoesOn, SpotChecks, no_clip
from kiosk.standing_in import stand_in
from kiosk.terminal.view import Result
from kiosk.verify.errors import GalleryError
from kiosk.verify.gallery import Gallery

log = structlog.get_logger()

HUNG = "attempt_hung: an attempt does not come to its end; the terminal is started again"
RECEIPT_ALPHABET = "0123456789ABCDEFGHJKMNPQRSTVWXYZ"  # Crockford base 32: no I, L, O, U to misread aloud


@dataclass(frozen=True, slots=True)
class Surroundings:
    """Everything outside the attendant that an attempt asks, as plain callables."""

    stamp: Callable[[], Stamp]
    place: Callable[[], Sequence[Check]]  # gps and beacon checks, judged now
    troubles: Callable[[], tuple[str, ...]]
    online: Callable[[], bool]  # a broker is there
    recorded: Callable[[], None]  # called after each commit: wakes the uplink
    judging: Callable[[], AbstractContextManager[Sequence[Check]]]  # the seal's check; it holds until the commit
    badge: Callable[[str | None], Sequence[Check]] = lambda worker: ()  # whether this worker's badge is near
    punched: Callable[[PunchBody], None] = lambda body: None  # told of each committed punch, refused ones too
    over_https: Callable[[], bool] = lambda: False  # no broker is there, and events arrive all the same
    calls: SpotChecks | None = None  # who is called here
    clips: Clips | None = None  # keeps a clip of a called worker who agreed to that
    # How a punch ended, None: not recorded; lamps, buzzer.
    ended: Callable[[Verdict | None], None] = lambda verdict: None
    hold_exposure: Callable[[bool], bool] = lambda held: False  # locks or frees the camera's; whether it could


@dataclass(frozen=True, slots=True)
class Request:
    """What was asked at the screen."""

    method: Method
    log_type: LogType | None
    badge: str | None
    pin: str | None
    supervisor: str | None = None  # who is to confirm, by the PIN above or else by face
    call: Call | None = None  # the spot check that this attempt answers; then it is no punch


@dataclass(slots=True)
class _Running:
    """The attempt that is being served."""

    request: Request
    tap: Tap
    given_up: Result | None = None  # what was signed of it while its own thread did not come back


class AttemptDesk:
    """Serves one request after the other. `checking` is called once looking is over. Used by one thread, but for
    `supervisor_works` and `give_up`.
    """

    def __init__(
        self,
        policy: Policy,
        journal: Journal,
        gallery: Gallery,
        look: FaceLook,
        surroundings: Surroundings,
        *,
        tz: str,
        checking: Callable[[], None],
    ) -> None:
        self._policy, self._journal, self._gallery = policy, journal, gallery
        self._look, self._around, self._tz, self._checking = look, surroundings, tz, checking
        self._recording: Recording | None = None  # of the called worker who is being looked at
        self._running: _Running | None = None  # None: nothing, or what has begun to be signed
        self._signing = threading.Lock()  # an attempt is signed once, by its own thread or by whoever gave it up
        self.rate = ConfirmationRate.of(reversed(journal.newest([Kind.PUNCH_RECORDED], COUNTED)))

    def serve(self, request: Request) -> Result:
        """Run the attempt to its end, which is signed where the journal takes it. What it raises is a fault of ours."""
        stamp = self._around.stamp()
        tap = Tap(request.method, request.log_type, request.badge, stamp.time, stamp.mono_us)
        punch = self._punch(tap)
        self._running = running = _Running(request, tap)
        try:
            self._identify(request, punch)
            with self._signing:
                if running.given_up is not None:
                    return running.given_up
                self._running = None
                return self._sign(request, punch)
        finally:
            self._running = None

    def give_up(self) -> Result | None:
        """Sign the attempt that is being served for its own thread, which hangs; None where there is nothing to sign.

        Whatever was to be checked has not run. Raises what signing raises.
        """
        running = self._running
        # Where its own thread is signing it, that one hangs in the journal, and so would this one.
        if running is None or running.given_up is not None or not self._signing.acquire(blocking=False):
            return None
        try:
            if self._running is not running:
                return None  # it came back
            request, punch = running.request, self._punch(running.tap)
            names = {Method.FACE: FACE_CHECKS, Method.SUPERVISOR: (CHECK_NAME,)}.get(request.method, ("pin",))
            checks = [Check(name=name, outcome=Outcome.NOT_RUN, reason=HUNG) for name in names]
            punch.identified(request.badge, None, checks)
            punch.add(*self._around.place(), *self._around.badge(punch.worker))
            self._recording = None
            running.given_up = self._sign(request, punch)
            return running.given_up
        finally:
            self._signing.release()

    def _punch(self, tap: Tap) -> Punch:
        return Punch(tap, self._policy, "".join(secrets.choice(RECEIPT_ALPHABET) for _ in range(8)))

    def _identify(self, request: Request, punch: Punch) -> None:
        """Find out who it is, then where: all that has to be known before the verdict."""
        self._recording = self._record_clip(request)
        if request.method is Method.FACE:
            self._identify_by_face(punch)
        elif request.method is Method.SUPERVISOR:
            self._identify_by_supervisor(punch, request)
        else:
            self._identify_by_pin(punch, request)
        self._checking()
        punch.add(*self._around.place(), *self._around.badge(punch.worker))

    def _sign(self, request: Request, punch: Punch) -> Result:
        """Judge what is known, and sign it where the journal takes it."""
        with self._around.judging() as seals:  # no opening comes between this verdict and its place in the chain
            punch.add(*seals)
            draft = punch.decide()
            try:
                recorded = self._record(request, draft)
            except (JournalFull, JournalFailed) as error:
                log.error("punch_not_recorded", reason=str(error))
                code = "disk_full" if isinstance(error, JournalFull) else "journal_failed"
                punch.not_recorded(code)
                return self.unrecorded(request, punch, code)
        if isinstance(recorded, GoesOn):
            return self._again(request, punch, draft.body)
        punch.recorded(recorded.seq)
        if draft.kind == Kind.PUNCH_RECORDED and request.call is None:
            self.rate.note(draft.body)
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
            other_methods=self._other_methods(request, draft.body.verdict),
        )

    def _record(self, request: Request, draft: Draft) -> Recorded | GoesOn:
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

    def _record_clip(self, request: Request) -> Recording | None:
        """Record a called worker who agreed to that; a fault costs the clip."""
        if request.call is None or self._around.clips is None or request.method is not Method.FACE:
            return None
        try:
            return self._around.clips.recording(request.call.worker)
        except Exception:
            log.exception("clip_not_recorded")
            return None

    def film(self, frame: Frame, box: tuple[float, float, float, float] | None) -> None:
        """Add a frame as it was judged to the recording; a fault ends the recording, not the attempt."""
        if self._recording is None:
            return
        try:
            self._recording.add(frame.mono_us, frame.image, box)
        except Exception:
            log.exception("clip_not_recorded")
            self._recording = None

    def _again(self, request: Request, punch: Punch, body: PunchBody) -> Result:
        """A called worker who was not verified and may try again: noted, signed with the call's end."""
        codes = _reasons(body.checks)
        first = codes[0] if codes else "error"
        noted = replace(self.unrecorded(request, punch, first), verdict=body.verdict)
        return replace(noted, reasons=(first, "call_goes_on", *codes[1:]))

    def _receipt_qr(self, recorded: Recorded) -> str | None:
        """The worker's own proof; without one a punch that stands in the journal is shown as recorded all the same."""
        try:
            return self._journal.punch_receipt(recorded)
        except Exception:
            log.exception("receipt_not_made", seq=recorded.seq)
            return None

    def _identify_by_face(self, punch: Punch) -> None:
        result = self._look.look(punch.tap.badge, self._around.stamp(), punch.tap.mono_us, punch)
        # Unrecognised, the attempt stands under the code that was typed: whoever reviews it must find it.
        punch.identified(result.worker or punch.tap.badge, result.name, result.checks, result.challenge)

    def _identify_by_supervisor(self, punch: Punch, request: Request) -> None:
        assert request.badge is not None and request.supervisor is not None
        stood = stand_in(
            self._gallery,
            request.badge,
            request.supervisor,
            request.pin,
            stamp=self._around.stamp(),
            an_hour=self._policy.confirmations_an_hour,
            look=lambda code: self._look.look(code, self._around.stamp(), punch.tap.mono_us, punch),
        )
        punch.confirmed_by = stood.by
        punch.identified(request.badge, stood.name, stood.checks, stood.challenge)

    def _identify_by_pin(self, punch: Punch, request: Request) -> None:
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

    def unrecorded(self, request: Request, punch: Punch | None, code: str) -> Result:
        """What the screen says of an attempt that is not in the journal, for the reason `code`."""
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
            other_methods=self._other_methods(request, Verdict.REFUSED),
        )

    def _other_methods(self, request: Request, verdict: Verdict) -> tuple[Method, ...]:
        """What the worker can do instead; of an attempt that no disk took too, for the next one is tried anew.

        Who is called answers in person, and only while the call lasts.
        """
        if verdict is Verdict.VERIFIED:
            return ()
        used, call = request.method, request.call
        try:
            if call is not None and (self._around.calls is None or self._around.calls.call != call):
                return ()
            works = {Method.FACE: self._look.works, Method.SUPERVISOR: call is None and self.supervisor_works}
            offered = [method for method in self._policy.methods() if works.get(method, True)]
        except Exception:  # the screen has to say how the attempt ended, whatever else is broken
            log.exception("other_methods_unknown")
            return ()
        return tuple(sorted(offered, key=lambda method: method is used))  # another way first, then once more

    @property
    def supervisor_works(self) -> bool:
        """Offered where the policy has it and somebody here could do it."""
        try:
            return self._policy.supervisor is not None and bool(self._gallery.supervisors())
        except GalleryError:
            return False


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
