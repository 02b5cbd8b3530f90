"""What waits, what could not be admitted, and what contradicts the ledger, as they are kept."""

from __future__ import annotations

from sqlalchemy import Column, LargeBinary, UniqueConstraint
from sqlmodel import Field, SQLModel


class StagedEvent(SQLModel, table=True):
    """A verified event that came early, or whose chain waits for an administrator."""

    __tablename__ = "staged_events"

    device: str = Field(primary_key=True, foreign_key="devices.name")
    chain: str = Field(primary_key=True)
    seq: int = Field(primary_key=True)
    hash: str
    received_at: str
    envelope: bytes = Field(sa_column=Column(LargeBinary, nullable=False))


class Equivocation(SQLModel, table=True):
    """A verified event that contradicts another one of the same device: evidence against the device."""

    __tablename__ = "equivocations"
    __table_args__ = (UniqueConstraint("device", "chain", "seq", "offered_hash"),)

    id: int | None = Field(default=None, primary_key=True)
    device: str = Field(foreign_key="devices.name", index=True)
    chain: str
    seq: int
    code: str  # fork, broken_link, monotonic_regression
    message: str
    held_hash: str | None
    offered_hash: str
    received_at: str
    envelope: bytes = Field(sa_column=Column(LargeBinary, nullable=False))


class DeadLetter(SQLModel, table=True):
    """A message that could not be admitted, or an entry that could not be projected, with the reason."""

    __tablename__ = "dead_letters"
    __table_args__ = (UniqueConstraint("source", "code", "sha256"),)

    id: int | None = Field(default=None, primary_key=True)
    source: str = Field(index=True)  # the registered device of the topic, or "" for everything else
    topic: str
    code: str
    message: str
    size: int  # bytes of the whole message
    sha256: str  # of the whole message
    content: bytes = Field(sa_column=Column(LargeBinary, nullable=False))  # its beginning
    leaf_index: int | None = None  # the entry, where only the projection failed
    times: int = 1  # the same bytes for the same reason
    received_at: str
    last_at: str


class DeadLetterCount(SQLModel, table=True):
    """How many there were, kept or not."""

    __tablename__ = "dead_letter_counts"

    source: str = Field(primary_key=True)
    code: str = Field(primary_key=True)
    times: int
    last_at: str
