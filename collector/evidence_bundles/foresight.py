"""What a bundle will have in it, counted before it is made: from the derived tables, without a signature checked.

The bundle itself is checked event by event when it is made; this is the look before the decision, and is quick. A test
holds the figures to those of the bundle that is then made.
"""

from __future__ import annotations

from collections import Counter
from dataclasses import dataclass

from sqlalchemy import ColumnElement, func
from sqlmodel import Session, and_, col, or_, select

from collector.erasure.models import Tombstone
from collector.evidence_bundles.selection import chains_of, coverage_events
from collector.evidence_bundles.stretch import Place, gaps_of, stretch
from collector.ledger.models import LedgerEntry
from collector.punches.models import Punch
from collector.statements.models import DeclaredGap
from evidence.bundle_gaps import CoverageFound, coverage_of
from evidence.bundle_manifest import Scope


@dataclass(frozen=True, slots=True)
class ChainForeseen:
    """One chain of one terminal."""

    device: str
    chain: str
    accounted: int  # events that are shown, or withheld as somebody else's and given as a hash
    erased: int
    missing: int  # declared so
    coverage: CoverageFound


@dataclass(frozen=True, slots=True)
class Foresight:
    """The whole bundle; `tree_size` entries are covered by the checkpoint that it would have now."""

    tree_size: int
    later: int  # events of the period that this checkpoint does not cover
    verdicts: dict[str, int]
    chains: tuple[ChainForeseen, ...]

    @property
    def punches(self) -> int:
        """Attempts to punch, whatever came of them."""
        return sum(self.verdicts.values())

    def total(self, name: str) -> int:
        """A figure over all chains."""
        return sum(int(getattr(one, name)) for one in self.chains)


def foresee(session: Session, scope: Scope, size: int) -> Foresight:
    """Count what a bundle over the first `size` entries would have; no chain where the ledger has nothing of it."""
    verdicts: Counter[str] = Counter()
    chains = []
    for place in chains_of(session, scope, size):
        gaps = gaps_of(session, place, size)
        first, last = stretch(session, place, scope, size, gaps)
        inside = and_(
            _of(place),
            col(LedgerEntry.leaf_index) < size,
            or_(LedgerEntry.seq == 0, and_(col(LedgerEntry.seq) >= first, col(LedgerEntry.seq) <= last)),
        )
        entries = session.exec(select(func.count()).select_from(LedgerEntry).where(inside)).one()
        buried = _beside(Tombstone)
        erased = session.exec(select(func.count()).select_from(Tombstone).join(LedgerEntry, buried).where(inside)).one()
        verdicts.update(_verdicts(session, scope, inside))
        found = coverage_of(coverage_events(session, place, first, last, size), scope.since, scope.until)
        chains.append(ChainForeseen(*place, entries - erased, erased, _missing(gaps, first, last), found))
    return Foresight(size, _later(session, scope, size), dict(sorted(verdicts.items())), tuple(chains))


def _verdicts(session: Session, scope: Scope, inside: ColumnElement[bool]) -> dict[str, int]:
    query = select(Punch.verdict, func.count()).join(LedgerEntry, _beside(Punch)).where(inside).group_by(Punch.verdict)
    if scope.worker is not None:
        query = query.where(Punch.worker == scope.worker)
    return dict(session.exec(query).all())


def _missing(gaps: list[DeclaredGap], first: int, last: int) -> int:
    return sum(max(0, min(last, gap.last) - max(first, gap.first) + 1) for gap in gaps)


def _later(session: Session, scope: Scope, size: int) -> int:
    query = (
        select(func.count())
        .select_from(LedgerEntry)
        .where(
            col(LedgerEntry.leaf_index) >= size,
            col(LedgerEntry.time) >= scope.since,
            col(LedgerEntry.time) < scope.until,
        )
    )
    if scope.site is not None:
        return session.exec(query.where(LedgerEntry.site == scope.site)).one()
    return session.exec(query.join(Punch, _beside(Punch)).where(Punch.worker == scope.worker)).one()


def _of(place: Place) -> ColumnElement[bool]:
    device, chain = place
    return and_(LedgerEntry.device == device, LedgerEntry.chain == chain)


def _beside(table: type[Tombstone] | type[Punch]) -> ColumnElement[bool]:
    return and_(col(table.leaf_index) == col(LedgerEntry.leaf_index))
