"""Which stretch of a chain a question is about, and what the ledger has of it.

Missing events have no time of their own: a gap that touches the stretch belongs to it.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from datetime import timedelta
from typing import Any

from sqlalchemy import func
from sqlmodel import Session, col, select

from collector.ledger.models import LedgerEntry
from collector.statements.models import DeclaredGap
from collector.timestamps import parse_utc, utc_text
from evidence.bundle_manifest import Scope
from evidence.events import Kind

PAGE = 1000  # entries read at once
COVERAGE_AFTER = timedelta(minutes=20)  # the statement about the period's end is signed up to a period of 15 min later

Place = tuple[str, str]  # device and chain


def entries_of(place: Place, size: int) -> Any:
    """The query for a chain's entries among the first `size`."""
    device, chain = place
    return select(LedgerEntry).where(
        LedgerEntry.device == device, LedgerEntry.chain == chain, col(LedgerEntry.leaf_index) < size
    )


def entries_between(session: Session, place: Place, first: int, last: int, size: int) -> Iterator[LedgerEntry]:
    """Yield what the ledger has from seq `first` to `last`, in order."""
    while first <= last:
        query = entries_of(place, size).where(col(LedgerEntry.seq) >= first, col(LedgerEntry.seq) <= last)
        rows = list(session.exec(query.order_by(col(LedgerEntry.seq)).limit(PAGE)))
        if not rows:
            return
        yield from rows
        first = rows[-1].seq + 1


def hash_at(session: Session, place: Place, seq: int) -> str | None:
    """Return the hash of one event; None where the ledger does not have it."""
    device, chain = place
    query = select(LedgerEntry.hash).where(
        LedgerEntry.device == device, LedgerEntry.chain == chain, LedgerEntry.seq == seq
    )
    return session.exec(query).first()


def gaps_of(session: Session, place: Place, size: int) -> list[DeclaredGap]:
    """Return the gaps of a chain that are declared among the first `size` entries, in order.

    The last one may be the chain's end: what follows it need not be among those entries, or may never come.
    """
    device, chain = place
    query = select(DeclaredGap).where(
        DeclaredGap.device == device, DeclaredGap.chain == chain, col(DeclaredGap.leaf_index) < size
    )
    return list(session.exec(query.order_by(col(DeclaredGap.first))))


def end_of(head: LedgerEntry, gaps: Sequence[DeclaredGap]) -> tuple[int, str]:
    """Return the last seq that a chain accounts for and the hash at it: a gap's is what the next event has to name."""
    if gaps and gaps[-1].last > head.seq:
        return gaps[-1].last, gaps[-1].next_prev
    return head.seq, head.hash


def stretch(session: Session, place: Place, scope: Scope, size: int, gaps: Sequence[DeclaredGap]) -> tuple[int, int]:
    """Return the first and the last seq to account for one by one; (head + 1, head) where there is none."""
    device, chain = place
    bounds = select(func.min(LedgerEntry.seq), func.max(LedgerEntry.seq)).where(
        LedgerEntry.device == device, LedgerEntry.chain == chain, col(LedgerEntry.leaf_index) < size
    )
    inside = bounds.where(col(LedgerEntry.time) >= scope.since, col(LedgerEntry.time) < scope.until)
    low, high = session.exec(inside).one()
    if low is None or high is None:
        head = session.exec(bounds).one()[1] or 0
        before = session.exec(bounds.where(col(LedgerEntry.time) < scope.since)).one()[1]
        first, last = (head + 1, head) if before is None else _widened(before + 1, before, gaps)
        return (first, last) if first <= last else (head + 1, head)
    end = utc_text(parse_utc(scope.until) + COVERAGE_AFTER)
    after = bounds.where(col(LedgerEntry.seq) > high, col(LedgerEntry.time) < end, LedgerEntry.kind == Kind.COVERAGE)
    high = session.exec(after).one()[0] or high
    rotated = session.exec(bounds.where(LedgerEntry.kind == Kind.DEVICE_KEY_ROTATED)).one()[0]
    return _widened(min(low, low if rotated is None else rotated), high, gaps)


def _widened(first: int, last: int, gaps: Sequence[DeclaredGap]) -> tuple[int, int]:
    """Take in the gaps that touch a stretch."""
    for gap in reversed(gaps):
        if gap.last == first - 1:
            first = gap.first
    for gap in gaps:
        if gap.first == last + 1:
            last = gap.last
    return first, last
