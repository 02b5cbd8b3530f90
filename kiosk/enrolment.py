"""Enrolling a worker on this terminal: a face, authorised, consented to, from several good frames; or a PIN alone.

Order matters. The authorisation is checked and used up first; the consent is on disk before the first frame is looked
at; the template is stored before `worker.enrolled` says that it is, and erased again where that cannot be signed.
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
from evidence.events import ConsentBody, Fact, Kind, WorkerEnrolledBody
from evidence.keys import PublicKey
from kiosk.attendant import Eyes
from kiosk.errors import KioskError
from kiosk.journal import Journal
from kiosk.verify.face import Face
from kiosk.verify.gallery import Gallery
from kiosk.verify.pin import require_pin

FRAMES = 5  # docs/verification: three to five frames
FRAME_GAP_US = 200_000  # neighbouring frames of a video are one frame; a fifth of a second apart the head has moved
TIME_LIMIT_S = 30.0


class EnrolmentError(KioskError):
    """Nothing was enrolled; the message says what to do."""

    code = "enrolment"


class NotAuthorised(EnrolmentError):
    """The authorisation does not stand, or was used before."""

    code = "not_authorised"


class NoGoodFrames(EnrolmentError):
    """The camera did not see the worker well enough in time."""

    code = "no_good_frames"


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


@dataclass(frozen=True, slots=True)
class EnrolmentDesk:
    """The parts of the terminal that an enrolment needs."""

    device: str
    site: str
    collector_keys: Sequence[PublicKey]
    now: Callable[[], str]  # RFC 3339 UTC with milliseconds
    journal: Journal
    gallery: Gallery

    def enrol_face(
        self,
        authorisation: str,
        consent: Consent,
        *,
        eyes: Eyes,
        face: Face,
        pin: str | None,
        say: Callable[[str], None],
    ) -> Enrolled:
        """Enrol the face, and where given the PIN, of the worker that `authorisation` (base64 of the envelope) names.

        `say` is told the quality code of what keeps the camera from seeing well, or the count of frames taken.
        Raises an EnrolmentError, a JournalError or a VerifyError.
        """
        permission = self._permitted(authorisation, pin)
        self.journal.append(
            Kind.CONSENT_GIVEN,
            ConsentBody(
                worker=permission.worker,
                scope="face",
                text_version=consent.text_version,
                language=consent.language,
            ),
        )
        vectors = _look(eyes, face, say)
        _require_one_person(face, vectors)
        self._require_new_face(face, permission.worker, vectors)
        model = face.embedder.model_id
        self.gallery.enrol(permission.worker, permission.name, model, vectors, pin)
        return self._signed(permission, model, len(vectors), _commitment(vectors))

    def enrol_pin(self, authorisation: str, pin: str) -> Enrolled:
        """Enrol badge and PIN of a worker who gives no face: no consent to sign, no camera.

        Raises an EnrolmentError, a JournalError or a VerifyError.
        """
        permission = self._permitted(authorisation, pin)
        self.gallery.enrol(permission.worker, permission.name, "", [], pin)
        return self._signed(permission, None, 0, None)

    def _permitted(self, authorisation: str, pin: str | None) -> EnrolmentAuthorisation:
        """Check everything that can be checked before the one-time authorisation is used up, then use it up."""
        if pin is not None:
            require_pin(pin)
        permission = self._authorised(authorisation)
        if not self.journal.spend(permission.id):
            raise NotAuthorised("this authorisation was used before; ask for a new one")
        return permission

    def _signed(
        self, permission: EnrolmentAuthorisation, model: str | None, frames: int, template: str | None
    ) -> Enrolled:
        try:
            recorded = self.journal.append(
                Kind.WORKER_ENROLLED,
                WorkerEnrolledBody(
                    worker=permission.worker,
                    model=model,
                    frames=frames,
                    authorised_by=permission.authorised_by,
                    authorisation=permission.id,
                    template=template,
                ),
            )
        except BaseException:
            self.gallery.erase(permission.worker)  # what no event vouches for must not open the gate
            raise
        return Enrolled(permission.worker, permission.name, frames, recorded.seq)

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


def _look(eyes: Eyes, face: Face, say: Callable[[str], None]) -> list[NDArray[np.float32]]:
    """Take FRAMES good frames. Raises NoGoodFrames."""
    vectors: list[NDArray[np.float32]] = []
    newest = eyes.newest
    index = -1 if newest is None else newest.index
    deadline = time.monotonic() + TIME_LIMIT_S
    last_us = -FRAME_GAP_US
    hint = "no_face"
    while len(vectors) < FRAMES:
        if time.monotonic() > deadline:
            raise NoGoodFrames(f"{hint}: only {len(vectors)} of {FRAMES} good frames in {TIME_LIMIT_S:.0f} s")
        frame = eyes.wait_newer(index, 0.5)
        if frame is None:
            continue
        index = frame.index
        if frame.mono_us - last_us < FRAME_GAP_US:
            continue
        seen = face.enrolment_view(frame.mono_us, frame.image)
        if seen.vector is None:
            hint = seen.hint or hint
            say(hint)
            continue
        vectors.append(seen.vector)
        last_us = frame.mono_us
        say(f"{len(vectors)}/{FRAMES}")
    return vectors


def _require_one_person(face: Face, vectors: Sequence[NDArray[np.float32]]) -> None:
    if any(not face.same_person(vector, vectors[:1]) for vector in vectors[1:]):
        raise NotOnePerson("the frames show more than one person; let the worker stand alone and try again")


def _commitment(vectors: Sequence[NDArray[np.float32]]) -> str:
    """A salted SHA-256 of the template: names it without letting anyone guess it. The salt is not kept."""
    digest = hashlib.sha256(secrets.token_bytes(16))
    for vector in vectors:
        digest.update(vector.tobytes())
    return digest.hexdigest()
