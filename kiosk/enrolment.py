"""Enrolling a worker on this terminal: a face, authorised, consented to, from several good frames; or a PIN alone.

Order matters (docs/adr/0012, 0025). The authorisation is checked and used up first; the consent is on disk before the
first frame is looked at; the template is stored together with the statements that it owes, which are then signed.
"""

from __future__ import annotations

import base64
import hashlib
import secrets
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Annotated, Literal

import numpy as np
from numpy.typing import NDArray
from pydantic import Field

from evidence.authorisation import EnrolmentAuthorisation, verify_authorisation
from evidence.errors import EvidenceError
from evidence.events import Ask, ConsentBody, Fact, Kind, WorkerCode, WorkerEnrolledBody
from evidence.keys import PublicKey
from kiosk.erasure import copy_erased_statement, erased_statement
from kiosk.errors import KioskError
from kiosk.face_look import Eyes
from kiosk.journal import Journal
from kiosk.owed import Owed
from kiosk.verify.errors import GalleryTampered
from kiosk.verify.excuse import require_some_prompt
from kiosk.verify.face import EnrolmentView, Face
from kiosk.verify.gallery import Gallery, GalleryWorker
from kiosk.verify.gallery_record import Agreement, Statement
from kiosk.verify.pin import require_pin

FRAMES = 5  # docs/verification: three to five frames
FRAME_GAP_US = 200_000  # neighbouring frames of a video are one frame; a fifth of a second apart the head has moved
TIME_LIMIT_S = 30.0
CHANGE_OVER_S = 30.0  # for the supervisor to step aside and the newcomer to take his place


class EnrolmentError(KioskError):
    """Nothing was enrolled; the message says what to do."""

    code = "enrolment"


class NotAuthorised(EnrolmentError):
    """The authorisation does not stand, or was used before."""

    code = "not_authorised"


class NoGoodFrames(EnrolmentError):
    """The camera did not see the worker well enough in time."""

    code = "no_good_frames"


class EnrolmentCancelled(EnrolmentError):
    """Somebody pressed cancel on the screen, or the terminal is stopping."""

    code = "cancelled"


class NotOnePerson(EnrolmentError):
    """The frames do not show one and the same person."""

    code = "not_one_person"


class DuplicateFace(EnrolmentError):
    """The face is enrolled under another code already."""

    code = "duplicate_face"


class Consent(Fact):
    """What the worker read and agreed to before the camera looked."""

    text_version: Annotated[str, Field(min_length=1, max_length=80)]
    language: Literal["zh", "en"]


@dataclass(frozen=True, slots=True)
class Enrolled:
    """A finished enrolment."""

    worker: str
    name: str
    frames: int
    seq: int  # of worker.enrolled in the journal
    transfer: bool | None = None  # whether the face may go to other terminals; None: nobody was asked


class Newcomer(Fact):
    """Whom a supervisor on the spot enrols: what else the collector's authorisation says."""

    worker: WorkerCode
    name: Annotated[str, Field(min_length=1, max_length=100)]


@dataclass(frozen=True, slots=True)
class Looking:
    """How an enrolment looks at the worker."""

    eyes: Eyes
    face: Face
    seen: Callable[[EnrolmentView, int], None]  # told of each frame judged, and how many are taken
    cancelled: Callable[[], bool]
    bystander: str | None = None  # the supervisor who stood there a moment ago: his face is not the newcomer's


