"""Whoever carries the messages can lose them. He can neither read, change, repeat nor redirect one."""

from __future__ import annotations

import base64
import json
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from evidence.envelope import TRANSFER_TYPE, Envelope, pae
from evidence.errors import EvidenceError
from evidence.events import Kind
from evidence.keys import Ed25519Key
from evidence.transfer import PeerCard, Transfer, read_card, read_transfer, sign_card, sign_transfer
from kiosk.transfer.lease import LEASE, later
from kiosk.transfer.receiving import REFUSALS_AN_HOUR
from kiosk.transfer.sealing import seal, unseal
from tests.kiosk.transfer.gates import Gate, Wire, face
from tests.kiosk.transfer.test_exchange import at, states, why

CODES = {"bad_signature", "invalid_envelope", "not_canonical", "not_json", "transfer", "unknown_key"} | {
    "transfer_mismatch"
}
NEVER = "2099-01-01T00:00:00.000Z"


@pytest.fixture
def wire(tmp_path: Path) -> Iterator[Wire]:
    one = Wire({name: Gate(tmp_path, name) for name in ("gate-1", "gate-2")})
    one.introduce()
    yield one
    for gate in one.gates.values():
        gate.close()


def sent(gate: Gate, worker: str = "E-17", seed: int = 1) -> bytes:
    """The one message that is on its way after an enrolment."""
    gate.enrol(worker, seed=seed)
    gate.exchange.round()
    return gate.store.copies()[-1].envelope


def test_neither_the_wire_nor_a_disk_on_the_way_holds_the_template(wire: Wire) -> None:
    here, there = at(wire)
    here.enrol()
    wire.carry()
    assert there.holds()
    secret = [vector.astype("<f4").tobytes() for vector in face()]
    carried = [data for data in wire.seen if Envelope.decode(data).payload_type == TRANSFER_TYPE]
    assert len(carried) == 1
    payload = Envelope.decode(carried[0]).payload
    sealed = base64.b64decode(json.loads(payload)["sealed"])
    files = [path.read_bytes() for gate in at(wire) for path in gate.folder.iterdir() if path.is_file()]
    for seen in (carried[0], payload, sealed, *files):
        for part in secret:
            assert part not in seen and part[:16] not in seen
            assert base64.b64encode(part)[:40] not in seen
        assert b"Wang Fang" not in seen and "Wang Fang".encode("utf-16-le") not in seen
    assert b"E-17" not in carried[0] and b"E-17" not in payload and b"E-17" not in sealed


def test_every_byte_that_is_changed_is_refused(wire: Wire) -> None:
    here, there = at(wire)
    data = sent(here)
    payload = Envelope.decode(data).payload
    key = here.key.public
    flipped = 0
    for place in range(len(data)):
        spoilt = bytearray(data)
        spoilt[place] ^= 1
        with pytest.raises(EvidenceError):
            read_transfer(bytes(spoilt), key)
        flipped += 1
    assert flipped > 5000
    for place in range(0, len(data), 97):
        spoilt = bytearray(data)
        spoilt[place] ^= 0x10
        there.quietly(bytes(spoilt))
    assert not there.holds() and there.store.answered("held") == []
    assert all(code in CODES for code in why(there))
    assert 0 < len(why(there)) <= REFUSALS_AN_HOUR  # a flood does not fill the journal
    assert len(payload) > 0
    there.exchange.take(data)  # and as it was, it is taken
    assert there.holds()


def test_every_byte_of_the_sealed_part_and_of_all_around_it_is_bound(wire: Wire) -> None:
    """A sender's own signature does not help: the seal breaks for another recipient, counter, time or byte."""
    here, there = at(wire)
    good = read_transfer(sent(here), here.key.public)
    sealed = base64.b64decode(good.sealed or "")
    spoilt: list[Transfer] = []
    for place in range(0, len(sealed), 61):
        wrong = bytearray(sealed)
        wrong[place] ^= 1
        spoilt.append(good.model_copy(update={"sealed": base64.b64encode(wrong).decode()}))
    spoilt.append(good.model_copy(update={"sealed": ""}))
    spoilt.append(good.model_copy(update={"sealed": "no base64!"}))
    changes = (
        {"copy_id": "ab" * 16},
        {"enrolment": "ab" * 16},
        {"issued": later(good.issued, LEASE / 1000)},
        {"expires": later(good.expires, LEASE / -2)},
    )
    spoilt += [good.model_copy(update=change) for change in changes]
    for number, one in enumerate(spoilt):
        bad = one.model_copy(update={"counter": good.counter + 1 + number})
        there.exchange.take(sign_transfer(bad, here.key))
    assert not there.holds() and set(why(there)) == {"unreadable"} and len(why(there)) == len(spoilt)


