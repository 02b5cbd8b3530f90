"""SQLite, for one machine: a file whose commits survive a power cut.

The writer's transactions begin IMMEDIATE, so that what a batch has read stays true until it commits even where a
command line writes from another process; the readers are `query_only`.
"""

from __future__ import annotations

import sqlite3
from pathlib import Path
from typing import Any

from sqlalchemy import Engine, event
from sqlmodel import create_engine

from collector.database import Database

BUSY_TIMEOUT_MS = 15_000  # a batch holds the write lock for tens of milliseconds; 15 s of waiting means a stuck process

# A batch of 256 punches writes about 400 pages; SQLite's 1000 would copy the log back after every second or third one.
CHECKPOINT_PAGES = 4000


class SqliteDatabase(Database):
    """One SQLite file. Closing the last connection folds the write-ahead log into it."""

    def __init__(self, path: Path) -> None:
        path.parent.mkdir(parents=True, exist_ok=True, mode=0o700)
        path.touch(mode=0o600)  # who punched where is nobody's business; SQLite gives its other files the same mode
        self.path = path
        super().__init__(
            writer=_engine(path, "BEGIN IMMEDIATE", read_only=False), reader=_engine(path, "BEGIN", read_only=True)
        )


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
