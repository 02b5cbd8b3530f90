"""What other terminals are sent: each template that may go, sealed; the word to erase each that may not any more.

`plan` compares what should lie on the peers with what was sent and makes the messages that are missing. A message is
kept, and sent again, until the peer has answered it; a new one takes its place where keys or consent have changed.
"""

from __future__ import annotations

import secrets
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, replace

import structlog

from evidence.envelope import Envelope
from evidence.errors import TransferMismatch, UnknownKey
from evidence.events import Kind, TransferSentBody, WorkerEnrolledBody, parse_body, parse_event
from evidence.keys import SigningKey
from evidence.transfer import EraseReason, PeerCard, Transfer, read_answer, sign_transfer
from kiosk.clock import parse_time
from kiosk.journal import Journal
from kiosk.owed import Owed
from kiosk.transfer.lease import AGAIN_AFTER, ERASE_WAITS, LEASE, RENEW_WITHIN, later
from kiosk.transfer.peers import Peers
from kiosk.transfer.sealing import Contents, Given, packed, seal
from kiosk.transfer.store import Copy, Peer, Store
from kiosk.verify.errors import GalleryTampered
from kiosk.verify.gallery import Gallery, GalleryWorker
from kiosk.verify.gallery_record import Agreement

RESEND_S = 60.0  # the collector keeps what it has; this is for what it never got
MOST_ENROLLED = 100_000  # events looked through for the hash of an enrolment
_AT_ONCE = ("replayed",)  # refusals that a new message answers
_FOR_GOOD = ("withdrawn",)  # until the worker agrees again

log = structlog.get_logger(__name__)


@dataclass(frozen=True, slots=True)
class Sendable:
    """A worker whose template may lie on the site's other terminals."""

    held: GalleryWorker
    enrolment: str
    consent: Agreement  # scope transfer


def sendable(held: GalleryWorker) -> Sendable | None:
    """Say whether a worker's face may go: enrolled here, with a consent of the scope `transfer`."""
    consent = next((one for one in held.consents if one.scope == "transfer"), None)
    if consent is None or held.received is not None or held.enrolment is None or not held.models:
        return None
    return Sendable(held, held.enrolment, consent)


