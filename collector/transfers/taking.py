"""Takes what a terminal has for another one, within the intake's transaction, and says what is to be passed on.

Only the sender is checked: site, name and the signature of the key that counts for it now. What is sealed is neither
read nor readable here; whether the recipient takes it is the recipient's alone to say.
"""

from __future__ import annotations

from sqlmodel import Session, col, delete, func, select

from collector.devices.keys import counting_now
from collector.devices.models import Device, DeviceKey
from collector.errors import RevokedDevice, TooManyTransfers, WrongTopic
from collector.ingest.message import Answer, Message
from collector.transfers.models import HeldTransfer, TransferCard
from evidence.envelope import Envelope
from evidence.topics import Leaf, Topic
from evidence.transfer import PeerCard, Transfer, TransferAnswer, named_in

KEPT_PER_SENDER = 5000  # a thousand workers and five other gates
SHOWN_AGAIN = ("gone", "refused")  # answers that a sender does not ask for, and has to learn of


class Passing:
    """Messages of one transaction; `answers` are published after its commit."""

    def __init__(self, session: Session) -> None:
        self._session = session
        self.answers: list[Answer] = []

    def take(self, message: Message, topic: Topic, device: Device, keys: list[DeviceKey]) -> None:
        """Take one message. Raises an EvidenceError, WrongTopic, RevokedDevice or TooManyTransfers."""
        envelope = Envelope.decode(message.payload)
        named = named_in(envelope)
        speaker = named.sender if isinstance(named, Transfer) else _speaker(named)
        if (named.site, speaker) != (topic.site, topic.device) or named.site != device.site:
            raise WrongTopic(f"published under {topic.site}/{topic.device}, the message says {named.site}/{speaker}")
        if device.revoked_at is not None:
            raise RevokedDevice(f"{device.name} was revoked at {device.revoked_at} and exchanges nothing")
        envelope.verify(counting_now(keys), envelope.payload_type)
        if isinstance(named, PeerCard):
            self._take_card(named, message)
        elif isinstance(named, Transfer):
            self._take_transfer(named, envelope, message)
        else:
            self._take_answer(named, message)

    def _take_card(self, card: PeerCard, message: Message) -> None:
        """Show the card to the site's other terminals, theirs to this one, and what it has to learn."""
        held = self._session.get(TransferCard, card.device)
        if held is None:
            held = TransferCard(device=card.device, envelope=b"", received_at=message.received_at)
        changed = held.envelope != message.payload
        held.envelope, held.received_at = message.payload, message.received_at
        self._session.add(held)
        others = (
            select(TransferCard)
            .join(Device)
            .where(Device.site == card.site, Device.name != card.device, col(Device.revoked_at).is_(None))
        )
        for other in self._session.exec(others).all():
            if changed:  # whoever was away meanwhile gets it with his own
                self._pass_on(card.site, other.device, message.payload)
            self._pass_on(card.site, card.device, other.envelope)
        told = select(HeldTransfer).where(
            HeldTransfer.sender == card.device,
            HeldTransfer.expires > message.received_at,
            col(HeldTransfer.state).in_(SHOWN_AGAIN),
        )
        for row in self._session.exec(told).all():
            self._pass_on(card.site, card.device, row.answer)

    def _take_transfer(self, transfer: Transfer, envelope: Envelope, message: Message) -> None:
        known = self._session.exec(select(HeldTransfer).where(HeldTransfer.message == envelope.hash)).first()
        if known is not None:
            if known.answer:  # the sender has not heard it
                self._pass_on(transfer.site, transfer.sender, known.answer)
            return
        same = (
            HeldTransfer.sender == transfer.sender,
            HeldTransfer.recipient == transfer.recipient,
            HeldTransfer.copy_id == transfer.copy_id,
        )
        rows = self._session.exec(select(HeldTransfer).where(*same)).all()
        if any(row.counter > transfer.counter for row in rows):
            return  # late: a newer one about the same copy is here
        for row in rows:
            self._session.delete(row)
        self._session.flush()
        mine = select(func.count()).where(HeldTransfer.sender == transfer.sender, HeldTransfer.answer == b"")
        if self._session.exec(mine).one() >= KEPT_PER_SENDER:
            raise TooManyTransfers(f"{transfer.sender} has {KEPT_PER_SENDER} messages here that nobody has answered")
        self._session.add(
            HeldTransfer(
                message=envelope.hash,
                site=transfer.site,
                sender=transfer.sender,
                recipient=transfer.recipient,
                copy_id=transfer.copy_id,
                enrolment=transfer.enrolment,
                counter=transfer.counter,
                envelope=message.payload,
                answer=b"",
                state="waiting",
                received_at=message.received_at,
                expires=transfer.expires,
            )
        )

    def _take_answer(self, answer: TransferAnswer, message: Message) -> None:
        """Keep it in the sealed bytes' place, and pass it on."""
        row = self._session.exec(select(HeldTransfer).where(HeldTransfer.message == answer.message)).first()
        if row is not None and (row.recipient, row.sender) == (answer.recipient, answer.sender):
            row.envelope, row.answer, row.state = b"", message.payload, answer.state
            self._session.add(row)
        self._pass_on(answer.site, answer.sender, message.payload)

    def _pass_on(self, site: str, device: str, data: bytes) -> None:
        self.answers.append(Answer(str(Topic(site, device, Leaf.PEER)), data))


def without_content(message: Message, digest: str) -> Message:
    """The message as a dead letter keeps it: what is sealed about a worker must not outlive his erasure there."""
    return message._replace(payload=f"a message for another terminal, SHA-256 {digest}".encode())


def drop_of(session: Session, enrolments: list[str]) -> None:
    """Let go of every message about these enrolments, answered or not."""
    if enrolments:
        session.connection().execute(delete(HeldTransfer).where(col(HeldTransfer.enrolment).in_(enrolments)))


def drop_from(session: Session, device: str) -> None:
    """Let go of every message that this terminal sent: it counts no more, and what it sealed is delivered to nobody."""
    session.connection().execute(delete(HeldTransfer).where(col(HeldTransfer.sender) == device))


def _speaker(named: PeerCard | TransferAnswer) -> str:
    return named.device if isinstance(named, PeerCard) else named.recipient
