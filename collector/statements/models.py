"""The collector's keys over time, the head of its own chain, and what is derived from its statements."""

from __future__ import annotations

from sqlmodel import Field, SQLModel


class CollectorKey(SQLModel, table=True):
    """A public key of the collector and since when it counts; a process that holds another one must not sign."""

    __tablename__ = "collector_keys"

    id: int | None = Field(default=None, primary_key=True)
    purpose: str = Field(index=True)  # receipt, command, checkpoint, statement
    key: str  # PublicKey.text()
    key_id: str
    first_seq: int  # of the collector's chain, from which this key counts; of a rotated statement key, signs alone
    added_at: str
    retired_at: str | None = None
    handover: bytes | None = None  # the document that the key before and this one have signed


class OwnChain(SQLModel, table=True):
    """The one chain of the collector and its last statement; all processes continue the same one."""

    __tablename__ = "own_chain"

    number: int = Field(default=1, primary_key=True)
    chain: str
    head_seq: int
    head_hash: str
    head_boot: str
    head_mono_us: int


class AuditEntry(SQLModel, table=True):
    """Derived from audit.entry: who changed what."""

    __tablename__ = "audit_entries"

    leaf_index: int = Field(primary_key=True, foreign_key="ledger_entries.leaf_index")
    time: str
    who: str
    action: str
    target: str
    columns: str  # separated by spaces
    worker: str | None = Field(index=True)


class DeclaredGap(SQLModel, table=True):
    """Derived from gap.declared: events that are missing for good, and why."""

    __tablename__ = "declared_gaps"

    leaf_index: int = Field(primary_key=True, foreign_key="ledger_entries.leaf_index")
    time: str
    device: str = Field(index=True)
    chain: str
    first: int
    last: int
    next_prev: str
    reason: str
    bytes_sha256: str | None
    declared_by: str
