"""How the ledger stands: what the newest checkpoint covers, who has vouched for it and when, and what is overdue.

Overdue is not "old": a ledger in which nothing happens needs no new checkpoint. It is what has waited too long.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from datetime import datetime, timedelta

from sqlmodel import Session, col, select

from collector.database import Database
from collector.ledger.checkpoints import newest_checkpoint
from collector.ledger.models import Anchor, Cosignature, LedgerEntry, SignedCheckpoint
from collector.ledger.tree import ledger_size
from collector.settings import Settings
from collector.timestamps import parse_utc
from evidence.note import VerifierKey

ROUNDS_MISSED = 2.0  # one round may be under way and the next one fail; two are an outage
SPARE = timedelta(seconds=60)  # a busy disk, a slow witness, a restart


@dataclass(frozen=True, slots=True)
class Voucher:
    """A witness or a time-stamp authority, and the newest checkpoint that it vouches for."""

    name: str
    size: int  # entries; 0: none yet
    at: str | None  # as it says itself
    waits_since: str | None  # since when a checkpoint waits for its word; None: none does
    overdue: bool


@dataclass(frozen=True, slots=True)
class Standing:
    """The ledger at one moment."""

    entries: int
    size: int  # entries that the newest checkpoint covers; 0: there is none
    root: bytes
    signed_at: str | None
    uncovered_since: str | None  # when the first entry arrived that no checkpoint covers
    overdue: bool
    witnesses_needed: int
    witnesses: tuple[Voucher, ...]
    authorities: tuple[Voucher, ...]

    @property
    def anything_overdue(self) -> bool:
        """Say whether somebody has to look."""
        return self.overdue or any(one.overdue for one in (*self.witnesses, *self.authorities))


@dataclass(frozen=True, slots=True)
class Expected:
    """Whose word the settings want, and how often."""

    checkpoint_every: timedelta
    witnesses: tuple[str, ...]  # vkeys
    witnesses_needed: int
    authorities: tuple[str, ...]  # URLs
    anchor_every: timedelta


def expected_of(settings: Settings) -> Expected:
    """Take it from the settings."""
    return Expected(
        timedelta(seconds=settings.checkpoint_every_s),
        tuple(one.key for one in settings.witnesses),
        settings.witnesses_needed,
        () if settings.tsa_url is None else (settings.tsa_url,),
        timedelta(seconds=settings.anchor_every_s),
    )


class LedgerStanding:
    """Asks the database."""

    def __init__(self, database: Database, expected: Expected) -> None:
        self._database, self._expected = database, expected

    def at(self, now: datetime) -> Standing:
        """Say how the ledger stands."""
        expected = self._expected
        with self._database.read() as session:
            newest = newest_checkpoint(session)
            size = 0 if newest is None else newest.size
            first = session.get(LedgerEntry, size)
            uncovered = None if first is None else first.received_at

            def vouchers(names: tuple[str, ...], newest_of: _NewestOf, every: timedelta) -> tuple[Voucher, ...]:
                found = []
                for name in names:
                    covers, at = newest_of(session, name)
                    waits = _waits_since(session, covers)
                    found.append(Voucher(_short(name), covers, at, waits, is_overdue(waits, every, now)))
                return tuple(found)

            return Standing(
                entries=ledger_size(session),
                size=size,
                root=b"" if newest is None else newest.root,
                signed_at=None if newest is None else newest.signed_at,
                uncovered_since=uncovered,
                overdue=is_overdue(uncovered, expected.checkpoint_every, now),
                witnesses_needed=expected.witnesses_needed,
                witnesses=vouchers(expected.witnesses, _cosigned, expected.checkpoint_every),
                authorities=vouchers(expected.authorities, _stamped, expected.anchor_every),
            )


_NewestOf = Callable[[Session, str], tuple[int, str | None]]


def is_overdue(waits_since: str | None, every: timedelta, now: datetime) -> bool:
    """Say whether what comes `every` so often has let something wait for too long."""
    return waits_since is not None and now - parse_utc(waits_since) > every * ROUNDS_MISSED + SPARE


def _waits_since(session: Session, size: int) -> str | None:
    query = select(SignedCheckpoint.signed_at).where(col(SignedCheckpoint.size) > size)
    return session.exec(query.order_by(col(SignedCheckpoint.size)).limit(1)).first()


def _cosigned(session: Session, witness: str) -> tuple[int, str | None]:
    query = select(Cosignature.size, Cosignature.cosigned_at).where(Cosignature.witness == witness)
    return session.exec(query.order_by(col(Cosignature.size).desc()).limit(1)).first() or (0, None)


def _stamped(session: Session, authority: str) -> tuple[int, str | None]:
    query = select(Anchor.size, Anchor.stamped_at).where(Anchor.authority == authority)
    return session.exec(query.order_by(col(Anchor.size).desc()).limit(1)).first() or (0, None)


def _short(name: str) -> str:
    """A witness by its name without its key; an authority by its URL."""
    return name if name.startswith("http") else VerifierKey.parse(name).name
