"""Events that contradict their chain: kept as evidence against their terminal, stated in the ledger, and bounded."""

from __future__ import annotations

import hashlib

import structlog
from sqlalchemy import func
from sqlmodel import Session, select

from collector.database import insert_into
from collector.devices.models import Device
from collector.ingest.models import Equivocation
from collector.ingest.reading import Offered
from collector.ledger.appending import Appender
from collector.statements.scribe import Scribe
from evidence.errors import EvidenceError
from evidence.statements import StatementKind

log = structlog.get_logger()

# Kept of one chain. A restored copy that was offline signs punches of honest workers at taken places: three hundred a
# day come to this in a month. Whoever stole a key has a supply without end, and each is an entry of the ledger.
MOST_OF_ONE_CHAIN = 10_000


class Contradictions:
    """The contradictions of one transaction. `scribe` None: this collector states nothing."""

    def __init__(self, session: Session, scribe: Scribe | None) -> None:
        self._session, self._scribe = session, scribe
        self._found: list[Equivocation] = []
        self._counts: dict[tuple[str, str], int] = {}  # kept, with those of this transaction

    def count(self, device: str, chain: str) -> int:
        """Return how many contradicting events of a chain are kept."""
        held = self._counts.get((device, chain))
        if held is None:
            query = select(func.count()).where(Equivocation.device == device, Equivocation.chain == chain)
            held = self._counts[device, chain] = self._session.exec(query).one()
        return held

    def keep(self, offered: Offered, error: EvidenceError, held_hash: str | None) -> bool:
        """Keep an event that contradicts the one of `held_hash`; False where so many are kept already."""
        event = offered.event
        count = self.count(event.device, event.chain)
        if count >= MOST_OF_ONE_CHAIN:
            return False
        self._counts[event.device, event.chain] = count + 1
        self._found.append(
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
        return True

    def write(self, ledger: Appender) -> None:
        """Write them, state each new one, and flag their terminals."""
        for found in self._found:
            self._write(found, ledger)

    def _write(self, found: Equivocation, ledger: Appender) -> None:
        row = found.model_dump(exclude={"id"})
        table = Equivocation.__table__  # type: ignore[attr-defined]
        keep = insert_into(self._session, table).on_conflict_do_nothing().returning(table.c.id)
        # Asked for, not counted: with a key that PostgreSQL makes itself, the driver counts no rows of such an insert.
        if self._session.connection().execute(keep, row).first() is not None:
            log.critical("equivocation", device=found.device, chain=found.chain, seq=found.seq, code=found.code)
            if self._scribe is not None:
                self._scribe.append(self._session, ledger, StatementKind.EQUIVOCATION_FOUND, _statement(found))
        device = self._session.get(Device, found.device)
        if device is not None and device.flagged_at is None:
            device.flagged_at = found.received_at
            self._session.add(device)


def _statement(found: Equivocation) -> dict[str, object]:
    same = found.model_dump(include={"device", "chain", "seq", "code"})
    digest = hashlib.sha256(found.envelope).hexdigest()
    return same | {"held": found.held_hash, "offered": found.offered_hash, "envelope_sha256": digest}