class Sending:
    """Makes messages and keeps them until they are answered. One thread plans and takes answers, one asks for `due`."""

    def __init__(
        self,
        store: Store,
        peers: Peers,
        journal: Journal,
        gallery: Gallery,
        owed: Owed,
        key: SigningKey,
        *,
        device: str,
        site: str,
        now: Callable[[], str],
        switched_on: bool,
    ) -> None:
        self._switched_on = switched_on
        self._store, self._peers, self._journal, self._gallery, self._key = store, peers, journal, gallery, key
        self._owed = owed
        self._device, self._site, self._now = device, site, now
        self._sent_s: dict[str, float] = {}  # by message, monotonic seconds
        self._enrolled: dict[str, str] | None = None  # hash of worker.enrolled by authorisation, while a plan lasts

    def plan(self, people: Mapping[str, GalleryWorker]) -> None:
        """Make the messages that are missing. `people`: everybody who is enrolled here, by employee code.

        Raises a GalleryError, a JournalError, an IdentityError or TransferFailed; what was made until then stands.
        """
        self._enrolled = None
        found = [one for one in map(sendable, people.values()) if one is not None] if self._switched_on else []
        may_go = {one.enrolment: one for one in found}
        peers = self._peers.confirmed() if self._switched_on else {}
        have: dict[tuple[str, str], Copy] = {}
        for copy in self._store.copies():
            if copy.state != "erasing" and copy.enrolment in may_go and copy.device in peers:
                have[copy.enrolment, copy.device] = copy
            else:
                self._erase(copy, self._why_gone(copy, people, may_go.keys(), peers.keys()))
        for device, (peer, card) in peers.items():
            for enrolment, one in may_go.items():
                copy_there = have.get((enrolment, device))
                if copy_there is None or self._stale(copy_there, one, peer, card):
                    try:
                        self._send(one, peer, card, copy_there)
                    except GalleryTampered as error:  # one record must not keep the others waiting
                        log.error("template_unreadable", why=str(error))

    def erase_removed(self) -> None:
        """Make the words to erase that need no look into the gallery: to whom nothing may be sent. Raises as `plan`."""
        peers = self._peers.confirmed() if self._switched_on else {}
        for copy in self._store.copies():
            if copy.device not in peers:
                self._erase(copy, "peer_removed")

    def due(self, now_s: float, limit: int) -> list[bytes]:
        """Return what is to be sent now, oldest first. `now_s`: monotonic seconds.

        A template that was sealed before its recipient was removed, or before the exchange was switched off, is not.
        """
        open_ = self._store.open_messages(templates=self._switched_on and self._peers.same_chain)
        still = set(open_)
        self._sent_s = {message: at for message, at in self._sent_s.items() if message in still}
        due = [one for one in open_ if now_s - self._sent_s.get(one, -RESEND_S) >= RESEND_S][:limit]
        self._sent_s.update(dict.fromkeys(due, now_s))
        return [data for data in map(self._store.envelope, due) if data]

    def again(self) -> None:
        """The connection was lost: what was sent may have been lost with it."""
        self._sent_s.clear()

    def take_answer(self, data: bytes, recipient: str) -> bool:
        """Take what `recipient` answers; True where a plan may find more to do.

        Raises an EvidenceError or TransferFailed.
        """
        peer = self._store.peer(recipient)
        if peer is None:
            raise UnknownKey(f"{recipient} was never confirmed here")
        answer = read_answer(data, peer.public)
        if (answer.site, answer.sender, answer.recipient) != (self._site, self._device, recipient):
            raise TransferMismatch("the answer is for another terminal")
        copy = self._store.copy(answer.copy_id)
        if copy is None or copy.message != answer.message or copy.device != recipient:
            return False  # of a message that another one has taken the place of
        self._store.raise_counter(recipient, answer.last)
        if copy.state == "erasing":
            if answer.state == "gone":
                self._store.drop_copy(copy.copy_id)
                log.info("copy_gone", device=recipient)
            elif answer.reason.partition(":")[0] in _AT_ONCE:
                self._store.keep_copy(replace(copy, keys=""))  # made anew by the next plan
                return True
            return False
        if answer.state == "held":
            if copy.state == "open":
                self._store.settle(copy, "held")
            return False
        self._store.settle(copy, "refused", answer.reason)  # also where it lay there for a while
        log.warning("copy_refused", device=recipient, reason=answer.reason)
        return True

    def _stale(self, copy: Copy, wanted: Sendable, peer: Peer, card: PeerCard) -> bool:
        """Say whether a newer message has to take the place of the last one."""
        code = copy.reason.partition(":")[0]
        if copy.consented != wanted.consent.time:
            return True
        if copy.state == "refused" and code in _FOR_GOOD:
            return False  # no new key makes a consent of what was taken back
        if copy.keys != self._keys(peer, card):
            return True
        now = parse_time(self._now())
        if copy.state == "refused":
            return code in _AT_ONCE or now - parse_time(copy.made) >= AGAIN_AFTER.total_seconds() * 1e9
        return parse_time(copy.until) - now < RENEW_WITHIN.total_seconds() * 1e9

    def _send(self, planned: Sendable, peer: Peer, card: PeerCard, before: Copy | None) -> None:
        self._hash_of(planned.enrolment)  # looks through the journal once a plan: nobody's erasure waits for that
        with self._owed.lock:  # whoever takes a consent back meanwhile waits, or was here before
            one = self._still(planned, peer)
            if one is not None:
                self._make(one, peer, card, before)

    def _still(self, planned: Sendable, peer: Peer) -> Sendable | None:
        """Return the worker as he is now, where what was planned may still be sent; else the next plan sees why."""
        held, known = self._gallery.get(planned.held.worker), self._store.peer(peer.device)
        if known is None or (known.state, known.key) != ("confirmed", peer.key):
            return None
        one = sendable(held) if held is not None else None
        if one is None or (one.enrolment, one.consent.time) != (planned.enrolment, planned.consent.time):
            return None
        return one

    def _make(self, one: Sendable, peer: Peer, card: PeerCard, before: Copy | None) -> None:
        held, now = one.held, self._now()
        template = self._gallery.template(held.worker, held.models[0])
        if template is None:
            return
        around = Transfer.model_construct(
            site=self._site,
            sender=self._device,
            sender_key=self._key.public.id,
            recipient=peer.device,
            recipient_key=peer.public.id,
            transfer_key=card.transfer_key_id,
            kind="template",
            copy_id=before.copy_id if before is not None else secrets.token_hex(16),
            enrolment=one.enrolment,
            counter=self._store.next_counter(peer.device, parse_time(now) // 1_000_000),
            issued=now,
            expires=later(now, LEASE),
        )
        contents = Contents(
            worker=held.worker,
            name=held.name,
            excused=held.excused,
            model=template.model_id,
            dimensions=template.vectors.shape[1],
            vectors=packed(template.vectors),
            commitment=held.commitment,
            enrolment=one.enrolment,
            enrolled=self._hash_of(one.enrolment),
            consents=tuple(_given(held.consents)),
        )
        transfer = seal(contents, card.transfer_key_bytes, around)
        self._journal.append(
            Kind.TRANSFER_SENT,
            TransferSentBody(
                worker=held.worker,
                copy_id=transfer.copy_id,
                recipient=peer.device,
                recipient_key=transfer.recipient_key,
                enrolment=one.enrolment,
                counter=transfer.counter,
                until=transfer.expires,
            ),
        )
        self._keep(transfer, one.consent.time, transfer.expires, self._keys(peer, card))
        log.info("copy_sent", device=peer.device)

    def _erase(self, copy: Copy, reason: EraseReason) -> None:
        """Have a copy erased on its peer, until that has said that it is gone."""
        now, peer = self._now(), self._store.peer(copy.device)
        if peer is None or later(copy.until, ERASE_WAITS) <= now:
            self._store.drop_copy(copy.copy_id)  # the lease has long ended it, and nobody is there to say so
            return
        keys = f"{self._key.public.id}:{peer.public.id}:"
        if copy.state == "erasing" and copy.keys == keys:
            return
        transfer = Transfer(
            site=self._site,
            sender=self._device,
            sender_key=self._key.public.id,
            recipient=peer.device,
            recipient_key=peer.public.id,
            transfer_key=None,
            kind="erase",
            copy_id=copy.copy_id,
            enrolment=copy.enrolment,
            counter=self._store.next_counter(peer.device, parse_time(now) // 1_000_000),
            issued=now,
            expires=later(now, ERASE_WAITS),
            reason=reason if copy.state != "erasing" else _reason_of(copy, reason),
        )
        self._keep(transfer, copy.consented, copy.until, keys)
        log.info("copy_to_be_erased", device=peer.device, reason=reason)

    def _keep(self, transfer: Transfer, consented: str, until: str, keys: str) -> None:
        envelope = sign_transfer(transfer, self._key)
        self._store.keep_copy(
            Copy(
                copy_id=transfer.copy_id,
                enrolment=transfer.enrolment,
                device=transfer.recipient,
                consented=consented,
                keys=keys,
                counter=transfer.counter,
                made=transfer.issued,
                until=until,
                state="open" if transfer.kind == "template" else "erasing",
                reason=transfer.reason or "",
                message=Envelope.decode(envelope).hash,
                envelope=envelope,
            )
        )

    def _keys(self, peer: Peer, card: PeerCard) -> str:
        return f"{self._key.public.id}:{peer.public.id}:{card.transfer_key_id}"

    def _hash_of(self, enrolment: str) -> str | None:
        """Hash of the worker.enrolled of that authorisation, where the journal still has it."""
        if self._enrolled is None:
            self._enrolled = {}
            for data in self._journal.newest([Kind.WORKER_ENROLLED], MOST_ENROLLED):
                envelope = Envelope.decode(data)
                body = parse_body(parse_event(envelope.payload))
                if isinstance(body, WorkerEnrolledBody):
                    self._enrolled.setdefault(body.authorisation, envelope.hash)
        return self._enrolled.get(enrolment)

    def _why_gone(
        self, copy: Copy, people: Mapping[str, GalleryWorker], may_go: Iterable[str], peers: Iterable[str]
    ) -> EraseReason:
        if copy.enrolment in may_go and copy.device not in peers:
            return "peer_removed"
        held = next((one for one in people.values() if one.enrolment == copy.enrolment), None)
        if held is not None:
            return "consent_withdrawn"  # of the transfer, or of the face itself
        return "erased"


def _reason_of(copy: Copy, otherwise: EraseReason) -> EraseReason:
    """The reason that the first word to erase had; by now the record it came from may be gone, too."""
    for known in ("consent_withdrawn", "erased", "replaced", "peer_removed"):
        if copy.reason == known:
            return known
    return otherwise


def _given(consents: Iterable[Agreement]) -> Iterable[Given]:
    for one in consents:
        if one.scope in ("face", "transfer"):
            yield Given(scope=one.scope, text_version=one.text_version, language=one.language, time=one.time)
