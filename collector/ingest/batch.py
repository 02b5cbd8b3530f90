"""One transaction of the intake: admits, stages or refuses one message after the other, then writes all at once.

Admission asks two things only: does the registered key's signature stand, and does the event continue its chain.
A body that cannot be read enters all the same; only its projection becomes a dead letter.
"""

from __future__ import annotations

import secrets
from dataclasses import dataclass, field
from typing import Any

import structlog
from sqlalchemy import func
from sqlalchemy.dialects.sqlite import insert
from sqlalchemy.exc import SQLAlchemyError
from sqlmodel import Session, col, select

from collector.devices.keys import key_for
from collector.devices.models import Device, DeviceKey
from collector.devices.reports import StatusUpdates
from collector.errors import (
    CollectorError,
    KeyMismatch,
    LedgerConflict,
    RevokedDevice,
    UnknownDevice,
    UnknownKind,
    WrongTopic,
)
from collector.ingest.dead_letters import Bounds, DeadLetterBox
from collector.ingest.message import Message
from collector.ingest.models import Equivocation, StagedEvent
from collector.ingest.staging import Staging
from collector.ledger.leaves import SALT_BYTES, leaf_hash, seal
from collector.ledger.models import Chain, ChainState, LedgerEntry
from collector.ledger.projection import project
from evidence.chain import Head, follow, same_place
from evidence.envelope import EVENT_TYPE, Envelope
from evidence.errors import BrokenLink, EvidenceError, Fork, MonotonicRegression, Replay
from evidence.events import DeviceEnrolledBody, Event, parse_body, parse_event
from evidence.keys import PublicKey
from evidence.topics import Leaf, Topic

log = structlog.get_logger()


@dataclass(slots=True)
class Tip:
    """One chain as this transaction sees it."""

    row: Chain
    head: Head | None
    hashes: dict[int, str] = field(default_factory=dict)  # admitted in this transaction
    changed: bool = False


@dataclass(frozen=True, slots=True)
class Registered:
    """A device and its keys as this transaction sees them."""

    device: Device
    keys: tuple[DeviceKey, ...]


@dataclass(frozen=True, slots=True)
class Offered:
    """A decoded event whose signature stands."""

    event: Event
    hash: str
    key: PublicKey
    data: bytes
    received_at: str