def test_a_collector_that_puts_a_key_of_its_own_in_the_place_of_a_terminals_gets_nothing(wire: Wire) -> None:
    here, there = at(wire)
    mine = Ed25519Key.generate()
    box = base64.b64encode(Ed25519Key.generate().private.private_bytes_raw()).decode()
    genuine = read_card(there.exchange._peers.card())
    theirs = genuine.model_copy(update={"transfer_key": box})
    with_own_signature = sign_card(theirs.model_copy(update={"key": mine.public.text()}), mine)
    under_a_false_name = replace_payload(there.exchange._peers.card(), theirs)
    named = sign_card(theirs.model_copy(update={"device": "gate-3", "key": mine.public.text()}), mine)
    for card in (with_own_signature, under_a_false_name, named):
        here.quietly(card)
    here.enrol()
    here.exchange.round()
    recipients = {
        (one.recipient, one.recipient_key, one.transfer_key)
        for one in (read_transfer(copy.envelope, here.key.public) for copy in here.store.copies())
    }
    assert recipients == {("gate-2", there.key.public.id, genuine.transfer_key_id)}
    assert here.exchange.part.reason.startswith("key_changed: gate-2")
    assert {row["device"]: row["state"] for row in here.exchange.listed()["peers"]} == {
        "gate-2": "changed",
        "gate-3": "unconfirmed",
    }
    wire.carry()
    assert there.holds()


def replace_payload(data: bytes, card: PeerCard) -> bytes:
    """Another card under the signature of the first one."""
    from evidence.canonical import canonical

    envelope = Envelope.decode(data)
    return replace(envelope, payload=canonical(card.model_dump(mode="json"))).encode()


def test_a_message_is_taken_once_and_an_old_one_brings_nothing_back(wire: Wire) -> None:
    here, there = at(wire)
    first = sent(here)
    there.exchange.take(first)
    there.exchange.take(first)
    assert len(there.bodies(Kind.TRANSFER_RECEIVED)) == 1
    wire.carry()
    here.desk.withdraw("E-17", "transfer")
    wire.carry()
    assert not there.holds()
    there.exchange.take(first)  # known: answered as before, and nothing done
    assert not there.holds()
    there.store.prune(NEVER)
    there.exchange.take(first)  # even where the terminal has forgotten what it answered
    assert not there.holds() and why(there) == ["replayed"]


def test_an_erasure_that_comes_before_its_template_wins(wire: Wire) -> None:
    here, there = at(wire)
    template = sent(here)
    here.desk.withdraw("E-17", "transfer")
    here.exchange.round()
    there.exchange.take(here.store.copies()[0].envelope)
    there.exchange.take(template)
    assert not there.holds() and why(there) == ["replayed"]


def test_a_message_for_another_terminal_site_or_time_is_refused(wire: Wire) -> None:
    here, there = at(wire)
    good = read_transfer(sent(here), here.key.public)
    changes: list[tuple[dict[str, Any], str]] = [
        ({"recipient": "gate-7"}, "transfer_mismatch"),
        ({"site": "west"}, "transfer_mismatch"),
        ({"sender": "gate-7"}, "transfer_mismatch"),
        ({"recipient_key": "0" * 64}, "earlier_key"),
        ({"transfer_key": "0" * 64}, "earlier_key"),
        ({"expires": "2020-01-01T00:00:00.000Z"}, "transfer_expired"),
        ({"expires": NEVER}, "transfer_mismatch"),
    ]
    for number, (change, code) in enumerate(changes):
        bad = good.model_copy(update={"counter": good.counter + 1 + number} | change)
        there.exchange.take(sign_transfer(bad, here.key))
        assert why(there)[-1] == code, change
    assert not there.holds()


