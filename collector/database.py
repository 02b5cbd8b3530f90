"""The SQLite database: one writer at a time, readers that cannot write, commits that survive a power cut.

Two engines on one file: the writer's transactions begin IMMEDIATE, so that what a batch has read stays true until
it commits even where a command line writes from another process; the readers are `query_only`.
"""

from __future__ import annotations

import sqlite3
import threading
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from sqlalchemy import Engine, Insert, event
from sqlalchemy.sql.compiler import SQLCompiler
from sqlmodel import Session, create_engine

BUSY_TIMEOUT_MS = 15_000  # a batch holds the write lock for tens of milliseconds; 15 s of waiting means a stuck process

# A batch of 256 punches writes about 400 pages; SQLite's 1000 would copy the log back after every second or third one.
CHECKPOINT_PAGES = 4000


class Database:
    """Sessions on one SQLite file."""

    def __init__(self, path: Path) -> None:
        path.parent.mkdir(parents=True, exist_ok=True, mode=0o700)
        path.touch(mode=0o600)  # who punched where is nobody's business; SQLite gives its other files the same mode
        self.path = path
        self.writer = _engine(path, "BEGIN IMMEDIATE", read_only=False)
        self.reader = _engine(path, "BEGIN", read_only=True)
        self._one_writer = threading.Lock()  # cheaper and fairer inside a process than SQLite's busy handler

    @contextmanager
    def write(self) -> Iterator[Session]:
        """Yield a session in a write transaction; it commits at the end, or rolls back on an exception."""
        with self._one_writer, Session(self.writer, expire_on_commit=False) as session, session.begin():
            yield session

    @contextmanager
    def read(self) -> Iterator[Session]:
        """Yield a session that sees one consistent state and cannot write."""
        with Session(self.reader, expire_on_commit=False) as session:
            yield session

    def close(self) -> None:
        """Close every connection; the last one folds the write-ahead log into the file."""
        self.reader.dispose()
        self.writer.dispose()


def insert_many(session: Session, statement: Insert, rows: Sequence[Mapping[str, Any]]) -> int:
    """Insert rows that already have the driver's types; return how many went in.

    SQLAlchemy builds the SQL, in the dialect of the database, and the driver takes the rows as they are: the detour of
    every value through a type processor costs as much as half a signature check.
    """
    connection = session.connection()
    compiled = statement.compile(dialect=connection.dialect, column_keys=list(rows[0]))
    assert isinstance(compiled, SQLCompiler) and compiled.positiontup is not None
    names = compiled.positiontup
    done = connection.exec_driver_sql(str(compiled), [tuple(row[name] for name in names) for row in rows])
    return done.rowcount


def _engine(path: Path, begin: str, *, read_only: bool) -> Engine:
    engine = create_engine(
        f"sqlite:///{path}", connect_args={"check_same_thread": False, "timeout": BUSY_TIMEOUT_MS / 1000}
    )

    @event.listens_for(engine, "connect")
    def _prepare(connection: sqlite3.Connection, _record: Any) -> None:
        connection.isolation_level = None  # the driver must not begin transactions of its own
        cursor = connection.cursor()
        cursor.execute("PRAGMA journal_mode=WAL")
        cursor.execute("PRAGMA synchronous=FULL")  # NORMAL may lose the last commits, whose receipts are already out
        cursor.execute("PRAGMA foreign_keys=ON")
        cursor.execute(f"PRAGMA wal_autocheckpoint={CHECKPOINT_PAGES}")
        cursor.execute(f"PRAGMA query_only={'ON' if read_only else 'OFF'}")
        cursor.close()

    @event.listens_for(engine, "begin")
    def _begin(connection: Any) -> None:
        connection.exec_driver_sql(begin)

    return engine
