"""Staging holds whatever a long outage left there: no question to the database grows with what waits."""

from __future__ import annotations

import sqlite3
from dataclasses import asdict

import pytest
from sqlmodel import Session

from collector.database import insert_rows
from collector.ingest.models import StagedEvent
from collector.ingest.staging import Staging, Waiting
from collector.timestamps import utc_now
from tests.collector.conftest import Bench
from tests.collector.terminal import Terminal

PARAMETERS = 1600  # with a question; as SQLite is built by default 32,766, and PostgreSQL takes 65,535
MANY = 2000


def limited(session: Session) -> None:
    """Lower the database's own limit, so that few rows exceed it."""
    raw = session.connection().connection.dbapi_connection
    assert isinstance(raw, sqlite3.Connection)
    raw.setlimit(sqlite3.SQLITE_LIMIT_VARIABLE_NUMBER, PARAMETERS)


@pytest.mark.parametrize("chains", [1, MANY], ids=["in one chain", "a chain each"])
def test_more_events_are_read_than_a_question_takes_parameters(bench: Bench, terminal: Terminal, chains: int) -> None:
    now = utc_now()
    places = [(terminal.device, f"{n % chains:032x}", n // chains + 5) for n in range(MANY)]
    with bench.database.write() as session:
        rows = [Waiting(*place, hash=f"{n:064x}", received_at=now, envelope=b"{}") for n, place in enumerate(places)]
        insert_rows(session, StagedEvent, [asdict(row) for row in rows])
    with bench.database.write() as session:
        limited(session)
        staging = Staging(session, per_device=MANY)
        staging.look_up({place[:2] for place in places})
        staging.fetch(places)
        held = [staging.held(*place) for place in places]
    assert [None if one is None else int(one.hash, 16) for one in held] == list(range(MANY))
