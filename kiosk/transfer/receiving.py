"""What comes from other terminals: checked, taken or refused by name, signed and answered.

In this order: a confirmed sender's signature, made for this terminal, not late, not old, sealed to this terminal's key;
then what was sealed: consent, not withdrawn here since, the model, nobody else's face. Signatures that cannot be
believed are not answered: an answer would be a signature on a stranger's demand.
"""

from __future__ import annotations

import hashlib
from collections import Counter, deque
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Literal, Protocol

import numpy as np
import structlog
from numpy.typing import NDArray

from evidence.envelope import Envelope
from evidence.errors import EvidenceError, TransferMismatch
from evidence.events import ConsentBody, Kind, TransferReceivedBody, TransferRefusedBody, parse_body
from evidence.keys import SigningKey
from evidence.transfer import Transfer, named_in, read_transfer
from evidence.transfer import key_id as transfer_key_id
from kiosk.clock import parse_time
from kiosk.erasure import copy_erased_statement
from kiosk.errors import TransferRefused
from kiosk.journal import Journal
from kiosk.owed import Owed
from kiosk.transfer.answering import Answering
from kiosk.transfer.copies_here import CopiesHere
from kiosk.transfer.lease import ERASE_WAITS, LEASE, later
from kiosk.transfer.sealing import Contents, Given, unseal
from kiosk.transfer.staying_away import StayingAway
from kiosk.transfer.store import Peer, Store
from kiosk.transfer.transfer_key import TransferKey
from kiosk.verify.errors import GalleryTampered
from kiosk.verify.gallery import Gallery, GalleryWorker
from kiosk.verify.gallery_record import Agreement, Received, Statement

REFUSALS_AN_HOUR = 30  # of what nobody known has signed: whoever floods a terminal does not fill its journal
_HOUR_NS = 3_600_000_000_000

log = structlog.get_logger(__name__)


class Comparing(Protocol):
    """What knows faces here: kiosk.verify.face.Face."""

    @property
    def model_id(self) -> str:
        """The model whose templates this terminal compares."""
        ...

    def same_person(self, vector: NDArray[np.float32], others: Sequence[NDArray[np.float32]]) -> bool:
        """True if a vector matches a template made of `others`."""
        ...


@dataclass(frozen=True, slots=True)
class _Came:
    """A transfer that a known terminal has signed."""

    peer: Peer
    transfer: Transfer
    message: str  # hash of the envelope


