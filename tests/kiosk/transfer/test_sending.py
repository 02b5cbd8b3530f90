"""Nothing leaves for which consent or peer have gone, at whatever moment between plan and wire that happened."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from evidence.envelope import Envelope
from evidence.events import Kind
from evidence.transfer import PeerCard, Transfer, named_in
from tests.kiosk.transfer.gates import Gate, Wire
from tests.kiosk.transfer.test_exchange import at, states


@pytest.fixture
def wire(tmp_path: Path) -> Iterator[Wire]:
    one = Wire({name: Gate(tmp_path, name) for name in ("gate-1", "gate-2")})
    one.introduce()
    yield one
    for gate in one.gates.values():
        gate.close()


def sent(gate: Gate) -> list[str]:
    """What kinds of transfers this gate would send now."""
    gate.exchange._sending.again()
    found = [one.kind for one in map(_named, gate.exchange.outbox(100)) if isinstance(one, Transfer)]
    gate.exchange._sending.again()
    return found


def _named(data: bytes) -> object:
    return named_in(Envelope.decode(data))


@pytest.mark.parametrize("what", ["withdraw", "erase", "again", "enrol", "remove", "rekeyed"])
def test_a_change_between_plan_and_seal_is_seen(wire: Wire, tmp_path: Path, what: str) -> None:
    here, there = at(wire)
    here.enrol()
    people, _ = here.exchange._people()  # what the plan works from; then the world moves on
    if what == "withdraw":
        here.desk.withdraw("E-17", "transfer")
    elif what == "erase":
        here.desk.erase("E-17")
    elif what == "again":
        here.desk.withdraw("E-17", "transfer")
        here.desk.agree("E-17", "transfer", "t2", "zh")
    elif what == "enrol":
        here.enrol(seed=4)
    confirmed = here.exchange._peers.confirmed()
    if what == "remove":
        here.exchange.remove("gate-2", "Li")
    elif what == "rekeyed":
        peer, _ = confirmed["gate-2"]
        here.store.keep_peer("gate-2", here.key.public.text(), "confirmed", peer.card)
    here.exchange._peers.confirmed = lambda: confirmed  # type: ignore[method-assign]
    here.exchange._sending.plan(people)
    assert here.store.copies() == [] and here.bodies(Kind.TRANSFER_SENT) == []
    assert not there.holds()


def test_what_was_sealed_for_a_peer_is_not_sent_once_that_is_removed(wire: Wire) -> None:
    here, _ = at(wire)
    here.enrol()
    here.exchange.round()
    assert sent(here) == ["template"]
    here.exchange.remove("gate-2", "Li")
    assert sent(here) == []
    here.exchange.round()
    assert sent(here) == ["erase"]


def test_what_was_sealed_is_not_sent_once_the_exchange_is_switched_off(wire: Wire) -> None:
    here, _ = at(wire)
    here.enrol()
    here.exchange.round()
    here.exchange.stop()
    here.open(on=False)
    assert sent(here) == []
    here.exchange.round()
    assert sent(here) == ["erase"]


def test_a_locked_gallery_keeps_no_removed_peer_from_being_told_to_erase(wire: Wire) -> None:
    here, there = at(wire)
    here.enrol()
    wire.carry()
    here.gallery.lock()
    here.exchange.remove("gate-2", "Li")
    here.exchange.round()
    assert states(here) == ["erasing"] and sent(here) == ["erase"]
    wire.carry()
    assert not there.holds() and here.store.copies() == []
    here.gallery.unlock(bytes(32))


def test_a_terminal_that_began_a_new_chain_sends_and_keeps_nothing_until_it_is_confirmed_anew(wire: Wire) -> None:
    here, there = at(wire)
    here.enrol()
    there.enrol("E-18", seed=2)
    wire.carry()
    assert here.holds("E-18") and there.holds()
    here.enrol("E-19", seed=3)
    here.exchange.round()
    assert sent(here) == ["template"]
    before = here.journal.head.chain
    here.journal._begin_anew("journal_behind: the disk was put back from a copy")
    assert here.journal.head.chain != before
    assert sent(here) == []  # at once, before anybody has looked
    wire.carry()
    assert not here.holds("E-18") and not there.holds() and not there.holds("E-19")
    assert [body["state"] for body in here.bodies(Kind.TRANSFER_PEER)] == ["removed"]
    here.exchange.confirm("gate-2", there.fingerprint, "Li")
    for gate in at(wire):
        gate.clock.days = 8
    wire.carry()
    assert here.holds("E-18") and there.holds() and there.holds("E-19")


def test_a_start_begins_no_new_chain_and_removes_nobody(wire: Wire) -> None:
    here, there = at(wire)
    here.exchange.stop()
    here.open()
    here.enrol()
    wire.carry()
    assert there.holds()


@pytest.mark.parametrize("how", ["confirm", "remove", "card"])
def test_counters_never_go_back(wire: Wire, how: str, monkeypatch: pytest.MonkeyPatch) -> None:
    here, there = at(wire)
    here.enrol()
    wire.carry()
    sign = there.exchange._peers._sign

    def meanwhile(*given: object) -> None:  # a message is taken and one sent while somebody types
        with there.store.writing() as database:
            database.execute("UPDATE peers SET taken = 5000000000000, sent = 6000000000000")
        sign(*given)  # type: ignore[arg-type]

    if how == "card":
        here.journal.rotate_key("planned")
        card = here.exchange._peers.card()
        assert isinstance(_named(card), PeerCard)
        monkeypatch.setattr(there.exchange._peers, "_sign", meanwhile)
        there.exchange.take(card)
    else:
        monkeypatch.setattr(there.exchange._peers, "_sign", meanwhile)
        if how == "confirm":
            there.exchange.confirm("gate-1", here.fingerprint, "Li")
        else:
            there.exchange.remove("gate-1", "Li")
    peer = there.store.peer("gate-1")
    assert peer is not None and (peer.taken, peer.sent) == (5_000_000_000_000, 6_000_000_000_000)


def test_a_key_that_was_confirmed_before_does_not_begin_to_count_anew(wire: Wire) -> None:
    _, there = at(wire)
    peer = there.store.peer("gate-1")
    assert peer is not None
    with there.store.writing() as database:
        database.execute("UPDATE peers SET taken = 77")

    def taken_with(key: str) -> int:
        there.store.keep_peer("gate-1", key, "confirmed", peer.card)
        found = there.store.peer("gate-1")
        assert found is not None
        return found.taken

    assert taken_with(peer.key) == 77
    assert taken_with("ed25519:another") == 0
    with there.store.writing() as database:
        database.execute("UPDATE peers SET taken = 88")
    assert taken_with(peer.key) == 88
    assert taken_with("ed25519:another") == 88
