"""What the witness remembers: one checkpoint a ledger, in SQLite, on the disk before anything is answered."""

from __future__ import annotations

import sqlite3
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from evidence.checkpoint import Checkpoint

_BUSY_S = 15


class Memory:
    """The newest cosigned checkpoint of each ledger. Threads and processes take turns."""

    def __init__(self, path: Path) -> None:
        path.parent.mkdir(parents=True, exist_ok=True, mode=0o700)
        self._lock = threading.Lock()
        self._connection = sqlite3.connect(path, timeout=_BUSY_S, isolation_level=None, check_same_thread=False)
        self._connection.execute("PRAGMA journal_mode=WAL")
        self._connection.execute("PRAGMA synchronous=FULL")  # what was cosigned must outlast a power cut
        self._connection.execute(
            "CREATE TABLE IF NOT EXISTS newest (origin TEXT PRIMARY KEY, size INTEGER NOT NULL, root BLOB NOT NULL, "
            "note BLOB NOT NULL, cosigned_at INTEGER NOT NULL)"
        )

    @contextmanager
    def turn(self) -> Iterator[None]:
        """Look and remember without anybody in between; what fails is not remembered."""
        with self._lock:
            self._connection.execute("BEGIN IMMEDIATE")
            try:
                yield
            except BaseException:
                self._connection.execute("ROLLBACK")
                raise
            self._connection.execute("COMMIT")

    def newest(self, origin: str) -> Checkpoint | None:
        """Return the newest checkpoint of a ledger; None where it was never seen."""
        row = self._connection.execute("SELECT size, root FROM newest WHERE origin = ?", (origin,)).fetchone()
        return None if row is None else Checkpoint(origin, row[0], row[1])

    def remember(self, checkpoint: Checkpoint, note: bytes, seconds: int) -> None:
        """Put a checkpoint in the place of the one before; within a turn."""
        self._connection.execute(
            "INSERT INTO newest VALUES (?, ?, ?, ?, ?) ON CONFLICT (origin) DO UPDATE SET size = excluded.size, "
            "root = excluded.root, note = excluded.note, cosigned_at = excluded.cosigned_at",
            (checkpoint.origin, checkpoint.size, checkpoint.root, note, seconds),
        )

    def all(self) -> list[tuple[Checkpoint, int]]:
        """Return what is remembered, with the times of the cosignatures in seconds since 1970."""
        rows = self._connection.execute("SELECT origin, size, root, cosigned_at FROM newest ORDER BY origin").fetchall()
        return [(Checkpoint(origin, size, root), seconds) for origin, size, root, seconds in rows]

    def close(self) -> None:
        """Close the file."""
        self._connection.close()
