"""A command that was signed, and the terminal's answer, as they are kept."""

from __future__ import annotations

from typing import Any

from sqlalchemy import JSON, Column, UniqueConstraint
from sqlmodel import Field, SQLModel


class SentCommand(SQLModel, table=True):
    """One signed order. The counter rises with every command to a device."""

    __tablename__ = "commands"
    __table_args__ = (UniqueConstraint("device", "counter"),)

    id: str = Field(primary_key=True)
    device: str = Field(foreign_key="devices.name", index=True)
    site: str
    counter: int
    action: str
    body: dict[str, Any] = Field(sa_column=Column(JSON, nullable=False))
    issued_by: str
    issued: str
    expires: str
    envelope: bytes


class CommandAnswer(SQLModel, table=True):
    """Derived from command.done: what a terminal made of a command. The first answer counts; all are kept."""

    __tablename__ = "command_answers"

    leaf_index: int = Field(primary_key=True, foreign_key="ledger_entries.leaf_index")
    command: str = Field(index=True)
    device: str
    time: str
    outcome: str
    reason: str
    result: str  # JSON, by action
