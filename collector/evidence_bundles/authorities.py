"""What the collector itself has stated that a bundle needs: the words that let events go, and the chain they stand in.

Of the collector's chain a bundle has the first event, what hands its key over, and the statements that are needed;
everything else between them is withheld, since audit entries speak of other people.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from sqlmodel import Session, col, select

from collector.erasure.models import Tombstone
from collector.evidence_bundles.stretch import entries_between, entries_of, hash_at
from collector.ledger.models import LedgerEntry
from collector.ledger.tree import Tree
from collector.statements.models import CollectorKey
from evidence.bundle_index import Line, Outside, Shown, Withheld
from evidence.bundle_make import ChainPart
from evidence.bundle_manifest import ChainEntry, KeyEntry
from evidence.envelope import Envelope
from evidence.errors import EvidenceError
from evidence.events import Fact, parse_event
from evidence.statements import (
    COLLECTOR,
    DeviceRevokedBody,
    KeyRotatedBody,
    StatementKind,
    WorkerErasureBody,
    parse_statement,
)


@dataclass(frozen=True, slots=True)
class StatedRevocation:
    """A revocation as the collector stated it."""

    leaf_index: int  # of the statement
    time: str
    from_index: int


class Authorities:
    """Knows which statement authorises what, and keeps which of them a bundle has made use of."""

    def __init__(self, session: Session) -> None:
        self._session = session
        self._erasures: dict[str, int] = {}
        for entry, body in _statements(session, StatementKind.WORKER_ERASURE):
            if isinstance(body, WorkerErasureBody):
                self._erasures[body.erasure] = entry.leaf_index
        self.used: set[int] = set()  # ledger entries

    def of_tombstone(self, leaf_index: int) -> int | None:
        """Return the entry that authorised an erasure; None where nothing did."""
        tombstone = self._session.get(Tombstone, leaf_index)
        by = None if tombstone is None else self._erasures.get(tombstone.erasure)
        return None if by is None else self.use(by)

    def of_revocation(self, device: str) -> StatedRevocation | None:
        """Return the first statement that revokes a device; None where there is none."""
        for entry, body in _statements(self._session, StatementKind.DEVICE_REVOKED):
            if isinstance(body, DeviceRevokedBody) and body.device == device:
                return StatedRevocation(entry.leaf_index, entry.time, body.from_index)
        return None

    def use(self, leaf_index: int) -> int:
        """Note that the bundle needs this statement; return it."""
        self.used.add(leaf_index)
        return leaf_index


def own_chain(session: Session, tree: Tree, used: set[int], size: int) -> ChainPart | None:
    """Return the collector's chain with the statements that are `used`; None where none of them is."""
    needed = {place for place in used if place < size}
    head = session.exec(
        select(LedgerEntry)
        .where(LedgerEntry.device == COLLECTOR, col(LedgerEntry.leaf_index) < size)
        .order_by(col(LedgerEntry.seq).desc())
        .limit(1)
    ).first()
    if not needed or head is None:
        return None
    place = (COLLECTOR, head.chain)
    last_needed = max(needed)
    for entry, body in _statements(session, StatementKind.KEY_ROTATED):
        # One that came later hands nothing over to what is shown.
        if isinstance(body, KeyRotatedBody) and body.purpose == "statement" and entry.leaf_index < last_needed:
            needed.add(entry.leaf_index)
    seqs = select(LedgerEntry.seq).where(col(LedgerEntry.leaf_index).in_(needed), col(LedgerEntry.leaf_index) < size)
    wanted = set(session.exec(seqs.where(LedgerEntry.device == COLLECTOR))) - {0}
    first, last = (min(wanted), max(wanted)) if wanted else (1, 0)
    lines: list[Line] = []
    shown: list[bytes] = []

    def take(entry: LedgerEntry) -> None:
        if entry.seq not in wanted and entry.seq != 0:
            lines.append(Withheld(entry.seq, entry.hash))
            return
        proof = tree.inclusion(entry.leaf_index, size)
        lines.append(Shown(entry.seq, entry.leaf_index, entry.salt, entry.received_at, (), proof))
        shown.append(entry.envelope)

    for entry in session.exec(entries_of(place, size).where(LedgerEntry.seq == 0)):
        take(entry)
    before = hash_at(session, place, first - 1)
    if first > 1 and before is not None:
        lines.append(Outside(1, first - 1, before))
    for entry in entries_between(session, place, first, last, size):
        take(entry)
    if head.seq > last:
        lines.append(Outside(last + 1, head.seq, head.hash))
    chain = ChainEntry(device=COLLECTOR, chain=head.chain, head_seq=head.seq, head_hash=head.hash)
    return ChainPart(chain, lines, shown)


def statement_keys(session: Session, chain: str | None) -> list[KeyEntry]:
    """Return the keys that sign the collector's chain, oldest first."""
    query = select(CollectorKey).where(CollectorKey.purpose == "statement").order_by(col(CollectorKey.id))
    held = list(session.exec(query))
    last_seqs = [*(one.first_seq - 1 for one in held[1:]), None]  # a rotation counts as the old key's
    return [
        KeyEntry(
            device=COLLECTOR, key=one.key, chain=chain, first_seq=one.first_seq, last_seq=last, added_at=one.added_at
        )
        for one, last in zip(held, last_seqs, strict=False)  # nothing stated yet: no key
    ]


def _statements(session: Session, kind: StatementKind) -> Sequence[tuple[LedgerEntry, Fact | None]]:
    query = select(LedgerEntry).where(LedgerEntry.device == COLLECTOR, LedgerEntry.kind == kind)
    return [(entry, _read(entry.envelope)) for entry in session.exec(query.order_by(col(LedgerEntry.leaf_index)))]


def _read(envelope: bytes) -> Fact | None:
    try:
        return parse_statement(parse_event(Envelope.decode(envelope).payload))
    except EvidenceError:  # changed by hand: it authorises nothing
        return None
