"""The order that loses nothing: commit first, then acknowledgement and receipt."""

from __future__ import annotations

from dataclasses import dataclass, field

import pytest

from collector.ingest.batch import Batch
from collector.ingest.message import Answer, Message
from collector.ingest.pump import Pump
from collector.timestamps import utc_now
from tests.collector.conftest import Bench
from tests.collector.terminal import Terminal
from tests.support.waiting import eventually


@dataclass
class Witness:
    """Stands where the broker does and notes how much of the ledger is committed at each call."""

    bench: Bench
    seen: list[tuple[str, int]] = field(default_factory=list)

    def acknowledge(self, message: Message) -> None:
        self.seen.append(("acknowledge", self.bench.services.ledger.size()))

    def publish(self, answer: Answer) -> None:
        self.seen.append(("receipt", self.bench.services.ledger.size()))


def test_acknowledgement_and_receipt_come_after_the_commit(bench: Bench, terminal: Terminal) -> None:
    witness = Witness(bench)
    pump = Pump(bench.intake, witness)
    for envelope in (terminal.enrol(), terminal.punch(), terminal.punch()):
        pump.offer(Message(terminal.event_topic, envelope, utc_now(), qos=1))
    pump.start()
    eventually(lambda: len(witness.seen) >= 4)
    pump.stop()
    assert witness.seen == [("acknowledge", 3)] * 3 + [("receipt", 3)]


def test_while_the_commit_fails_nothing_is_acknowledged(
    bench: Bench, terminal: Terminal, monkeypatch: pytest.MonkeyPatch
) -> None:
    from sqlite3 import OperationalError as Full

    from sqlalchemy.exc import OperationalError

    def fails(_: Batch) -> None:
        raise OperationalError("INSERT", None, Full("database or disk is full"))

    monkeypatch.setattr(Batch, "write", fails)
    witness = Witness(bench)
    pump = Pump(bench.intake, witness)
    pump.offer(Message(terminal.event_topic, terminal.enrol(), utc_now(), qos=1))
    pump.start()
    eventually(lambda: pump.state.failing == "database or disk is full")
    pump.stop()
    assert witness.seen == [] and bench.services.ledger.size() == 0
