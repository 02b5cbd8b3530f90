"""The documents in which the collector's keys were handed over, as they are kept beside the keys themselves."""

from __future__ import annotations

from sqlmodel import Session, col, select

from collector.statements.models import CollectorKey
from evidence.handover import parse_handover
from evidence.key_history import LogKey, log_keys
from evidence.note import VerifierKey


def handovers_of(session: Session) -> list[bytes]:
    """Return the documents of every rotation so far, in the order that they were signed."""
    query = select(CollectorKey.handover).where(col(CollectorKey.handover).is_not(None))
    return [one for one in session.exec(query.order_by(col(CollectorKey.id))) if one is not None]


def handovers_message(session: Session) -> bytes:
    """Return the documents one a line, as terminals hear them; empty where no key was ever replaced."""
    return b"\n".join(handovers_of(session))


def log_keys_of(session: Session, newest: VerifierKey) -> tuple[LogKey, ...]:
    """Return the keys that have signed checkpoints, from the newest back. Raises an EvidenceError."""
    return log_keys([newest], [parse_handover(one) for one in handovers_of(session)])
