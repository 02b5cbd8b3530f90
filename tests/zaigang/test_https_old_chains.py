"""Over HTTPS a terminal has chains behind it: damaged, restored, frozen. None keeps the one that goes on waiting."""

from __future__ import annotations

import shutil
import sqlite3
from collections.abc import Iterator
from pathlib import Path
from types import SimpleNamespace

import pytest
from sqlmodel import select

from collector.ledger.models import Chain
from evidence.envelope import EVENT_TYPE, Envelope, sign
from evidence.events import parse_event
from kiosk.operations import Operations
from tests.support.ports import free_port
from tests.support.waiting import until
from tests.zaigang.gate import Gate, all_of, gates, held
from tests.zaigang.joining import Centre


@pytest.fixture
def centre(tmp_path: Path) -> Iterator[Centre]:
    one = Centre(tmp_path / "collector", broker_port=free_port())
    yield one
    one.close()


@pytest.fixture
def one(centre: Centre, tmp_path: Path) -> Iterator[Gate]:
    """A terminal that has joined, and its collector, which is there to the end."""
    with gates(centre, tmp_path / "terminal") as make:
        gate = make()
        with centre.serving():
            yield gate


def delivered(gate: Gate, events: int) -> None:
    """Sign so many events and wait for their receipts; then the uplink is stopped."""
    gate.append(events)
    gate.start()
    until(lambda: gate.journal.depth == 0, "receipts")
    gate.stop()


def let_in(centre: Centre, gate: Gate) -> None:
    """Wait for the first event of the terminal's chain, approve it, and wait until it is here whole."""
    chain = gate.journal.head.chain
    until(lambda: any(row.chain == chain for row in chains_of(centre)), "the new chain's first event")
    centre.services.devices.approve("gate-1", chain, "me")
    until(lambda: held(centre, gate) == all_of(gate), "the new chain, whole")


def chains_of(centre: Centre) -> list[Chain]:
    with centre.database.read() as session:
        return list(session.exec(select(Chain)).all())


def damaged(gate: Gate, statement: str) -> None:
    """Change the journal's file while nobody has it open, and open it again."""
    gate.stop()
    gate.journal.close()
    with sqlite3.connect(gate.settings.journal_file) as database:
        database.execute(statement)
    database.close()
    gate.journal = gate._open()


def test_an_earlier_chain_that_can_have_no_receipt_does_not_keep_the_new_one_waiting(centre: Centre, one: Gate) -> None:
    delivered(one, 5)
    old = one.journal.head.chain
    one.append(450)
    damaged(one, "DELETE FROM events WHERE seq = 20")
    assert one.journal.head.chain != old and len(one.journal.leftovers(old, -1, 1000)) > 400
    one.append(250)
    one.start()
    let_in(centre, one)
    assert one.journal.leftover_chains() == [old]
    assert len(list(centre.services.ledger.envelopes("gate-1", old))) == 20


def test_a_rotation_that_waits_in_an_earlier_chain_still_says_whose_the_key_is(centre: Centre, one: Gate) -> None:
    old = one.journal.head.chain
    one.append(450)
    one.journal.rotate_key("planned: a test")
    one.append(3)
    damaged(one, f"UPDATE events SET hash = '0' WHERE seq = {one.journal.head.seq}")
    assert one.journal.head.chain != old
    one.append(3)
    one.start()
    until(lambda: not one.journal.leftover_chains(), "receipts for the earlier chain")
    let_in(centre, one)


def test_a_restored_folder_learns_from_its_first_contradiction_that_it_is_a_copy(
    centre: Centre, one: Gate, tmp_path: Path
) -> None:
    """Everything was receipted when the card was copied, so the copy sends nothing that the ledger has."""
    backup = tmp_path / "backup"
    delivered(one, 20)
    one.journal.close()
    shutil.copytree(one.folder, backup)
    one.journal = one._open()
    delivered(one, 10)
    old = one.journal.head.chain
    one.journal.close()
    shutil.rmtree(one.folder)
    shutil.copytree(backup, one.folder)
    one.journal = one._open()
    assert one.journal.head.chain == old
    one.append(3)
    one.start()
    until(lambda: one.journal.head.chain != old, "a new chain")
    one.append(4)
    let_in(centre, one)
    assert len(list(centre.services.ledger.envelopes("gate-1", old))) == 31


def test_a_frozen_chain_is_left_behind_at_an_operators_word(centre: Centre, one: Gate) -> None:
    delivered(one, 5)
    old = one.journal.head
    event = parse_event(Envelope.decode(one.journal.range(3, 3, 1)[0][1]).payload)
    other = sign(EVENT_TYPE, event.model_copy(update={"nonce": "0" * 32}).payload(), one.key).encode()
    assert centre.services.deliveries.take([other], "a thief").outcomes["contradicting"] == 1
    uplink = one.start()
    one.append(3)
    until(lambda: uplink.state.reason.startswith("no_receipts: "), "the reason")
    desk = SimpleNamespace(journal=one.journal, wake=uplink.wake)
    done = Operations.new_chain(desk, "the key was copied")  # type: ignore[arg-type]  # all that it asks of a terminal
    assert done["before"] == old.chain and done["chain"] == one.journal.head.chain != old.chain
    one.append(2)
    let_in(centre, one)
    assert [seq for seq, _ in one.journal.leftovers(old.chain, -1, 10)] == [old.seq + 1, old.seq + 2, old.seq + 3]
