"""A database gets from one version of the tables to the next, by itself where nobody shares it, else when told to."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
from alembic import command
from alembic.autogenerate import compare_metadata
from alembic.migration import MigrationContext
from alembic.script import ScriptDirectory
from sqlalchemy import inspect, text
from sqlmodel import SQLModel

from collector.database import Database
from collector.errors import SchemaTooNew, SchemaTooOld
from collector.ledger.leaves import leaf_data
from collector.postgresql import PostgresqlDatabase
from collector.schema import HEAD, alembic_config, held_revision, prepare
from collector.sqlite import SqliteDatabase
from tests.collector.test_tree import COLUMNS
from tests.support.postgresql import Postgresql


@pytest.fixture(params=["sqlite", "postgresql"])
def empty(request: pytest.FixtureRequest, tmp_path: Path) -> Any:
    if request.param == "sqlite":
        database: Database = SqliteDatabase(tmp_path / "empty.sqlite")
    else:
        server: Postgresql = request.getfixturevalue("postgresql")
        database = PostgresqlDatabase(server.new_database())
    yield database
    database.close()


def as_of_version_0_1(database: Database) -> None:
    """What the collector wrote before it had migrations."""
    with database.write() as session:
        command.upgrade(alembic_config(session.connection()), "0001")
        session.connection().execute(text("DROP TABLE alembic_version"))
        session.connection().execute(text("CREATE TABLE schema_version (version INTEGER PRIMARY KEY, applied_at TEXT)"))
        session.connection().execute(text("INSERT INTO schema_version VALUES (1, '2026-11-01T00:00:00.000Z')"))
        site = "INSERT INTO sites (name, title, tz, added_at) VALUES ('east', 'East', 'Asia/Shanghai', 'then')"
        session.connection().execute(text(site))


def columns(database: Database) -> dict[str, list[str]]:
    with database.read() as session:
        seen = inspect(session.connection())
        return {
            name: sorted(f"{c['name']} {c['type']!r} {c['nullable']}" for c in seen.get_columns(name))
            for name in seen.get_table_names()
        }


def test_the_newest_migration_is_the_one_that_the_program_works_with(empty: Database) -> None:
    with empty.read() as session:
        assert ScriptDirectory.from_config(alembic_config(session.connection())).get_current_head() == HEAD


def test_migrating_gives_the_tables_that_the_models_say(empty: Database, tmp_path: Path) -> None:
    with empty.write() as session:
        command.upgrade(alembic_config(session.connection()), "head")
        context = MigrationContext.configure(session.connection(), opts={"compare_type": True})
        assert compare_metadata(context, SQLModel.metadata) == []
    migrated = columns(empty)
    with empty.write() as session:
        for table in reversed(SQLModel.metadata.sorted_tables):
            table.drop(session.connection())
        session.connection().execute(text("DROP TABLE alembic_version"))
    prepare(empty)
    assert columns(empty) == migrated


def test_a_database_from_before_the_migrations_is_taken_along_with_its_rows(empty: Database) -> None:
    as_of_version_0_1(empty)
    assert prepare(empty, migrate=True) == "0.1"
    with empty.read() as session:
        assert held_revision(session.connection()) == HEAD
        assert session.connection().execute(text("SELECT title FROM sites")).scalar_one() == "East"
        assert "schema_version" not in inspect(session.connection()).get_table_names()


def test_entries_of_before_the_tree_get_their_leaf_data(empty: Database) -> None:
    as_of_version_0_1(empty)
    row = COLUMNS | {"leaf_index": 0, "seq": 0, "hash": "0", "leaf_hash": b"", "salt": b"salt", "envelope": b"envelope"}
    with empty.write() as session:
        names = ", ".join(row)
        into = f"INSERT INTO ledger_entries ({names}) VALUES ({', '.join(':' + name for name in row)})"
        session.connection().execute(text(into), row)
    prepare(empty, migrate=True)
    with empty.read() as session:
        held = session.connection().execute(text("SELECT leaf_data FROM ledger_entries")).scalar_one()
    assert bytes(held) == leaf_data(b"salt", b"envelope")


def test_one_that_later_versions_wrote_is_left_alone(empty: Database) -> None:
    prepare(empty)
    with empty.write() as session:
        session.connection().execute(text("UPDATE alembic_version SET version_num = '9999'"))
    with pytest.raises(SchemaTooNew, match="9999"):
        prepare(empty)


def test_every_integer_has_64_bits(empty: Database) -> None:
    prepare(empty)
    if empty.writer.dialect.name == "postgresql":
        kinds = {kind.split()[1] for rows in columns(empty).values() for kind in rows}
        assert "BIGINT()" in kinds and "INTEGER()" not in kinds


def test_a_shared_database_waits_for_the_order_to_migrate(
    postgresql: Postgresql, monkeypatch: pytest.MonkeyPatch
) -> None:
    database = PostgresqlDatabase(postgresql.new_database())
    prepare(database)
    with database.write() as session:
        session.connection().execute(text("UPDATE alembic_version SET version_num = '0001'"))
    monkeypatch.setattr("collector.schema.HEAD", "0002")
    with pytest.raises(SchemaTooOld, match="collector migrate"):
        prepare(database)
    database.close()
