"""The one shared state of a collector: write transactions one at a time, readers that cannot write.

What a subject needs of a database is here; which database it is, `collector/sqlite.py` and `collector/postgresql.py`
know. In both, what a write transaction has read stays true until it commits, since no other process writes meanwhile.
"""

from __future__ import annotations

import functools
import threading
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from operator import itemgetter
from typing import Any, Protocol

from sqlalchemy import Dialect, Engine, Table, insert
from sqlalchemy.dialects import postgresql, sqlite
from sqlalchemy.exc import DBAPIError, OperationalError, TimeoutError  # noqa: A004  it is SQLAlchemy's own
from sqlalchemy.sql.compiler import SQLCompiler
from sqlmodel import Session


class LeaderLock(Protocol):
    """A lock that all collectors of a database know, and that its holder's death opens."""

    def take(self) -> bool:
        """Take it, or see that it is still held; False: another has it. Raises LeaderUnknown."""
        ...

    def release(self) -> None:
        """Let go of it."""
        ...


class Database:
    """Sessions on two engines: the writer's transactions exclude each other over all processes."""

    migrates_at_start = True  # False where other processes may work on the same tables with an older version

    def __init__(self, writer: Engine, reader: Engine) -> None:
        self.writer = writer
        self.reader = reader
        self.auditor: Callable[[Session], None] | None = None  # is shown every write session
        self._one_writer = threading.Lock()  # cheaper and fairer inside a process than waiting in the database

    @contextmanager
    def write(self) -> Iterator[Session]:
        """Yield a session in a write transaction; it commits at the end, or rolls back on an exception."""
        with self._one_writer, Session(self.writer, expire_on_commit=False) as session, session.begin():
            if self.auditor is not None:
                self.auditor(session)
            yield session

    @contextmanager
    def read(self) -> Iterator[Session]:
        """Yield a session that sees one consistent state and cannot write."""
        with Session(self.reader, expire_on_commit=False) as session:
            yield session

    def leader_lock(self) -> LeaderLock | None:
        """Return the lock by which collectors agree who leads; None where there is only one."""
        return None

    def scrub(self) -> None:
        """Let nothing that was erased stay behind in logs and free pages, as far as the database can."""

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


def insert_rows(session: Session, table: Any, rows: Sequence[Mapping[str, Any]]) -> int:
    """Insert rows with the same columns, two or more, in the driver's types; return how many. Raises IntegrityError.

    SQLAlchemy builds the SQL and the driver takes the rows as they are: the detour of every value through a type
    processor costs as much as half a signature check. PostgreSQL takes them by COPY (collector/postgresql.py).
    """
    connection = session.connection()
    statement, names = _insertion(connection.dialect, table.__table__, tuple(rows[0]))
    return connection.exec_driver_sql(statement, list(map(itemgetter(*names), rows))).rowcount


@functools.lru_cache(maxsize=64)  # one for each table
def _insertion(dialect: Dialect, table: Table, names: tuple[str, ...]) -> tuple[str, tuple[str, ...]]:
    """Return the statement and the order of its values."""
    if dialect.name == "postgresql":
        quote = dialect.identifier_preparer.quote
        return f"COPY {quote(table.name)} ({', '.join(map(quote, names))}) FROM STDIN (FORMAT BINARY)", names
    compiled = insert(table).compile(dialect=dialect, column_keys=list(names))
    assert isinstance(compiled, SQLCompiler) and compiled.positiontup is not None
    return str(compiled), tuple(compiled.positiontup)


def is_passing(error: Exception) -> bool:
    """Say whether a failed transaction is the database's fault (locked, full, restarted) and worth trying again."""
    if isinstance(error, OperationalError | TimeoutError):  # the latter: no connection came free in time
        return True
    return isinstance(error, DBAPIError) and error.connection_invalidated
