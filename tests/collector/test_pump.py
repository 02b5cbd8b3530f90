"""The order that loses nothing: commit first, then acknowledgement and receipt."""

from __future__ import annotations

import traceback
from collections.abc import Sequence
from dataclasses import dataclass, field
from sqlite3 import OperationalError as Full
from threading import Event

import pytest
from sqlalchemy.exc import OperationalError

from collector.errors import LedgerDamaged
from collector.healthz import health_of
from collector.ingest.batch import Batch
from collector.ingest.message import Answer, Message
from collector.ingest.opening import Opened
from collector.ingest.pump import STAGING, Pump
from collector.ingest.subscriber import BrokerState
from collector.timestamps import utc_now
from tests.collector.conftest import Bench
from tests.collector.terminal import Terminal
from tests.support.waiting import eventually


@dataclass
class Witness:
    """Stands where the broker does and notes how much of the ledger is committed at each call."""

    bench: Bench
    seen: list[tuple[str, int]] = field(default_factory=list)

    def acknowledge(self, messages: Sequence[Message]) -> None:
        self.seen += [("acknowledge", self.bench.services.ledger.size()) for _ in messages]

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


class Broken:
    """A source of the outbox that gives its message once, or fails as long as it is broken."""

    def __init__(self, *, broken: bool) -> None:
        self.broken, self.given = broken, False

    def __call__(self) -> list[Answer]:
        if self.broken:
            raise LedgerDamaged("the stored tree has a hole")
        messages = [] if self.given else [Answer("zaigang/v1/east/gate-1/receipt", b"one")]
        self.given = True  # as gaps and commands do: what was given is not given again for a while
        return messages


@pytest.mark.parametrize("fails_first", [True, False])
def test_a_source_that_fails_takes_nothing_of_the_others_with_it(bench: Bench, *, fails_first: bool) -> None:
    damaged, good, witness = Broken(broken=True), Broken(broken=False), Witness(bench)
    sources = {"checkpoints": damaged, "gaps": good} if fails_first else {"gaps": good, "checkpoints": damaged}
    pump = Pump(bench.intake, witness, outbox=sources)
    pump.start()
    eventually(lambda: bool(pump.state.undone and witness.seen))
    undone, seen = pump.state.undone, len(witness.seen)
    damaged.broken = False
    eventually(lambda: pump.state.undone == ())
    pump.stop()
    assert (undone, seen, len(witness.seen)) == (("checkpoints",), 1, 2)


def test_while_staging_cannot_be_read_the_outbox_goes_on_and_health_says_so(bench: Bench, terminal: Terminal) -> None:
    with bench.database.write() as session:
        session.connection().exec_driver_sql("ALTER TABLE staged_events RENAME TO lost")
    witness, source = Witness(bench), Broken(broken=False)
    pump = Pump(bench.intake, witness, outbox={"gaps": source})
    pump.start()
    eventually(lambda: len(witness.seen) == 1)
    state = pump.state
    pump.stop()
    assert state.undone == (STAGING,) and state.failing is None
    health = health_of(state, BrokerState(alive=True, connected=True, reason="", received=0), bench.database)
    assert (health.status, health.intake.state) == ("failed", "failed") and STAGING in health.intake.reason


def test_while_a_source_fails_what_an_approval_frees_is_admitted(bench: Bench, terminal: Terminal) -> None:
    bench.offer(terminal, terminal.enrol())
    later, witness = terminal.again(), Witness(bench)
    bench.offer(later, later.enrol())
    pump = Pump(bench.intake, witness, outbox={"commands": Broken(broken=True)})
    pump.start()
    eventually(lambda: pump.state.undone == ("commands",))
    bench.services.devices.approve(terminal.device, None, "me")
    eventually(lambda: witness.seen == [("receipt", 2)])
    pump.stop()


def test_a_batch_that_cannot_be_opened_is_tried_again(
    bench: Bench, terminal: Terminal, monkeypatch: pytest.MonkeyPatch
) -> None:
    def fails(_: object) -> None:
        raise MemoryError("no more")

    witness = Witness(bench)
    pump = Pump(bench.intake, witness)
    with monkeypatch.context() as broken:
        broken.setattr(bench.intake, "open", fails)
        pump.offer(Message(terminal.event_topic, terminal.enrol(), utc_now(), qos=1))
        pump.start()
        eventually(lambda: pump.state.failing == "MemoryError: no more")
        assert pump.state.alive and witness.seen == []
    eventually(lambda: witness.seen == [("acknowledge", 1), ("receipt", 1)])
    eventually(lambda: pump.state.failing is None)
    pump.stop()


