"""A key is handed over by both keys, and only from a key that counts."""

from __future__ import annotations

import json

import pytest

from evidence.canonical import canonical
from evidence.envelope import HANDOVER_TYPE, RECEIPT_TYPE, Envelope, sign
from evidence.errors import EvidenceError, InvalidKey, UnknownKey
from evidence.handover import follow_handovers, read_handover, sign_handover, split_handovers
from evidence.keys import Ed25519Key

TIME = "2026-11-24T00:00:00.000Z"
A, B, C, OTHER = (Ed25519Key.generate() for _ in range(4))
A_TO_B, B_TO_C = sign_handover("receipt", A, B, TIME), sign_handover("receipt", B, C, TIME)


def test_who_was_away_follows_from_the_key_that_he_has() -> None:
    both = (OTHER.public, A.public)
    assert follow_handovers(both, [A_TO_B, B_TO_C]) == (OTHER.public, C.public)
    assert follow_handovers((B.public,), [A_TO_B, B_TO_C]) == (C.public,)
    assert follow_handovers((C.public,), [A_TO_B, B_TO_C]) == (C.public,)


def test_a_strangers_handover_changes_nothing() -> None:
    assert follow_handovers((A.public,), [sign_handover("receipt", OTHER, C, TIME)]) == (A.public,)


@pytest.mark.parametrize("signers", [(A,), (B,), (B, A), (A, OTHER)])
def test_both_keys_must_sign_in_their_order(signers: tuple[Ed25519Key, ...]) -> None:
    payload = Envelope.decode(A_TO_B).payload
    with pytest.raises(EvidenceError):
        read_handover(sign(HANDOVER_TYPE, payload, *signers).encode())


def test_another_type_or_a_changed_byte_is_refused() -> None:
    payload = Envelope.decode(A_TO_B).payload
    with pytest.raises(EvidenceError):
        read_handover(sign(RECEIPT_TYPE, payload, A, B).encode())
    value = json.loads(payload)
    value["new"] = C.public.text()
    forged = Envelope(HANDOVER_TYPE, canonical(value), Envelope.decode(A_TO_B).signatures)
    with pytest.raises(EvidenceError):
        read_handover(forged.encode())


def test_a_key_is_not_handed_to_itself_and_none_comes_back() -> None:
    with pytest.raises((InvalidKey, EvidenceError)):
        read_handover(sign_handover("receipt", A, A, TIME))
    with pytest.raises(UnknownKey, match="come back"):
        follow_handovers((A.public,), [A_TO_B, sign_handover("receipt", B, A, TIME)])


def test_messages_of_handovers_are_told_from_others() -> None:
    assert split_handovers(A_TO_B + b"\n" + B_TO_C) == [A_TO_B, B_TO_C]
    assert split_handovers(sign(RECEIPT_TYPE, b"{}", A).encode()) is None and split_handovers(b"x\ny") is None
