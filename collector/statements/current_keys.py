"""Which of the collector's keys signs now, and that a running process signs with no other.

A key that was handed over counts for nothing that is signed after: a process that still holds it must not sign.
"""

from __future__ import annotations

from collections.abc import Mapping

from sqlmodel import Session, col, select

from collector.errors import KeyHandedOver
from collector.statements.models import CollectorKey
from evidence.keys import PublicKey


def current_key(session: Session, purpose: str) -> CollectorKey | None:
    """Return the key that signs for a purpose now; None before the first statement."""
    query = select(CollectorKey).where(CollectorKey.purpose == purpose, col(CollectorKey.retired_at).is_(None))
    return session.exec(query.order_by(col(CollectorKey.id).desc())).first()


def require_current(session: Session, own: Mapping[str, PublicKey]) -> None:
    """Raise KeyHandedOver where one of `own`, a process's public keys by purpose, is not the one that signs now.

    What a write transaction has asked here stays true until it commits: a rotation is a write transaction, too.
    """
    query = select(CollectorKey.purpose, CollectorKey.key).where(col(CollectorKey.retired_at).is_(None))
    current = dict(session.exec(query.order_by(col(CollectorKey.id))).all())
    for purpose, key in own.items():
        held = current.get(purpose)
        if held is not None and held != key.text():
            raise KeyHandedOver(
                f"this process holds the {purpose} key {key.fingerprint}, which was handed over to "
                f"{PublicKey.parse(held).fingerprint} while it ran; it signs nothing more: put the new key file into "
                "its folder keys, if another collector made it, and restart this one"
            )