def test_what_was_sealed_is_held_against_what_has_to_be_in_it(wire: Wire) -> None:
    """A sender whose key is good and whose word is not: no consent, a later one, another enrolment, no template."""
    here, there = at(wire)
    good = read_transfer(sent(here), here.key.public)
    contents = unseal(good, there.exchange._receiving._transfer_key.load())
    face_only = tuple(one for one in contents.consents if one.scope == "face")
    late = tuple(one.model_copy(update={"time": NEVER}) for one in contents.consents)
    not_a_number = base64.b64encode(np.full(128, np.nan, "<f4").tobytes()).decode()
    short = base64.b64encode(bytes(4)).decode()
    changes: list[tuple[dict[str, Any], str]] = [
        ({"consents": face_only}, "no_consent"),
        ({"consents": late}, "no_consent"),
        ({"enrolment": "ab" * 16}, "unfit_template"),
        ({"vectors": (not_a_number,)}, "unfit_template"),
        ({"vectors": (short,)}, "unfit_template"),
        ({"vectors": ()}, "unfit_template"),
        ({"worker": "a/b"}, "unfit_template"),
        ({"model": "sface/1"}, "model_mismatch"),
    ]
    transfer_key = read_card(there.exchange._peers.card()).transfer_key_bytes
    for number, (change, code) in enumerate(changes):
        around = good.model_copy(update={"counter": good.counter + 1 + number})
        bad = seal(contents.model_copy(update=change), transfer_key, around)
        there.exchange.take(sign_transfer(bad, here.key))
        assert why(there)[-1] == code, change
    assert there.gallery.workers() == ()
    there.exchange.take(
        sign_transfer(seal(contents, transfer_key, good.model_copy(update={"counter": 2**50})), here.key)
    )
    assert there.holds()


def test_one_peer_cannot_erase_the_copies_of_another(wire: Wire, tmp_path: Path) -> None:
    here, there = at(wire)
    third = Gate(tmp_path, "gate-3")
    everybody = Wire({**wire.gates, "gate-3": third})
    everybody.introduce()
    here.enrol()
    everybody.carry()
    good = next(copy for copy in here.store.copies() if copy.device == "gate-2")
    now = there.now()
    word = Transfer(
        site="east",
        sender="gate-3",
        sender_key=third.key.public.id,
        recipient="gate-2",
        recipient_key=there.key.public.id,
        transfer_key=None,
        kind="erase",
        copy_id=good.copy_id,
        enrolment=good.enrolment,
        counter=2**50,
        issued=now,
        expires=later(now, LEASE),
        reason="erased",
    )
    there.exchange.take(sign_transfer(word, third.key))
    assert there.holds()
    third.close()


def test_an_answer_counts_only_from_whom_the_message_was_for(wire: Wire) -> None:
    here, there = at(wire)
    data = sent(here)
    answer = there.exchange._receiving.take(data)
    assert answer is not None
    forged = Ed25519Key.generate()
    envelope = Envelope.decode(answer)
    false = replace(
        envelope,
        signatures=(
            replace(
                envelope.signatures[0],
                keyid=forged.public.id,
                sig=forged.sign(pae(envelope.payload_type, envelope.payload)),
            ),
        ),
    ).encode()
    here.quietly(false)
    assert states(here) == ["open"]
    here.exchange.take(answer)
    assert states(here) == ["held"]


def test_a_flood_of_strangers_is_signed_up_to_a_bound(wire: Wire) -> None:
    here, _ = at(wire)
    for number in range(REFUSALS_AN_HOUR + 20):
        here.quietly(b"nothing %d" % number)
    assert len(why(here)) == REFUSALS_AN_HOUR
    assert here.exchange._receiving.counts["stranger"] == REFUSALS_AN_HOUR + 20
    assert all(body["sender"] is None for body in here.bodies(Kind.TRANSFER_REFUSED))
