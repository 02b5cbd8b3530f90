"""What the collector itself says in the ledger: decisions of administrators, gaps, contradictions, erasures, audit.

A statement is an event whose device is `collector`, in a hash chain of its own, signed with the statement key under a
payload type of its own: no terminal can utter one, and none can be taken for a terminal's event.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from enum import StrEnum
from typing import Annotated, Literal

from pydantic import Field, JsonValue, ValidationError, model_validator

from evidence.chain import Head, follow
from evidence.envelope import STATEMENT_TYPE, Envelope, sign
from evidence.errors import BadStart, InvalidBody, InvalidKey, UnknownKey, WrongChain
from evidence.events import Counter, Event, Fact, Hex128, HexDigest, Name, Text, WorkerCode, parse_event
from evidence.keys import PublicKey, SigningKey

COLLECTOR = "collector"  # the name in `device` and `site`; no terminal can have it
Purpose = Literal["receipt", "command", "checkpoint", "statement"]


class StatementKind(StrEnum):
    """The kinds that the collector states."""

    BEGUN = "collector.begun"
    KEY_ROTATED = "collector.key_rotated"
    DEVICE_APPROVED = "device.approved"
    DEVICE_REVOKED = "device.revoked"
    GAP_DECLARED = "gap.declared"
    EQUIVOCATION_FOUND = "equivocation.found"
    CORRECTION_RECORDED = "correction.recorded"
    WORKER_ERASURE = "worker.erasure"
    AUDIT_ENTRY = "audit.entry"


class BegunBody(Fact):
    """The first of a chain: with which keys the collector signs, PublicKey.text() by purpose."""

    keys: dict[str, str]


class KeyRotatedBody(Fact):
    """From here on another key signs for this purpose. A terminal is told by a document signed by both keys.

    With purpose `statement` this event is signed by both keys itself, and from the next one on `new` signs the chain.
    """

    purpose: Purpose
    old: str  # PublicKey.text()
    new: str


class DeviceApprovedBody(Fact):
    """An administrator let a terminal in (chain null), or one of its later chains."""

    device: Name
    chain: Hex128 | None
    key: str | None = None  # PublicKey.text(), where a key was registered
    by: Text


class DeviceRevokedBody(Fact):
    """What the terminal signs counts for nothing more from ledger entry `from_index` on."""

    device: Name
    from_index: Counter
    by: Text


class GapDeclaredBody(Fact):
    """Events `first` to `last` of a chain are missing for good; event `last` + 1 names `next_prev` as predecessor."""

    device: Name
    chain: Hex128
    first: Counter
    last: Counter
    next_prev: HexDigest
    reason: Text
    bytes_sha256: HexDigest | None = None  # of what came in their place and could not be read
    by: Text

    @model_validator(mode="after")
    def _a_range(self) -> GapDeclaredBody:
        if self.last < self.first:
            raise ValueError("a gap does not end before it begins")
        return self


class EquivocationFoundBody(Fact):
    """A terminal signed something that contradicts its own chain. The first stands, the chain is frozen."""

    device: Name
    chain: Hex128
    seq: Counter
    code: Annotated[str, Field(pattern=r"^[a-z_]+$", max_length=48)]
    held: HexDigest | None
    offered: HexDigest
    envelope_sha256: HexDigest


class CorrectionRecordedBody(Fact):
    """What an administrator says is true beside an event. The event stays as it was signed."""

    device: Name
    chain: Hex128
    seq: Counter
    hash: HexDigest
    says: dict[str, JsonValue]
    reason: Text
    by: Text


class WorkerErasureBody(Fact):
    """Payloads, nonces and salts of these entries are gone. Whose they were is not said.

    `digest`: SHA-256 over one line `leaf_index hash` a tombstone, in order, each ended by a newline.
    """

    erasure: Hex128
    scope: Literal["biometric", "all"]
    reason: Text
    by: Text
    entries: Counter
    digest: HexDigest


class AuditEntryBody(Fact):
    """Somebody changed something: which record of which table, and which columns; never their contents."""

    who: Text  # `apikey:ID`, `console:ID`, `cli:LOGIN`
    action: Annotated[str, Field(pattern=r"^[a-z_]+\.(added|changed|removed)$", max_length=64)]
    target: Text  # key of the record; empty where that is a worker's code, which stands in `worker`
    columns: tuple[Annotated[str, Field(max_length=64)], ...] = ()
    worker: WorkerCode | None = None


STATEMENTS: dict[str, type[Fact]] = {
    StatementKind.BEGUN: BegunBody,
    StatementKind.KEY_ROTATED: KeyRotatedBody,
    StatementKind.DEVICE_APPROVED: DeviceApprovedBody,
    StatementKind.DEVICE_REVOKED: DeviceRevokedBody,
    StatementKind.GAP_DECLARED: GapDeclaredBody,
    StatementKind.EQUIVOCATION_FOUND: EquivocationFoundBody,
    StatementKind.CORRECTION_RECORDED: CorrectionRecordedBody,
    StatementKind.WORKER_ERASURE: WorkerErasureBody,
    StatementKind.AUDIT_ENTRY: AuditEntryBody,
}


def parse_statement(event: Event) -> Fact | None:
    """Read a statement's body by its kind; None for a kind that this version does not know. Raises InvalidBody."""
    model = STATEMENTS.get(event.kind)
    if model is None:
        return None
    try:
        return model.model_validate(event.body)
    except ValidationError as error:
        raise InvalidBody(f"the body of {event.kind} has {error.error_count()} field(s) wrong") from error


