"""The one shared state of a collector: write transactions one at a time, readers that cannot write.

What a subject needs of a database is here; which database it is, `collector/sqlite.py` and `collector/postgresql.py`
know. In both, what a write transaction has read stays true until it commits, since no other process writes meanwhile.
"""

from __future__ import annotations

import threading
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from typing import Any

from sqlalchemy import Engine, Insert
from sqlalchemy.dialects import postgresql, sqlite
from sqlalchemy.exc import DBAPIError, OperationalError, TimeoutError  # noqa: A004  it is SQLAlchemy's own
from sqlalchemy.sql.compiler import SQLCompiler
from sqlmodel import Session


class Database:
    """Sessions on two engines: the writer's transactions exclude each other over all processes."""

    migrates_at_start = True  # False where other processes may work on the same tables with an older version

    def __init__(self, writer: Engine, reader: Engine) -> None:
        self.writer = writer
        self.reader = reader
        self._one_writer = threading.Lock()  # cheaper and fairer inside a process than waiting in the database

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
        """Close every connection."""
        self.reader.dispose()
        self.writer.dispose()


def insert_into(session: Session, table: Any) -> sqlite.Insert:
    """Begin an INSERT that can say `on_conflict_…`, in the words of the session's database.

    Both dialects have the same methods; one of the two types stands for both.
    """
    if session.connection().dialect.name == "postgresql":
        return postgresql.insert(table)  # type: ignore[return-value]
    return sqlite.insert(table)


def insert_many(session: Session, statement: Insert, rows: Sequence[Mapping[str, Any]]) -> int:
    """Insert rows that already have the driver's types; return how many went in.

    SQLAlchemy builds the SQL, in the dialect of the database, and the driver takes the rows as they are: the detour of
    every value through a type processor costs as much as half a signature check.
    """
    connection = session.connection()
    compiled = statement.compile(dialect=connection.dialect, column_keys=list(rows[0]))
    assert isinstance(compiled, SQLCompiler)
    names = compiled.positiontup
    given: Any = list(rows) if names is None else [tuple(row[name] for name in names) for row in rows]
    return connection.exec_driver_sql(str(compiled), given).rowcount


def is_passing(error: Exception) -> bool:
    """Say whether a failed transaction is the database's fault (locked, full, restarted) and worth trying again."""
    if isinstance(error, OperationalError | TimeoutError):  # the latter: no connection came free in time
        return True
    return isinstance(error, DBAPIError) and error.connection_invalidated
