"""Whoever took his face back at a gate stays gone there until he agrees anew, whatever the gate has forgotten since."""

from __future__ import annotations

import sqlite3
from collections.abc import Iterator
from pathlib import Path

import pytest

from evidence.events import Kind
from kiosk.transfer.store import Store
from tests.kiosk.transfer.gates import MODEL, Gate, Wire, face
from tests.kiosk.transfer.test_exchange import at, states, why


@pytest.fixture
def wire(tmp_path: Path) -> Iterator[Wire]:
    one = Wire({name: Gate(tmp_path, name) for name in ("gate-1", "gate-2")})
    one.introduce()
    yield one
    for gate in one.gates.values():
        gate.close()


def forget_withdrawals(gate: Gate) -> None:
    """What pruning does to the journal after the retention period."""
    with gate.journal._store.writing() as database:
        database.execute("DELETE FROM events WHERE kind = ?", (Kind.CONSENT_WITHDRAWN,))


def send_again(here: Gate) -> None:
    """The sender has lost what it was told: it sends under the same consent."""
    for copy in here.store.copies():
        here.store.drop_copy(copy.copy_id)


@pytest.mark.parametrize("wish", ["transfer", "face", "erase"])
@pytest.mark.parametrize("noticed", [True, False])
def test_a_withdrawal_outlives_the_journals_memory_of_it(wire: Wire, wish: str, noticed: bool) -> None:
    here, there = at(wire)
    here.enrol()
    wire.carry()
    if wish == "erase":
        there.desk.erase("E-17")
    else:
        there.desk.withdraw("E-17", wish)  # type: ignore[arg-type]
    if noticed:
        wire.carry()
    forget_withdrawals(there)
    send_again(here)
    wire.carry()
    assert not there.holds() and why(there)[-1] == "withdrawn"
    here.desk.agree("E-17", "transfer", "t1", "zh")
    wire.carry()
    assert there.holds()


def test_neither_a_new_key_nor_a_new_confirmation_brings_back_who_took_it_back(wire: Wire) -> None:
    here, there = at(wire)
    here.enrol()
    wire.carry()
    there.desk.withdraw("E-17", "transfer")
    wire.carry()
    sent = len(here.bodies(Kind.TRANSFER_SENT))
    there.journal.rotate_key("planned")
    wire.carry()
    assert len(here.bodies(Kind.TRANSFER_SENT)) == sent  # a refusal for good is not asked about again
    forget_withdrawals(there)
    here.exchange.remove("gate-2", "Li")
    wire.carry()
    here.exchange.confirm("gate-2", there.fingerprint, "Li")
    wire.carry()
    assert not there.holds() and states(here) == ["refused"]


def test_a_new_enrolment_under_the_old_consent_brings_nobody_back(wire: Wire) -> None:
    here, there = at(wire)
    here.enrol()
    wire.carry()
    there.desk.withdraw("E-17", "transfer")
    wire.carry()
    forget_withdrawals(there)
    here.enrol(seed=1, transfer=False)  # the transfer was agreed to before, and is kept
    wire.carry()
    assert here.bodies(Kind.TRANSFER_SENT)[-1]["enrolment"] != here.bodies(Kind.TRANSFER_SENT)[0]["enrolment"]
    assert not there.holds() and why(there)[-1] == "withdrawn"


def test_clocks_that_differ_change_neither_a_withdrawal_nor_a_new_consent(wire: Wire) -> None:
    here, there = at(wire)
    here.clock.days = 0.5  # the consent is dated after the withdrawal
    here.enrol()
    wire.carry()
    there.clock.days = 0.25
    there.desk.withdraw("E-17", "transfer")
    send_again(here)
    wire.carry()
    assert not there.holds() and why(there)[-1] == "withdrawn"
    there.clock.days = 0.9
    here.clock.days = 0.6
    here.desk.agree("E-17", "transfer", "t1", "zh")
    wire.carry()
    assert there.holds()
    there.desk.withdraw("E-17", "transfer")  # dated after the consent that follows
    wire.carry()
    here.clock.days = 0.7
    here.desk.agree("E-17", "transfer", "t1", "zh")
    wire.carry()
    assert there.holds()


@pytest.mark.parametrize("over", ["lease", "peer"])
def test_what_ended_by_itself_may_come_back_under_the_same_consent(wire: Wire, over: str) -> None:
    here, there = at(wire)
    here.enrol()
    wire.carry()
    if over == "lease":
        for gate in at(wire):
            gate.clock.days = 31
        there.exchange.round()
    else:
        there.exchange.remove("gate-1", "Li")
        there.exchange.round()
        there.exchange.confirm("gate-1", here.fingerprint, "Li")
    assert not there.holds()
    for gate in at(wire):
        gate.clock.days = 40
    wire.carry()
    assert there.holds() and why(there) == []


def test_a_copy_that_once_ended_by_itself_and_came_back_is_taken_back_for_good(wire: Wire) -> None:
    here, there = at(wire)
    here.enrol()
    wire.carry()
    for gate in at(wire):
        gate.clock.days = 31
    there.exchange.round()
    wire.carry()
    assert there.holds()
    there.enrol(transfer=False)  # an enrolment of its own takes the copy's place, and signs no end of it
    there.desk.erase("E-17")
    wire.carry()
    forget_withdrawals(there)
    send_again(here)
    wire.carry()
    assert not there.holds() and why(there)[-1] == "withdrawn"


def test_whoever_agreed_anew_is_not_called_withdrawn_when_the_copy_ends_by_itself(wire: Wire) -> None:
    here, there = at(wire)
    here.enrol()
    wire.carry()
    there.desk.withdraw("E-17", "transfer")
    wire.carry()
    here.desk.agree("E-17", "transfer", "t1", "zh")
    wire.carry()
    there.exchange.remove("gate-1", "Li")
    wire.carry()
    assert [copy.reason.partition(":")[0] for copy in here.store.copies()] == ["not_confirmed"]


def test_a_file_of_the_first_format_is_taken_along(tmp_path: Path) -> None:
    path = tmp_path / "transfers.db"
    store = Store(path)
    store.keep_note("name", "value")
    store.close()
    raw = sqlite3.connect(path)
    raw.executescript("DROP TABLE taken; DROP TABLE withdrawn; DROP TABLE peer_keys; PRAGMA user_version = 1;")
    raw.close()
    again = Store(path)
    assert again.note("name") == "value" and again.rows("SELECT * FROM withdrawn") == []
    again.close()


def test_no_employee_code_lies_in_the_file_of_exchanges(wire: Wire) -> None:
    here, there = at(wire)
    here.enrol()
    wire.carry()
    there.desk.withdraw("E-17", "transfer")
    wire.carry()
    data = (there.folder / "transfers.db").read_bytes()
    assert b"E-17" not in data
    assert face()[0].astype("<f4").tobytes()[:16] not in data
    assert there.gallery.template("E-17", MODEL) is None