def sign_statement(event: Event, *keys: SigningKey) -> Envelope:
    """Sign a statement: with one key, or with the old and the new where the chain is handed over.

    Raises WrongChain for an event of a terminal.
    """
    if event.device != COLLECTOR:
        raise WrongChain(f"the collector speaks for itself, not for {event.device}")
    return sign(STATEMENT_TYPE, event.payload(), *keys)


def verify_statement(envelope: Envelope, event: Event, key: PublicKey) -> PublicKey:
    """Check that a statement is signed as it has to be under `key`; return the key that counts after it.

    `event` is what the envelope's payload parses to. Raises a SignatureError, or InvalidBody for a rotation of the
    statement key that cannot be read or names another predecessor than `key`: it says who has to sign it.
    """
    if not hands_over(event):
        envelope.verify(key, STATEMENT_TYPE)
        return key
    old, new = _handed_over(event)
    if old != key:
        raise InvalidBody(f"the rotation names {old.id[:16]}… as the key before, here counts {key.id[:16]}…")
    envelope.verify_all([key, new], STATEMENT_TYPE)
    return new


def hands_over(event: Event) -> bool:
    """Say whether this statement hands the collector's own chain over to another key."""
    return event.kind == StatementKind.KEY_ROTATED and event.body.get("purpose") == "statement"


def _handed_over(event: Event) -> tuple[PublicKey, PublicKey]:
    body = parse_statement(event)
    assert isinstance(body, KeyRotatedBody)
    try:
        return PublicKey.parse_exactly(body.old), PublicKey.parse_exactly(body.new)
    except InvalidKey as error:
        raise InvalidBody(f"the rotation names something that is no key: {error}") from error


@dataclass(frozen=True, slots=True)
class StatementKey:
    """A statement key and the first event of the collector's chain that it signs alone."""

    key: PublicKey
    first_seq: int


def statement_key(keys: Sequence[StatementKey], seq: int) -> PublicKey:
    """Return the key that counts at a seq: at a rotation the old one. Raises UnknownKey."""
    counting = [one for one in keys if one.first_seq <= seq]
    if not counting:
        raise UnknownKey(f"no statement key counts at seq {seq}")
    return max(counting, key=lambda one: one.first_seq).key


def continue_statements(head: Head | None, event: Event, event_hash: str) -> Head:
    """Return the head after a statement, by the rule of every chain. Raises what `evidence.chain.follow` raises."""
    if head is not None:
        return follow(head, event, event_hash)
    if event.seq != 0 or event.prev is not None or event.kind != StatementKind.BEGUN or event.device != COLLECTOR:
        raise BadStart(f"the collector's chain starts with {StatementKind.BEGUN} and names no event before it")
    return Head(event.device, event.chain, event.seq, event_hash, event.boot, event.mono_us)


def verify_statements(envelopes: Iterable[bytes], first: PublicKey) -> list[Event]:
    """Read the collector's whole chain, in order. Raises an EvidenceError for the first thing that is wrong.

    `first` is the key that began it and comes from outside: what the chain says of its own keys is no reason to trust
    them. Each rotation brings the next.
    """
    head: Head | None = None
    key = first
    events = []
    for data in envelopes:
        envelope = Envelope.decode(data)
        event = parse_event(envelope.payload)
        key = verify_statement(envelope, event, key)
        head = continue_statements(head, event, envelope.hash)
        events.append(event)
    return events
