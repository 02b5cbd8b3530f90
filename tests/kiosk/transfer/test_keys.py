"""Keys change: rotated, lost, put back from a copy. A terminal goes on receiving, an earlier key opens nothing more."""

from __future__ import annotations

import stat
from collections.abc import Iterator
from pathlib import Path

import pytest

from evidence.events import Kind
from kiosk.errors import JournalFull
from tests.kiosk.transfer.gates import Gate, Wire
from tests.kiosk.transfer.test_exchange import at, states, why


@pytest.fixture
def wire(tmp_path: Path) -> Iterator[Wire]:
    one = Wire({name: Gate(tmp_path, name) for name in ("gate-1", "gate-2")})
    one.introduce()
    yield one
    for gate in one.gates.values():
        gate.close()


def test_the_transfer_key_is_its_owners_alone_and_a_rotation_brings_another(wire: Wire) -> None:
    _, there = at(wire)
    file = there.folder / "transfer.key"
    assert stat.S_IMODE(file.stat().st_mode) == 0o600
    before = file.read_bytes()
    there.journal.rotate_key("planned")
    there.exchange.round()
    assert stat.S_IMODE(file.stat().st_mode) == 0o600
    assert file.read_bytes() != before


@pytest.mark.parametrize("who", ["sender", "recipient", "both"])
def test_a_rotated_key_is_followed_without_anybody_going_there_again(wire: Wire, who: str) -> None:
    here, there = at(wire)
    here.enrol()
    wire.carry()
    for gate in {"sender": [here], "recipient": [there], "both": [here, there]}[who]:
        gate.journal.rotate_key("planned")
        gate.journal.rotate_key("once more")
    here.enrol("E-18", seed=2)
    wire.carry()
    assert there.holds("E-18") and there.holds("E-17")
    here.desk.withdraw("E-17", "transfer")
    wire.carry()
    assert not there.holds("E-17")
    followed = [body for gate in at(wire) for body in gate.bodies(Kind.TRANSFER_PEER) if body["state"] == "followed"]
    assert len(followed) == (2 if who == "both" else 1)


def test_what_was_on_its_way_when_a_key_was_rotated_is_sent_anew(wire: Wire) -> None:
    here, there = at(wire)
    here.enrol()
    here.exchange.round()
    old = here.store.copies()[0].envelope
    there.journal.rotate_key("planned")
    there.exchange.round()
    there.exchange.take(old)
    assert why(there) == ["earlier_key"] and not there.holds()
    wire.carry()
    assert there.holds() and states(here) == ["held"]


def test_a_terminal_that_was_enrolled_again_waits_for_a_new_confirmation_and_then_has_all_faces_again(
    wire: Wire, tmp_path: Path
) -> None:
    here, there = at(wire)
    here.enrol()
    wire.carry()
    there.close()
    again = Gate(tmp_path / "new", "gate-2")  # a new card: no key, no journal, no gallery
    both = Wire({"gate-1": here, "gate-2": again})
    both.meet()
    assert {row["device"]: row["state"] for row in here.exchange.listed()["peers"]} == {"gate-2": "changed"}
    assert not again.holds()
    again.exchange.confirm("gate-1", here.fingerprint, "Li")
    here.exchange.confirm("gate-2", again.fingerprint, "Li")
    both.carry()
    assert again.holds() and states(here) == ["held"]
    assert here.exchange.part.state == "working"
    again.close()
    wire.gates["gate-2"] = Gate(tmp_path, "gate-2")


def test_a_sender_that_was_enrolled_again_is_confirmed_anew_and_its_lost_copies_end(wire: Wire, tmp_path: Path) -> None:
    here, there = at(wire)
    here.enrol()
    wire.carry()
    here.close()
    again = Gate(tmp_path / "new", "gate-1")
    both = Wire({"gate-1": again, "gate-2": there})
    both.introduce()
    again.enrol("E-18", seed=2)
    both.carry()
    assert there.holds("E-18")
    there.clock.days = again.clock.days = 31
    both.carry()
    assert there.holds("E-18") and not there.holds("E-17")  # nobody could have renewed it
    again.close()
    wire.gates["gate-1"] = Gate(tmp_path, "gate-1")


def test_a_sender_whose_file_was_put_back_from_a_copy_catches_up(wire: Wire) -> None:
    here, there = at(wire)
    with here.store.writing() as database:
        database.execute("UPDATE peers SET sent = 4000000000000")  # its clock was far ahead once
    here.enrol()
    wire.carry()
    assert there.holds()
    with here.store.writing() as database:
        database.execute("UPDATE peers SET sent = 0")
    here.enrol("E-18", seed=2)
    wire.carry()
    assert there.holds("E-18") and "replayed" in why(there)


def test_a_lost_file_of_exchanges_is_begun_anew_and_copies_still_end(wire: Wire) -> None:
    here, there = at(wire)
    here.enrol()
    wire.carry()
    there.exchange.stop()
    (there.folder / "transfers.db").unlink()
    there.open()
    there.exchange.round()
    assert not there.holds()  # nobody here knows its sender any more
    wire.introduce()
    here.enrol("E-18", seed=2)
    wire.carry()
    assert there.holds("E-18")


def test_a_copy_that_cannot_be_signed_for_is_not_kept(wire: Wire, monkeypatch: pytest.MonkeyPatch) -> None:
    here, there = at(wire)
    here.enrol()
    here.exchange.round()
    data = here.store.copies()[0].envelope
    with monkeypatch.context() as patch:
        patch.setattr(there.journal, "append", _full)
        with pytest.raises(JournalFull):
            there.exchange.take(data)
        assert not there.holds()
    wire.carry()
    assert there.holds() and states(here) == ["held"]


def test_nothing_leaves_unsigned(wire: Wire, monkeypatch: pytest.MonkeyPatch) -> None:
    here, there = at(wire)
    here.enrol()
    with monkeypatch.context() as patch:
        patch.setattr(here.journal, "append", _full)
        with pytest.raises(JournalFull):
            here.exchange.round()
        assert here.exchange.outbox(100) == [] and here.store.copies() == []
    wire.carry()
    assert there.holds()


def _full(*_: object) -> None:
    raise JournalFull("disk_full: no room")


def test_while_the_case_is_open_nothing_is_taken_and_afterwards_all_of_it(wire: Wire) -> None:
    here, there = at(wire)
    here.enrol()
    there.gallery.lock()
    wire.gates = {"gate-1": here}
    here.exchange.round()
    data = here.store.copies()[0].envelope
    there.quietly(data)
    assert there.bodies(Kind.TRANSFER_REFUSED) == [] and there.store.answered("refused") == []
    there.gallery.unlock(bytes(32))
    wire.gates = {"gate-1": here, "gate-2": there}
    wire.carry()
    assert there.holds()
