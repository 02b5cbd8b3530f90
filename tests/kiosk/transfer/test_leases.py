"""A lease ends whatever becomes of the exchange: its file, its key, its thread."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import nullcontext
from pathlib import Path

import pytest

from evidence.events import Kind
from kiosk.errors import IdentityError
from kiosk.settings_tables import TransferSettings
from kiosk.transfer.ending import Leases
from kiosk.verify.gallery import Gallery
from kiosk.verify.gallery_record import Agreement, Received
from kiosk.verify.identity_check import identity_check
from kiosk.verify.matcher import MatchLimits
from tests.kiosk.small_terminal import small_terminal
from tests.kiosk.transfer.gates import MODEL, Gate, Wire, face
from tests.kiosk.transfer.test_exchange import at

UNTIL = "2026-06-01T00:00:00.000Z"
BEFORE, AFTER = "2026-05-31T23:59:59.999Z", UNTIL


@pytest.fixture
def wire(tmp_path: Path) -> Iterator[Wire]:
    one = Wire({name: Gate(tmp_path, name) for name in ("gate-1", "gate-2")})
    one.introduce()
    yield one
    for gate in one.gates.values():
        gate.close()


def put_copy(gallery: Gallery, until: str = UNTIL) -> None:
    """A copy, as it lies after it was taken."""
    given = [Agreement(scope, "t1", "zh", "2026-05-02T00:00:00.000Z") for scope in ("face", "transfer")]  # type: ignore[arg-type]
    gallery.enrol(
        "E-17", "Wang Fang", MODEL, face(), further=given, received=Received("ab" * 16, "gate-1", until, "cd" * 32)
    )


def test_an_overdue_copy_matches_nobody_even_while_it_still_lies_there(tmp_path: Path) -> None:
    gallery = Gallery(tmp_path / "gallery.db", bytes(32))
    put_copy(gallery)
    gallery.enrol("E-18", "Li Lei", MODEL, face(2))
    vector = face()[0]

    def who(badge: str | None) -> str | None:
        return identity_check(vector, MODEL, gallery, badge, MatchLimits(), 100).worker

    gallery.tell_time(BEFORE)
    assert who(None) == who("E-17") == "E-17" and len(gallery.templates(MODEL)) == 2
    kept = gallery.lineup(MODEL)
    gallery.tell_time(BEFORE)
    assert gallery.lineup(MODEL) is kept
    gallery.tell_time(AFTER)
    assert who(None) is None and who("E-17") is None
    assert [one.worker for one in gallery.templates(MODEL)] == ["E-18"]
    assert gallery.get("E-17") is not None
    gallery.close()


def test_the_housekeeping_ends_a_lease_without_the_exchange(wire: Wire) -> None:
    here, there = at(wire)
    here.enrol()
    wire.carry()
    leases = Leases(there.gallery, there.owed, lambda _: nullcontext(), exchanging=True)
    leases.look(there.clock.stamp())
    assert there.holds()
    there.clock.days = 30.1
    Leases(there.gallery, there.owed, lambda _: nullcontext(), exchanging=True).look(there.clock.stamp())
    assert there.gallery.get("E-17") is None
    there.owed.sign()
    assert [body["reason"] for body in there.bodies(Kind.WORKER_ERASED)] == ["expired"]
    for gate in at(wire):
        gate.clock.days = 31
    wire.carry()
    assert there.holds()  # that was no wish of the worker's


def test_one_copy_that_cannot_be_ended_keeps_no_other_waiting(tmp_path: Path) -> None:
    gate = Gate(tmp_path, "gate-2")
    put_copy(gate.gallery)
    gate.gallery.enrol("A-1", "Li", MODEL, face(2), received=Received("ef" * 16, "gate-1", UNTIL))
    gate.gallery._database.execute("update person set sealed = zeroblob(60) where worker = 'A-1'")
    Leases(gate.gallery, gate.owed, lambda _: nullcontext(), exchanging=True).look(gate.clock.stamp())
    assert gate.gallery.workers() == ("A-1",)
    gate.close()


@pytest.mark.parametrize("why", ["broken", "switched_off"])
def test_where_nothing_can_be_exchanged_no_copy_stays(tmp_path: Path, why: str) -> None:
    on = TransferSettings() if why == "broken" else None
    with small_terminal(tmp_path) as kiosk:
        folder = kiosk.settings.data_dir
        put_copy(kiosk.gallery, "2099-01-01T00:00:00.000Z")
        kiosk.gallery.enrol("E-18", "Li Lei", MODEL, face(2))
    if why == "broken":
        (folder / "transfers.db").write_bytes(b"no database" * 100)
    with small_terminal(tmp_path, transfer=on) as kiosk:
        assert kiosk.exchange is None
        assert kiosk.gallery.workers() == ("E-18",)


def test_a_transfer_key_that_cannot_be_used_keeps_no_copy_from_ending(wire: Wire) -> None:
    here, there = at(wire)
    here.enrol()
    there.enrol("E-18", seed=2)
    wire.carry()
    there.exchange.stop()
    there.open()
    (there.folder / "transfer.key").chmod(0o644)
    there.desk.withdraw("E-18", "transfer")
    there.clock.days = 30.1
    with pytest.raises(IdentityError):
        there.exchange.round()
    assert not there.holds("E-17") and [copy.state for copy in there.store.copies()] == ["erasing"]
