"""`fsck` finds one changed byte in any column of what was stored, and says where."""

from __future__ import annotations

import sqlite3
from typing import Any

import psycopg
import pytest

from collector.ledger.fsck import LedgerReport, check_ledger
from collector.ledger.leaves import leaf_data, leaf_hash
from collector.ledger.models import LedgerEntry
from collector.people.models import Enrolment
from collector.presence.models import PresenceInterval
from collector.punches.models import Punch
from tests.collector.conftest import Bench
from tests.collector.terminal import ENROLLED, Terminal


def check(bench: Bench) -> LedgerReport:
    return check_ledger(bench.database, bench.keys.seal, bench.services.checkpoints.signer.public)


@pytest.fixture
def filled(bench: Bench, terminal: Terminal) -> Bench:
    other = Terminal("gate-2")
    bench.register(other)
    envelopes = [terminal.enrol(), terminal.append("worker.enrolled", ENROLLED)]
    bench.offer(terminal, *envelopes, terminal.punch(), terminal.append("vehicle.seen", {}))
    bench.offer(other, other.enrol(), other.punch("E002", "refused", "OUT"))
    terminal.time_s = 100
    bench.offer(terminal, terminal.punch(), terminal.presence(), terminal.append("coverage", {}))
    return bench


pytestmark = pytest.mark.both_databases


def edit(bench: Bench, sql: str, *values: Any) -> None:
    """Change the data as somebody with rights on the database would."""
    if bench.settings.database is None:
        with sqlite3.connect(bench.settings.database_path) as connection:
            assert connection.execute(sql, values).rowcount >= 1
        connection.close()
        return
    with psycopg.connect(bench.settings.database.get_secret_value()) as server:
        server.execute("SET session_replication_role = replica")  # no foreign key stops a superuser
        assert server.execute(sql.replace("?", "%s"), values).rowcount >= 1


def stored(bench: Bench, sql: str) -> Any:
    """Return the one value that a query gives."""
    with bench.database.read() as session:
        return session.connection().exec_driver_sql(sql).scalar_one()


def changed(value: Any) -> Any:
    """The value with one byte, digit or bit changed."""
    if value is None:
        return 0
    if isinstance(value, bytes):
        return (
            value[:40] + bytes([value[40] ^ 1]) + value[41:] if len(value) > 40 else bytes([value[0] ^ 1]) + value[1:]
        )
    if isinstance(value, bool):
        return not value
    if isinstance(value, int):
        return value ^ 1
    return value[:-1] + chr(ord(value[-1]) ^ 1)


def test_what_the_intake_wrote_is_whole(filled: Bench) -> None:
    report = check(filled)
    assert report.difference is None
    assert (report.entries, report.chains, report.rows) == (9, 2, 5)


@pytest.mark.parametrize("column", list(LedgerEntry.model_fields))
def test_one_changed_byte_of_an_entry_is_found(filled: Bench, column: str) -> None:
    value = stored(filled, f"SELECT {column} FROM ledger_entries WHERE leaf_index = 2")
    other = 77 if column in ("leaf_index", "seq") else changed(value)
    if column == "leaf_index":
        edit(filled, "DELETE FROM punches WHERE leaf_index = 2")
    edit(filled, f"UPDATE ledger_entries SET {column} = ? WHERE leaf_index = 2", other)
    found = check(filled).difference
    assert found is not None and found.table == "ledger_entries"
    assert found.row == ("3" if column == "leaf_index" else "2")


@pytest.mark.parametrize("column", list(Punch.model_fields))
def test_one_changed_byte_of_a_punch_is_found(filled: Bench, column: str) -> None:
    value = stored(filled, f"SELECT {column} FROM punches WHERE leaf_index = 2")
    edit(filled, f"UPDATE punches SET {column} = ? WHERE leaf_index = 2", changed(value))
    found = check(filled).difference
    assert found is not None and found.table == "punches"
    assert column == "leaf_index" or (found.row, found.column) == ("2", column)


@pytest.mark.parametrize("column", list(Enrolment.model_fields))
def test_one_changed_byte_of_an_enrolment_is_found(filled: Bench, column: str) -> None:
    value = stored(filled, f"SELECT {column} FROM enrolments")
    edit(filled, f"UPDATE enrolments SET {column} = ?", changed(value))
    found = check(filled).difference
    assert found is not None and found.table == "enrolments"


@pytest.mark.parametrize("column", list(PresenceInterval.model_fields))
def test_one_changed_byte_of_a_presence_interval_is_found(filled: Bench, column: str) -> None:
    value = stored(filled, f"SELECT {column} FROM presence_intervals")
    edit(filled, f"UPDATE presence_intervals SET {column} = ?", changed(value))
    found = check(filled).difference
    assert found is not None and found.table == "presence_intervals"
    assert column == "leaf_index" or (found.row, found.column) == ("7", column)


@pytest.mark.parametrize("column", ["device", "chain", "head_seq", "head_hash", "head_boot", "head_mono_us"])
def test_one_changed_byte_of_a_chain_is_found(filled: Bench, column: str) -> None:
    value = stored(filled, f"SELECT {column} FROM chains WHERE device = 'gate-1'")
    edit(filled, f"UPDATE chains SET {column} = ? WHERE device = 'gate-1'", changed(value))
    found = check(filled).difference
    assert found is not None and found.table == "chains"


@pytest.mark.parametrize(
    ("sql", "table"),
    [
        ("DELETE FROM ledger_entries WHERE leaf_index = 5", "ledger_entries"),
        ("DELETE FROM ledger_entries WHERE leaf_index = 8", "chains"),
        ("DELETE FROM punches WHERE leaf_index = 6", "punches"),
        ("DELETE FROM presence_intervals", "presence_intervals"),
        ("UPDATE device_keys SET key_id = 'x', key = (SELECT max(key) FROM device_keys)", "ledger_entries"),
    ],
)
def test_missing_rows_and_exchanged_keys_are_found(filled: Bench, sql: str, table: str) -> None:
    edit(filled, sql)
    found = check(filled).difference
    assert found is not None and found.table == table


def test_a_salt_changed_together_with_its_leaf_hash_is_found_by_the_seal(filled: Bench) -> None:
    entry = filled.services.ledger.entry(2)
    salt = bytes(16)
    edit(
        filled,
        "UPDATE ledger_entries SET salt = ?, leaf_data = ?, leaf_hash = ? WHERE leaf_index = 2",
        salt,
        leaf_data(salt, entry.envelope),
        leaf_hash(salt, entry.envelope),
    )
    found = check(filled).difference
    assert found is not None and found.column == "seal"


def test_a_punch_without_an_entry_is_found(filled: Bench) -> None:
    edit(
        filled,
        "INSERT INTO punches SELECT 900, * FROM (SELECT "
        + ", ".join(name for name in Punch.model_fields if name != "leaf_index")
        + " FROM punches LIMIT 1) AS one",
    )
    found = check(filled).difference
    assert found is not None and (found.table, found.row) == ("punches", "900")


def test_an_empty_ledger_is_whole(bench: Bench) -> None:
    assert check(bench).difference is None
