"""A copy goes whether or not that can be signed now, and nobody is told so before it is."""

from __future__ import annotations

import threading
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from evidence.envelope import Envelope
from evidence.events import Kind
from evidence.transfer import TransferAnswer, named_in
from kiosk.clip_store import ClipError
from kiosk.erasure import ErasureDesk
from kiosk.errors import JournalFull
from kiosk.verify.errors import GalleryTampered
from kiosk.verify.gallery import GalleryWorker
from tests.kiosk.transfer.gates import Gate, Wire
from tests.kiosk.transfer.test_exchange import at, states


@pytest.fixture
def wire(tmp_path: Path) -> Iterator[Wire]:
    one = Wire({name: Gate(tmp_path, name) for name in ("gate-1", "gate-2")})
    one.introduce()
    yield one
    for gate in one.gates.values():
        gate.close()


def full(*_: object) -> None:
    raise JournalFull("disk_full: no room")


def answers(gate: Gate) -> list[str]:
    named = [named_in(Envelope.decode(data)) for data in gate.exchange.outbox(100)]
    return [one.state for one in named if isinstance(one, TransferAnswer)]


def test_a_full_journal_keeps_no_copy_from_ending_and_nobody_hears_of_it_unsigned(
    wire: Wire, monkeypatch: pytest.MonkeyPatch
) -> None:
    here, there = at(wire)
    here.enrol()
    here.enrol("E-18", seed=2)
    there.enrol("E-19", seed=3)
    wire.carry()
    there.exchange.outbox(100)
    there.clock.days = 31
    with monkeypatch.context() as patch:
        patch.setattr(there.journal, "append", full)
        there.desk.withdraw("E-19", "transfer")
        with pytest.raises(JournalFull):
            there.exchange.round()
        assert there.gallery.workers() == ("E-19",)  # both, and the word to erase is ready
        assert states(there) == ["erasing"]
        assert answers(there) == []
    there.exchange.round()
    assert [body["reason"] for body in there.bodies(Kind.WORKER_ERASED)] == ["expired", "expired"]


def test_a_word_to_erase_is_answered_when_the_erasure_is_signed(wire: Wire, monkeypatch: pytest.MonkeyPatch) -> None:
    here, there = at(wire)
    here.enrol()
    wire.carry()
    here.desk.withdraw("E-17", "transfer")
    here.exchange.round()
    (copy,) = here.store.copies()
    with monkeypatch.context() as patch:
        patch.setattr(there.journal, "append", full)
        for _ in range(2):  # the second time nothing lies there any more, and it is still not signed
            with pytest.raises(JournalFull):
                there.exchange.take(copy.envelope)
        assert not there.holds() and answers(there) == []
    there.exchange.take(copy.envelope)
    assert answers(there) == ["gone"] and len(there.bodies(Kind.WORKER_ERASED)) == 1


def test_one_copy_whose_clips_cannot_be_removed_keeps_no_other_from_ending(wire: Wire) -> None:
    here, there = at(wire)
    here.enrol()
    here.enrol("E-18", seed=2)
    wire.carry()
    there.exchange.stop()

    @contextmanager
    def stuck(worker: str) -> Iterator[None]:
        if worker == "E-17":
            raise ClipError("no")
        yield

    there._no_clips = stuck  # type: ignore[method-assign]
    there.open()
    there.exchange.remove("gate-1", "Li")
    with pytest.raises(ClipError):
        there.exchange.round()
    assert there.gallery.workers() == ("E-17",)


def test_nothing_is_called_gone_while_a_record_that_may_be_it_cannot_be_read(wire: Wire) -> None:
    here, there = at(wire)
    here.enrol()
    wire.carry()
    there.exchange.outbox(100)
    there.gallery._database.execute("update person set sealed = zeroblob(60) where worker = 'E-17'")
    here.desk.withdraw("E-17", "transfer")
    here.exchange.round()
    (copy,) = here.store.copies()
    with pytest.raises(GalleryTampered):
        there.exchange.take(copy.envelope)
    there.exchange.round()
    assert answers(there) == [] and there.store.answered("gone") == there.store.answered("left") == []
    wire.carry()
    assert states(here) == ["erasing"]
    there.desk.erase("E-17")  # by hand
    there.exchange.take(copy.envelope)
    assert answers(there) == ["gone"]


@pytest.mark.parametrize("wish", ["erase", "transfer"])
def test_an_erasure_proves_what_lies_there_when_it_is_done(
    wire: Wire, wish: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Another copy comes while the desk waits for the lock: that one's end is signed, not its forerunner's."""
    here, there = at(wire)
    here.enrol()
    wire.carry()
    here.enrol(seed=5)
    here.exchange.round()
    template = here.store.copies()[-1].envelope
    read, held = threading.Event(), ErasureDesk._held

    def looked(desk: ErasureDesk, worker: str) -> GalleryWorker:
        found = held(desk, worker)
        read.set()
        return found

    monkeypatch.setattr(ErasureDesk, "_held", looked)
    act = there.desk.erase if wish == "erase" else lambda worker: there.desk.withdraw(worker, "transfer")
    desk = threading.Thread(target=act, args=("E-17",))
    with there.owed.lock:
        desk.start()
        assert read.wait(60)
        there.exchange.take(template)
    desk.join(60)
    ended = [body["enrolment"] for body in there.bodies(Kind.WORKER_ERASED)]
    assert ended == [body["copy_id"] for body in there.bodies(Kind.TRANSFER_RECEIVED)]
    assert not there.holds()
