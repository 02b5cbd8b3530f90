"""A model of delivery: a journal, a lossy channel and a collector, in any order of events that hypothesis thinks of.

Real journal, real intake, real receipts; only the wire is a list. At the end the channel is good and all must be in.
"""

from __future__ import annotations

import os
import shutil
import tempfile
from contextlib import suppress
from pathlib import Path

import pytest
from hypothesis import HealthCheck, settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, initialize, invariant, rule

from collector.devices.service import NewDevice
from collector.identity import load_or_create_keys
from collector.ingest.deliveries import Deliveries
from collector.ingest.intake import Intake, Limits
from collector.ingest.message import Message
from collector.ledger.fsck import check_ledger
from collector.services import build_services, open_database
from collector.settings import load_settings
from collector.sites.service import NewSite
from collector.timestamps import utc_now
from evidence.chain import verify_chain
from evidence.envelope import Envelope
from evidence.errors import EvidenceError
from evidence.keys import Ed25519Key
from kiosk.clock import SystemClock
from kiosk.flow import Window
from kiosk.journal import Journal
from tests.collector.held import entries_of

TOPIC = "zaigang/v1/east/gate-1/event"
EXAMPLES = 300 if os.environ.get("ZAIGANG_LONG") == "1" else 12


class Delivery(RuleBasedStateMachine):
    """Every rule is something that may happen to a terminal, the network or the centre."""

    @initialize()
    def begin(self) -> None:
        self.folder = Path(tempfile.mkdtemp(prefix="zaigang-model-"))
        self.key = Ed25519Key.generate()
        configured = load_settings(data=self.folder / "collector")
        self.keys = load_or_create_keys(configured.keys_path)
        self.database = open_database(configured)
        self.services = build_services(configured, self.database, self.keys)
        self.services.sites.add(NewSite(name="east", title="East", tz="UTC"))
        self.services.devices.add(NewDevice(name="gate-1", site="east", key=self.key.public.text()))
        self.new_intake()
        self.journal = self.opened()
        self.window = Window(5)
        self.window.restart(self.journal.released)
        self.up: list[bytes] = []
        self.down: list[bytes] = []
        self.promised: dict[int, str] = {}
        self.now_s = 0.0

    def opened(self) -> Journal:
        return Journal(self.folder / "journal.db", self.key, "gate-1", "east", "UTC", SystemClock())

    def new_intake(self) -> None:
        self.intake = Intake(self.database, self.keys.receipt, self.keys.seal, Limits(staged_per_device=4))

    @rule(size=st.integers(0, 2000))
    def punch(self, size: int) -> None:
        done = self.journal.append("test.noted", {"filler": "x" * size})
        self.promised[done.seq] = done.hash

    @rule()
    def send(self) -> None:
        for seq, envelope in self.journal.unsent(self.window.sent, self.window.room):
            self.up.append(envelope)
            self.window.published(seq, self.now_s)

    @rule()
    def time_passes(self) -> None:
        self.now_s += 400
        self.window.rewind_if_due(self.now_s)

    @rule(
        data=st.data(), which=st.sampled_from(["up", "down"]), what=st.sampled_from(["drop", "double", "swap", "cut"])
    )
    def network(self, data: st.DataObject, which: str, what: str) -> None:
        wire: list[bytes] = getattr(self, which)
        if not wire:
            return
        at = data.draw(st.integers(0, len(wire) - 1))
        if what == "drop":
            del wire[at]
        elif what == "double":
            wire.append(wire[at])
        elif what == "swap":
            wire[0], wire[at] = wire[at], wire[0]
        else:
            wire[at] = wire[at][: len(wire[at]) // 2]

    @rule(count=st.integers(1, 6))
    def arrive(self, count: int) -> None:
        batch, self.up = self.up[:count], self.up[count:]
        if batch:
            answers = self.intake.admit([Message(TOPIC, one, utc_now()) for one in batch])
            self.down += [answer.payload for answer in answers]

    @rule(count=st.integers(1, 6))
    def killed_before_the_receipt(self, count: int) -> None:
        batch, self.up = self.up[:count], self.up[count:]
        if batch:
            self.intake.admit([Message(TOPIC, one, utc_now()) for one in batch])
        self.new_intake()

    @rule()
    def stick(self) -> None:
        lines = [envelope for _, envelope in self.journal.unsent(-1, 1000)]
        Deliveries(self.intake).take(lines, "stick")

    @rule()
    def receipts(self) -> None:
        wire, self.down = self.down, []
        for payload in wire:
            with suppress(EvidenceError):  # cut on the way
                one = self.journal.release(payload, self.keys.receipt.public)
                self.window.receipted(one.upto, self.now_s)

    @rule()
    def restart(self) -> None:
        self.journal.close()
        self.journal = self.opened()
        self.window.restart(self.journal.released)

    @rule()
    def prune(self) -> None:
        self.journal.prune("2099-01-01T00:00:00.000Z")

    @invariant()
    def nothing_is_let_go_that_the_ledger_lacks(self) -> None:
        if hasattr(self, "journal"):
            assert entries_of(self.database) > self.journal.released

    def teardown(self) -> None:
        if not hasattr(self, "journal"):
            return
        try:
            self.up.clear()
            for _ in range(2000):
                self.time_passes()
                self.send()
                self.arrive(100)
                self.receipts()
                if self.journal.depth == 0:
                    break
            assert self.journal.depth == 0
            envelopes = list(self.services.ledger.envelopes("gate-1", self.journal.head.chain))
            assert verify_chain(envelopes, {"gate-1": self.key.public}).ok
            held = {seq: Envelope.decode(data).hash for seq, data in enumerate(envelopes)}
            assert {seq: held.get(seq) for seq in self.promised} == self.promised
            assert entries_of(self.database) == len(envelopes)
            assert (
                check_ledger(self.database, self.keys.seal, self.services.checkpoints.signer.public).difference is None
            )
        finally:
            self.journal.close()
            self.database.close()
            shutil.rmtree(self.folder)


TestDelivery = pytest.mark.long(pytest.mark.timeout(3600)(Delivery.TestCase))
TestDelivery.settings = settings(
    max_examples=EXAMPLES, stateful_step_count=40, deadline=None, suppress_health_check=list(HealthCheck)
)
