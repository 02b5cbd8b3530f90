"""Gives admitted events their place in the ledger: leaf index, salt, leaf hash, seal, and their derived rows."""

from __future__ import annotations

import secrets
from dataclasses import dataclass
from typing import Any

import structlog
from sqlalchemy.exc import IntegrityError
from sqlmodel import Session

from collector.database import insert_rows
from collector.errors import LedgerConflict, UnknownKind
from collector.ledger.leaves import SALT_BYTES, leaf_data, seal
from collector.ledger.models import LedgerEntry
from collector.ledger.projection import place_row, project
from collector.ledger.tree import ledger_size, write_full_tiles
from evidence.errors import EvidenceError
from evidence.events import Event
from evidence.merkle import leaf_hash
from evidence.tiles import TILE_WIDTH

log = structlog.get_logger()


@dataclass(frozen=True, slots=True)
class Unprojected:
    """An entry that no row could be derived from, and why."""

    leaf_index: int
    event: Event
    envelope: bytes
    received_at: str
    code: str
    message: str


class Appender:
    """The new entries of one write transaction."""

    def __init__(self, session: Session, seal_key: bytes) -> None:
        self._session = session
        self._seal_key = seal_key
        self._rows: list[dict[str, Any]] = []
        self._events: list[tuple[Event, dict[str, Any] | None]] = []  # with what was row_ahead of its row
        self._salts: list[bytes] = []
        self.tree_size = ledger_size(session)

    def append(
        self,
        event: Event,
        digest: str,
        envelope: bytes,
        key_id: str,
        received_at: str,
        *,
        after_revocation: bool,
        row_ahead: dict[str, Any] | None = None,
    ) -> None:
        """Give the event the next place. `digest` is its hash, `envelope` its bytes as they came.

        `row_ahead`: what `collector.ledger.projection.project_ahead` made of it.
        """
        leaf_index, salt = self.tree_size, self._salt()
        content = leaf_data(salt, envelope)
        leaf = leaf_hash(content)
        self._events.append((event, None if after_revocation else row_ahead))
        self._rows.append(
            {
                "leaf_index": leaf_index,
                "device": event.device,
                "chain": event.chain,
                "seq": event.seq,
                "hash": digest,
                "prev": event.prev,
                "kind": event.kind,
                "event_id": event.id,
                "time": event.time,
                "tz": event.tz,
                "site": event.site,
                "boot": event.boot,
                "mono_us": event.mono_us,
                "key_id": key_id,
                "received_at": received_at,
                "after_revocation": after_revocation,
                "envelope": envelope,
                "salt": salt,
                "leaf_data": content,
                "leaf_hash": leaf,
                "seal": seal(self._seal_key, leaf_index, leaf, received_at, key_id, after_revocation=after_revocation),
            }
        )
        self.tree_size += 1

    def _salt(self) -> bytes:
        """Cut a salt from a block of randomness: one system call for many instead of one each."""
        if not self._salts:
            block = secrets.token_bytes(SALT_BYTES * 64)
            self._salts = [block[at : at + SALT_BYTES] for at in range(0, len(block), SALT_BYTES)]
        return self._salts.pop()

    def write(self) -> list[Unprojected]:
        """Insert entries, the tiles that they fill, and derived rows; return the entries without one.

        Raises LedgerConflict, LedgerDamaged.
        """
        if not self._rows:
            return []
        try:
            insert_rows(self._session, LedgerEntry, self._rows)
        except IntegrityError as error:
            raise LedgerConflict("another writer holds a place that this batch was to take") from error
        if self.tree_size // TILE_WIDTH > (self.tree_size - len(self._rows)) // TILE_WIDTH:
            write_full_tiles(self._session, self.tree_size)
        projected: dict[Any, list[dict[str, Any]]] = {}
        failed = []
        for (event, row_ahead), row in zip(self._events, self._rows, strict=True):
            if row_ahead is not None:
                table, made = place_row(row_ahead, row["leaf_index"])
                projected.setdefault(table, []).append(made)
                continue
            try:
                one = project(event, row["leaf_index"], after_revocation=row["after_revocation"])
            except (EvidenceError, UnknownKind) as error:
                failed.append(_unprojected(event, row, error.code, str(error)))
            except Exception as error:  # the event is admitted whatever a projection makes of it
                log.exception("an event could not be projected", leaf_index=row["leaf_index"])
                failed.append(_unprojected(event, row, "internal", f"{type(error).__name__}: {error}"))
            else:
                if one is not None:
                    projected.setdefault(one.table, []).append(one.row)
        for table, rows in projected.items():
            insert_rows(self._session, table, rows)
        return failed


def _unprojected(event: Event, row: dict[str, Any], code: str, message: str) -> Unprojected:
    return Unprojected(row["leaf_index"], event, row["envelope"], row["received_at"], code, message)
