"""Questions about presence: the intervals that touch a span of time, in the order of their beginning."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime

from sqlmodel import and_, col, or_, select

from collector.database import Database
from collector.ledger.models import LedgerEntry
from collector.paging import read_cursor, write_cursor
from collector.people.models import Worker
from collector.presence.models import PresenceInterval
from collector.timestamps import utc_text

_BIGGEST = 2**63 - 1  # SQLite's integers end here


@dataclass(frozen=True, slots=True)
class PresenceFilters:
    """Which intervals; None: any. An interval that reaches into the span belongs to it."""

    worker: str | None = None
    site: str | None = None
    device: str | None = None
    state: str | None = None
    since: datetime | None = None  # inclusive
    until: datetime | None = None  # exclusive


@dataclass(frozen=True, slots=True)
class PresenceView:
    """An interval with what its entry and its worker add."""

    interval: PresenceInterval
    entry: LedgerEntry
    worker_name: str | None


@dataclass(frozen=True, slots=True)
class PresencePageView:
    """Some intervals and where to go on; `next` is None at the end."""

    items: list[PresenceView]
    next: str | None


class PresenceIntervals:
    """The presence intervals of one collector."""

    def __init__(self, database: Database) -> None:
        self._database = database

    def page(self, filters: PresenceFilters, cursor: str | None, limit: int) -> PresencePageView:
        """Return a page, the earliest beginning first. Raises Invalid for a cursor that is none."""
        started, leaf = col(PresenceInterval.started), col(PresenceInterval.leaf_index)
        query = (
            select(PresenceInterval, LedgerEntry, Worker.name)
            .join(LedgerEntry, col(LedgerEntry.leaf_index) == leaf)
            .join(Worker, col(Worker.code) == col(PresenceInterval.worker), isouter=True)
            .where(*_conditions(filters))
            .order_by(started, leaf)
            .limit(limit + 1)
        )
        if cursor is not None:
            at, index = read_cursor(cursor, str, int)
            assert isinstance(index, int)
            if not 0 <= index <= _BIGGEST:
                read_cursor("")  # says what is wrong
            query = query.where(or_(started > at, and_(started == at, leaf > index)))
        with self._database.read() as session:
            found = [PresenceView(interval, entry, name) for interval, entry, name in session.exec(query)]
        if len(found) <= limit:
            return PresencePageView(found, None)
        last = found[limit - 1].interval
        return PresencePageView(found[:limit], write_cursor(last.started, last.leaf_index))


def _conditions(filters: PresenceFilters) -> list[bool]:
    same = {"worker": filters.worker, "site": filters.site, "device": filters.device, "state": filters.state}
    wanted = [getattr(PresenceInterval, name) == value for name, value in same.items() if value is not None]
    if filters.since is not None:
        wanted.append(PresenceInterval.ended >= utc_text(filters.since))
    if filters.until is not None:
        wanted.append(PresenceInterval.started < utc_text(filters.until))
    return wanted
