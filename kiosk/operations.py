"""What an operator asks of a terminal: enrol, erase, withdraw, agree, clips, status. The command calls it through the
running service's socket (`control`), or on data that it opened itself.

Whatever looks through the camera runs on the attendant's thread, while no worker is served.
"""

from __future__ import annotations

import base64
from collections.abc import Callable, Sequence
from dataclasses import asdict, dataclass, replace
from typing import Any

import structlog
from pydantic import BaseModel, ConfigDict, Field, model_validator

from evidence.authorisation import EnrolmentAuthorisation
from evidence.errors import EvidenceError
from evidence.events import Ask, Check, Outcome
from evidence.rotation import rotation_keys
from evidence.status import Part
from kiosk.attendant import Attendant
from kiosk.clips import Clips
from kiosk.clock import Clock
from kiosk.confirmation import confirmation
from kiosk.enrolment import (
    FRAMES,
    Consent,
    Enrolled,
    EnrolmentDesk,
    EnrolmentError,
    Looking,
    Newcomer,
    NotAuthorised,
)
from kiosk.erasure import ErasureDesk
from kiosk.errors import BadRequest, KioskError, TransferFailed
from kiosk.journal import Journal
from kiosk.owed import Owed
from kiosk.sensors.newest_frame import NewestFrame
from kiosk.settings import KioskSettings
from kiosk.stick import handovers_in, take_receipts
from kiosk.terminal.texts import TRANSFER_TEXT
from kiosk.transfer.exchange import Exchange
from kiosk.verify.attempts import ENROLMENTS, Moment
from kiosk.verify.errors import VerifyError
from kiosk.verify.face import EnrolmentView, Face
from kiosk.verify.gallery import Gallery

log = structlog.get_logger(__name__)


