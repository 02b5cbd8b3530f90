"""A rotated receipt key reaches a terminal that was away, through a real broker."""

from __future__ import annotations

from datetime import timedelta
from pathlib import Path
from typing import Any

import pytest

from collector.app import Collector
from collector.devices.service import NewDevice
from collector.errors import Conflict, KeyHandedOver, LedgerRewritten, SettingsError
from collector.identity import load_or_create_keys
from collector.ingest.message import Message
from collector.ledger.checkpoints import newest_checkpoint
from collector.ledger.fsck import check_ledger
from collector.ledger.leaves import checkpoint_seal
from collector.settings import load_settings
from collector.sites.service import NewSite
from collector.statements.rotation import finish, rotate
from collector.statements.scribe import Scribe
from collector.timestamps import utc_now
from evidence.bundle import verify_bundle
from evidence.bundle_receipt import check_collector_receipt
from evidence.checkpoint import Checkpoint, sign_checkpoint
from evidence.command import read_command
from evidence.events import Kind
from evidence.handover import follow_handovers, split_handovers
from evidence.statements import StatementKind
from tests.collector.conftest import Bench
from tests.collector.holes import by_every_verifier, swear
from tests.collector.terminal import Terminal
from tests.collector.test_evidence_bundles import POLICY, POLICY_HASH, SITE, punch
from tests.collector.wire import connected
from tests.support.mosquitto import Mosquitto

DAY = timedelta(days=1)


def sworn(bench: Bench) -> None:
    with bench.database.write() as session:
        Scribe(bench.keys)(session, "device.revoked", {"device": "gate-1", "from_index": 0, "by": "x"})


def test_a_terminal_that_was_away_learns_the_new_key_before_its_first_receipt(
    mosquitto: Mosquitto, tmp_path: Path
) -> None:
    settings = load_settings(data=tmp_path / "data", broker=f"mqtt://127.0.0.1:{mosquitto.port}")
    first = Collector(settings)
    terminal = Terminal()
    first.services.sites.add(NewSite(name="east", title="East", tz="Asia/Shanghai"))
    first.services.devices.add(NewDevice(name="gate-1", site="east", key=terminal.key.public.text()))
    pinned = (first.keys.receipt.public, first.keys.command.public)
    rotate(first.database, first.keys, settings.keys_path, "receipt")
    rotate(first.database, load_or_create_keys(settings.keys_path), settings.keys_path, "receipt")
    first.database.close()
    second = Collector(settings)
    assert second.keys.receipt.public not in pinned
    second.start()
    try:
        with connected(terminal, mosquitto.port) as wire:
            message = wire.receipts.get(timeout=20)
            documents = split_handovers(message)
            assert documents is not None and len(documents) == 2
            receipt_key, command_key = follow_handovers(pinned, documents)
            assert (receipt_key, command_key) == (second.keys.receipt.public, second.keys.command.public)
            wire.send(terminal.enrol())
            assert wire.receipt_upto(0, receipt_key).upto == 0
        with connected(terminal, mosquitto.port) as later:
            assert later.receipts.get(timeout=5) == message  # retained: for whoever was away
        assert (
            check_ledger(second.database, second.keys.seal, second.services.checkpoints.signer.public).difference
            is None
        )
        stated = second.services.statements.page(StatementKind.KEY_ROTATED, None, 10)
        assert len(stated) == 2
    finally:
        second.stop()


def test_the_power_going_between_commit_and_file_loses_no_key(bench: Bench, monkeypatch: pytest.MonkeyPatch) -> None:
    sworn(bench)
    folder = bench.settings.keys_path
    monkeypatch.setattr("collector.statements.rotation.finish", lambda *_: None)
    new = rotate(bench.database, bench.keys, folder, "command")
    with pytest.raises(SettingsError, match="command key"):
        Scribe(load_or_create_keys(folder)).require_same_keys(bench.database)
    finish(bench.database, folder)
    keys = load_or_create_keys(folder)
    assert keys.command.public == new.public
    Scribe(keys).require_same_keys(bench.database)


