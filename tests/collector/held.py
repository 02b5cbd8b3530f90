"""What a ledger holds of one device: the collector states things of its own beside it."""

from __future__ import annotations

from sqlalchemy import func
from sqlmodel import select

from collector.database import Database
from collector.ledger.models import LedgerEntry


def entries_of(database: Database, device: str = "gate-1") -> int:
    """Return how many entries are this device's."""
    with database.read() as session:
        return session.exec(select(func.count()).where(LedgerEntry.device == device)).one()
