"""A collector killed at the worst moment: after the commit, before acknowledgement and receipt."""

from __future__ import annotations

import os
import random
from collections.abc import Callable
from pathlib import Path

import pytest

from collector.devices.service import NewDevice
from collector.identity import load_or_create_keys
from collector.ledger.fsck import check_ledger
from collector.services import build_services, open_database
from collector.settings import load_settings
from collector.sites.service import NewSite
from tests.collector.process import CollectorProcess
from tests.collector.terminal import Terminal
from tests.collector.wire import connected
from tests.support.mosquitto import Mosquitto
from tests.support.waiting import eventually

KILLS = 20 if os.environ.get("ZAIGANG_LONG") == "1" else 2
SEED = 7

# Ends the process the moment a batch with events is committed: nothing is acknowledged, no receipt is out.
DIES_AFTER_COMMIT = """
import os, signal
from collector.ingest.pump import Pump
def die(self, batch, answers):
    os.kill(os.getpid(), signal.SIGKILL)
Pump._finish = die
from zaigang.commands.collector import app
app()
"""


def prepare(data: Path, terminal: Terminal):  # type: ignore[no-untyped-def]
    settings = load_settings(data=data)
    keys = load_or_create_keys(settings.keys_path)
    database = open_database(settings)
    services = build_services(settings, database, keys)
    services.sites.add(NewSite(name=terminal.site, title="East", tz="Asia/Shanghai"))
    key = terminal.key.public.text()
    services.devices.add(NewDevice(name=terminal.device, site=terminal.site, key=key))
    return database, keys, services


def test_killed_between_commit_and_receipt_a_replay_gets_its_receipt_and_nothing_doubles(
    mosquitto: Mosquitto, tmp_path: Path
) -> None:
    terminal = Terminal()
    database, keys, services = prepare(tmp_path / "data", terminal)
    envelopes = [terminal.enrol(), *(terminal.punch() for _ in range(4))]
    collector = CollectorProcess(tmp_path / "data", mosquitto.port, program=DIES_AFTER_COMMIT).start()
    with connected(terminal, mosquitto.port) as wire:
        wire.send(*envelopes)
        assert collector.process is not None
        collector.process.wait(60)
        held = services.ledger.size()
        assert held >= 1 and wire.receipts.empty()
        collector = CollectorProcess(tmp_path / "data", mosquitto.port).start()
        wire.send(*envelopes)  # what a terminal does that has no receipt
        receipt = wire.receipt_upto(4, keys.receipt.public, 60)
        assert terminal.head is not None and receipt.head == terminal.head.hash
        assert collector.stop() == 0
    assert list(services.ledger.envelopes(terminal.device, terminal.chain)) == envelopes
    assert check_ledger(database, keys.seal, services.checkpoints.signer.public).difference is None
    database.close()


@pytest.mark.long
def test_killed_at_random_moments_it_ends_with_every_event_once(
    mosquitto: Mosquitto, tmp_path: Path, record_property: Callable[[str, object], None]
) -> None:
    terminal, rng = Terminal(), random.Random(SEED)
    record_property("kills", KILLS)
    record_property("seed", SEED)
    record_property("events", 30 * KILLS + 1)
    database, keys, services = prepare(tmp_path / "data", terminal)
    envelopes = [terminal.enrol()]
    with connected(terminal, mosquitto.port) as wire:
        for _ in range(KILLS):
            collector = CollectorProcess(tmp_path / "data", mosquitto.port).start()
            envelopes += [terminal.punch() for _ in range(30)]
            for envelope in envelopes:
                wire.client.publish(terminal.event_topic, envelope, qos=1)
            target = services.ledger.size() + rng.randint(0, 25)
            eventually(lambda: services.ledger.size() >= min(target, len(envelopes)), 60)  # noqa: B023
            collector.kill()
        collector = CollectorProcess(tmp_path / "data", mosquitto.port).start()
        wire.send(*envelopes)
        wire.receipt_upto(len(envelopes) - 1, keys.receipt.public, 60)
        assert collector.stop() == 0
    assert list(services.ledger.envelopes(terminal.device, terminal.chain)) == envelopes
    assert check_ledger(database, keys.seal, services.checkpoints.signer.public).difference is None
    database.close()
