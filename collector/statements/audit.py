"""Audit: whatever a person or a program changes in a table becomes an `audit.entry` in the same transaction.

It listens to the session and not to the services, so that a new service cannot forget it. Who acts stands in a context
variable, set where somebody is let in: by the API for a key, by the console for its user, by the command line.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from typing import Any

from sqlalchemy import event, inspect
from sqlalchemy.orm import ORMExecuteState
from sqlalchemy.orm import Session as AnySession
from sqlmodel import Session

from collector.statements.actor import actor
from collector.statements.models import CollectorKey, OwnChain
from collector.statements.scribe import Scribe
from evidence.statements import StatementKind

_OWN = (OwnChain, CollectorKey)  # moved by the statements themselves
_WORKER_COLUMNS = {"workers": "code", "authorisations": "worker"}  # an employee code is personal data


@dataclass(frozen=True, slots=True)
class _Change:
    action: str
    target: str
    columns: tuple[str, ...] = ()
    worker: str | None = None


class Auditor:
    """Watches write sessions."""

    def __init__(self, scribe: Scribe) -> None:
        self._scribe = scribe

    def __call__(self, session: Session) -> None:
        """Note what changes in this session while somebody acts, and state it before the commit."""
        who = actor()
        if who is None:
            return
        changes: dict[_Change, None] = {}

        @event.listens_for(session, "before_flush")
        def _flushing(flushed: AnySession, _context: Any, _instances: Any) -> None:
            changes.update(_told("changed", [row for row in flushed.dirty if flushed.is_modified(row)]))
            changes.update(_told("removed", flushed.deleted))

        @event.listens_for(session, "after_flush")
        def _flushed(flushed: AnySession, _context: Any) -> None:
            changes.update(_told("added", flushed.new))  # only now the database has given them their numbers

        @event.listens_for(session, "do_orm_execute")
        def _executing(state: ORMExecuteState) -> None:
            if state.is_update or state.is_delete:
                name = str(getattr(state.statement, "table").name)  # noqa: B009  Update and Delete have one
                changes[_Change(f"{name}.{'changed' if state.is_update else 'removed'}", "several")] = None

        @event.listens_for(session, "before_commit")
        def _committing(_session: AnySession) -> None:
            session.flush()
            for change in changes:
                body = {"who": who, "action": change.action, "target": change.target, "columns": change.columns}
                self._scribe(session, StatementKind.AUDIT_ENTRY, body | {"worker": change.worker})


def _told(verb: str, rows: Iterable[Any]) -> dict[_Change, None]:
    return {_change(verb, row): None for row in rows if not isinstance(row, _OWN)}


def _change(verb: str, row: Any) -> _Change:
    state = inspect(row)
    table = str(row.__tablename__)
    columns = ()
    if verb == "changed":
        columns = tuple(sorted(one.key for one in state.attrs if one.history.has_changes()))
    code = _WORKER_COLUMNS.get(table)
    worker = None if code is None else str(getattr(row, code))
    names = [column.key for column in state.mapper.primary_key]
    target = "" if code in names else "/".join(str(getattr(row, name)) for name in names)
    return _Change(f"{table}.{verb}", target, columns, worker)
