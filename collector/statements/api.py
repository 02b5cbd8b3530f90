"""Routes about the collector's own statements: gaps, corrections, audit."""

from __future__ import annotations

import base64
from typing import Annotated

from fastapi import APIRouter, Depends, Query
from pydantic import BaseModel, Field, JsonValue

from collector.answers import Held, Limit, UtcText, errors
from collector.auth.api import may_read, may_write
from collector.paging import read_cursor, write_cursor
from collector.statements.models import DeclaredGap
from evidence.canonical import MAX_SAFE_INTEGER
from evidence.events import Hex128, Name, Text
from evidence.statements import StatementKind

router = APIRouter(tags=["the collector's own statements"])

Cursor = Annotated[str | None, Query(max_length=400)]


class NewGap(BaseModel):
    """An administrator's decision that events are missing for good."""

    device: Name
    chain: Hex128
    last: Annotated[int, Field(ge=1, le=MAX_SAFE_INTEGER, description="The last missing seq; the one behind it waits.")]
    reason: Annotated[Text, Field(min_length=1)]
    dead_letter: Annotated[int | None, Field(ge=1, le=2**62, description="What came in their place.")] = None


class GapAnswer(BaseModel):
    """A declared gap."""

    leaf_index: Annotated[int, Field(description="Of the signed statement.")]
    time: UtcText
    device: str
    chain: str
    first: int
    last: int
    next_prev: Annotated[str, Field(description="The hash that the next event names as its predecessor.")]
    reason: str
    bytes_sha256: str | None
    declared_by: str


class NewCorrection(BaseModel):
    """What is true beside an event."""

    leaf_index: Annotated[int, Field(ge=0, le=2**62, description="The event's place in the ledger.")]
    says: Annotated[dict[str, JsonValue], Field(description="What is true, by field.")]
    reason: Annotated[Text, Field(min_length=1)]


class Stated(BaseModel):
    """Where a statement stands."""

    leaf_index: int


class StatementAnswer(BaseModel):
    """One signed statement."""

    leaf_index: int
    seq: int
    kind: str
    time: UtcText
    envelope: Annotated[str, Field(description="Base64 of the DSSE envelope; empty where it was erased.")]


class StatementPage(BaseModel):
    """Statements, newest first."""

    items: list[StatementAnswer]
    next: str | None


class AuditAnswer(BaseModel):
    """Who changed what."""

    leaf_index: int
    time: UtcText
    who: str
    action: str
    target: str
    columns: list[str]
    worker: str | None


class AuditPage(BaseModel):
    """Audit entries, newest first."""

    items: list[AuditAnswer]
    next: str | None


@router.get("/statements", dependencies=[Depends(may_read)], responses=errors(), summary="List the statements")
def list_statements(
    held: Held, kind: StatementKind | None = None, limit: Limit = 100, cursor: Cursor = None
) -> StatementPage:
    """Return what the collector has stated, newest first."""
    found = held.statements.page(kind, _before(cursor), limit + 1)
    items = [
        StatementAnswer(
            leaf_index=one.leaf_index,
            seq=one.seq,
            kind=one.kind,
            time=one.time,
            envelope=base64.b64encode(one.envelope).decode(),
        )
        for one in found[:limit]
    ]
    return StatementPage(items=items, next=write_cursor(items[-1].leaf_index) if len(found) > limit else None)


@router.get("/audit", dependencies=[Depends(may_read)], responses=errors(), summary="List who changed what")
def list_audit(held: Held, limit: Limit = 100, cursor: Cursor = None) -> AuditPage:
    """Return the audit entries, newest first; each is a signed statement."""
    found = held.statements.audit(_before(cursor), limit + 1)
    items = [AuditAnswer(**one.model_dump(exclude={"columns"}), columns=one.columns.split()) for one in found[:limit]]
    return AuditPage(items=items, next=write_cursor(items[-1].leaf_index) if len(found) > limit else None)


@router.get("/gaps", dependencies=[Depends(may_read)], responses=errors(), summary="List the declared gaps")
def list_gaps(held: Held, device: Name | None = None) -> list[GapAnswer]:
    """Return what was given up, oldest first."""
    return [_gap(one) for one in held.statements.gaps(device)]


@router.post(
    "/gaps", status_code=201, dependencies=[Depends(may_write)], responses=errors(404, 409), summary="Declare a gap"
)
def declare_gap(held: Held, new: NewGap) -> GapAnswer:
    """Give missing events up, so that what waits behind them enters. It cannot be taken back."""
    return _gap(held.statements.declare_gap(new.device, new.chain, new.last, new.reason, new.dead_letter))


@router.post(
    "/corrections",
    status_code=201,
    dependencies=[Depends(may_write)],
    responses=errors(404),
    summary="Correct",
)
def record_correction(held: Held, new: NewCorrection) -> Stated:
    """State what is true beside an event; the event stays."""
    return Stated(leaf_index=held.statements.correct(new.leaf_index, new.says, new.reason))


def _before(cursor: str | None) -> int | None:
    return None if cursor is None else int(read_cursor(cursor, int)[0])


def _gap(gap: DeclaredGap) -> GapAnswer:
    return GapAnswer(**gap.model_dump())