class Receiving:
    """Takes transfers. One thread calls it. `face` gives what compares faces here, None where there is none."""

    def __init__(
        self,
        store: Store,
        journal: Journal,
        gallery: Gallery,
        owed: Owed,
        key: SigningKey,
        transfer_key: TransferKey,
        away: StayingAway,
        answering: Answering,
        copies: CopiesHere,
        *,
        device: str,
        site: str,
        now: Callable[[], str],
        face: Callable[[], Comparing | None],
        switched_on: bool,
    ) -> None:
        self.counts: Counter[str] = Counter()  # held, gone, refused, stranger
        self._switched_on = switched_on
        self._store, self._journal, self._gallery, self._owed = store, journal, gallery, owed
        self._key, self._transfer_key = key, transfer_key
        self._device, self._site, self._now, self._face = device, site, now, face
        self._away, self._answering, self._copies = away, answering, copies
        self._strangers: deque[int] = deque(maxlen=REFUSALS_AN_HOUR)  # when, ns since 1970

    def take(self, data: bytes) -> bytes | None:
        """Take one message; return the answer to send, None where there is none.

        Raises a GalleryError, JournalError, IdentityError or TransferFailed where it could not be judged now: it comes
        again.
        """
        try:
            came = self._believed(data)
        except EvidenceError as error:
            self._refuse_stranger(data, error)
            return None
        if came is None:
            return None
        held = self._store.answer(came.message)
        if held is not None:
            self.counts["repeated"] += 1
            return held
        try:
            self._judge(came)
            state: Literal["held", "gone"] = self._carry_out(came)
        except TransferRefused as error:
            return self._refuse(came, error)
        self.counts[state] += 1
        return self._answer(came, state, "ok: done", taken=True)

    def _believed(self, data: bytes) -> _Came | None:
        """Return what a known terminal has signed for this one; None where it says nothing to us any more.

        Raises an EvidenceError.
        """
        envelope = Envelope.decode(data)
        named = named_in(envelope)
        if not isinstance(named, Transfer):
            raise TransferMismatch("this is no transfer")
        peer = self._store.peer(named.sender)
        if peer is None:
            raise TransferMismatch(f"unknown_sender: nobody has confirmed {named.sender} on this terminal")
        transfer = read_transfer(data, peer.public)
        if (transfer.site, transfer.recipient) != (self._site, self._device):
            raise TransferMismatch(f"the transfer is for {transfer.site}/{transfer.recipient}")
        return _Came(peer, transfer, envelope.hash)

    def _judge(self, came: _Came) -> None:
        """Check what can be checked without opening it. Raises TransferRefused."""
        transfer, now = came.transfer, self._now()
        if not self._switched_on and transfer.kind == "template":
            raise TransferRefused("switched_off", "this terminal exchanges no faces any more")
        if came.peer.state != "confirmed" and transfer.kind == "template":
            raise TransferRefused("not_confirmed", "nobody here exchanges faces with this terminal any more")
        if transfer.recipient_key != self._key.public.id:
            raise TransferRefused("earlier_key", "it is for a key that this terminal no longer has; see its new card")
        if transfer.expires <= now:
            raise TransferRefused("transfer_expired", f"it ended at {transfer.expires}")
        if transfer.counter <= came.peer.taken:
            raise TransferRefused("replayed", f"message {transfer.counter} came after message {came.peer.taken}")
        longest = LEASE if transfer.kind == "template" else ERASE_WAITS
        if later(transfer.issued, longest) < transfer.expires:
            raise TransferRefused("transfer_mismatch", "it would last longer than any message may")

    def _carry_out(self, came: _Came) -> Literal["held", "gone"]:
        if came.transfer.kind == "erase":
            self._erase(came.transfer)
            return "gone"
        self._keep(came, self._opened(came.transfer))
        return "held"

    def _opened(self, transfer: Transfer) -> Contents:
        key = self._transfer_key.load()
        if transfer.transfer_key != transfer_key_id(key.public_key().public_bytes_raw()):
            raise TransferRefused("earlier_key", "it is sealed to a key that this terminal no longer has")
        contents = unseal(transfer, key)
        if contents.enrolment != transfer.enrolment:
            raise TransferRefused("unfit_template", "what was sealed is of another enrolment than the message says")
        return contents

    def _keep(self, came: _Came, contents: Contents) -> None:
        """Store the copy with the statement that it owes, and sign that; what cannot be signed is dropped again.

        Raises TransferRefused.
        """
        transfer, consent = came.transfer, contents.consent("transfer")
        if consent is None or consent.time > transfer.issued:
            raise TransferRefused("no_consent", "the worker has not agreed that the face lies on other terminals")
        vectors = contents.arrays()
        with self._owed.lock:
            self._require_not_withdrawn(contents, transfer, consent)
            before = self._before(contents.worker, transfer)
            self._require_face(contents, vectors)
            received = TransferReceivedBody(
                worker=contents.worker,
                copy_id=transfer.copy_id,
                sender=transfer.sender,
                sender_key=transfer.sender_key,
                model=contents.model,
                frames=len(vectors),
                enrolment=contents.enrolment,
                enrolled=contents.enrolled,
                text_version=consent.text_version,
                language=consent.language,
                consented=consent.time,
                message=came.message,
                until=transfer.expires,
            )
            replaced = (
                before is not None and before.received is not None and before.received.copy_id != transfer.copy_id
            )
            statements = [copy_erased_statement(before, "replaced")] if before is not None and replaced else []
            pending = self._gallery.enrol(
                contents.worker,
                before.name if before is not None and before.has_pin else contents.name,
                contents.model,
                vectors,
                role=before.role if before is not None else "worker",
                excused=contents.excused,
                enrolment=before.enrolment if before is not None else None,
                commitment=before.commitment if before is not None else None,
                further=[Agreement(one.scope, one.text_version, one.language, one.time) for one in contents.consents],
                received=Received(transfer.copy_id, transfer.sender, transfer.expires, contents.commitment),
                owed=[*statements, Statement(Kind.TRANSFER_RECEIVED, received.model_dump(mode="json"))],
            )
            try:
                self._owed.sign()
            except BaseException:
                self._undo(contents.worker, pending)
                raise
            if before is not None and before.received is not None:
                self._away.ended(before.received.copy_id)
            self._away.took(transfer.copy_id, transfer.sender, contents.enrolment, consent.time)

    def _undo(self, worker: str, pending: str | None) -> None:
        """What no event vouches for must not open the gate; a copy that was there before goes with it."""
        held = self._gallery.get(worker)
        if held is not None and held.received is not None:
            self._gallery.drop_copy(worker, [copy_erased_statement(held, "replaced")])
            self._away.ended(held.received.copy_id)
        if pending is not None:
            self._gallery.settle(pending)

    def _before(self, worker: str, transfer: Transfer) -> GalleryWorker | None:
        """Who is enrolled under this code already. Raises TransferRefused where a copy must not take the place."""
        held = self._gallery.get(worker)
        if held is None:
            return None
        if held.role == "supervisor":
            raise TransferRefused("enrolled_here", "a supervisor's face is enrolled where he is one, never copied")
        if held.received is None and held.models:
            raise TransferRefused("enrolled_here", "the worker was enrolled with a face on this terminal itself")
        if held.received is not None and held.received.sender != transfer.sender:
            raise TransferRefused("held_from_other", "another terminal's copy of this worker lies here")
        return held

    def _require_face(self, contents: Contents, vectors: Sequence[NDArray[np.float32]]) -> None:
        face = self._face()
        if face is None:
            raise TransferRefused("no_face_path", "this terminal compares no faces now")
        if face.model_id != contents.model:
            raise TransferRefused("model_mismatch", f"this terminal compares faces by {face.model_id[:80]}")
        for template in self._gallery.templates(contents.model):
            if template.vectors.shape[1] != contents.dimensions:
                raise TransferRefused("unfit_template", "its vectors have another length than those that lie here")
            if template.worker != contents.worker and any(
                face.same_person(vector, list(template.vectors)) for vector in vectors
            ):
                raise TransferRefused("duplicate_face", "this face is enrolled here under another code")

    def _require_not_withdrawn(self, contents: Contents, transfer: Transfer, consent: Given) -> None:
        """Whoever took the consent back here, or was erased here, after he gave it there, stays gone."""
        gone = TransferRefused("withdrawn", "the worker has taken the consent back on this terminal since")
        try:
            held = self._gallery.get(contents.worker)
        except GalleryTampered as error:
            raise TransferRefused("enrolled_here", "a record of this worker is here and cannot be read") from error
        lying = held.received.copy_id if held is not None and held.received is not None else None
        if self._away.refuses(transfer.sender, contents.enrolment, consent.time, lying):
            raise gone
        if self._away.agreed_anew(transfer.sender, contents.enrolment, consent.time):
            return
        for event in self._journal.recent([Kind.CONSENT_WITHDRAWN], consent.time):  # also of what was enrolled here
            body = parse_body(event)
            if isinstance(body, ConsentBody) and body.worker == contents.worker and body.scope in ("face", "transfer"):
                raise gone

    def _erase(self, transfer: Transfer) -> None:
        assert transfer.reason is not None
        unreadable: GalleryTampered | None = None
        for worker in self._gallery.workers():
            try:
                held = self._gallery.get(worker)
            except GalleryTampered as error:
                unreadable = error
                continue
            if held is None or held.received is None or held.received.copy_id != transfer.copy_id:
                continue
            if held.received.sender == transfer.sender:
                self._copies.drop(held, transfer.reason)
            break
        else:
            if unreadable is not None:  # it may be this one; it is erased by hand, and the word to erase comes again
                raise unreadable
        self._owed.sign()  # the answer says gone: not before that is signed

    def _refuse(self, came: _Came, error: TransferRefused) -> bytes:
        reason = f"{error.code}: {error}"[:400]
        self.counts["refused"] += 1
        log.warning("transfer_refused", sender=came.transfer.sender, reason=reason)
        body = TransferRefusedBody(
            sender=came.transfer.sender, copy_id=came.transfer.copy_id, message=came.message, reason=reason
        )
        self._journal.append_once(f"transfer:{came.message}", Kind.TRANSFER_REFUSED, body)
        return self._answer(came, "refused", reason, taken=error.code != "replayed")

    def _refuse_stranger(self, data: bytes, error: EvidenceError) -> None:
        """Sign that something came that nobody known has signed for this terminal, up to a bound; answer nothing."""
        self.counts["stranger"] += 1
        now = parse_time(self._now())
        recent = [at for at in self._strangers if 0 <= now - at < _HOUR_NS]
        log.warning("transfer_not_believed", code=error.code, why=str(error), count=self.counts["stranger"])
        if len(recent) >= REFUSALS_AN_HOUR:
            return
        digest = hashlib.sha256(data).hexdigest()
        body = TransferRefusedBody(sender=None, copy_id=None, message=digest, reason=f"{error.code}: {error}"[:400])
        if self._journal.append_once(f"transfer:{digest}", Kind.TRANSFER_REFUSED, body) is not None:
            self._strangers.append(now)

    def _answer(self, came: _Came, state: Literal["held", "gone", "refused"], reason: str, *, taken: bool) -> bytes:
        transfer = came.transfer
        return self._answering.answer(
            came.message,
            transfer.sender,
            transfer.copy_id,
            state,
            reason,
            expires=transfer.expires,
            last=max(came.peer.taken, transfer.counter if taken else 0),
            taken=transfer.counter if taken else None,
        )
