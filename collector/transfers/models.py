"""Messages between terminals on their way, and where copies of templates lie, as they are kept."""

from __future__ import annotations

from sqlmodel import Field, SQLModel


class TransferCard(SQLModel, table=True):
    """The newest card of a terminal: its transfer key under its own signature. The collector vouches for none."""

    __tablename__ = "transfer_cards"

    device: str = Field(primary_key=True, foreign_key="devices.name")
    envelope: bytes
    received_at: str


class HeldTransfer(SQLModel, table=True):
    """One message from a terminal to another; the sealed bytes stay only until it is answered."""

    __tablename__ = "held_transfers"

    id: int | None = Field(default=None, primary_key=True)
    message: str = Field(unique=True)  # hash of the envelope
    site: str
    sender: str = Field(foreign_key="devices.name", index=True)
    recipient: str = Field(index=True)
    copy_id: str = Field(index=True)
    enrolment: str = Field(index=True)  # `authorisation` of worker.enrolled
    counter: int
    envelope: bytes  # empty once answered
    answer: bytes  # empty until then
    state: str  # waiting, held, gone, refused
    received_at: str
    expires: str


class TemplateCopy(SQLModel, table=True):
    """Derived from transfer.received: another terminal's template of this worker lies on this one."""

    __tablename__ = "template_copies"

    leaf_index: int = Field(primary_key=True, foreign_key="ledger_entries.leaf_index")
    worker: str = Field(index=True)
    device: str
    sender: str
    copy_id: str = Field(index=True)
    time: str
    until: str
