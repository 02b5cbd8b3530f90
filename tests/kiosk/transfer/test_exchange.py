"""Faces go from terminal to terminal where worker and people at the gates have agreed, and never otherwise."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from evidence.envelope import Envelope
from evidence.events import Kind, parse_event
from kiosk.errors import BadRequest, UnknownPeer
from tests.kiosk.transfer.gates import MODEL, Gate, Wire, face


@pytest.fixture
def wire(tmp_path: Path) -> Iterator[Wire]:
    """Two terminals that know each other."""
    one = Wire({name: Gate(tmp_path, name) for name in ("gate-1", "gate-2")})
    one.introduce()
    yield one
    for gate in one.gates.values():
        gate.close()


def at(wire: Wire, *names: str) -> list[Gate]:
    return [wire.gates[name] for name in (names or ("gate-1", "gate-2"))]


def states(gate: Gate) -> list[str]:
    return [copy.state for copy in gate.store.copies()]


def why(gate: Gate) -> list[str]:
    """Codes of what this terminal refused."""
    return [str(body["reason"]).partition(":")[0] for body in gate.bodies(Kind.TRANSFER_REFUSED)]


def _hashes(gate: Gate) -> dict[str, int]:
    envelopes = [Envelope.decode(data) for _, data in gate.journal.range(0, 1000, 1000)]
    return {one.hash: parse_event(one.payload).seq for one in envelopes}


def test_a_worker_who_agreed_is_known_at_the_other_gate_and_both_have_signed_it(wire: Wire) -> None:
    here, there = at(wire)
    enrolment = here.enrol()
    wire.carry()
    template = there.gallery.template("E-17", MODEL)
    assert template is not None and template.name == "Wang Fang"
    assert all((one == two).all() for one, two in zip(template.vectors, face(), strict=True))
    held = there.gallery.get("E-17")
    assert held is not None and held.received is not None and not held.has_pin and held.role == "worker"
    assert held.received.sender == "gate-1"
    (sent,), (received,) = here.bodies(Kind.TRANSFER_SENT), there.bodies(Kind.TRANSFER_RECEIVED)
    assert (sent["copy_id"], sent["recipient"]) == (received["copy_id"], "gate-2")
    (enrolled,) = here.events(Kind.WORKER_ENROLLED)
    hashes = {digest for digest, event in _hashes(here).items() if event == enrolled.seq}
    assert received["enrolled"] in hashes and received["enrolment"] == enrolment
    assert (received["sender"], received["sender_key"]) == ("gate-1", here.key.public.id)
    assert (received["text_version"], received["model"], received["frames"]) == ("t1", MODEL, 5)
    assert states(here) == ["held"]
    assert [one.envelope for one in here.store.copies()] == [b""]  # even the sealed bytes are gone


def test_without_the_consent_of_its_own_no_face_goes(wire: Wire) -> None:
    here, there = at(wire)
    here.enrol(transfer=False)
    wire.carry()
    assert not there.holds() and here.store.copies() == [] and here.bodies(Kind.TRANSFER_SENT) == []
    here.desk.agree("E-17", "clip", "c1", "zh")
    wire.carry()
    assert not there.holds()
    here.desk.agree("E-17", "transfer", "t1", "en")
    wire.carry()
    assert there.holds()


def test_taking_the_transfer_back_erases_the_copies_and_leaves_the_face_where_it_was_enrolled(wire: Wire) -> None:
    here, there = at(wire)
    here.enrol()
    wire.carry()
    copy_id = there.bodies(Kind.TRANSFER_RECEIVED)[0]["copy_id"]
    here.desk.withdraw("E-17", "transfer")
    wire.carry()
    assert here.holds() and not there.holds() and there.gallery.get("E-17") is None
    (erased,) = there.bodies(Kind.WORKER_ERASED)
    assert (erased["enrolment"], erased["scope"], erased["reason"]) == (copy_id, "all", "consent_withdrawn")
    assert "E-17" not in str(erased)
    assert here.store.copies() == []
    assert b"E-17" not in (there.folder / "gallery.db").read_bytes()


@pytest.mark.parametrize(("wish", "reason"), [("erase", "erased"), ("face", "consent_withdrawn")])
def test_an_erasure_reaches_a_terminal_that_was_away_for_a_week(wire: Wire, wish: str, reason: str) -> None:
    here, there = at(wire)
    here.enrol()
    wire.carry()
    if wish == "erase":
        here.desk.erase("E-17")
    else:
        here.desk.withdraw("E-17", "face")
    wire.carry(without=["gate-2"])
    assert there.holds() and states(here) == ["erasing"]
    assert b"E-17" not in (here.folder / "transfers.db").read_bytes()
    for gate in at(wire):
        gate.clock.days = 7
    wire.carry()
    assert not there.holds() and here.store.copies() == []
    assert [body["reason"] for body in there.bodies(Kind.WORKER_ERASED)] == [reason]


def test_a_copy_that_is_not_renewed_goes_by_itself_so_that_nobody_keeps_it_alive_by_losing_messages(wire: Wire) -> None:
    here, there = at(wire)
    here.enrol()
    wire.carry()
    there.clock.days = 29.9
    there.exchange.round()
    assert there.holds()
    there.clock.days = 30.1
    there.exchange.round()
    assert not there.holds()
    assert [body["reason"] for body in there.bodies(Kind.WORKER_ERASED)] == ["expired"]


def test_a_copy_is_renewed_while_the_consent_stands(wire: Wire) -> None:
    here, there = at(wire)
    here.enrol()
    wire.carry()
    for days in (16, 32, 48):
        for gate in at(wire):
            gate.clock.days = days
        wire.carry()
        assert there.holds()
    received = there.bodies(Kind.TRANSFER_RECEIVED)
    assert len(received) == 4 and len({body["copy_id"] for body in received}) == 1
    assert there.bodies(Kind.WORKER_ERASED) == []


def test_whoever_takes_the_consent_back_at_the_other_gate_stays_gone_there(wire: Wire) -> None:
    here, there = at(wire)
    here.enrol()
    wire.carry()
    there.desk.withdraw("E-17", "transfer")
    assert not there.holds()
    assert [one.kind for one in there.events(Kind.CONSENT_WITHDRAWN, Kind.WORKER_ERASED)] == [
        Kind.CONSENT_WITHDRAWN,
        Kind.WORKER_ERASED,
    ]
    wire.carry()
    assert states(here) == ["refused"] and here.holds()
    for gate in at(wire):
        gate.clock.days = 16
    wire.carry()
    assert not there.holds()
    here.desk.agree("E-17", "transfer", "t1", "zh")  # he has changed his mind, and said so
    wire.carry()
    assert there.holds()


def test_a_message_on_its_way_does_not_bring_back_whom_the_other_gate_has_erased(wire: Wire) -> None:
    here, there = at(wire)
    here.enrol()
    wire.carry()
    there.desk.erase("E-17")
    here.desk.agree("E-17", "clip", "c1", "zh")
    (copy,) = here.store.copies()
    here.store.drop_copy(copy.copy_id)  # as if it had never been told: it sends once more
    wire.carry()
    assert not there.holds() and why(there) == ["withdrawn"]


def test_a_face_that_was_enrolled_there_goes_before_a_copy(wire: Wire) -> None:
    here, there = at(wire)
    there.enrol(transfer=False, seed=1)
    here.enrol()
    wire.carry()
    held = there.gallery.get("E-17")
    assert held is not None and held.received is None
    assert why(there) == ["enrolled_here"]
    here.desk.withdraw("E-17", "transfer")
    wire.carry()
    assert there.holds() and there.bodies(Kind.WORKER_ERASED) == [] and here.store.copies() == []


def test_badge_and_pin_of_the_other_gate_survive_a_copy_and_its_end(wire: Wire) -> None:
    here, there = at(wire)
    there.gallery.enrol("E-17", "Wang", "", [], "1357", enrolment="ef" * 16)
    here.enrol()
    wire.carry()
    held = there.gallery.get("E-17")
    assert held is not None and held.received is not None
    assert (held.has_pin, held.role, held.enrolment, held.name) == (True, "worker", "ef" * 16, "Wang")
    assert there.store.copies() == []  # a copy is not sent on, whoever it belongs to
    here.desk.withdraw("E-17", "transfer")
    wire.carry()
    held = there.gallery.get("E-17")
    assert held is not None and held.has_pin and not held.models and held.received is None and held.consents == ()
    assert there.gallery.check_pin("E-17", "1357", boot="a" * 32, mono_us=0).outcome == "passed"
    assert [body["scope"] for body in there.bodies(Kind.WORKER_ERASED)] == ["face"]


def test_a_copy_never_gives_a_supervisor_of_this_gate_a_face(wire: Wire) -> None:
    """At the other gate anybody may have been enrolled under his code, for there nobody knows that he is one."""
    here, there = at(wire)
    there.gallery.enrol("E-17", "Wang", "", [], "1357", role="supervisor", enrolment="ef" * 16)
    here.enrol()
    wire.carry()
    held = there.gallery.get("E-17")
    assert held is not None and held.role == "supervisor" and not held.models
    assert why(there) == ["enrolled_here"]


def test_a_face_that_is_known_there_under_another_code_is_refused(wire: Wire) -> None:
    here, there = at(wire)
    there.enrol("E-99", transfer=False, seed=1)
    here.enrol("E-17", seed=1)
    wire.carry()
    assert why(there) == ["duplicate_face"] and not there.holds("E-17")


def test_a_template_of_another_model_or_for_a_terminal_without_faces_is_refused(wire: Wire) -> None:
    here, there = at(wire)
    assert there.faces is not None
    there.faces.model_id = "sface/1"
    here.enrol()
    wire.carry()
    there.faces = None
    here.enrol("E-18", seed=2)
    wire.carry()
    assert why(there) == ["model_mismatch", "no_face_path"]
    assert there.gallery.workers() == ()
    assert states(here) == ["refused", "refused"]


def test_a_third_gate_keeps_one_copy_of_a_worker_who_is_enrolled_at_two(tmp_path: Path) -> None:
    wire = Wire({name: Gate(tmp_path, name) for name in ("gate-1", "gate-2", "gate-3")})
    wire.introduce()
    wire.gates["gate-1"].enrol()
    wire.gates["gate-2"].enrol()
    wire.carry()
    third = wire.gates["gate-3"]
    held = third.gallery.get("E-17")
    assert held is not None and held.received is not None
    assert why(third) == ["held_from_other"]
    for gate in wire.gates.values():
        gate.close()


def test_a_new_enrolment_takes_the_place_of_the_copy_of_the_old_one(wire: Wire) -> None:
    here, there = at(wire)
    here.enrol()
    wire.carry()
    here.enrol(seed=5)
    wire.carry()
    template = there.gallery.template("E-17", MODEL)
    assert template is not None and (template.vectors[0] == face(5)[0]).all()
    assert len(here.store.copies()) == 1 and states(here) == ["held"]
    assert len(there.bodies(Kind.WORKER_ERASED)) == 1


def test_whoever_is_enrolled_there_after_all_leaves_no_trace_of_the_copy(wire: Wire) -> None:
    here, there = at(wire)
    here.enrol()
    wire.carry()
    there.enrol(transfer=False)
    held = there.gallery.get("E-17")
    assert held is not None and held.received is None
    assert [one.scope for one in held.consents] == ["face"]  # the transfer was agreed to for the copy, elsewhere
    wire.carry()
    assert there.holds() and states(here) == ["refused"]


def test_a_removed_peer_has_its_copies_erased_at_both_ends(wire: Wire) -> None:
    here, there = at(wire)
    here.enrol()
    there.enrol("E-18", seed=2)
    wire.carry()
    assert here.holds("E-18") and there.holds("E-17")
    here.exchange.remove("gate-2", "Li")
    wire.carry()
    assert not here.holds("E-18") and not there.holds("E-17")
    assert [body["reason"] for body in here.bodies(Kind.WORKER_ERASED)] == ["peer_removed"]
    assert [body["reason"] for body in there.bodies(Kind.WORKER_ERASED)] == ["peer_removed"]
    assert [body["state"] for body in here.bodies(Kind.TRANSFER_PEER)] == ["confirmed", "removed"]


def test_a_peer_that_was_removed_at_the_other_gate_and_confirmed_again_gets_the_faces_again(wire: Wire) -> None:
    here, there = at(wire)
    here.enrol()
    wire.carry()
    there.exchange.remove("gate-1", "Li")
    wire.carry()
    assert not there.holds() and states(here) == ["refused"]
    there.exchange.confirm("gate-1", here.fingerprint, "Li")
    for gate in at(wire):
        gate.clock.days = 8
    wire.carry()
    assert there.holds() and states(here) == ["held"]


def test_one_unreadable_record_keeps_nobody_elses_erasure_waiting(wire: Wire) -> None:
    here, there = at(wire)
    here.enrol()
    here.enrol("E-18", seed=2)
    wire.carry()
    for gate in at(wire):
        gate.enrol("A-1", seed=3, transfer=False)
        gate.gallery._database.execute("update person set sealed = zeroblob(60) where worker = 'A-1'")
    here.desk.withdraw("E-17", "transfer")
    wire.carry()
    assert not there.holds("E-17") and there.holds("E-18")


def test_clips_and_their_consent_end_with_a_copy_that_takes_the_record_along(wire: Wire) -> None:
    here, there = at(wire)
    here.enrol()
    wire.carry()
    there.desk.agree("E-17", "clip", "c1", "zh")
    here.desk.withdraw("E-17", "transfer")
    wire.carry()
    assert there.clips_erased == ["E-17"]
    assert [body["scope"] for body in there.bodies(Kind.CONSENT_WITHDRAWN)] == ["clip"]


def test_switched_off_again_a_terminal_sends_only_the_word_to_erase_and_keeps_nobody_elses_face(wire: Wire) -> None:
    here, there = at(wire)
    here.enrol()
    there.enrol("E-18", seed=2)
    wire.carry()
    here.exchange.stop()
    here.open(on=False)
    wire.carry()
    assert not here.holds("E-18") and here.holds("E-17") and not there.holds("E-17")
    assert here.store.copies() == [] and states(there) == ["refused"]


def test_only_a_fingerprint_that_fits_is_confirmed(wire: Wire, tmp_path: Path) -> None:
    stranger = Gate(tmp_path, "gate-9")
    everybody = Wire({**wire.gates, "gate-9": stranger})
    everybody.meet()
    here, _ = at(wire)
    (row,) = [one for one in here.exchange.listed()["peers"] if one["device"] == "gate-9"]
    assert (row["state"], row["fingerprint"]) == ("unconfirmed", stranger.fingerprint)
    for wrong in ("0000 0000 0000 0000", here.fingerprint):
        with pytest.raises(UnknownPeer):
            here.exchange.confirm("gate-9", wrong, "Li")
    for odd in ("", "3f2a", "zzzz zzzz zzzz zzzz"):
        with pytest.raises(BadRequest):
            here.exchange.confirm("gate-9", odd, "Li")
    with pytest.raises(BadRequest):
        here.exchange.confirm("gate-9", stranger.fingerprint, " ")
    with pytest.raises(UnknownPeer):
        here.exchange.confirm("gate-8", stranger.fingerprint, "Li")
    here.enrol()
    everybody.carry()
    assert not stranger.holds()
    here.exchange.confirm("gate-9", stranger.fingerprint.upper(), "Li")
    stranger.exchange.confirm("gate-1", here.fingerprint, "Li")
    everybody.carry()
    assert stranger.holds()
    stranger.close()


def test_a_terminal_takes_nothing_from_whom_nobody_confirmed_there(wire: Wire, tmp_path: Path) -> None:
    stranger = Gate(tmp_path, "gate-9")
    everybody = Wire({**wire.gates, "gate-9": stranger})
    everybody.meet()
    here, _ = at(wire)
    stranger.exchange.confirm("gate-1", here.fingerprint, "Li")  # and nobody at gate-1 has answered that
    stranger.enrol("E-50", seed=50)
    everybody.carry()
    assert not here.holds("E-50") and why(here) == ["transfer_mismatch"]
    assert states(stranger) == ["open"]  # no answer: it would be a signature on a stranger's demand
    stranger.close()