def test_open_commands_are_signed_by_the_new_key_under_their_numbers_and_answered_ones_stay(
    bench: Bench, terminal: Terminal
) -> None:
    """A terminal that was away believes the new key alone: an ordered erasure must not be lost on it."""
    sworn(bench)
    commands = [
        bench.services.commands.issue(terminal.device, "erase_worker", {"worker": f"E-{n}"}, "me", DAY) for n in (1, 2)
    ]
    ended = bench.services.commands.issue(terminal.device, "erase_worker", {"worker": "E-3"}, "me", timedelta(0))
    before = ended.command.envelope
    new = rotate(bench.database, bench.keys, bench.settings.keys_path, "command")
    found = [
        read_command(one.payload, new.public, terminal.device, terminal.site) for one in bench.services.commands.open()
    ]
    assert [(one.id, one.counter) for one in found] == [(one.command.id, one.command.counter) for one in commands]
    assert bench.services.commands.get(ended.command.id).command.envelope == before
    with pytest.raises(KeyHandedOver):  # and whoever still holds the old one orders nothing more
        bench.services.commands.issue(terminal.device, "erase_worker", {"worker": "E-4"}, "me", DAY)


def test_a_rotation_that_was_not_committed_leaves_the_old_key(bench: Bench) -> None:
    with pytest.raises(Conflict):
        rotate(bench.database, bench.keys, bench.settings.keys_path, "receipt")
    finish(bench.database, bench.settings.keys_path)
    assert load_or_create_keys(bench.settings.keys_path).receipt.public == bench.keys.receipt.public
    assert not list(bench.settings.keys_path.glob("*.new"))


def day_of(terminal: Terminal) -> list[bytes]:
    opened = [terminal.enrol(), terminal.append(Kind.CONFIG_APPLIED, {"policy": POLICY, "policy_hash": POLICY_HASH})]
    terminal.time_s = 3600
    return [*opened, punch(terminal, "E001")]


@pytest.mark.browser
def test_after_every_key_was_replaced_old_and_new_evidence_verifies_from_one_trust_file(
    bench: Bench, terminal: Terminal, tmp_path: Path, browser: Any
) -> None:
    swear(bench)
    (receipt,) = bench.intake.admit([Message(terminal.event_topic, one, utc_now()) for one in day_of(terminal)])
    before = bench.services.evidence_bundles.make(SITE, "test")
    trust_before = bench.services.evidence_bundles.trust()
    kept = bench.services.proofs.checkpoint()
    for purpose in ("receipt", "statement", "command", "checkpoint", "checkpoint", "statement"):
        rotate(bench.database, bench.keys, bench.settings.keys_path, purpose)  # type: ignore[arg-type]
        bench.keys = load_or_create_keys(bench.settings.keys_path)
    swear(bench)
    bench.offer(terminal, punch(terminal, "E001", "OUT"))
    after = bench.services.evidence_bundles.make(SITE, "test", kept=kept)
    assert after.facts.problems == ()
    signer = bench.services.checkpoints.signer.public
    assert check_ledger(bench.database, bench.keys.seal, signer).difference is None
    trust = bench.services.evidence_bundles.trust()
    assert len(trust.handovers) == 6 and trust.collector.command == bench.keys.command.public.text()
    followed = trust_before.model_copy(update={"handovers": trust.handovers, "checkpoints": [kept.decode()]})
    for one in (trust, followed):
        report = verify_bundle(after.data, one)
        assert report.ok, [str(problem) for problem in report.problems]
        old = verify_bundle(before.data, one.model_copy(update={"checkpoints": []}))
        assert old.ok, [str(problem) for problem in old.problems]
        assert check_collector_receipt(receipt.payload, one, old).upto == 2
    assert "unknown_key" in {one.code for one in verify_bundle(after.data, trust_before).problems}
    for name, made in (("before", before), ("after", after)):
        (tmp_path / name).mkdir()
        by_every_verifier(made.data, bench, tmp_path / name, browser)


def test_a_checkpoint_key_of_before_signs_nothing_more(bench: Bench, terminal: Terminal) -> None:
    """Somebody kept the old key file and signs a checkpoint over the ledger of today into the database."""
    swear(bench)
    bench.offer(terminal, *day_of(terminal))
    bench.services.checkpoints.sign()
    old = bench.services.checkpoints.signer
    rotate(bench.database, bench.keys, bench.settings.keys_path, "checkpoint")
    bench.keys = load_or_create_keys(bench.settings.keys_path)
    swear(bench)
    bench.services.checkpoints.sign()
    with bench.database.write() as session:
        newest = newest_checkpoint(session)
        assert newest is not None
        newest.note = sign_checkpoint(Checkpoint(old.name, newest.size, newest.root), old).encode()
        newest.seal = checkpoint_seal(bench.keys.seal, newest.size, newest.note, newest.signed_at)
        session.add(newest)
    found = check_ledger(bench.database, bench.keys.seal, bench.services.checkpoints.signer.public).difference
    assert found is not None and "retired_key" in found.message
    bench.offer(terminal, punch(terminal, "E001", "OUT"))
    with pytest.raises(LedgerRewritten):
        bench.services.checkpoints.sign()
