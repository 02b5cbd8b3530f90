"""Which rows an admitted event gives. Pure: the intake inserts them, `fsck` derives them again and compares."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from sqlmodel import SQLModel

from collector.commands.models import CommandAnswer
from collector.commands.projection import answer_row
from collector.errors import UnknownKind
from collector.people.models import Enrolment, TemplateErasure
from collector.people.projection import enrolment_row, template_erasure_row
from collector.presence.models import PresenceInterval
from collector.presence.projection import presence_row
from collector.punches.models import Punch
from collector.punches.projection import punch_row
from collector.statements.models import AuditEntry, DeclaredGap
from collector.statements.projection import statement_row
from collector.transfers.models import TemplateCopy
from collector.transfers.projection import template_copy_row
from evidence.events import (
    CommandDoneBody,
    Event,
    Kind,
    PresenceIntervalBody,
    PunchBody,
    TransferReceivedBody,
    WorkerEnrolledBody,
    WorkerErasedBody,
    parse_body,
)
from evidence.statements import COLLECTOR

TABLES: tuple[Any, ...] = (
    Punch,
    Enrolment,
    CommandAnswer,
    PresenceInterval,
    AuditEntry,
    DeclaredGap,
    TemplateErasure,
    TemplateCopy,
)
_KNOWN = frozenset(Kind)


@dataclass(frozen=True, slots=True)
class Projected:
    """One derived row."""

    table: type[SQLModel]
    row: dict[str, Any]


def project(event: Event, leaf_index: int, *, after_revocation: bool) -> Projected | None:
    """Derive the row of an event; None for kinds that have none. Raises UnknownKind or evidence's InvalidBody."""
    if event.device == COLLECTOR:
        stated = statement_row(event, leaf_index)
        return None if stated is None else Projected(stated[0], _kept(stated[1]))
    if event.kind not in _KNOWN:
        raise UnknownKind(f"this version does not know the kind {event.kind}; the event is kept and passed on")
    projected = _project(event, leaf_index, after_revocation=after_revocation)
    return None if projected is None else Projected(projected.table, _kept(projected.row))


def project_ahead(event: Event) -> dict[str, Any] | None:
    """Derive a punch's row before it has a place; None for what is no punch, and for what `project` would refuse."""
    if event.kind not in (Kind.PUNCH_RECORDED, Kind.PUNCH_REFUSED) or event.device == COLLECTOR:
        return None
    try:
        projected = project(event, 0, after_revocation=False)
    except Exception:  # `project` says it where the event is admitted
        return None
    return None if projected is None else projected.row


def place_row(row_ahead: dict[str, Any], leaf_index: int) -> tuple[type[SQLModel], dict[str, Any]]:
    """Give a row that was row_ahead its place. Not for what came after a revocation: its verdict counts otherwise."""
    return Punch, row_ahead | {"leaf_index": leaf_index}


def _kept(row: dict[str, Any]) -> dict[str, Any]:
    """PostgreSQL keeps no NUL in a text; the envelope has it as it was signed."""
    return {
        name: value.replace("\0", "\ufffd") if isinstance(value, str) and "\0" in value else value
        for name, value in row.items()
    }


def _project(event: Event, leaf_index: int, *, after_revocation: bool) -> Projected | None:
    body = parse_body(event)
    if isinstance(body, PunchBody):
        return Projected(Punch, punch_row(event, body, leaf_index, after_revocation=after_revocation))
    if isinstance(body, WorkerEnrolledBody):
        return Projected(Enrolment, enrolment_row(event, body, leaf_index))
    if isinstance(body, WorkerErasedBody):
        return Projected(TemplateErasure, template_erasure_row(event, body, leaf_index))
    if isinstance(body, CommandDoneBody):
        return Projected(CommandAnswer, answer_row(event, body, leaf_index))
    if isinstance(body, PresenceIntervalBody):
        return Projected(PresenceInterval, presence_row(event, body, leaf_index))
    if isinstance(body, TransferReceivedBody):
        return Projected(TemplateCopy, template_copy_row(event, body, leaf_index))
    return None
