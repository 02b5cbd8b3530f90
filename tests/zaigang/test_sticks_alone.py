"""A terminal that nothing but USB sticks reaches: receipts, and the collector's next keys, come in the same file."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from evidence.handover import sign_handover
from evidence.keys import Ed25519Key
from kiosk.stick import export
from tests.collector.process import command
from tests.support.ports import free_port
from tests.zaigang.gate import Gate, gates, nobody, replace_keys, whole
from tests.zaigang.joining import Centre


@pytest.fixture
def centre(tmp_path: Path) -> Iterator[Centre]:
    one = Centre(tmp_path / "collector", broker_port=free_port())
    yield one
    one.close()


@pytest.fixture
def gate(centre: Centre, tmp_path: Path) -> Iterator[Callable[..., Gate]]:
    with gates(centre, tmp_path / "terminal") as make:
        yield make


def test_a_terminal_on_sticks_alone_follows_the_collectors_keys(
    centre: Centre, gate: Callable[..., Gate], tmp_path: Path
) -> None:
    one = gate()
    replace_keys(centre, "receipt", "command", "receipt")
    with whole(one, broker=(nobody(),), https_after_s=0) as kiosk:
        file = export(kiosk.settings.journal_file, tmp_path, "gate-1.jsonl").file
        centre.database.close()
        command("import", str(file), data=centre.data)
        lines = (tmp_path / "gate-1.receipts.jsonl").read_bytes().splitlines()
        assert len(lines) == 4  # three handovers, then a receipt
        alone = kiosk.operations.take_receipts(lines[3:])
        assert alone["receipts"] == 0 and "no key that is pinned here" in alone["refused"][0]
        before = kiosk.settings.pinned_keys
        forged = kiosk.operations.take_receipts([handover_of_a_stranger(), lines[3]])
        assert forged["receipts"] == 0 and kiosk.settings.pinned_keys == before
        taken = kiosk.operations.take_receipts(lines)
        assert (taken["receipts"], taken["handovers"], taken["refused"]) == (1, 3, [])
        assert kiosk.settings.pinned_keys == (centre.keys.receipt.public, centre.keys.command.public)
        assert kiosk.operations.take_receipts(lines)["refused"] == []  # again is harmless
        assert set(kiosk.uplink._keys) == {key.id for key in kiosk.settings.pinned_keys}
    centre.__post_init__()


def handover_of_a_stranger() -> bytes:
    return sign_handover("receipt", Ed25519Key.generate(), Ed25519Key.generate(), "2026-05-04T08:00:00.000Z")
