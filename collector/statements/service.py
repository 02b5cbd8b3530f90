"""Questions about the collector's statements, and the statements that an administrator makes: gaps, corrections."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any

import structlog
from pydantic import JsonValue
from sqlmodel import Session, col, select

from collector.database import Database
from collector.errors import Conflict, NotFound
from collector.ingest.models import DeadLetter, StagedEvent
from collector.ledger.models import Chain, LedgerEntry
from collector.statements.actor import acting
from collector.statements.gaps import require_gap
from collector.statements.models import AuditEntry, CollectorKey, DeclaredGap
from collector.statements.scribe import Scribe
from collector.statements.search import StatementFilters, StatementPageView, find
from evidence.envelope import Envelope
from evidence.events import parse_event
from evidence.keys import PublicKey
from evidence.statements import COLLECTOR, StatementKey, StatementKind

PAGE = 500

log = structlog.get_logger()


class Statements:
    """What the collector says itself."""

    def __init__(self, database: Database, scribe: Scribe) -> None:
        self._database, self._scribe = database, scribe

    def declare_gap(self, device: str, chain: str, last: int, reason: str, dead_letter: int | None) -> DeclaredGap:
        """Give up the missing events up to seq `last`, so that what waits behind them enters.

        `dead_letter` names what came in their place and could not be read. Raises NotFound; Conflict where no event
        waits behind the gap: what follows must have been signed, and it says which hash the missing one had.
        """
        with self._database.write() as session:
            held = session.get(Chain, (device, chain))
            if held is None:
                raise NotFound(f"there is no chain {chain} of {device}")
            first = require_gap(held, last)
            behind = _first_waiting(session, device, chain)
            if behind is None or behind.seq != last + 1:
                what = "nothing" if behind is None else f"event {behind.seq}"
                raise Conflict(f"{what} waits behind the gap from {first} on; close it up to the event before that")
            event = parse_event(Envelope.decode(behind.envelope).payload)
            assert event.prev is not None
            letter = None if dead_letter is None else session.get(DeadLetter, dead_letter)
            if dead_letter is not None and letter is None:
                raise NotFound(f"there is no dead letter {dead_letter}")
            body = {
                "device": device,
                "chain": chain,
                "first": first,
                "last": last,
                "next_prev": event.prev,
                "reason": reason,
                "bytes_sha256": None if letter is None else letter.sha256,
                "by": acting(),
            }
            place = self._scribe.state(session, StatementKind.GAP_DECLARED, body)
            held.head_seq, held.head_hash = last, event.prev  # the intake takes what waits when it next looks
            gap = session.get(DeclaredGap, place)
            assert gap is not None
        log.warning("gap declared", device=device, chain=chain, first=first, last=last, by=body["by"])
        return gap

    def correct(self, leaf_index: int, says: Mapping[str, JsonValue], reason: str) -> int:
        """State what is true beside an event of a terminal; return the statement's leaf index. Raises NotFound."""
        with self._database.write() as session:
            entry = session.get(LedgerEntry, leaf_index)
            if entry is None or entry.device == COLLECTOR:
                raise NotFound(f"there is no terminal's event at {leaf_index}")
            place = {"device": entry.device, "chain": entry.chain, "seq": entry.seq, "hash": entry.hash}
            body = place | {"says": dict(says), "reason": reason, "by": acting()}
            return self._scribe.state(session, StatementKind.CORRECTION_RECORDED, body)

    def page(self, kind: str | None, before: int | None, limit: int) -> list[LedgerEntry]:
        """Return statements, newest first, with places below `before`."""
        query = select(LedgerEntry).where(LedgerEntry.device == COLLECTOR)
        if kind is not None:
            query = query.where(LedgerEntry.kind == kind)
        if before is not None:
            query = query.where(col(LedgerEntry.leaf_index) < before)
        with self._database.read() as session:
            return list(session.exec(query.order_by(col(LedgerEntry.leaf_index).desc()).limit(limit)))

    def search(self, filters: StatementFilters, before: int | None, limit: int) -> StatementPageView:
        """Return statements that pass the filters, newest first, with places below `before`."""
        query = select(LedgerEntry).where(LedgerEntry.device == COLLECTOR).order_by(col(LedgerEntry.leaf_index).desc())
        if filters.kind is not None:
            query = query.where(LedgerEntry.kind == filters.kind)
        if filters.since is not None:
            query = query.where(col(LedgerEntry.time) >= filters.since)
        if filters.until is not None:
            query = query.where(col(LedgerEntry.time) < filters.until)

        at_once = PAGE if filters.about else limit + 1

        def older(than: int | None) -> list[LedgerEntry]:
            below = query if than is None else query.where(col(LedgerEntry.leaf_index) < than)
            with self._database.read() as session:
                return list(session.exec(below.limit(at_once)))

        return find(older, filters.about or "", before, limit)

    def get(self, leaf_index: int) -> LedgerEntry:
        """Return one statement. Raises NotFound."""
        with self._database.read() as session:
            entry = session.get(LedgerEntry, leaf_index)
        if entry is None or entry.device != COLLECTOR:
            raise NotFound(f"entry {leaf_index} is none of the collector's own")
        return entry

    def audit(self, before: int | None, limit: int) -> list[AuditEntry]:
        """Return who changed what, newest first, with places below `before`."""
        query = select(AuditEntry).order_by(col(AuditEntry.leaf_index).desc()).limit(limit)
        if before is not None:
            query = query.where(col(AuditEntry.leaf_index) < before)
        with self._database.read() as session:
            return list(session.exec(query))

    def gaps(self, device: str | None = None) -> list[DeclaredGap]:
        """Return the declared gaps, oldest first."""
        query = select(DeclaredGap).order_by(col(DeclaredGap.leaf_index))
        if device is not None:
            query = query.where(DeclaredGap.device == device)
        with self._database.read() as session:
            return list(session.exec(query))

    def keys(self) -> list[CollectorKey]:
        """Return the collector's public keys, those that are retired among them, oldest first."""
        with self._database.read() as session:
            return list(session.exec(select(CollectorKey).order_by(col(CollectorKey.id))))

    def signers(self) -> list[StatementKey]:
        """Return the statement keys, each with the first event that it signs."""
        return [StatementKey(PublicKey.parse(k.key), k.first_seq) for k in self.keys() if k.purpose == "statement"]

    def envelopes(self) -> Iterator[bytes]:
        """Yield the collector's chain verbatim, in order."""
        after = -1
        while True:
            query = select(LedgerEntry.seq, LedgerEntry.envelope).where(LedgerEntry.device == COLLECTOR)
            query = query.where(col(LedgerEntry.seq) > after).order_by(col(LedgerEntry.seq)).limit(PAGE)
            with self._database.read() as session:
                rows: list[Any] = list(session.exec(query))
            for seq, envelope in rows:
                after = seq
                if envelope:  # an erased one is a hole
                    yield envelope
            if len(rows) < PAGE:
                return


def _first_waiting(session: Session, device: str, chain: str) -> StagedEvent | None:
    query = select(StagedEvent).where(StagedEvent.device == device, StagedEvent.chain == chain)
    return session.exec(query.order_by(col(StagedEvent.seq)).limit(1)).first()