@dataclass(frozen=True, slots=True)
class EnrolmentDesk:
    """The parts of the terminal that an enrolment needs."""

    device: str
    site: str
    collector_keys: Sequence[PublicKey]
    now: Callable[[], str]  # RFC 3339 UTC with milliseconds
    journal: Journal
    gallery: Gallery
    owed: Owed

    def permitted(self, authorisation: str, pin: str | None, excused: Sequence[Ask] = ()) -> EnrolmentAuthorisation:
        """Check all that can be checked before the authorisation (base64 of the envelope) is used up; then use it up.

        Raises NotAuthorised, a JournalError or a VerifyError.
        """
        _require_possible(pin, excused)
        permission = self._authorised(authorisation)
        if not self.journal.spend(permission.id):
            raise NotAuthorised("this authorisation was used before; ask for a new one")
        return permission

    def permitted_by(
        self, supervisor: str, newcomer: Newcomer, pin: str | None, excused: Sequence[Ask] = ()
    ) -> EnrolmentAuthorisation:
        """What a supervisor may permit who has been identified on the spot.

        Not himself, and no other supervisor: whose face opens that role is the collector's to say. Raises
        NotAuthorised or a VerifyError.
        """
        _require_possible(pin, excused)
        if newcomer.worker in self.gallery.supervisors() | {supervisor}:
            raise NotAuthorised("a supervisor enrols neither himself nor another supervisor; use an authorisation")
        return EnrolmentAuthorisation(
            id=secrets.token_hex(16),
            worker=newcomer.worker,
            name=newcomer.name,
            device=self.device,
            site=self.site,
            authorised_by=f"supervisor:{supervisor}",
            expires=self.now(),
        )

    def enrol_face(
        self,
        permission: EnrolmentAuthorisation,
        consent: Consent,
        looking: Looking,
        *,
        pin: str | None,
        excused: Sequence[Ask] = (),
    ) -> Enrolled:
        """Enrol the face, and where given the PIN, of the worker that `permission` names.

        Raises an EnrolmentError, a JournalError or a VerifyError.
        """
        given = self.journal.append(
            Kind.CONSENT_GIVEN,
            ConsentBody(
                worker=permission.worker,
                scope="face",
                text_version=consent.text_version,
                language=consent.language,
            ),
        )
        face = looking.face
        vectors = self._look(looking)
        _require_one_person(face, vectors)
        self._require_new_face(face, permission.worker, vectors)
        agreement = Agreement("face", consent.text_version, consent.language, given.event.time)
        return self._keep(permission, pin, excused, _Seen(face.embedder.model_id, vectors, agreement))

    def enrol_pin(self, permission: EnrolmentAuthorisation, pin: str) -> Enrolled:
        """Enrol badge and PIN of a worker who gives no face: no consent to sign, no camera.

        Raises a JournalError or a VerifyError.
        """
        return self._keep(permission, pin, (), None)

    def _keep(
        self, permission: EnrolmentAuthorisation, pin: str | None, excused: Sequence[Ask], seen: _Seen | None
    ) -> Enrolled:
        """Store, then sign; what cannot be signed is erased again."""
        vectors = seen.vectors if seen else []
        commitment = _commitment(vectors) if vectors else None
        body = WorkerEnrolledBody(
            worker=permission.worker,
            model=seen.model if seen else None,
            frames=len(vectors),
            authorised_by=permission.authorised_by,
            authorisation=permission.id,
            template=commitment,
            role=permission.role,
            excused=tuple(excused),
        )
        enrolled = Statement(Kind.WORKER_ENROLLED, body.model_dump(mode="json"))
        before = self._held(permission.worker)
        replaced = _replaced(before) if before is not None and before.models else []
        with self.owed.lock:
            pending = self.gallery.enrol(
                permission.worker,
                permission.name,
                seen.model if seen else "",
                vectors,
                pin,
                role=permission.role,
                excused=excused,
                enrolment=permission.id,
                commitment=commitment,
                consent=seen.consent if seen else None,
                owed=[*replaced, enrolled],
            )
            try:
                signed = self.owed.sign()
            except BaseException:
                self._undo(permission.worker, pending)
                raise
        seq = next(one.seq for one in reversed(signed) if one.event.kind == Kind.WORKER_ENROLLED)
        return Enrolled(permission.worker, permission.name, len(vectors), seq)

    def _undo(self, worker: str, pending: str | None) -> None:
        """What no event vouches for must not open the gate.

        First erased, then no longer owed: a crash between the two leaves both statements to sign, in their order.
        """
        held = self._held(worker)
        self.gallery.erase(worker, [erased_statement(held, "all", "erased")] if held else [])
        if pending is not None:
            self.gallery.settle(pending)

    def _held(self, worker: str) -> GalleryWorker | None:
        try:
            return self.gallery.get(worker)
        except GalleryTampered:  # enrolling again is what mends it
            return None

    def _authorised(self, text: str) -> EnrolmentAuthorisation:
        try:
            data = base64.b64decode(text.strip(), validate=True)
        except ValueError as error:
            raise NotAuthorised("an authorisation is one line of base64; copy it whole") from error
        problems = []
        for key in self.collector_keys:
            try:
                return verify_authorisation(data, key, self.device, self.site, self.now())
            except EvidenceError as error:
                problems.append(str(error))
        raise NotAuthorised(problems[-1] if problems else "no collector key is pinned in the settings")

    def _require_new_face(self, face: Face, worker: str, vectors: Sequence[NDArray[np.float32]]) -> None:
        for template in self.gallery.templates(face.embedder.model_id):
            if template.worker == worker:
                continue
            if any(face.same_person(vector, list(template.vectors)) for vector in vectors):
                raise DuplicateFace(f"this face is enrolled as {template.worker}; erase that first if it is an error")

    def _look(self, looking: Looking) -> list[NDArray[np.float32]]:
        """Take FRAMES good frames. Raises NoGoodFrames or EnrolmentCancelled."""
        eyes, face = looking.eyes, looking.face
        template = looking.bystander and self.gallery.template(looking.bystander, face.embedder.model_id)
        not_him = list(template.vectors) if template else []
        vectors: list[NDArray[np.float32]] = []
        newest = eyes.newest
        index = -1 if newest is None else newest.index
        deadline = time.monotonic() + (TIME_LIMIT_S if looking.bystander is None else CHANGE_OVER_S + TIME_LIMIT_S)
        last_us = -FRAME_GAP_US
        hint = "no_face"
        while len(vectors) < FRAMES:
            if looking.cancelled():
                raise EnrolmentCancelled("the enrolment was cancelled at the terminal")
            if time.monotonic() > deadline:
                raise NoGoodFrames(f"{hint}: only {len(vectors)} of {FRAMES} good frames in time")
            frame = eyes.wait_newer(index, 0.5)
            if frame is None:
                continue
            index = frame.index
            if frame.mono_us - last_us < FRAME_GAP_US:
                continue
            view = face.enrolment_view(frame.mono_us, frame.image)
            if view.vector is not None and not_him and face.same_person(view.vector, not_him):
                view = EnrolmentView(None, "next_person", view.box)
            if view.vector is None:
                hint = view.hint or hint
            else:
                vectors.append(view.vector)
                last_us = frame.mono_us
            looking.seen(view, len(vectors))
        return vectors


@dataclass(frozen=True, slots=True)
class _Seen:
    """A face that was taken."""

    model: str
    vectors: list[NDArray[np.float32]]
    consent: Agreement


def _replaced(before: GalleryWorker) -> list[Statement]:
    if before.received is not None:
        return [copy_erased_statement(before, "replaced")]
    return [erased_statement(before, "face", "replaced")]


def _require_possible(pin: str | None, excused: Sequence[Ask]) -> None:
    if pin is not None:
        require_pin(pin)
    require_some_prompt(excused)


def _require_one_person(face: Face, vectors: Sequence[NDArray[np.float32]]) -> None:
    if any(not face.same_person(vector, vectors[:1]) for vector in vectors[1:]):
        raise NotOnePerson("the frames show more than one person; let the worker stand alone and try again")


def _commitment(vectors: Sequence[NDArray[np.float32]]) -> str:
    """A salted SHA-256 of the template: names it without letting anyone guess it. The salt is not kept."""
    digest = hashlib.sha256(secrets.token_bytes(16))
    for vector in vectors:
        digest.update(vector.tobytes())
    return digest.hexdigest()
