"""What `fsck` asks of tombstones: a signed statement authorises each, and its digest covers exactly what was erased."""

from __future__ import annotations

import hashlib
from dataclasses import dataclass, field
from typing import NoReturn, Protocol

from sqlmodel import Session, select

from collector.erasure.finding import digest_line
from collector.erasure.models import Tombstone
from evidence.events import Event
from evidence.statements import WorkerErasureBody, parse_statement


class Report(Protocol):
    """Ends the check with a difference."""

    def __call__(self, table: str, row: object, column: str, message: str) -> NoReturn:
        """Raise it."""
        ...


@dataclass(slots=True)
class _Sum:
    digest: hashlib._Hash = field(default_factory=hashlib.sha256)
    entries: int = 0


class Tombs:
    """The erased entries, in the order of the places, and the statements that speak of them."""

    def __init__(self, session: Session, report: Report) -> None:
        self._session, self._report = session, report
        self._of = {row.leaf_index: row.erasure for row in session.exec(select(Tombstone))}
        self._seen: dict[str, _Sum] = {}
        self._authorised: dict[str, WorkerErasureBody] = {}

    def take(self, leaf_index: int, event_hash: str) -> None:
        """Take an entry whose envelope and salt are gone."""
        erasure = self._of.pop(leaf_index, None)
        if erasure is None:
            self._report("ledger_entries", leaf_index, "envelope", "it is gone, and no tombstone says why")
        seen = self._seen.setdefault(erasure, _Sum())
        seen.digest.update(digest_line(leaf_index, event_hash))
        seen.entries += 1

    def authorise(self, event: Event) -> None:
        """Take a statement that authorised an erasure."""
        body = parse_statement(event)
        if isinstance(body, WorkerErasureBody):
            self._authorised[body.erasure] = body

    def finish(self) -> None:
        """Compare both."""
        for place in sorted(self._of):
            self._report("tombstones", place, "leaf_index", "its entry is not erased")
        for erasure, seen in self._seen.items():
            body = self._authorised.get(erasure)
            if body is None:
                self._report("tombstones", erasure, "erasure", "no signed worker.erasure authorises these tombstones")
            if (body.entries, body.digest) != (seen.entries, seen.digest.hexdigest()):
                self._report("tombstones", erasure, "erasure", "other entries were erased than authorised")
        for erasure, body in self._authorised.items():
            if body.entries and erasure not in self._seen:
                self._report("tombstones", erasure, "erasure", "entries that were to be erased are still there")
