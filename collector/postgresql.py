"""PostgreSQL, for several collectors: one advisory lock puts their write transactions in order.

The lock is taken by the first statement of a transaction and held to its end. At READ COMMITTED every later statement
sees what the holder before has committed, so leaf indices are contiguous and each check-then-write is safe, whatever
the number of processes. A collector that dies lets go of the lock with its connection.
"""

from __future__ import annotations

import hashlib
import re
from collections.abc import Sequence
from typing import Any

import psycopg
from sqlalchemy import Engine, event, make_url, text
from sqlalchemy.exc import ArgumentError, DBAPIError
from sqlmodel import create_engine

from collector.database import Database
from collector.errors import LeaderUnknown, SettingsError

WRITE_LOCK = int.from_bytes(hashlib.sha256(b"zaigang write lock").digest()[:8], "big", signed=True)
LEADER_LOCK = int.from_bytes(hashlib.sha256(b"zaigang leader").digest()[:8], "big", signed=True)
POOL = 5  # connections each engine keeps; the API's threads read with at most POOL + OVERFLOW at once
OVERFLOW = 10

_ABOUT_WORKERS = (  # an erasure empties or deletes rows of these
    *("ledger_entries", "staged_events", "equivocations", "dead_letters", "commands", "held_transfers"),
    *("punches", "enrolments", "presence_intervals", "audit_entries", "command_answers", "template_copies"),
    *("workers", "authorisations", "legal_holds", "evidence_bundles"),
)

_SESSION = (
    "SET lock_timeout = '15s'",  # a batch holds the lock for tens of milliseconds; then the pump tries again
    # A process that is stopped or cut off in mid-transaction must not keep the others waiting.
    "SET idle_in_transaction_session_timeout = '60s'",
    "SET timezone = 'UTC'",
)
_NOTICED = (  # on the server's side: it would wait two hours for a machine that vanished
    "SET tcp_keepalives_idle = 10",
    "SET tcp_keepalives_interval = 5",
    "SET tcp_keepalives_count = 3",
)
_TCP: dict[str, Any] = {  # a machine that vanished is noticed, and its lock let go, within half a minute
    "connect_timeout": 10,
    "keepalives_idle": 10,
    "keepalives_interval": 5,
    "keepalives_count": 3,
    "tcp_user_timeout": 25_000,  # ms; keep-alives alone do not count while something sent is not acknowledged
    "application_name": "zaigang-collector",
}


class PostgresqlDatabase(Database):
    """One PostgreSQL database that any number of collectors share."""

    migrates_at_start = False

    def __init__(self, url: str) -> None:
        """`url`: postgresql://user:password@host:port/name. Raises SettingsError where it cannot be used."""
        try:
            address = make_url(url).set(drivername="postgresql+psycopg")
        except ArgumentError as error:
            raise SettingsError(
                "the database URL cannot be read; write postgresql://user:password@host/name"
            ) from error
        self._conninfo = address.set(drivername="postgresql").render_as_string(hide_password=False)
        self.address = address.render_as_string(hide_password=True)
        super().__init__(writer=_engine(address, read_only=False), reader=_engine(address, read_only=True))
        try:
            self._require_durable()
        except DBAPIError as error:
            self.close()
            raise SettingsError(f"the database {self.address} cannot be used: {error.orig}") from error
        except SettingsError:
            self.close()
            raise

    def leader_lock(self) -> AdvisoryLeaderLock:
        """Return the lock by which collectors agree who takes events in."""
        return AdvisoryLeaderLock(self._conninfo)

    def scrub(self) -> None:
        """Have dead row versions removed. Archived WAL and base backups keep them until they are deleted."""
        with psycopg.connect(self._conninfo, autocommit=True) as connection:
            for table in _ABOUT_WORKERS:
                connection.execute(f"VACUUM {table}")

    def _require_durable(self) -> None:
        """Refuse a server that forgets in a power cut: a receipt promises that it does not. Raises SettingsError."""
        with self.reader.connect() as connection:
            shown = {
                name: str(connection.execute(text(f"SHOW {name}")).scalar_one())
                for name in ("fsync", "full_page_writes", "server_encoding")
            }
        for name in ("fsync", "full_page_writes"):
            if shown[name] != "on":
                raise SettingsError(f"the PostgreSQL server runs with {name} = off and would lose events; switch it on")
        if shown["server_encoding"] != "UTF8":
            raise SettingsError(
                f"the database is encoded in {shown['server_encoding']}; create it with ENCODING 'UTF8'"
            )


