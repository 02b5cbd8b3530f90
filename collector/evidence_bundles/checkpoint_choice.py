"""Which checkpoint a bundle's proofs lead to: one that enough witnesses have cosigned, and stamped where one is."""

from __future__ import annotations

from sqlalchemy import func
from sqlmodel import Session, col, select

from collector.ledger.models import Anchor, Cosignature, LedgerEntry, SignedCheckpoint
from evidence.bundle_manifest import Scope


def choose_checkpoint(
    session: Session, scope: Scope, witnesses_needed: int, at_least: int = 0
) -> SignedCheckpoint | None:
    """Return the newest checkpoint that may be shown; before it goes the newest stamped one that covers the period.

    A stamp bounds the time from above, which an arbitrator can use; what came after the period needs no cover.
    `at_least`: entries that it has to cover in any case.
    """
    query = select(SignedCheckpoint).where(col(SignedCheckpoint.size) >= at_least)
    if witnesses_needed:
        enough = select(Cosignature.size).group_by(col(Cosignature.size)).having(func.count() >= witnesses_needed)
        query = query.where(col(SignedCheckpoint.size).in_(enough))
    query = query.order_by(col(SignedCheckpoint.size).desc()).limit(1)
    last: int | None = session.exec(
        select(func.max(LedgerEntry.leaf_index)).where(
            col(LedgerEntry.time) >= scope.since, col(LedgerEntry.time) < scope.until
        )
    ).one()
    stamped = query.where(
        col(SignedCheckpoint.size).in_(select(Anchor.size)), col(SignedCheckpoint.size) > (-1 if last is None else last)
    )
    return session.exec(stamped).first() or session.exec(query).first()


def cosigned_note(session: Session, checkpoint: SignedCheckpoint) -> bytes:
    """Return the note with its witnesses' lines."""
    lines = select(Cosignature.line).where(Cosignature.size == checkpoint.size).order_by(col(Cosignature.witness))
    return checkpoint.note + "".join(session.exec(lines)).encode()


def tokens_of(session: Session, checkpoint: SignedCheckpoint) -> list[bytes]:
    """Return the time-stamps over the note without its witnesses' lines."""
    query = select(Anchor.token).where(Anchor.size == checkpoint.size).order_by(col(Anchor.authority))
    return list(session.exec(query))
