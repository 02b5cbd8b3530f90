"""Cards and messages between terminals: who vouches for what, and what no signature makes good."""

from __future__ import annotations

import base64
from typing import Any

import pytest
from pydantic import ValidationError

from evidence.envelope import EVENT_TYPE, Envelope, sign
from evidence.errors import EvidenceError, TransferError, TransferMismatch
from evidence.events import Kind
from evidence.keys import SigningKey
from evidence.transfer import (
    PeerCard,
    Transfer,
    TransferAnswer,
    follows,
    named_in,
    read_answer,
    read_card,
    read_transfer,
    sign_answer,
    sign_card,
    sign_transfer,
)
from tests.evidence.chains import an_event, ed25519_key, es256_key

A, B, C, D = ed25519_key(1), es256_key(2), ed25519_key(3), ed25519_key(4)
NOW, LATER = "2026-11-22T00:00:00.000Z", "2026-12-22T00:00:00.000Z"


def rotation(old: SigningKey, new: SigningKey, *signers: SigningKey, device: str = "gate-1") -> str:
    body = {"previous": old.public.text(), "key": new.public.text(), "reason": "planned"}
    event = an_event(7, "0" * 64, old, kind=Kind.DEVICE_KEY_ROTATED, body=body, device=device)
    return base64.b64encode(sign(EVENT_TYPE, event.payload(), *(signers or (old, new))).encode()).decode()


def card(key: SigningKey, *rotations: str, **changes: Any) -> PeerCard:
    fields: dict[str, Any] = {
        "device": "gate-1",
        "site": "harbour",
        "key": key.public.text(),
        "transfer_key": base64.b64encode(bytes(range(32))).decode(),
        "issued": NOW,
        "rotations": rotations,
    }
    return PeerCard.model_validate(fields | changes)


def transfer(**changes: Any) -> Transfer:
    fields: dict[str, Any] = {
        "site": "harbour",
        "sender": "gate-1",
        "sender_key": A.public.id,
        "recipient": "gate-2",
        "recipient_key": B.public.id,
        "transfer_key": "0" * 64,
        "kind": "template",
        "copy_id": "ab" * 16,
        "enrolment": "cd" * 16,
        "counter": 1,
        "issued": NOW,
        "expires": LATER,
        "sealed": "c2VhbGVk",
    }
    return Transfer.model_validate(fields | changes)


def test_a_card_is_followed_along_rotations_that_both_keys_have_signed() -> None:
    assert follows(card(A), A.public)
    road = (rotation(A, B), rotation(B, C))
    assert follows(card(C, *road), A.public)
    assert follows(card(C, *road), B.public)  # whoever knows the second key needs the second step alone
    assert follows(card(C, *road), C.public)


@pytest.mark.parametrize(
    ("key", "rotations"),
    [
        (C, ()),
        (C, (rotation(B, C),)),  # a step is missing
        (C, (rotation(B, C), rotation(A, B))),  # in another order
        (C, (rotation(A, C, C, A),)),  # signed in another order
        (C, (rotation(A, C, A),)),  # the new key has not agreed
        (C, (rotation(A, C, C),)),  # the old key has not
        (C, (rotation(A, C, D, C),)),  # somebody else for it
        (C, (rotation(A, C, device="gate-2"),)),  # another terminal's
        (D, (rotation(A, C),)),  # it leads elsewhere
        (C, ("AAAA",)),
        (C, ("no base64",)),
    ],
)
def test_any_other_key_is_a_strangers(key: SigningKey, rotations: tuple[str, ...]) -> None:
    assert not follows(card(key, *rotations), A.public)


def test_a_key_that_was_rotated_away_is_not_followed_backwards() -> None:
    assert not follows(card(A, rotation(A, B)), B.public)


def test_a_card_counts_only_under_the_signature_of_the_key_it_names() -> None:
    assert read_card(sign_card(card(A), A)) == card(A)
    with pytest.raises(EvidenceError):
        read_card(sign_card(card(A), C))
    with pytest.raises(ValidationError):
        card(A, transfer_key="AA==")
    with pytest.raises(ValidationError):
        card(A, *[rotation(A, B)] * 17)


def test_a_message_names_the_key_that_signs_it() -> None:
    data = sign_transfer(transfer(), A)
    assert read_transfer(data, A.public) == transfer()
    with pytest.raises(EvidenceError):
        read_transfer(data, C.public)
    with pytest.raises(TransferMismatch):
        read_transfer(sign_transfer(transfer(sender_key=C.public.id), A), A.public)
    answer = TransferAnswer(
        site="harbour",
        sender="gate-1",
        recipient="gate-2",
        recipient_key=B.public.id,
        message="0" * 64,
        copy_id="ab" * 16,
        state="held",
        reason="ok: done",
        last=1,
        issued=NOW,
    )
    assert read_answer(sign_answer(answer, B), B.public) == answer
    with pytest.raises(TransferMismatch):
        read_answer(sign_answer(answer.model_copy(update={"recipient_key": A.public.id}), B), B.public)


@pytest.mark.parametrize(
    "odd",
    [
        {"kind": "erase"},
        {"kind": "erase", "sealed": None},
        {"kind": "erase", "sealed": None, "transfer_key": None},
        {"reason": "erased"},
        {"sealed": None},
        {"transfer_key": None},
        {"counter": 0},
        {"counter": True},
        {"kind": "else"},
    ],
)
def test_exactly_a_template_is_sealed_and_exactly_an_erasure_has_a_reason(odd: dict[str, Any]) -> None:
    with pytest.raises(ValidationError):
        transfer(**odd)


def test_what_terminals_send_each_other_is_no_event_and_no_event_is_such_a_message() -> None:
    event = sign(EVENT_TYPE, an_event(0, None, A).payload(), A)
    with pytest.raises(TransferError):
        named_in(event)
    with pytest.raises(EvidenceError):
        read_transfer(event.encode(), A.public)
    assert isinstance(named_in(Envelope.decode(sign_transfer(transfer(), A))), Transfer)


def test_everything_but_the_sealed_bytes_is_bound() -> None:
    good = transfer()
    assert good.model_copy(update={"sealed": "AAAA"}).bound == good.bound
    others = {
        "site": "x", "sender": "x", "sender_key": "1" * 64, "recipient": "x", "recipient_key": "1" * 64,
        "transfer_key": "1" * 64, "copy_id": "1" * 32, "enrolment": "1" * 32, "counter": 2, "issued": LATER,
        "expires": NOW, "kind": "erase", "reason": "erased",
    }  # fmt: skip
    assert others.keys() == Transfer.model_fields.keys() - {"sealed"}
    for name, value in others.items():
        assert good.model_copy(update={name: value}).bound != good.bound, name
