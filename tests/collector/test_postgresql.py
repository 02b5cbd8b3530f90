"""What PostgreSQL has to be for receipts to hold, and what it must take of a terminal's words."""

from __future__ import annotations

import threading
import time

import psycopg
import pytest
from sqlalchemy import text
from sqlalchemy.exc import DBAPIError, IntegrityError, OperationalError
from sqlmodel import select

from collector.database import insert_rows, is_passing
from collector.errors import SettingsError
from collector.ingest.message import Message
from collector.ledger.fsck import check_ledger
from collector.ledger.models import LedgerEntry
from collector.postgresql import WRITE_LOCK, PostgresqlDatabase
from collector.punches.models import Punch
from collector.settings import load_settings
from collector.sites.models import Site
from collector.timestamps import utc_now
from tests.collector.conftest import Bench
from tests.collector.terminal import Terminal
from tests.support.postgresql import Postgresql

pytestmark = pytest.mark.both_databases


def test_a_signed_counter_of_53_bits_and_a_nul_in_a_text_enter_like_everything_else(
    bench: Bench, terminal: Terminal
) -> None:
    answer = {
        "command": "ab" * 16,
        "counter": 2**53 - 1,
        "action": "spot_check",
        "outcome": "refused",
        "reason": "odd: a NUL \0 in a sentence",
        "result": {},
    }
    envelopes = [terminal.enrol(mono_us=2**53 - 9), terminal.append("command.done", answer, mono_us=2**53 - 8)]
    (receipt,) = bench.offer(terminal, *envelopes)
    assert receipt.upto == 1 and bench.dead() == []
    assert check_ledger(bench.database, bench.keys.seal, bench.services.checkpoints.signer.public).difference is None


def test_a_reader_cannot_write(bench: Bench) -> None:
    with pytest.raises(DBAPIError), bench.database.read() as session:
        session.connection().execute(text("UPDATE sites SET title = 'x'"))


def test_two_writers_take_turns_and_the_second_sees_what_the_first_wrote(bench: Bench, terminal: Terminal) -> None:
    other = Terminal("gate-2")
    bench.register(other)
    order: list[str] = []

    def second() -> None:
        bench.offer(other, other.enrol(), other.punch())
        order.append("second")

    thread = threading.Thread(target=second)
    with bench.database.write():
        thread.start()
        time.sleep(0.3)
        order.append("first")
    thread.join(20)
    assert order == ["first", "second"]


def test_two_intakes_on_one_database_share_one_contiguous_ledger(bench: Bench, postgresql: Postgresql) -> None:
    """Given two processes' worth of intakes, each with connections of its own, offering at the same time."""
    from collector.ingest.intake import Intake, Limits
    from collector.services import connect

    terminals = [Terminal(f"gate-{n}") for n in range(4)]
    bench.register(*terminals)
    chains = {one.device: [one.enrol(), *(one.punch() for _ in range(30))] for one in terminals}

    def run(seed: int) -> None:
        database = connect(bench.settings)
        intake = Intake(database, bench.keys.receipt, bench.keys.seal, Limits())
        for start in range(0, 31, 5):
            for one in terminals if seed else reversed(terminals):  # both offer everything, in other orders
                part = chains[one.device][start : start + 5]
                intake.admit([Message(one.event_topic, data, utc_now()) for data in part])
        database.close()

    threads = [threading.Thread(target=run, args=(n,)) for n in range(2)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(120)
    with bench.database.read() as session:
        assert sorted(session.exec(select(LedgerEntry.leaf_index))) == list(range(4 * 31))
    for one in terminals:
        assert list(bench.services.ledger.envelopes(one.device, one.chain)) == chains[one.device]
    assert check_ledger(bench.database, bench.keys.seal, bench.services.checkpoints.signer.public).difference is None


def test_a_row_that_is_there_already_is_a_conflict_and_nothing_of_the_batch_goes_in(
    bench: Bench, terminal: Terminal
) -> None:
    bench.offer(terminal, terminal.enrol(), terminal.punch())
    with bench.database.read() as session:
        rows = [dict(row) for row in session.connection().execute(text("SELECT * FROM punches")).mappings()]
    new = rows[0] | {"leaf_index": 0}
    with pytest.raises(IntegrityError), bench.database.write() as session:
        insert_rows(session, Punch, [new, rows[0]])
    with bench.database.write() as session:
        assert insert_rows(session, Punch, [new]) == 1


class TestServer:
    """PostgreSQL alone."""

    def test_the_lock_of_a_process_that_hangs_in_a_transaction_is_an_error_to_try_again(
        self, postgresql: Postgresql, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        monkeypatch.setattr("collector.postgresql._SESSION", ("SET lock_timeout = '300ms'",))
        url = postgresql.new_database()
        database = PostgresqlDatabase(url)
        with psycopg.connect(url) as hung:
            hung.execute(f"SELECT pg_advisory_xact_lock({WRITE_LOCK})")
            with pytest.raises(OperationalError, match="lock timeout"), database.write() as session:
                session.connection()
        database.close()

    def test_a_connection_that_is_lost_while_rows_go_in_is_an_error_to_try_again(self, postgresql: Postgresql) -> None:
        database = PostgresqlDatabase(postgresql.new_database("template_zaigang"))
        rows = [{"name": f"site-{n}", "title": "x", "tz": "Asia/Shanghai", "added_at": ""} for n in range(9)]
        with pytest.raises(DBAPIError) as lost, database.write() as session:
            pid = session.connection().execute(text("SELECT pg_backend_pid()")).scalar_one()
            with psycopg.connect(postgresql.url("postgres"), autocommit=True) as admin:
                admin.execute("SELECT pg_terminate_backend(%s, 10000)", (pid,))
            insert_rows(session, Site, rows)
        assert is_passing(lost.value)
        with database.write() as session:
            assert insert_rows(session, Site, rows) == 9
        database.close()

    def test_a_server_without_fsync_is_refused(self) -> None:
        careless = Postgresql().create()
        (careless.folder / "data" / "postgresql.auto.conf").write_text("fsync = off\n")
        careless.start()
        try:
            with pytest.raises(SettingsError, match="fsync"):
                PostgresqlDatabase(careless.url("postgres"))
        finally:
            careless.remove()

    def test_commits_wait_for_the_disk_whatever_the_server_says(self, postgresql: Postgresql) -> None:
        url = postgresql.new_database()
        name = url.rsplit("/", 1)[1]
        with psycopg.connect(url, autocommit=True) as admin:
            admin.execute(f"ALTER DATABASE {name} SET synchronous_commit = 'off'")
            admin.execute(f"ALTER DATABASE {name} SET default_transaction_isolation = 'repeatable read'")
        database = PostgresqlDatabase(url)
        with database.write() as session:
            assert session.connection().execute(text("SHOW synchronous_commit")).scalar_one() == "on"
            assert session.connection().execute(text("SHOW transaction_isolation")).scalar_one() == "read committed"
        database.close()

    def test_no_server_is_told_in_a_sentence_without_the_password(self) -> None:
        with pytest.raises(SettingsError) as told:
            PostgresqlDatabase("postgresql://me:hunter2@127.0.0.1:1/x")
        assert "127.0.0.1" in str(told.value) and "hunter2" not in str(told.value)

    def test_a_setting_that_is_no_postgresql_url_is_refused(self) -> None:
        with pytest.raises(SettingsError, match="postgresql://"):
            load_settings(database="mysql://x/y")
