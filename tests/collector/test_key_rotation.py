"""A rotated receipt key reaches a terminal that was away, through a real broker."""

from __future__ import annotations

from pathlib import Path

import pytest

from collector.app import Collector
from collector.devices.service import NewDevice
from collector.errors import Conflict, SettingsError
from collector.identity import load_or_create_keys
from collector.ledger.fsck import check_ledger
from collector.settings import load_settings
from collector.sites.service import NewSite
from collector.statements.rotation import finish, rotate
from collector.statements.scribe import Scribe
from evidence.handover import follow_handovers, split_handovers
from evidence.statements import StatementKind
from tests.collector.conftest import Bench
from tests.collector.terminal import Terminal
from tests.collector.wire import connected
from tests.support.mosquitto import Mosquitto


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


def test_a_rotation_that_was_not_committed_leaves_the_old_key(bench: Bench) -> None:
    with pytest.raises(Conflict):
        rotate(bench.database, bench.keys, bench.settings.keys_path, "receipt")
    finish(bench.database, bench.settings.keys_path)
    assert load_or_create_keys(bench.settings.keys_path).receipt.public == bench.keys.receipt.public
    assert not list(bench.settings.keys_path.glob("*.new"))
