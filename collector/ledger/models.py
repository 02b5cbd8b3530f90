"""Ledger entries and chains, as they are kept."""

from __future__ import annotations

from enum import StrEnum

from sqlalchemy import Column, LargeBinary, UniqueConstraint
from sqlmodel import Field, SQLModel


class ChainState(StrEnum):
    """Whether a chain's events may enter."""

    OPEN = "open"
    PENDING = "pending"  # not the device's first chain: waits for an administrator
    FROZEN = "frozen"  # the device contradicted itself


class Chain(SQLModel, table=True):
    """One hash chain of one device, and its last admitted event."""

    __tablename__ = "chains"

    device: str = Field(primary_key=True, foreign_key="devices.name")
    chain: str = Field(primary_key=True)
    state: str
    opened_at: str
    approved_by: str | None = None
    head_seq: int | None = None
    head_hash: str | None = None
    head_boot: str | None = None
    head_mono_us: int | None = None


class LedgerEntry(SQLModel, table=True):
    """One admitted event: the envelope as it came, columns to find it by, and its leaf of the Merkle tree."""

    __tablename__ = "ledger_entries"
    __table_args__ = (UniqueConstraint("device", "chain", "seq"),)

    leaf_index: int = Field(primary_key=True)  # contiguous from 0, in the order of admission
    device: str
    chain: str
    seq: int
    hash: str
    prev: str | None
    kind: str
    event_id: str
    time: str
    tz: str
    site: str
    boot: str
    mono_us: int
    key_id: str  # the registered key that the signature was checked with
    received_at: str
    after_revocation: bool
    envelope: bytes = Field(sa_column=Column(LargeBinary, nullable=False))
    salt: bytes = Field(sa_column=Column(LargeBinary, nullable=False))
    leaf_data: bytes = Field(sa_column=Column(LargeBinary, nullable=False))  # SHA-256 of salt and envelope
    leaf_hash: bytes = Field(sa_column=Column(LargeBinary, nullable=False))
    seal: bytes = Field(sa_column=Column(LargeBinary, nullable=False))


class LedgerTile(SQLModel, table=True):
    """256 neighbouring hashes of one level of the Merkle tree (C2SP tlog-tiles), written once when it is full."""

    __tablename__ = "ledger_tiles"

    level: int = Field(primary_key=True)
    number: int = Field(primary_key=True)
    hashes: bytes = Field(sa_column=Column(LargeBinary, nullable=False))
    root: bytes = Field(sa_column=Column(LargeBinary, nullable=False))  # of these 256: a hash of the level above


class SignedCheckpoint(SQLModel, table=True):
    """What the collector has signed about its tree: a C2SP checkpoint, never contradicted by a later one."""

    __tablename__ = "checkpoints"

    size: int = Field(primary_key=True)
    root: bytes = Field(sa_column=Column(LargeBinary, nullable=False))
    note: bytes = Field(sa_column=Column(LargeBinary, nullable=False))  # with the log's signature alone
    signed_at: str
    seal: bytes = Field(sa_column=Column(LargeBinary, nullable=False))


class Cosignature(SQLModel, table=True):
    """A witness's word for a checkpoint: the line that stands under its note (C2SP tlog-cosignature)."""

    __tablename__ = "cosignatures"

    size: int = Field(primary_key=True, foreign_key="checkpoints.size")
    witness: str = Field(primary_key=True)  # its vkey
    line: str
    cosigned_at: str  # as the witness says


class Anchor(SQLModel, table=True):
    """A time-stamp authority's word that a checkpoint's note existed (RFC 3161)."""

    __tablename__ = "anchors"

    size: int = Field(primary_key=True, foreign_key="checkpoints.size")
    authority: str = Field(primary_key=True)  # its URL
    token: bytes = Field(sa_column=Column(LargeBinary, nullable=False))  # the whole TimeStampResp, DER
    stamped_at: str  # as the token says