def test_a_batch_whose_burial_fails_is_kept(bench: Bench, terminal: Terminal, monkeypatch: pytest.MonkeyPatch) -> None:
    """Let go of unacknowledged, it would fill the room that the broker has for this collector."""

    def fails(*_: object) -> None:
        raise RuntimeError("it breaks its transaction")

    witness = Witness(bench)
    pump = Pump(bench.intake, witness)
    with monkeypatch.context() as broken:
        broken.setattr(bench.intake, "admit_opened", fails)
        broken.setattr(bench.intake, "bury", fails)
        pump.offer(Message(terminal.event_topic, terminal.enrol(), utc_now(), qos=1))
        pump.start()
        eventually(lambda: pump.state.failing is not None)
        assert witness.seen == []
    eventually(lambda: witness.seen == [("acknowledge", 1), ("receipt", 1)])
    eventually(lambda: pump.state.failing is None)
    pump.stop()


def test_of_a_batch_that_breaks_no_message_is_acknowledged_twice(
    bench: Bench, terminal: Terminal, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Its packet id may mean another message by then."""
    messages = [
        Message(terminal.event_topic, data, utc_now(), mid=mid, qos=1)
        for mid, data in enumerate((terminal.enrol(), terminal.punch(), terminal.punch()), 1)
    ]
    plain_admit, plain_bury, buried = bench.intake.admit_opened, bench.intake.bury, []

    def admit(batch: Sequence[Opened]) -> list[Answer]:
        if any(one.message.mid == 2 for one in batch):
            raise RuntimeError("it breaks its transaction")
        return plain_admit(batch)

    def bury(message: Message, error: Exception) -> None:
        buried.append(message.mid)
        if len(buried) == 1:
            raise RuntimeError("and cannot be set aside at first")
        plain_bury(message, error)

    monkeypatch.setattr(bench.intake, "admit_opened", admit)
    monkeypatch.setattr(bench.intake, "bury", bury)
    acknowledged: list[int] = []
    witness = Witness(bench)
    monkeypatch.setattr(witness, "acknowledge", lambda done: acknowledged.extend(one.mid for one in done))
    pump = Pump(bench.intake, witness)
    for message in messages:
        pump.offer(message)
    pump.start()
    eventually(lambda: len(acknowledged) >= 3)
    eventually(lambda: pump.state.failing is None)
    pump.stop()
    assert (acknowledged, buried) == ([1, 2, 3], [2, 2])


def test_a_batch_that_is_tried_again_holds_on_to_none_of_the_tries(
    bench: Bench, terminal: Terminal, monkeypatch: pytest.MonkeyPatch
) -> None:
    opened = bench.intake.open([Message(terminal.event_topic, b"no envelope", utc_now())])

    def fails(_: Batch) -> None:
        raise OperationalError("INSERT", None, Full("database or disk is full"))

    monkeypatch.setattr(Batch, "write", fails)
    depths = []
    for _ in range(3):
        with pytest.raises(OperationalError):
            bench.intake.admit_opened(opened)
        assert opened[0].error is not None
        depths.append(len(list(traceback.walk_tb(opened[0].error.__traceback__))))
    assert depths[0] == depths[-1]


def test_while_a_batch_is_written_the_next_is_opened_and_their_order_stays(
    bench: Bench, terminal: Terminal, monkeypatch: pytest.MonkeyPatch
) -> None:
    went_on, opened = Event(), []
    plain_open, plain_admit = bench.intake.open, bench.intake.admit_opened

    def open_noting(messages: Sequence[Message]) -> list[Opened]:
        opened.append(len(messages))
        return plain_open(messages)

    def admit_when_told(batch: Sequence[Opened]) -> list[Answer]:
        assert went_on.wait(10)
        return plain_admit(batch)

    monkeypatch.setattr(bench.intake, "open", open_noting)
    monkeypatch.setattr(bench.intake, "admit_opened", admit_when_told)
    witness = Witness(bench)
    pump = Pump(bench.intake, witness, batch_messages=2)
    for envelope in (terminal.enrol(), *(terminal.punch() for _ in range(7))):
        pump.offer(Message(terminal.event_topic, envelope, utc_now(), qos=1))
    pump.start()
    eventually(lambda: opened == [2, 2, 2])  # one is being written, one waits for that, one was opened meanwhile
    assert witness.seen == []
    went_on.set()
    eventually(lambda: [size for what, size in witness.seen if what == "receipt"] == [2, 4, 6, 8])
    pump.stop()
    assert bench.dead() == []
