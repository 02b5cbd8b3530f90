"""Tombstones, hashes of what was erased, and legal holds, as they are kept."""

from __future__ import annotations

from sqlmodel import Field, SQLModel


class Tombstone(SQLModel, table=True):
    """An entry whose envelope and salt were erased; a worker.erasure with this id authorised it."""

    __tablename__ = "tombstones"

    leaf_index: int = Field(primary_key=True, foreign_key="ledger_entries.leaf_index")
    erasure: str = Field(index=True)


class ErasedEvent(SQLModel, table=True):
    """The hash of an event that must not come back, whether it stood in the ledger or only waited; or a worker's mark.

    Of marks see `collector.erasure.marks`.
    """

    __tablename__ = "erased_events"

    hash: str = Field(primary_key=True)
    erasure: str


class LegalHold(SQLModel, table=True):
    """Nothing of this worker may be erased: a dispute is open."""

    __tablename__ = "legal_holds"

    id: int | None = Field(default=None, primary_key=True)
    worker: str = Field(index=True)
    reason: str
    since: str
    lifted_at: str | None = None
