"""The tables of all subjects, and how a database gets from one version of them to the next (Alembic).

A new database is created as the models say and stamped with the newest revision; an older one is taken through
`collector/migrations/versions`. A test holds that both ways end in the same tables.
"""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

import structlog
from sqlalchemy import BigInteger, Connection, Integer, inspect, text
from sqlmodel import SQLModel

import collector.auth.models
import collector.commands.models
import collector.devices.join_models
import collector.devices.models
import collector.erasure.models
import collector.evidence_bundles.models
import collector.ingest.models
import collector.ledger.models
import collector.people.models
import collector.presence.models
import collector.punches.models
import collector.sites.models
import collector.statements.models
import collector.transfers.models  # noqa: F401  the imports register the tables
from collector.database import Database
from collector.errors import SchemaTooNew, SchemaTooOld

if TYPE_CHECKING:
    from alembic.config import Config

HEAD = "0008"  # the revision that this version of the program works with
_VERSION_TABLE = "alembic_version"
_BEFORE = "0.1"  # what a database from before Alembic has, marked by its table schema_version: revision 0001

log = structlog.get_logger()


def _widen() -> None:
    """Make every integer 64 bits wide: signed counters reach 2^53, and an INTEGER of PostgreSQL ends at 2^31.

    SQLite's INTEGER has 64 bits, and only under this name is a primary key numbered by itself.
    """
    for table in SQLModel.metadata.tables.values():
        for column in table.columns:
            if type(column.type) is Integer:
                column.type = BigInteger().with_variant(Integer(), "sqlite")


_widen()


def prepare(database: Database, *, migrate: bool | None = None) -> str | None:
    """Create the tables, or bring them to HEAD; return the revision that was held before, None for a new database.

    Without `migrate` only a database that no other process shares is changed. Raises SchemaTooNew, SchemaTooOld.
    """
    allowed = database.migrates_at_start if migrate is None else migrate
    with database.read() as session:
        if _held(session.connection()) == HEAD:  # the usual start waits for no lock
            return HEAD
    with database.write() as session:
        connection = session.connection()
        held = _held(connection)
        if held is None:
            SQLModel.metadata.create_all(connection)
            _stamp(connection, HEAD)
        elif held != HEAD:
            _upgrade(connection, held, allowed=allowed)
    return held


def held_revision(connection: Connection) -> str | None:
    """Return which revision of the tables a database has; None for one without any."""
    return _held(connection)


def alembic_config(connection: Connection) -> Config:
    """Return what Alembic needs to work on this connection, within its transaction."""
    from alembic.config import Config  # at a start that changes nothing Alembic would only cost time

    config = Config()
    config.set_main_option("script_location", str(Path(__file__).parent / "migrations"))
    config.set_main_option("file_template", "v%%(rev)s_%%(slug)s")
    config.attributes["connection"] = connection
    return config


def _held(connection: Connection) -> str | None:
    names = set(inspect(connection).get_table_names())
    if _VERSION_TABLE in names:
        return connection.execute(text(f"SELECT version_num FROM {_VERSION_TABLE}")).scalar()  # noqa: S608
    return _BEFORE if "schema_version" in names else None


def _stamp(connection: Connection, revision: str) -> None:
    connection.execute(text(f"CREATE TABLE {_VERSION_TABLE} (version_num VARCHAR(32) NOT NULL PRIMARY KEY)"))
    connection.execute(text(f"INSERT INTO {_VERSION_TABLE} VALUES (:revision)"), {"revision": revision})  # noqa: S608


def _upgrade(connection: Connection, held: str, *, allowed: bool) -> None:
    from alembic import command
    from alembic.script import ScriptDirectory

    config = alembic_config(connection)
    known = {script.revision for script in ScriptDirectory.from_config(config).walk_revisions()}
    if held not in known | {_BEFORE}:
        raise SchemaTooNew(f"the database has schema {held}, this version knows {HEAD}; install a newer zaigang")
    if not allowed:
        raise SchemaTooOld(
            f"the database has schema {held}, this version needs {HEAD}; stop the other collectors and run: "
            "zaigang collector migrate"
        )
    if held == _BEFORE:
        _stamp(connection, "0001")
        connection.execute(text("DROP TABLE schema_version"))
    command.upgrade(config, HEAD)
    log.warning("the database was brought to a new schema", before=held, now=HEAD)
