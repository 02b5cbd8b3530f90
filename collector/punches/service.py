"""Questions about punches: filtered pages in the order of time or of arrival, and one with its entry."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime
from enum import StrEnum

from sqlmodel import and_, col, or_, select

from collector.database import Database
from collector.errors import NotFound
from collector.ledger.models import LedgerEntry
from collector.paging import read_cursor, write_cursor
from collector.people.models import Worker
from collector.punches.models import Punch
from collector.timestamps import utc_text

_BIGGEST = 2**63 - 1  # SQLite's integers end here


class Order(StrEnum):
    """How a page is sorted."""

    NEWEST = "newest"  # by the event's time, the latest first
    OLDEST = "oldest"  # by the event's time
    ARRIVAL = "arrival"  # by place in the ledger: a program that keeps the cursor misses nothing, however late it came


@dataclass(frozen=True, slots=True)
class Filters:
    """Which punches; None: any."""

    worker: str | None = None
    site: str | None = None
    device: str | None = None
    since: datetime | None = None  # inclusive
    until: datetime | None = None  # exclusive
    verdict: str | None = None


@dataclass(frozen=True, slots=True)
class PunchView:
    """A punch with what its entry and its worker add."""

    punch: Punch
    entry: LedgerEntry
    worker_name: str | None


@dataclass(frozen=True, slots=True)
class Page:
    """Some punches and where to go on; `next` is None at the end, except in the order of arrival."""

    items: list[PunchView]
    next: str | None


class Punches:
    """The punches of one collector."""

    def __init__(self, database: Database) -> None:
        self._database = database

    def page(self, filters: Filters, order: Order, cursor: str | None, limit: int) -> Page:
        """Return a page. Raises Invalid for a cursor of another order."""
        query = (
            select(Punch, LedgerEntry, Worker.name)
            .join(LedgerEntry, col(LedgerEntry.leaf_index) == col(Punch.leaf_index))
            .join(Worker, col(Worker.code) == col(Punch.worker), isouter=True)
            .where(*_conditions(filters))
            .limit(limit + 1)
        )
        time, leaf = col(Punch.time), col(Punch.leaf_index)
        if order is Order.ARRIVAL:
            query = query.order_by(leaf)
            if cursor is not None:
                query = query.where(leaf > _leaf(read_cursor(cursor, str, int), order)[1])
        else:
            query = query.order_by(time.desc(), leaf.desc()) if order is Order.NEWEST else query.order_by(time, leaf)
            if cursor is not None:
                at, index = _leaf(read_cursor(cursor, str, str, int), order)
                beyond = (time < at, leaf < index) if order is Order.NEWEST else (time > at, leaf > index)
                query = query.where(or_(beyond[0], and_(time == at, beyond[1])))
        with self._database.read() as session:
            found = [PunchView(punch, entry, name) for punch, entry, name in session.exec(query)]
        return Page(found[:limit], _next(found, limit, order, cursor))

    def get(self, leaf_index: int) -> PunchView:
        """Return one. Raises NotFound."""
        query = (
            select(Punch, LedgerEntry, Worker.name)
            .join(LedgerEntry, col(LedgerEntry.leaf_index) == col(Punch.leaf_index))
            .join(Worker, col(Worker.code) == col(Punch.worker), isouter=True)
            .where(Punch.leaf_index == leaf_index)
        )
        with self._database.read() as session:
            found = session.exec(query).first() if leaf_index <= _BIGGEST else None
        if found is None:
            raise NotFound(f"there is no punch {leaf_index}")
        return PunchView(*found)


def _conditions(filters: Filters) -> list[bool]:
    wanted = []
    if filters.worker is not None:
        wanted.append(Punch.worker == filters.worker)
    if filters.site is not None:
        wanted.append(Punch.site == filters.site)
    if filters.device is not None:
        wanted.append(Punch.device == filters.device)
    if filters.verdict is not None:
        wanted.append(Punch.verdict == filters.verdict)
    if filters.since is not None:
        wanted.append(Punch.time >= utc_text(filters.since))
    if filters.until is not None:
        wanted.append(Punch.time < utc_text(filters.until))
    return wanted


def _leaf(place: list[str | int], order: Order) -> tuple[str, int]:
    *head, leaf = place
    assert isinstance(leaf, int)
    if head[0] != order or not -1 <= leaf <= _BIGGEST:
        read_cursor("")  # says what is wrong
    return str(head[-1]), leaf


def _next(found: list[PunchView], limit: int, order: Order, cursor: str | None) -> str | None:
    shown = found[:limit]
    if order is Order.ARRIVAL:
        return write_cursor(order, shown[-1].punch.leaf_index) if shown else cursor or write_cursor(order, -1)
    if len(found) <= limit:
        return None
    last = shown[-1].punch
    return write_cursor(order, last.time, last.leaf_index)