class AdvisoryLeaderLock:
    """An advisory lock on a connection of its own, which the server ends with the process, and with the machine."""

    def __init__(self, conninfo: str) -> None:
        self._conninfo = conninfo
        self._connection: psycopg.Connection[Any] | None = None
        self._held = False

    def take(self) -> bool:
        """Take it, or see that it is still held; False: another has it. Raises LeaderUnknown."""
        try:
            if self._connection is None:
                self._connection = psycopg.connect(self._conninfo, autocommit=True, **_TCP)
                for statement in _NOTICED:
                    self._connection.execute(statement)
            if self._held:  # as long as the connection lives
                self._connection.execute("SELECT 1")
            else:
                row = self._connection.execute("SELECT pg_try_advisory_lock(%s)", (LEADER_LOCK,)).fetchone()
                self._held = row is not None and bool(row[0])
        except psycopg.Error as error:
            self.release()
            raise LeaderUnknown(f"the database cannot be asked who leads: {error}".strip()) from error
        return self._held

    def release(self) -> None:
        """Let go of it."""
        connection, self._connection, self._held = self._connection, None, False
        if connection is not None:
            connection.close()


def _column_types(connection: psycopg.Connection[Any], statement: str) -> list[int]:
    """Return the numbers of the columns' types: in the binary form a value is written as exactly its type."""
    table, columns = re.fullmatch(r"COPY (\S+) \((.*)\) FROM STDIN .*", statement).groups()  # type: ignore[union-attr]
    asked = connection.execute(f"SELECT {columns} FROM {table} LIMIT 0")  # noqa: S608  names of our own tables
    assert asked.description is not None
    return [one.type_code for one in asked.description]


def _engine(address: Any, *, read_only: bool) -> Engine:
    engine = create_engine(
        address,
        # A reader sees one state; a writer must see what the holder of the lock before it has committed.
        isolation_level="REPEATABLE READ" if read_only else "READ COMMITTED",
        pool_size=POOL,
        max_overflow=OVERFLOW,
        pool_pre_ping=True,
        connect_args=_TCP,
        execution_options={"postgresql_readonly": True} if read_only else {},
    )

    @event.listens_for(engine, "connect")
    def _prepare(connection: Any, _record: Any) -> None:
        autocommit, connection.autocommit = connection.autocommit, True
        for statement in _SESSION:
            connection.execute(statement)
        if connection.execute("SHOW synchronous_commit").fetchone()[0] in ("off", "local"):
            connection.execute("SET synchronous_commit = 'on'")  # receipts go out after the commit and must hold
        connection.autocommit = autocommit

    if not read_only:
        types: dict[str, list[int]] = {}

        @event.listens_for(engine, "do_executemany")
        def _copy(cursor: psycopg.Cursor[Any], statement: str, rows: Sequence[Sequence[Any]], _context: Any) -> bool:
            """Send what comes with a COPY as its rows. Whatever goes wrong SQLAlchemy sees as in any statement."""
            if not statement.startswith("COPY "):
                return False
            if statement not in types:
                types[statement] = _column_types(cursor.connection, statement)
            with cursor.copy(statement) as copy:
                copy.set_types(types[statement])
                for row in rows:
                    copy.write_row(row)
            return True

        @event.listens_for(engine, "do_execute")
        def _copy_one(cursor: psycopg.Cursor[Any], statement: str, row: Any, context: Any) -> bool:
            return statement.startswith("COPY ") and _copy(cursor, statement, [row], context)

        @event.listens_for(engine, "begin")
        def _lock(connection: Any) -> None:
            connection.exec_driver_sql(f"SELECT pg_advisory_xact_lock({WRITE_LOCK})")

    return engine
