"""A face on its way between two terminals of one site: what each of them signs, and all that the collector can read.

A *card* names a terminal's transfer key (X25519), vouched for by its signing key. A *transfer* carries a template
sealed to that key, or the word to erase one; an *answer* says what became of it. What is sealed, and how, is the
terminals' own (kiosk/transfer/sealing.py): nothing here opens it.
"""

from __future__ import annotations

import base64
import hashlib
from typing import Annotated, Literal

from pydantic import Field, model_validator

from evidence.canonical import canonical
from evidence.envelope import TRANSFER_ANSWER_TYPE, TRANSFER_KEY_TYPE, TRANSFER_TYPE, Envelope
from evidence.errors import EvidenceError, InvalidKey, TransferError, TransferMismatch
from evidence.events import Counter, Fact, Hex128, HexDigest, Kind, Name, Text, UtcTime, parse_event
from evidence.keys import PublicKey, SigningKey
from evidence.rotation import rotation_keys, verify_event
from evidence.signed_fact import read_fact, sign_fact, verify_fact

MAX_ROTATIONS = 16  # a terminal that rotates every quarter is followed for four years
X25519_BYTES = 32  # RFC 7748

EraseReason = Literal["consent_withdrawn", "erased", "replaced", "peer_removed"]


class PeerCard(Fact):
    """A terminal's word: this is my transfer key. `rotations`: how its signing key came from earlier ones."""

    device: Name
    site: Name
    key: Annotated[str, Field(max_length=1000)]  # PublicKey.text() of the key that signs this card
    transfer_key: Annotated[str, Field(pattern=r"^[A-Za-z0-9+/]{43}=$")]  # base64 of the 32 bytes
    issued: UtcTime
    # base64 of the envelopes of device.key_rotated, oldest first
    rotations: Annotated[tuple[Annotated[str, Field(max_length=8192)], ...], Field(max_length=MAX_ROTATIONS)] = ()

    @property
    def transfer_key_id(self) -> str:
        """Lower-case hex SHA-256 of the transfer key's 32 bytes."""
        return key_id(self.transfer_key_bytes)

    @property
    def transfer_key_bytes(self) -> bytes:
        """The 32 bytes (RFC 7748)."""
        return base64.b64decode(self.transfer_key)


class Transfer(Fact):
    """One message from a terminal to another. Everything but `sealed` is bound into the seal."""

    site: Name
    sender: Name
    sender_key: HexDigest  # id of the key that signs this
    recipient: Name
    recipient_key: HexDigest  # id of the recipient's signing key, as somebody confirmed it at the sender
    transfer_key: HexDigest | None  # id of the key that it is sealed to; None: nothing is sealed
    kind: Literal["template", "erase"]
    copy_id: Hex128  # of the template on the recipient, from its first message to its erasure
    enrolment: Hex128  # `authorisation` of worker.enrolled on the sender: names nobody to who has not that event
    counter: Annotated[Counter, Field(ge=1)]  # rises with every message from this sender to this recipient
    issued: UtcTime
    expires: UtcTime  # template: the copy is erased then, unless it was renewed; erase: nobody waits for it any longer
    reason: EraseReason | None = None
    sealed: Annotated[str, Field(max_length=40_000)] | None = None  # base64

    @model_validator(mode="after")
    def _one_of_two(self) -> Transfer:
        template = self.kind == "template"
        if (self.sealed is not None) != template or (self.transfer_key is not None) != template:
            raise ValueError("exactly a template is sealed")
        if (self.reason is None) != template:
            raise ValueError("exactly an erasure has a reason")
        return self

    @property
    def bound(self) -> bytes:
        """What the seal is bound to: every field but the sealed bytes, in canonical form."""
        return canonical(self.model_dump(mode="json", exclude={"sealed"}))


class TransferAnswer(Fact):
    """What became of a transfer on the terminal that it was for."""

    site: Name
    sender: Name  # of the transfer
    recipient: Name  # who answers
    recipient_key: HexDigest  # id of the key that signs this
    message: HexDigest  # hash of the transfer's envelope
    copy_id: Hex128
    state: Literal["held", "gone", "refused"]
    reason: Text  # a stable code first, then a plain sentence
    last: Counter  # the highest counter that was taken from that sender
    issued: UtcTime


def key_id(transfer_key: bytes) -> str:
    """Lower-case hex SHA-256 of the 32 bytes of a transfer key."""
    return hashlib.sha256(transfer_key).hexdigest()


def sign_card(card: PeerCard, key: SigningKey) -> bytes:
    """Return the encoded envelope."""
    return sign_fact(TRANSFER_KEY_TYPE, card, key)


def sign_transfer(transfer: Transfer, key: SigningKey) -> bytes:
    """Return the encoded envelope. Raises TooLarge."""
    return sign_fact(TRANSFER_TYPE, transfer, key)


def sign_answer(answer: TransferAnswer, key: SigningKey) -> bytes:
    """Return the encoded envelope."""
    return sign_fact(TRANSFER_ANSWER_TYPE, answer, key)


def read_card(data: bytes) -> PeerCard:
    """Read a card that is signed by the key it names. Whose key that is, it cannot say: somebody has to confirm it.

    Raises an EvidenceError.
    """
    envelope = Envelope.decode(data)
    card = read_fact(envelope.payload, PeerCard, TransferError, "a card")
    envelope.verify(PublicKey.parse(card.key), TRANSFER_KEY_TYPE)
    return card


def read_transfer(data: bytes, key: PublicKey) -> Transfer:
    """Read a transfer that `key` has signed. Raises an EvidenceError."""
    transfer = verify_fact(data, key, TRANSFER_TYPE, Transfer, TransferError, "a transfer")
    if transfer.sender_key != key.id:
        raise TransferMismatch("the transfer names another key than the one that signed it")
    return transfer


def read_answer(data: bytes, key: PublicKey) -> TransferAnswer:
    """Read an answer that `key` has signed. Raises an EvidenceError."""
    answer = verify_fact(data, key, TRANSFER_ANSWER_TYPE, TransferAnswer, TransferError, "an answer")
    if answer.recipient_key != key.id:
        raise TransferMismatch("the answer names another key than the one that signed it")
    return answer


def named_in(envelope: Envelope) -> PeerCard | Transfer | TransferAnswer:
    """Read a message of any of the three kinds without believing it, to see whose key has to have signed it.

    Raises an EvidenceError.
    """
    if envelope.payload_type == TRANSFER_KEY_TYPE:
        return read_fact(envelope.payload, PeerCard, TransferError, "a card")
    if envelope.payload_type == TRANSFER_TYPE:
        return read_fact(envelope.payload, Transfer, TransferError, "a transfer")
    if envelope.payload_type == TRANSFER_ANSWER_TYPE:
        return read_fact(envelope.payload, TransferAnswer, TransferError, "an answer")
    raise TransferError(f"{envelope.payload_type!r} is nothing that terminals send each other")


def follows(card: PeerCard, key: PublicKey) -> bool:
    """Say whether the card's signing key is `key`, or came from it by rotations that each pair of keys has signed."""
    try:
        if PublicKey.parse(card.key) == key:
            return True
        at = key
        for text in card.rotations:
            envelope = Envelope.decode(base64.b64decode(text, validate=True))
            event = parse_event(envelope.payload)
            if event.device != card.device or event.kind != Kind.DEVICE_KEY_ROTATED:
                return False
            if rotation_keys(event)[0] == at:  # those before the key that is known here say nothing to us
                at = verify_event(envelope, event, at)
        return at.text() == card.key
    except (EvidenceError, InvalidKey, ValueError):
        return False
