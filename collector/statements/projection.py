"""The rows that a statement gives. Pure."""

from __future__ import annotations

from typing import Any

from collector.statements.models import AuditEntry, DeclaredGap
from evidence.events import Event
from evidence.statements import AuditEntryBody, GapDeclaredBody, parse_statement


def statement_row(event: Event, leaf_index: int) -> tuple[type[AuditEntry] | type[DeclaredGap], dict[str, Any]] | None:
    """Return table and row; None for kinds that have none. Raises evidence's InvalidBody."""
    body = parse_statement(event)
    if isinstance(body, AuditEntryBody):
        return AuditEntry, {
            "leaf_index": leaf_index,
            "time": event.time,
            "who": body.who,
            "action": body.action,
            "target": body.target,
            "columns": " ".join(body.columns),
            "worker": body.worker,
        }
    if isinstance(body, GapDeclaredBody):
        row = body.model_dump(include={"device", "chain", "first", "last", "next_prev", "reason", "bytes_sha256"})
        return DeclaredGap, row | {"leaf_index": leaf_index, "time": event.time, "declared_by": body.by}
    return None
