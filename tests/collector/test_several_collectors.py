"""Two collectors on one PostgreSQL and one shared subscription: killed and restarted, they keep one ledger."""

from __future__ import annotations

import os
import random
import time
from collections.abc import Callable, Iterator
from contextlib import ExitStack
from dataclasses import dataclass, field
from signal import SIGQUIT

import pytest
from sqlmodel import select

from collector.ledger.fsck import check_ledger
from collector.ledger.models import LedgerEntry
from tests.collector.conftest import Bench
from tests.collector.process import CollectorProcess
from tests.collector.terminal import Terminal
from tests.collector.wire import Wire, connected
from tests.support.mosquitto import Mosquitto
from tests.support.postgresql import Postgresql

LONG = os.environ.get("ZAIGANG_LONG") == "1"
KILLS = 20 if LONG else 2
RESTARTS = 10 if LONG else 2
TERMINALS = 4
EVENTS = 25  # of each terminal between two kills
RESEND_S = 3.0
SEED = 11


@dataclass
class Site:
    """Terminals on the wire, collectors on one database."""

    bench: Bench
    mosquitto: Mosquitto
    wires: list[Wire]
    sent: dict[str, list[bytes]]
    covered: dict[str, int] = field(default_factory=dict)  # the last seq of each terminal that a receipt covers

    def collector(self, number: int) -> CollectorProcess:
        return CollectorProcess.sharing(self.bench.settings, self.mosquitto.port, number)

    def punch(self, events: int) -> None:
        """Let every terminal sign and send; it hears of no failure."""
        for _ in range(events):
            for wire in self.wires:
                one = wire.terminal
                self.sent[one.device].append(one.enrol() if one.head is None else one.punch())
                wire.client.publish(one.event_topic, self.sent[one.device][-1], qos=1)

    def settle(self) -> None:
        """Send what has no receipt, again and again as terminals do, until every terminal has one for all it signed."""
        self._send_again_until(lambda: not self._uncovered(), 240)

    def let_in(self, entries: int) -> None:
        """Send again as terminals do, until the ledger holds as many entries: what nobody subscribed to is gone."""
        self._send_again_until(lambda: self.bench.services.ledger.size() >= entries, 120)

    def _send_again_until(self, done: Callable[[], bool], timeout_s: float) -> None:
        deadline = time.monotonic() + timeout_s
        while True:
            again = time.monotonic() + RESEND_S
            while time.monotonic() < again:
                if done():
                    return
                time.sleep(0.05)
            missing = self._uncovered()
            assert time.monotonic() < deadline, f"no receipt for {[wire.terminal.device for wire in missing]}"
            for wire in missing:
                device = wire.terminal.device
                for envelope in self.sent[device][self.covered.get(device, -1) + 1 :]:
                    wire.client.publish(wire.terminal.event_topic, envelope, qos=1)

    def _uncovered(self) -> list[Wire]:
        for device, upto in _promises(self).items():
            self.covered[device] = max(self.covered.get(device, -1), upto)
        return [
            wire
            for wire in self.wires
            if self.covered.get(wire.terminal.device, -1) < len(self.sent[wire.terminal.device]) - 1
        ]

    def require_whole(self) -> None:
        with self.bench.database.read() as session:
            places = sorted(session.exec(select(LedgerEntry.leaf_index)))
        assert places == list(range(sum(map(len, self.sent.values()))))
        for device, envelopes in self.sent.items():
            chain = next(w.terminal.chain for w in self.wires if w.terminal.device == device)
            assert list(self.bench.services.ledger.envelopes(device, chain)) == envelopes
        assert (
            check_ledger(
                self.bench.database, self.bench.keys.seal, self.bench.services.checkpoints.signer.public
            ).difference
            is None
        )
        assert self.bench.dead() == []


@pytest.fixture
def site(bench: Bench, mosquitto: Mosquitto) -> Iterator[Site]:
    terminals = [Terminal(f"gate-{n}") for n in range(TERMINALS)]
    bench.register(*terminals)
    with ExitStack() as stack:
        wires = [stack.enter_context(connected(one, mosquitto.port)) for one in terminals]
        yield Site(bench, mosquitto, wires, {one.device: [] for one in terminals})


on_postgresql = pytest.mark.parametrize("bench", ["postgresql"], indirect=True)


@on_postgresql
@pytest.mark.long
@pytest.mark.timeout(3000)
def test_of_two_collectors_one_is_killed_at_random_and_nothing_is_lost_or_doubled(
    site: Site, record_property: Callable[[str, object], None]
) -> None:
    rng = random.Random(SEED)
    record_property("kills", KILLS)
    record_property("seed", SEED)
    record_property("events", KILLS * EVENTS * TERMINALS)
    collectors = [site.collector(n).start() for n in range(2)]
    for _ in range(KILLS):
        site.punch(EVENTS)
        held = site.bench.services.ledger.size()
        site.let_in(held + rng.randint(1, EVENTS * TERMINALS // 2))
        killed = rng.randrange(2)
        collectors[killed].kill()
        site.punch(EVENTS)
        site.settle()  # the one that is left serves everybody
        collectors[killed].start()
    for one in collectors:
        assert one.stop() == 0
    site.require_whole()


@on_postgresql
@pytest.mark.long
@pytest.mark.timeout(3000)
def test_postgresql_restarted_in_mid_batch_gives_no_receipt_without_a_commit_and_the_intake_goes_on(
    site: Site, postgresql: Postgresql, record_property: Callable[[str, object], None]
) -> None:
    rng = random.Random(SEED)
    record_property("restarts", RESTARTS)
    record_property("seed", SEED)
    collectors = [site.collector(n).start() for n in range(2)]
    for n in range(RESTARTS):
        site.punch(EVENTS)
        time.sleep(rng.random() / 10)
        postgresql.stop(*([SIGQUIT] if n % 2 else []))  # a crash every other time
        site.punch(EVENTS)
        postgresql.start()
        promised = _promises(site)
        for device, upto in promised.items():  # what a receipt covers was committed before the server went
            chain = next(w.terminal.chain for w in site.wires if w.terminal.device == device)
            held = list(site.bench.services.ledger.envelopes(device, chain))
            assert held[: upto + 1] == site.sent[device][: upto + 1]
        site.settle()
    for one in collectors:
        assert one.stop() == 0
    site.require_whole()


def _promises(site: Site) -> dict[str, int]:
    """The receipts that terminals have heard so far: the highest seq of each."""
    best: dict[str, int] = {}
    for wire in site.wires:
        while not wire.receipts.empty():
            receipt = wire.receipt_upto(0, site.bench.keys.receipt.public, 1)
            best[receipt.device] = max(best.get(receipt.device, 0), receipt.upto)
    return best
