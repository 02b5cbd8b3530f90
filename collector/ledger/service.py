"""Reading the ledger: entries by place, whole chains as the envelopes came, sizes."""

from __future__ import annotations

from collections.abc import Iterator

from sqlmodel import col, select

from collector.database import Database
from collector.errors import NotFound
from collector.ingest.models import Equivocation
from collector.ledger.models import Chain, LedgerEntry
from collector.ledger.tree import ledger_size

PAGE = 500  # envelopes in memory at once while a chain streams: about 1 MB


class Ledger:
    """Questions about what was admitted."""

    def __init__(self, database: Database) -> None:
        self._database = database

    def entry(self, leaf_index: int) -> LedgerEntry:
        """Return one entry. Raises NotFound."""
        with self._database.read() as session:
            entry = session.get(LedgerEntry, leaf_index)
        if entry is None:
            raise NotFound(f"the ledger has no entry {leaf_index}")
        return entry

    def size(self) -> int:
        """Return the number of entries."""
        with self._database.read() as session:
            return ledger_size(session)

    def chains_named(self, chain: str) -> list[Chain]:
        """Return the chains with this id; two devices may have picked the same."""
        with self._database.read() as session:
            return list(session.exec(select(Chain).where(Chain.chain == chain)))

    def chain(self, device: str, chain: str) -> Chain:
        """Return one chain. Raises NotFound."""
        with self._database.read() as session:
            found = session.get(Chain, (device, chain))
        if found is None:
            raise NotFound(f"there is no chain {chain} of {device}")
        return found

    def envelopes(self, device: str, chain: str) -> Iterator[bytes]:
        """Yield the chain's envelopes verbatim in order, up to its head at the start."""
        after = -1
        while True:
            with self._database.read() as session:
                query = (
                    select(LedgerEntry.seq, LedgerEntry.envelope)
                    .where(LedgerEntry.device == device, LedgerEntry.chain == chain, col(LedgerEntry.seq) > after)
                    .order_by(col(LedgerEntry.seq))
                    .limit(PAGE)
                )
                rows = list(session.exec(query))
            for seq, envelope in rows:
                after = seq
                yield envelope
            if len(rows) < PAGE:
                return

    def equivocations(self, device: str) -> list[Equivocation]:
        """Return the evidence against a device, oldest first."""
        with self._database.read() as session:
            return list(
                session.exec(select(Equivocation).where(Equivocation.device == device).order_by(col(Equivocation.id)))
            )
