"""A worker, permissions to enrol a face, and enrolments that happened, as they are kept."""

from __future__ import annotations

from sqlmodel import Field, SQLModel


class Worker(SQLModel, table=True):
    """Somebody who punches."""

    __tablename__ = "workers"

    code: str = Field(primary_key=True)
    name: str
    active: bool = True
    added_at: str


class Authorisation(SQLModel, table=True):
    """A permission that the collector signed: one enrolment of one worker at one terminal."""

    __tablename__ = "authorisations"

    id: str = Field(primary_key=True)
    worker: str = Field(foreign_key="workers.code", index=True)
    device: str = Field(foreign_key="devices.name")
    authorised_by: str
    expires: str
    signed_at: str


class Enrolment(SQLModel, table=True):
    """Derived from worker.enrolled: a template of this worker lies on this terminal."""

    __tablename__ = "enrolments"

    leaf_index: int = Field(primary_key=True, foreign_key="ledger_entries.leaf_index")
    worker: str = Field(index=True)
    device: str
    time: str
    model: str
    frames: int
    authorised_by: str
    authorisation: str


class TemplateErasure(SQLModel, table=True):
    """Derived from worker.erased: what an enrolment left on a terminal is gone from it. It names no worker."""

    __tablename__ = "template_erasures"

    leaf_index: int = Field(primary_key=True, foreign_key="ledger_entries.leaf_index")
    device: str
    enrolment: str | None = Field(index=True)  # `authorisation` of the enrolment; null: older than this was kept
    scope: str  # face, all
    reason: str
    time: str
