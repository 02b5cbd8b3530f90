"""The collector hands over from one of its keys to another: a document signed by both, for who pins the first.

Whoever was away follows the documents one after the other from the key that it has. A key that was handed over counts
no more: what it signs from then on is a stranger's.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence

from evidence.envelope import HANDOVER_TYPE, Envelope
from evidence.errors import EvidenceError, InvalidKey, ReceiptError, UnknownKey
from evidence.events import Counter, Fact, UtcTime
from evidence.keys import PublicKey, SigningKey
from evidence.signed_fact import read_fact, sign_fact
from evidence.statements import Purpose


class KeyHandover(Fact):
    """From now on `new` signs what `old` signed."""

    purpose: Purpose
    old: str  # PublicKey.text()
    new: str
    time: UtcTime
    tree_size: Counter | None = None  # entries in the ledger then; what speaks of more, `old` cannot have signed


def sign_handover(purpose: Purpose, old: SigningKey, new: SigningKey, time: str, tree_size: int | None = None) -> bytes:
    """Return the encoded envelope with both signatures, the old key's first."""
    handover = KeyHandover(
        purpose=purpose, old=old.public.text(), new=new.public.text(), time=time, tree_size=tree_size
    )
    return sign_fact(HANDOVER_TYPE, handover, old, new)


def read_handover(data: bytes) -> tuple[PublicKey, PublicKey]:
    """Return (old, new) of a document that both have signed. Whether `old` is trusted, the caller knows.

    Raises as `parse_handover`.
    """
    handover = parse_handover(data)
    return PublicKey.parse(handover.old), PublicKey.parse(handover.new)


def parse_handover(data: bytes) -> KeyHandover:
    """Read a document that both of its keys have signed. Whether one of them is trusted, the caller knows.

    Raises an EncodingError, a SignatureError, ReceiptError or InvalidKey.
    """
    envelope = Envelope.decode(data)
    handover = read_fact(envelope.payload, KeyHandover, ReceiptError, "a handover")
    old, new = PublicKey.parse(handover.old), PublicKey.parse(handover.new)
    if old == new:
        raise InvalidKey("a key is not handed over to itself")
    envelope.verify_all([old, new], HANDOVER_TYPE)
    return handover


def follow_handovers(pinned: Sequence[PublicKey], documents: Iterable[bytes]) -> tuple[PublicKey, ...]:
    """Return the keys that count after these documents, in the order that they were written.

    A document that begins at a key which does not count is passed over: it is older than the pins. One that cannot be
    believed ends the reading with an EvidenceError. Raises UnknownKey for a key that comes back.
    """
    counting = list(pinned)
    handed_over: set[str] = set()
    for data in documents:
        old, new = read_handover(data)
        if old not in counting:
            continue
        if new.id in handed_over:
            raise UnknownKey(f"key {new.fingerprint} was handed over before and does not come back")
        handed_over.add(old.id)
        counting[counting.index(old)] = new
    return tuple(dict.fromkeys(counting))


def split_handovers(message: bytes) -> list[bytes] | None:
    """Return the documents of a message, one a line; None for a message of another kind."""
    lines = message.split(b"\n")
    try:
        if all(Envelope.decode(line).payload_type == HANDOVER_TYPE for line in lines):
            return lines
    except EvidenceError:
        pass
    return None
