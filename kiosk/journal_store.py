"""The journal's open database: one connection, one lock, and a name for everything that SQLite refuses."""

from __future__ import annotations

import sqlite3
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import structlog

from kiosk import journal_file
from kiosk.errors import JournalDamaged, JournalError, JournalFailed, JournalFull

PROBE_BYTES = 16 * 1024  # more than a punch with twenty checks

log = structlog.get_logger(__name__)


class Store:
    """One SQLite file, from any thread. `path` is held by this process already."""

    def __init__(self, path: Path, max_pages: int | None) -> None:
        self.path = path
        self.lock = threading.RLock()
        self.trouble: str | None = None  # why the last write failed, until one succeeds
        self.in_doubt = False  # the last commit failed: ask the file, not the memory, where the chain stands
        self.corrupt = False  # SQLite says so: only a new start, which checks and saves, helps
        self._max_pages = max_pages
        self._database: sqlite3.Connection | None = None

    def open(self) -> None:
        """Open or make the file. Raises JournalDamaged, JournalFull or JournalFailed."""
        try:
            self._database = journal_file.connect(self.path, self._max_pages)
        except (sqlite3.Error, OSError) as error:
            raise self.refused(error) from error
        with self.reading() as database:
            journal_file.check_format(database, self.path)

    def close(self) -> None:
        """Close the file."""
        with self.lock:
            if self._database is not None:
                self._database.close()
                self._database = None

    @property
    def database(self) -> sqlite3.Connection:
        """The open connection. Raises JournalFailed where it is closed."""
        if self._database is None:
            raise JournalFailed("journal_failed: the journal is closed")
        return self._database

    @contextmanager
    def writing(self) -> Iterator[sqlite3.Connection]:
        """Yield the connection under the lock; what it refuses becomes JournalFull, JournalDamaged or JournalFailed."""
        with self.lock:
            try:
                yield self.database
            except sqlite3.Error as error:
                self.in_doubt = True
                raise self.refused(error) from error

    @contextmanager
    def reading(self) -> Iterator[sqlite3.Connection]:
        """As `writing`, for what changes nothing."""
        with self.lock:
            try:
                yield self.database
            except sqlite3.Error as error:
                raise self.refused(error) from error

    @contextmanager
    def transaction(self) -> Iterator[sqlite3.Connection]:
        """As `writing`, with all or nothing on disk at the end."""
        with self.writing() as database:
            database.execute("BEGIN IMMEDIATE")
            try:
                yield database
                database.execute("COMMIT")
            except BaseException:
                if database.in_transaction:
                    database.execute("ROLLBACK")
                raise

    def probe(self) -> bool:
        """Write and remove a filler; True if the file takes it, which ends a failed state.

        For a terminal that takes no punches while the disk is full: nothing else would notice that space came back.
        """
        try:
            with self.writing() as database:
                database.execute("INSERT OR REPLACE INTO probe VALUES (1, zeroblob(?))", (PROBE_BYTES,))
                database.execute("DELETE FROM probe")
        except JournalError:
            return False
        self.trouble = None
        return True

    def refused(self, error: sqlite3.Error | OSError) -> JournalFull | JournalFailed:
        """Name what was refused, and remember it for the journal's state."""
        full = journal_file.is_full(error, self.path.parent)
        self.trouble = journal_file.sentence(error, full=full)
        log.error("journal_refused", why=self.trouble)
        if full:
            return JournalFull(self.trouble)
        if journal_file.is_corrupt(error):
            self.corrupt = True
            return JournalDamaged(self.trouble)
        return JournalFailed(self.trouble)