class Batch:
    """Messages on their way into the ledger within one write transaction."""

    def __init__(self, session: Session, seal_key: bytes, staged_per_device: int, bounds: Bounds) -> None:
        self._session = session
        self._seal_key = seal_key
        self._devices: dict[str, Registered | None] = {}
        self._tips: dict[tuple[str, str], Tip] = {}
        self._known_chains: dict[str, int] = {}
        self._entries: list[dict[str, Any]] = []
        self._projected: dict[Any, list[dict[str, Any]]] = {}
        self._contradictions: list[Equivocation] = []
        self._dead = DeadLetterBox(bounds)
        self._staging = Staging(session, staged_per_device)
        self._statuses = StatusUpdates()
        self._next_leaf = _tree_size(session)
        self.answer_to: dict[tuple[str, str], str] = {}  # chains that a receipt is due for: (device, chain) to site

    @property
    def tree_size(self) -> int:
        """Entries in the ledger once this transaction has committed."""
        return self._next_leaf

    def tip(self, device: str, chain: str) -> Head | None:
        """Return the last admitted event of a chain that this transaction touched."""
        return self._tips[device, chain].head

    def take(self, message: Message) -> None:
        """Admit, stage or refuse one message. Raises only what is the database's fault."""
        source = ""
        try:
            topic = Topic.parse(message.topic)
            registered = self._registered(topic.device)
            if registered is None:
                raise UnknownDevice(
                    f"no administrator has registered {topic.device}; run: zaigang collector device add"
                )
            source = topic.device
            if topic.leaf is Leaf.EVENT:
                self._take_event(message, topic, registered)
            else:
                self._statuses.take(message, topic)
        except (EvidenceError, CollectorError) as error:
            self._bury(source, message, error.code, str(error))
        except SQLAlchemyError:
            raise
        except Exception as error:
            log.exception("a message could not be handled", topic=message.topic)
            self._bury(source, message, "internal", f"{type(error).__name__}: {error}")

    def anything_ready(self) -> bool:
        """Say whether `take_ready` would find something."""
        return bool(self._staging.ready())

    def take_ready(self) -> None:
        """Admit what waits in staging although its chain is open and its turn has come: an approval made it so."""
        for device, chain, seq in self._staging.ready():
            registered, tip = self._registered(device), self._tip(device, chain)
            assert registered is not None and tip is not None
            self._drain(registered, tip, seq)

    def write(self) -> None:
        """Write everything that the messages came to."""
        connection = self._session.connection()
        self._session.flush()
        if self._entries:
            done = connection.execute(insert(LedgerEntry.__table__).on_conflict_do_nothing(), self._entries)  # type: ignore[attr-defined]
            if done.rowcount != len(self._entries):
                raise LedgerConflict("another writer holds a place that this batch was to take")
        for table, rows in self._projected.items():
            connection.execute(insert(table.__table__), rows)
        for tip in self._tips.values():
            if tip.changed:
                _write_chain(self._session, tip)
        for contradiction in self._contradictions:
            self._write_contradiction(contradiction)
        self._staging.write()
        self._statuses.write(self._session)
        self._dead.write(self._session)

    # --- one event

    def _take_event(self, message: Message, topic: Topic, registered: Registered) -> None:
        envelope = Envelope.decode(message.payload)
        event = parse_event(envelope.payload)
        if (topic.site, topic.device) != (event.site, event.device):
            raise WrongTopic(f"published under {topic.site}/{topic.device}, the event says {event.site}/{event.device}")
        key = key_for(registered.keys, event.chain, event.seq)
        envelope.verify(key, EVENT_TYPE)
        self._statuses.heard(event.device, message.received_at)
        offered = Offered(event, envelope.hash, key, message.payload, message.received_at)
        tip = self._tip(event.device, event.chain) or self._new_chain(offered, registered)
        if tip is None:
            self._stage(offered, None)
            return
        self._place(offered, registered, tip)

    def _place(self, offered: Offered, registered: Registered, tip: Tip) -> None:
        event = offered.event
        if tip.head is not None and event.seq <= tip.head.seq:
            self._compare(offered, tip, self._admitted_hash(tip, event.seq))
            return
        following = event.seq == (0 if tip.head is None else tip.head.seq + 1)
        if tip.row.state != ChainState.OPEN or not following:
            self._stage(offered, tip)
            return
        if self._admit(offered, registered, tip):
            self._drain(registered, tip, event.seq + 1)

    def _admit(self, offered: Offered, registered: Registered, tip: Tip) -> bool:
        """Append the event to its chain and the ledger; False if it contradicts the chain."""
        try:
            head = follow(tip.head, offered.event, offered.hash)
        except (BrokenLink, MonotonicRegression) as error:
            self._contradict(offered, tip, error, None if tip.head is None else tip.head.hash)
            return False
        self._append(offered, after_revocation=_is_after(registered.device, offered.received_at))
        tip.head = head
        tip.hashes[head.seq] = head.hash
        tip.changed = True
        self.answer_to[head.device, head.chain] = offered.event.site
        return True

    def _append(self, offered: Offered, *, after_revocation: bool) -> None:
        event, leaf_index = offered.event, self._next_leaf
        salt = secrets.token_bytes(SALT_BYTES)
        leaf, key_id = leaf_hash(salt, offered.data), offered.key.id
        self._entries.append(
            {
                "leaf_index": leaf_index,
                "device": event.device,
                "chain": event.chain,
                "seq": event.seq,
                "hash": offered.hash,
                "prev": event.prev,
                "kind": event.kind,
                "event_id": event.id,
                "time": event.time,
                "tz": event.tz,
                "site": event.site,
                "boot": event.boot,
                "mono_us": event.mono_us,
                "key_id": key_id,
                "received_at": offered.received_at,
                "after_revocation": after_revocation,
                "envelope": offered.data,
                "salt": salt,
                "leaf_hash": leaf,
                "seal": seal(
                    self._seal_key, leaf_index, leaf, offered.received_at, key_id, after_revocation=after_revocation
                ),
            }
        )
        self._next_leaf += 1
        self._project(offered, leaf_index, after_revocation=after_revocation)

    def _project(self, offered: Offered, leaf_index: int, *, after_revocation: bool) -> None:
        event, topic = offered.event, f"{Topic(offered.event.site, offered.event.device, Leaf.EVENT)}"
        projected, code, reason = None, "", ""
        try:
            projected = project(event, leaf_index, after_revocation=after_revocation)
        except (EvidenceError, UnknownKind) as error:
            code, reason = error.code, str(error)
        except Exception as error:  # the event is admitted whatever a projection makes of it
            log.exception("an event could not be projected", leaf_index=leaf_index)
            code, reason = "internal", f"{type(error).__name__}: {error}"
        if code:
            self._dead.add(event.device, topic, offered.data, code, reason, offered.received_at, leaf_index)
        if projected is not None:
            self._projected.setdefault(projected.table, []).append(projected.row)

    def _drain(self, registered: Registered, tip: Tip, seq: int) -> None:
        """Admit the staged events from `seq` on, as far as they follow without a gap."""
        while tip.row.state == ChainState.OPEN:
            staged = self._staging.take(tip.row.device, tip.row.chain, seq)
            if staged is None:
                return
            offered = self._unstage(staged, registered)
            if offered is None or not self._admit(offered, registered, tip):
                return
            seq += 1

    def _unstage(self, staged: StagedEvent, registered: Registered) -> Offered | None:
        """Verify a staged event again, since it lay on a disk meanwhile; None if it no longer stands."""
        try:
            envelope = Envelope.decode(staged.envelope)
            event = parse_event(envelope.payload)
            key = key_for(registered.keys, event.chain, event.seq)
            envelope.verify(key, EVENT_TYPE)
        except EvidenceError as error:
            at = staged.received_at
            self._dead.add(staged.device, "staging", staged.envelope, error.code, str(error), at)
            return None
        return Offered(event, envelope.hash, key, staged.envelope, staged.received_at)

    # --- chains

    def _new_chain(self, offered: Offered, registered: Registered) -> Tip | None:
        """Open a chain with its first event, pending unless it is the device's first; None if that one is missing."""
        event, device = offered.event, registered.device
        if event.seq != 0:
            return None
        follow(None, event, offered.hash)  # raises BadStart
        body = parse_body(event)
        if not isinstance(body, DeviceEnrolledBody) or body.key.strip() != offered.key.text():
            raise KeyMismatch(f"the first event of {event.device}/{event.chain[:8]}… names another key than registered")
        if device.revoked_at is not None:
            raise RevokedDevice(f"{device.name} was revoked at {device.revoked_at} and cannot open a chain")
        known = self._chain_count(event.device)
        state = ChainState.OPEN if known == 0 else ChainState.PENDING
        if state is ChainState.PENDING:
            log.warning("a new chain waits for approval", device=event.device, chain=event.chain)
        row = Chain(device=event.device, chain=event.chain, state=state, opened_at=offered.received_at)
        tip = self._tips[event.device, event.chain] = Tip(row, None, changed=True)
        self._known_chains[event.device] = known + 1
        return tip

    def _compare(self, offered: Offered, tip: Tip, held_hash: str) -> None:
        """A second event at a taken place: a replay is answered with a receipt again, a fork freezes the chain."""
        try:
            same_place(offered.event.seq, held_hash, offered.hash)
        except Replay:
            self.answer_to[offered.event.device, offered.event.chain] = offered.event.site
        except Fork as error:
            self._contradict(offered, tip, error, held_hash)

    def _stage(self, offered: Offered, tip: Tip | None) -> None:
        event = offered.event
        waiting = self._staging.held(event.device, event.chain, event.seq)
        if waiting is None:
            self._staging.add(
                StagedEvent(
                    device=event.device,
                    chain=event.chain,
                    seq=event.seq,
                    hash=offered.hash,
                    received_at=offered.received_at,
                    envelope=offered.data,
                )
            )
        elif waiting.hash != offered.hash:
            error = Fork(f"two different events claim seq {event.seq} before the chain has reached it")
            self._contradict(offered, tip, error, waiting.hash)

    def _contradict(self, offered: Offered, tip: Tip | None, error: EvidenceError, held_hash: str | None) -> None:
        """Keep the event as evidence against its device, freeze the chain, raise the alarm."""
        event = offered.event
        if tip is not None:
            tip.row.state = ChainState.FROZEN
            tip.changed = True
        self._contradictions.append(
            Equivocation(
                device=event.device,
                chain=event.chain,
                seq=event.seq,
                code=error.code,
                message=str(error),
                held_hash=held_hash,
                offered_hash=offered.hash,
                received_at=offered.received_at,
                envelope=offered.data,
            )
        )

    def _write_contradiction(self, found: Equivocation) -> None:
        row = found.model_dump(exclude={"id"})
        done = self._session.connection().execute(insert(Equivocation.__table__).on_conflict_do_nothing(), row)  # type: ignore[attr-defined]
        if done.rowcount:
            log.critical("equivocation", device=found.device, chain=found.chain, seq=found.seq, code=found.code)
        device = self._session.get(Device, found.device)
        if device is not None and device.flagged_at is None:
            device.flagged_at = found.received_at
            self._session.add(device)

    # --- what the database holds

    def _registered(self, name: str) -> Registered | None:
        if name not in self._devices:
            device = self._session.get(Device, name)
            keys = self._session.exec(select(DeviceKey).where(DeviceKey.device == name)).all() if device else ()
            self._devices[name] = Registered(device, tuple(keys)) if device else None
        return self._devices[name]

    def _tip(self, device: str, chain: str) -> Tip | None:
        tip = self._tips.get((device, chain))
        if tip is None:
            row = self._session.get(Chain, (device, chain))
            if row is None:
                return None
            tip = self._tips[device, chain] = Tip(row, _head(row))
        return tip

    def _chain_count(self, device: str) -> int:
        if device not in self._known_chains:
            query = select(func.count()).select_from(Chain).where(col(Chain.device) == device)
            self._known_chains[device] = self._session.exec(query).one()
        return self._known_chains[device]

    def _admitted_hash(self, tip: Tip, seq: int) -> str:
        held = tip.hashes.get(seq)
        if held is None:
            place = (LedgerEntry.device == tip.row.device, LedgerEntry.chain == tip.row.chain, LedgerEntry.seq == seq)
            held = self._session.exec(select(LedgerEntry.hash).where(*place)).one()
        return held

    def _bury(self, source: str, message: Message, code: str, text: str) -> None:
        self._dead.add(source, message.topic, message.payload, code, text, message.received_at)


def _tree_size(session: Session) -> int:
    last: int | None = session.exec(select(func.max(LedgerEntry.leaf_index))).one()
    return 0 if last is None else last + 1


def _head(row: Chain) -> Head | None:
    if row.head_seq is None:
        return None
    assert row.head_hash is not None and row.head_boot is not None and row.head_mono_us is not None
    return Head(row.device, row.chain, row.head_seq, row.head_hash, row.head_boot, row.head_mono_us)


def _write_chain(session: Session, tip: Tip) -> None:
    if tip.head is not None:
        tip.row.head_seq, tip.row.head_hash = tip.head.seq, tip.head.hash
        tip.row.head_boot, tip.row.head_mono_us = tip.head.boot, tip.head.mono_us
    session.add(tip.row)
    session.flush()


def _is_after(device: Device, received_at: str) -> bool:
    return device.revoked_at is not None and received_at >= device.revoked_at
