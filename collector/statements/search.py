"""Which of the collector's statements somebody looks for, and the walk back through its chain that finds them."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass

from pydantic import JsonValue

from collector.ledger.models import LedgerEntry
from evidence.envelope import Envelope
from evidence.errors import EvidenceError
from evidence.events import Event, parse_event

LOOKED_AT = 5000  # statements at once: a second's work; whoever wants to look further back asks again
_SUBJECTS = ("device", "chain", "worker", "who", "by", "target", "action", "erasure", "purpose")


@dataclass(frozen=True, slots=True)
class StatementFilters:
    """Which statements; None: any. Times are RFC 3339 UTC as `collector.timestamps` writes them."""

    kind: str | None = None
    about: str | None = None  # part of a device, worker, table, or whoever did it; case does not matter
    since: str | None = None  # inclusive
    until: str | None = None  # exclusive


@dataclass(frozen=True, slots=True)
class StatementView:
    """A statement and what it says; None where it was erased or changed by hand."""

    entry: LedgerEntry
    event: Event | None


@dataclass(frozen=True, slots=True)
class StatementPageView:
    """Statements, newest first; `next` is the place below which to go on, None at the end."""

    items: list[StatementView]
    next: int | None


def read_statement(entry: LedgerEntry) -> StatementView:
    """Open the envelope of one."""
    try:
        return StatementView(entry, parse_event(Envelope.decode(entry.envelope).payload))
    except EvidenceError:
        return StatementView(entry, None)


def find(
    older: Callable[[int | None], Sequence[LedgerEntry]], about: str, before: int | None, limit: int
) -> StatementPageView:
    """Walk back with `older`, which returns the statements below a place, and keep those about something.

    After LOOKED_AT of them the walk stops, with a `next` to go on from, whatever was found.
    """
    found: list[StatementView] = []
    looked = 0
    while True:
        entries = older(before)
        for entry in entries:
            view = read_statement(entry)
            if is_about(view, about):
                if len(found) == limit:
                    return StatementPageView(found, found[-1].entry.leaf_index)
                found.append(view)
            before = entry.leaf_index
        looked += len(entries)
        if not entries:
            return StatementPageView(found, None)
        if looked >= LOOKED_AT:
            return StatementPageView(found, before)


def is_about(view: StatementView, about: str) -> bool:
    """Say whether one of the fields that name somebody or something has this text in it; everything has no text."""
    if not about:
        return True
    body: dict[str, JsonValue] = {} if view.event is None else dict(view.event.body)
    named = (body.get(name) for name in _SUBJECTS)
    return any(about.casefold() in one.casefold() for one in named if isinstance(one, str))
