"""A collector that runs on while one of its keys is replaced: it signs nothing more, loses nothing, and says so."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import pytest

from collector.app import Collector
from collector.errors import KeyHandedOver
from collector.identity import load_or_create_keys
from collector.ingest.message import Answer, Message
from collector.ingest.pump import Pump
from collector.ledger.fsck import check_ledger
from collector.settings import load_settings
from collector.statements.rotation import rotate
from collector.timestamps import utc_now
from evidence.bundle import verify_bundle
from tests.collector.conftest import Bench
from tests.collector.holes import swear
from tests.collector.terminal import Terminal
from tests.collector.test_evidence_bundles import SITE, a_day, punch
from tests.support.waiting import eventually

pytestmark = pytest.mark.both_databases


def replaced_beside(bench: Bench, purpose: Any) -> None:
    """`rotate-key` in another process, while this one goes on with the keys that it has read."""
    rotate(bench.database, load_or_create_keys(bench.settings.keys_path), bench.settings.keys_path, purpose)


def restarted(bench: Bench) -> None:
    bench.keys = load_or_create_keys(bench.settings.keys_path)
    swear(bench)


def whole(bench: Bench) -> None:
    """The new process signs on, and what it signs holds."""
    bench.services.checkpoints.sign()
    made = bench.services.evidence_bundles.make(SITE, "test")
    report = verify_bundle(made.data, bench.services.evidence_bundles.trust())
    assert report.ok, [str(problem) for problem in report.problems]
    log = bench.services.checkpoints.signer.public
    assert check_ledger(bench.database, bench.keys.seal, log).difference is None


def test_no_checkpoint_is_signed_with_a_key_that_was_handed_over(bench: Bench, terminal: Terminal) -> None:
    a_day(swear(bench), terminal)
    bench.services.checkpoints.sign()
    replaced_beside(bench, "checkpoint")
    newest = bench.services.checkpoints.newest()
    for _ in range(2):
        with pytest.raises(KeyHandedOver, match=r"checkpoint key .* restart this one"):
            bench.services.checkpoints.sign()
    assert bench.services.checkpoints.newest() == newest
    stale = bench.services.checkpoints
    restarted(bench)
    bench.offer(terminal, punch(terminal, "E001"))
    whole(bench)
    with pytest.raises(KeyHandedOver):  # not LedgerRewritten: the last checkpoint is its successor's
        stale.sign()


@pytest.mark.parametrize("purpose", ["receipt", "command", "statement"])
def test_nothing_is_admitted_under_a_key_that_was_handed_over(bench: Bench, terminal: Terminal, purpose: str) -> None:
    """Under the other two neither: a batch may have to state something, for which every key must be that of now."""
    a_day(swear(bench), terminal)
    replaced_beside(bench, purpose)
    size, late = bench.services.ledger.size(), punch(terminal, "E001")
    with pytest.raises(KeyHandedOver, match=purpose):
        bench.offer(terminal, late)
    assert (bench.services.ledger.size(), bench.dead()) == (size, [])
    restarted(bench)
    (receipt,) = bench.offer(terminal, late)
    assert receipt.tree_size == size + 1
    whole(bench)


def test_no_bundle_is_sealed_with_a_key_that_was_handed_over(bench: Bench, terminal: Terminal) -> None:
    a_day(swear(bench), terminal)
    replaced_beside(bench, "receipt")
    with pytest.raises(KeyHandedOver, match="receipt"):
        bench.services.evidence_bundles.make(SITE, "test")
    restarted(bench)
    assert not bench.services.evidence_bundles.make(SITE, "test").facts.problems


def test_what_waits_in_staging_waits_for_the_restart(bench: Bench, terminal: Terminal) -> None:
    swear(bench)
    bench.offer(terminal, terminal.enrol())
    terminal.punch()
    bench.offer(terminal, terminal.punch())
    bench.services.statements.declare_gap(terminal.device, terminal.chain, 1, "lost", None)
    replaced_beside(bench, "receipt")
    size = bench.services.ledger.size()
    with pytest.raises(KeyHandedOver):
        bench.intake.admit_ready()
    assert (bench.services.ledger.size(), bench.dead()) == (size, [])
    restarted(bench)
    (answer,) = bench.intake.admit_ready()
    assert bench.read_receipt(answer.payload, terminal).upto == 2


class Sent:
    """Stands where the broker does."""

    def __init__(self) -> None:
        self.calls: list[str] = []

    def acknowledge(self, messages: Sequence[Message]) -> None:
        self.calls += ["acknowledge" for _ in messages]

    def publish(self, answer: Answer) -> None:
        self.calls.append("receipt")


def test_the_broker_keeps_what_such_a_collector_does_not_take(bench: Bench, terminal: Terminal) -> None:
    swear(bench)
    bench.offer(terminal, terminal.enrol())
    replaced_beside(bench, "receipt")
    sent = Sent()
    pump = Pump(bench.intake, sent)
    for envelope in (terminal.punch(), terminal.punch()):
        pump.offer(Message(terminal.event_topic, envelope, utc_now(), qos=1))
    pump.start()
    eventually(lambda: "handed over" in (pump.state.failing or ""))
    pump.stop()
    assert (sent.calls, bench.dead(), bench.seqs(terminal)) == ([], [], 1)


def test_healthz_says_that_it_must_be_restarted(bench: Bench, terminal: Terminal) -> None:
    swear(bench)
    url = bench.settings.database
    running = Collector(load_settings(data=bench.settings.data, database=url and url.get_secret_value()))
    assert running.health().keys.state == "ok"
    replaced_beside(bench, "checkpoint")
    health = running.health()
    assert (health.status, health.keys.state) == ("failed", "failed") and "restart" in health.keys.reason
    running.database.close()