class Enrolment(BaseModel):
    """One enrolment that is asked for: under the collector's authorisation, or by a supervisor on the spot."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    authorisation: str | None = Field(default=None, max_length=10_000)
    supervisor: str | None = None
    supervisor_pin: str | None = None  # None: the camera looks at the supervisor first
    newcomer: Newcomer | None = None
    consent: Consent | None = None  # None: badge and PIN only
    pin: str | None = None
    excused: tuple[Ask, ...] = ()

    @model_validator(mode="after")
    def _one_permission(self) -> Enrolment:
        if (self.authorisation is None) == (self.supervisor is None):
            raise ValueError("an enrolment has either an authorisation or a supervisor")
        if (self.supervisor is None) != (self.newcomer is None):
            raise ValueError("a supervisor says whom he enrols: code and name")
        if self.consent is None and self.pin is None:
            raise ValueError("without a face there has to be a PIN")
        if self.consent is None and self.excused:
            raise ValueError("without a face there is no prompt to be excused from")
        return self


@dataclass(frozen=True, slots=True)
class Operations:
    """The parts of a terminal that operators deal with."""

    settings: KioskSettings
    clock: Clock
    journal: Journal
    gallery: Gallery
    owed: Owed
    clips: Clips
    forget: Callable[[str], None]  # what else keeps something unsigned of a worker: presence
    attendant: Attendant
    eyes: NewestFrame | None
    face: Face | None
    face_part: Part
    parts: Callable[[], dict[str, Part]]
    hand_over: Callable[[bytes], object]  # what the collector says of its next keys
    wake: Callable[[], None]  # the uplink: there is something to send
    exchange: Exchange | None = None  # of faces with other terminals; None: switched off
    asks: bool = False  # there is a screen on which somebody can be asked

    def enrol(self, wanted: Enrolment, say: Callable[[str], None]) -> Enrolled:
        """Enrol one worker; `say` is told the code of what is amiss, or how many frames are taken.

        Raises an EnrolmentError, TerminalBusy, a JournalError or a VerifyError.
        """
        if self.gallery.locked:  # before the one-time authorisation is used up
            raise EnrolmentError("the enclosure was opened: nobody is enrolled until a clear; see clear-enclosure")
        desk = EnrolmentDesk(
            device=self.settings.device,
            site=self.settings.site,
            collector_keys=self.settings.pinned_keys,
            now=lambda: self.clock.stamp().time,
            journal=self.journal,
            gallery=self.gallery,
            owed=self.owed,
        )
        looks = wanted.consent is not None or (wanted.supervisor is not None and wanted.supervisor_pin is None)
        if looks and (self.face is None or self.eyes is None):
            raise EnrolmentError(f"this terminal has no face path: {self.face_part.reason}")
        enrolled = (
            self.attendant.lend(lambda: self._enrol_and_ask(desk, wanted, say))
            if looks
            else self._enrol(desk, wanted, say)
        )
        self.wake()
        return enrolled

    def rotate_key(self, reason: str) -> dict[str, Any]:
        """Hand the chain over to a new key, signed by both. Raises a JournalError or an IdentityError."""
        done = self.journal.rotate_key(reason)
        self.wake()
        _, key = rotation_keys(done.event)
        return {"seq": done.seq, "key": key.text(), "fingerprint": key.fingerprint}

    def new_chain(self, reason: str) -> dict[str, Any]:
        """Set the chain aside and begin another one. Raises a JournalError."""
        before = self.journal.head.chain
        self.journal.begin_anew(reason)
        self.wake()
        return {"before": before, "chain": self.journal.head.chain}

    def erase(self, worker: str) -> dict[str, Any]:
        """Erase all that lies here of a worker. Raises an ErasureError or a GalleryError."""
        return self._done(asdict(self.erasures().erase(worker)))

    def withdraw(self, worker: str, scope: str) -> dict[str, Any]:
        """Take a consent back. Raises an ErasureError or a GalleryError."""
        if scope not in ("face", "transfer", "clip"):
            raise BadRequest("a consent has the scope face, transfer or clip")
        return self._done(asdict(self.erasures().withdraw(worker, scope)))  # type: ignore[arg-type]  # just narrowed

    def agree(self, worker: str, scope: str, consent: Consent) -> dict[str, Any]:
        """Keep and sign a further consent. Raises an ErasureError or a GalleryError."""
        if scope not in ("transfer", "clip"):
            raise BadRequest("further consents are transfer and clip; a face is agreed to when it is enrolled")
        desk = self.erasures()
        return self._done(asdict(desk.agree(worker, scope, consent.text_version, consent.language)))  # type: ignore[arg-type]  # just narrowed

    def release_clip(self, command: str, by: str, reason: str) -> dict[str, Any]:
        """Give a spot check's clip out in clear, signed first. Raises a ClipError or a JournalError."""
        opened, recorded = self.clips.release(command, _said(by, "by"), _said(reason, "reason"))
        return {
            **asdict(opened.held),
            "salt": opened.salt.hex(),
            "video": base64.b64encode(opened.video).decode(),
            "seq": recorded.seq,
        }

    def erase_clip(self, command: str, by: str, reason: str) -> dict[str, Any]:
        """Remove a spot check's clip. Raises a ClipError or a JournalError."""
        return {"command": command, "seq": self.clips.erase(command, _said(by, "by"), _said(reason, "reason")).seq}

    def status(self) -> dict[str, Any]:
        """How the terminal is, for operators; no names, no codes of single workers but those who must come again."""
        codes = self.gallery.workers()
        model = self.face.embedder.model_id if self.face is not None else None
        return {
            "device": self.settings.device,
            "site": self.settings.site,
            "parts": {name: part.model_dump() for name, part in self.parts().items()},
            "enrolled": len(codes),
            "supervisors": len(self.gallery.supervisors()),
            "enrol_again": list(self.gallery.outdated(model)) if model is not None else [],
            "owed": len(self.gallery.pending()),
            "unsent": self.journal.depth,
            "punches": self.attendant.rate.punches,
            "confirmed": self.attendant.rate.confirmed,
        }

    def take_receipts(self, receipts: Sequence[bytes]) -> dict[str, Any]:
        """Take the collector's receipts from a file, after the handovers in it. Raises a JournalError."""
        handovers, refused = handovers_in(receipts), list[str]()
        if handovers:
            try:
                self.hand_over(b"\n".join(handovers))
            except (EvidenceError, OSError) as error:  # the receipts are then judged by the keys that counted before
                refused.append(f"handovers: {getattr(error, 'code', 'not_kept')}: {error}")
        taken = take_receipts(self.journal, self.settings.pinned_keys, receipts)
        self.wake()
        return {
            "receipts": taken.receipts,
            "handovers": 0 if refused else len(handovers),
            "refused": [*refused, *taken.refused],
            "unsent": self.journal.depth,
        }

    def peers(self) -> dict[str, Any]:
        """Which terminals faces go to and come from. Raises a TransferFailed."""
        return self._exchange().listed()

    def confirm_peer(self, device: str, fingerprint: str, by: str) -> dict[str, Any]:
        """Exchange faces with a terminal from now on. Raises a TransferFailed, BadRequest or a JournalError."""
        if not self._exchange().switched_on:
            raise TransferFailed("this terminal exchanges no faces: put [transfer] into its settings")
        return self._done(self._exchange().confirm(device, fingerprint, by))

    def remove_peer(self, device: str, by: str) -> dict[str, Any]:
        """Exchange nothing more with it. Raises a TransferFailed, BadRequest or a JournalError."""
        return self._done(self._exchange().remove(device, by))

    def _exchange(self) -> Exchange:
        if self.exchange is None:
            raise TransferFailed("this terminal exchanges no faces: put [transfer] into its settings")
        return self.exchange

    def erasures(self) -> ErasureDesk:
        """Return the desk that erases."""
        now = lambda: self.clock.stamp().time  # noqa: E731
        return ErasureDesk(self.gallery, self.owed, now, self.settings.language, self.clips, self.forget)

    def _done(self, answer: dict[str, Any]) -> dict[str, Any]:
        self.wake()
        return answer

    def _enrol_and_ask(self, desk: EnrolmentDesk, wanted: Enrolment, say: Callable[[str], None]) -> Enrolled:
        """Enrol; then ask on the screen whether the face may go to other terminals. The enrolment stands either way."""
        enrolled = self._enrol(desk, wanted, say)
        rules = self.settings.transfer
        if wanted.consent is None or rules is None or not rules.ask_at_enrolment or not self.asks:
            return enrolled
        say("consent")
        language = self.attendant.ask_consent()
        if language is None:
            return replace(enrolled, transfer=False)
        try:
            self.erasures().agree(enrolled.worker, "transfer", TRANSFER_TEXT, language)
        except (KioskError, VerifyError) as error:
            log.error("consent_not_kept", reason=str(error))
            return replace(enrolled, transfer=False)
        return replace(enrolled, transfer=True)

    def _enrol(self, desk: EnrolmentDesk, wanted: Enrolment, say: Callable[[str], None]) -> Enrolled:
        permission = self._permission(desk, wanted, say)
        if wanted.consent is None:
            assert wanted.pin is not None
            return desk.enrol_pin(permission, wanted.pin)
        assert self.eyes is not None and self.face is not None

        def seen(view: EnrolmentView, taken: int) -> None:
            self.attendant.guide(view.hint, view.box, (taken, FRAMES))
            say(view.hint or f"{taken}/{FRAMES}")

        looking = Looking(
            eyes=self.eyes,
            face=self.face,
            seen=seen,
            cancelled=lambda: self.attendant.cancelled,
            bystander=wanted.supervisor,
        )
        return desk.enrol_face(permission, wanted.consent, looking, pin=wanted.pin, excused=wanted.excused)

    def _permission(self, desk: EnrolmentDesk, wanted: Enrolment, say: Callable[[str], None]) -> EnrolmentAuthorisation:
        if wanted.authorisation is not None:
            return desk.permitted(wanted.authorisation, wanted.pin, wanted.excused)
        assert wanted.supervisor is not None and wanted.newcomer is not None
        permission = desk.permitted_by(wanted.supervisor, wanted.newcomer, wanted.pin, wanted.excused)
        self._identify_supervisor(wanted.supervisor, wanted.supervisor_pin, say)
        return permission

    def _identify_supervisor(self, code: str, pin: str | None, say: Callable[[str], None]) -> None:
        """Raise NotAuthorised unless the supervisor stands here and has enrolments left."""
        stamp = self.clock.stamp()
        now = Moment(stamp.boot, stamp.mono_us)
        held = self.gallery.get(code)
        if held is None or held.role != "supervisor":
            raise NotAuthorised(f"no supervisor is enrolled here as {code}")
        if self.gallery.limited(ENROLMENTS, code, now):
            raise NotAuthorised("this supervisor has enrolled all that an hour allows; use an authorisation")
        checks: list[Check]
        if pin is not None:
            checks = [self.gallery.check_pin(code, pin, boot=stamp.boot, mono_us=stamp.mono_us)]
        else:
            say("supervisor_first")
            checks = list(self.attendant.identify(code))
        judged = confirmation(code, checks, by_face=pin is None)
        if judged.outcome is not Outcome.PASSED:
            why = next((one.reason for one in checks if one.outcome is Outcome.FAILED), judged.reason)
            raise NotAuthorised(f"the supervisor was not identified: {why}")
        self.gallery.count_attempt(ENROLMENTS, code, now)


def _said(text: str, what: str) -> str:
    if not text.strip() or len(text) > 400:
        raise BadRequest(f"{what}: 1 to 400 characters, for it is signed")
    return text.strip()
