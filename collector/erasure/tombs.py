"""Turning entries into tombstones, within one write transaction: payload, nonce, salt and every derived row go.

All of it in Core, past the audit: the entry about an erasure must not name whom it erases.
"""

from __future__ import annotations

import hashlib
import hmac
import secrets
from collections.abc import Mapping, Sequence
from typing import Any

from sqlalchemy import Connection, bindparam, delete, update
from sqlmodel import Session, col, select

from collector.database import insert_into
from collector.erasure.finding import digest_line
from collector.erasure.models import ErasedEvent, Tombstone
from collector.ingest.models import DeadLetter
from collector.ledger.leaves import FROM_ENVELOPE, seal, tomb_seal
from collector.ledger.models import LedgerEntry
from collector.ledger.projection import TABLES
from collector.statements.scribe import Scribe
from evidence.envelope import Envelope
from evidence.errors import EvidenceError
from evidence.events import parse_event
from evidence.statements import StatementKind

CHUNK = 500  # places in one statement: SQLite takes at most 32766 parameters

Entries = Sequence[tuple[int, str]]  # leaf index and event hash, in the order of the places


def bury(session: Session, entries: Entries, erasure: str, seal_key: bytes) -> None:
    """Empty these entries; leaf hash and the columns of the chain stay, under a seal of their own."""
    connection = delete_securely(session)
    for start in range(0, len(entries), CHUNK):
        part = entries[start : start + CHUNK]
        places = [place for place, _ in part]
        for table in TABLES:
            connection.execute(delete(table.__table__).where(col(table.leaf_index).in_(places)))
        entry = core(LedgerEntry)
        held = [row._asdict() for row in connection.execute(entry.select().where(entry.c.leaf_index.in_(places)))]
        sealed = [{"place": one["leaf_index"], "sealed": _sealed_anew(one, seal_key)} for one in held]
        emptied = update(entry).where(entry.c.leaf_index == bindparam("place"))
        connection.execute(emptied.values(envelope=b"", salt=b"", seal=bindparam("sealed")), sealed)
        connection.execute(update(core(DeadLetter)).where(col(DeadLetter.leaf_index).in_(places)).values(content=b""))
        rows = [{"leaf_index": place, "erasure": erasure} for place in places]
        connection.execute(core(Tombstone).insert(), rows)
    remember(session, {digest: erasure for _, digest in entries})


def _sealed_anew(entry: Mapping[str, Any], key: bytes) -> bytes:
    """Seal what the envelope said and the old seal vouched for: a column that was changed before is not covered up."""
    leaf, added = entry["leaf_hash"], (entry["received_at"], entry["key_id"])
    old = seal(key, entry["leaf_index"], leaf, *added, after_revocation=entry["after_revocation"])
    try:
        envelope = Envelope.decode(entry["envelope"])
        event = parse_event(envelope.payload)
    except EvidenceError:
        return bytes(entry["seal"])
    if not hmac.compare_digest(entry["seal"], old):
        return bytes(entry["seal"])
    said = {name: getattr(event, name) for name in FROM_ENVELOPE} | {"event_id": event.id, "hash": envelope.hash}
    return tomb_seal(key, dict(entry) | said, leaf)


def delete_securely(session: Session) -> Connection:
    """Let no byte stay in a free page of SQLite's file from now on; return the connection."""
    connection = session.connection()
    if connection.dialect.name == "sqlite":
        connection.exec_driver_sql("PRAGMA secure_delete=ON")
    return connection


def remember(session: Session, erased: Mapping[str, str]) -> None:
    """Note hashes (to erasure ids) that must not come back."""
    rows = [{"hash": digest, "erasure": erasure} for digest, erasure in erased.items()]
    if rows:
        keep = insert_into(session, core(ErasedEvent)).on_conflict_do_nothing()
        session.connection().execute(keep, rows)


def bury_what_came_back(session: Session, scribe: Scribe, after: int, seal_key: bytes) -> int:
    """Empty entries beyond a place that were erased before: sent again, or of a restored backup. Return how many.

    They get an erasure of their own, since the statement that authorised the first one may be lost with the backup.
    """
    query = (
        select(LedgerEntry.leaf_index, LedgerEntry.hash)
        .join(ErasedEvent, col(ErasedEvent.hash) == col(LedgerEntry.hash))
        .where(col(LedgerEntry.leaf_index) > after, LedgerEntry.envelope != b"")
        .order_by(col(LedgerEntry.leaf_index))
    )
    back = [(place, digest) for place, digest in session.exec(query)]
    if back:
        erasure = secrets.token_hex(16)
        bury(session, back, erasure, seal_key)
        reason = "restored: these events were erased before and had come back"
        body = {"erasure": erasure, "scope": "all", "reason": reason, "by": "collector"}
        scribe(session, StatementKind.WORKER_ERASURE, body | sum_of(back))
    return len(back)


def sum_of(entries: Entries) -> dict[str, Any]:
    """Return `entries` and `digest` as worker.erasure has them."""
    digest = hashlib.sha256()
    for place, event_hash in entries:
        digest.update(digest_line(place, event_hash))
    return {"entries": len(entries), "digest": digest.hexdigest()}


def core(model: Any) -> Any:
    """Return a model's table."""
    return model.__table__
