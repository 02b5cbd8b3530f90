"""Receipts: the collector's word to the terminal, the terminal's word to the worker."""

from __future__ import annotations

import base64

import pytest

from evidence.canonical import canonical
from evidence.envelope import EVENT_TYPE, PUNCH_RECEIPT_TYPE, RECEIPT_TYPE, pae, sign
from evidence.errors import (
    BadSignature,
    EvidenceError,
    Fork,
    Omitted,
    ReceiptError,
    ReceiptMismatch,
    TooLarge,
    UnknownKey,
    WrongPayloadType,
)
from evidence.receipt import (
    MAX_PUNCH_RECEIPT_BYTES,
    PunchReceipt,
    Receipt,
    covers,
    sign_receipt,
    verify_receipt,
)
from tests.evidence.chains import CHAIN, ed25519_key, es256_key

COLLECTOR, TERMINAL, TPM = ed25519_key(9), ed25519_key(1), es256_key(1)
RECEIPT = Receipt(
    device="gate-1", chain=CHAIN, upto=41, head="ab" * 32, tree_size=1000, time="2026-03-01T08:00:00.000Z"
)
PUNCH = PunchReceipt("gate-1", CHAIN, 41, "ab" * 32, "2026-03-01T08:00:00.000Z")
LONGEST = PunchReceipt("g" * 48, "ff" * 16, 2**53 - 1, "ff" * 32, "2026-03-01T08:00:00.000Z")


def test_a_receipt_says_what_was_signed() -> None:
    assert verify_receipt(sign_receipt(RECEIPT, COLLECTOR), COLLECTOR.public, "gate-1", CHAIN) == RECEIPT


def test_flipping_any_byte_of_a_receipt_is_noticed() -> None:
    data = sign_receipt(RECEIPT, COLLECTOR)
    for place in range(len(data)):
        for flip in (0x01, 0x20, 0x80):
            changed = data[:place] + bytes([data[place] ^ flip]) + data[place + 1 :]
            with pytest.raises(EvidenceError):
                verify_receipt(changed, COLLECTOR.public, "gate-1", CHAIN)


def test_a_receipt_for_another_chain_lets_nothing_go() -> None:
    data = sign_receipt(RECEIPT, COLLECTOR)
    for device, chain in (("gate-2", CHAIN), ("gate-1", "d0" * 16)):
        with pytest.raises(ReceiptMismatch):
            verify_receipt(data, COLLECTOR.public, device, chain)


def test_only_the_pinned_collector_can_sign_a_receipt() -> None:
    with pytest.raises(UnknownKey):
        verify_receipt(sign_receipt(RECEIPT, TERMINAL), COLLECTOR.public, "gate-1", CHAIN)


def test_another_statement_of_the_collector_is_no_receipt() -> None:
    payload = canonical(RECEIPT.model_dump(mode="json"))
    with pytest.raises(WrongPayloadType):
        verify_receipt(sign(EVENT_TYPE, payload, COLLECTOR).encode(), COLLECTOR.public, "gate-1", CHAIN)
    for wrong in ({}, [], {**RECEIPT.model_dump(), "upto": -1}, {**RECEIPT.model_dump(), "upto": True}):
        data = sign(RECEIPT_TYPE, canonical(wrong), COLLECTOR).encode()
        with pytest.raises(ReceiptError):
            verify_receipt(data, COLLECTOR.public, "gate-1", CHAIN)


def test_a_receipt_covers_only_the_event_that_the_journal_holds() -> None:
    covers(RECEIPT, "ab" * 32)
    with pytest.raises(ReceiptMismatch):
        covers(RECEIPT, "cd" * 32)
    with pytest.raises(ReceiptMismatch):
        covers(RECEIPT, None)


@pytest.mark.parametrize("key", [TERMINAL, TPM], ids=["ed25519", "es256"])
def test_a_workers_receipt_says_what_was_signed(key: object) -> None:
    signer = TERMINAL if key is TERMINAL else TPM
    for receipt in (PUNCH, LONGEST):
        assert PunchReceipt.verify(receipt.text(signer), signer.public) == receipt


def test_a_workers_receipt_fits_its_qr_code_for_the_longest_name() -> None:
    assert len(LONGEST.text(TERMINAL).encode()) <= MAX_PUNCH_RECEIPT_BYTES


@pytest.mark.parametrize("key", [TERMINAL, TPM], ids=["ed25519", "es256"])
def test_changing_any_character_of_a_workers_receipt_is_noticed(key: object) -> None:
    signer = TERMINAL if key is TERMINAL else TPM
    text = PUNCH.text(signer)
    for place, old in enumerate(text):
        for new in {chr(ord(old) ^ flip) for flip in (1, 2, 4, 8, 16, 32)} | {"A", "0", "/", "-", "٣"} - {old}:
            if new != old:
                with pytest.raises(EvidenceError):
                    PunchReceipt.verify(text[:place] + new + text[place + 1 :], signer.public)


def test_a_workers_receipt_with_anything_more_or_less_is_refused() -> None:
    text = PUNCH.text(TERMINAL)
    for other in ("", text[:-1], text[1:], text + "=", text + "\n", " " + text, text.upper(), text + "/" + text):
        with pytest.raises(EvidenceError):
            PunchReceipt.verify(other, TERMINAL.public)
    with pytest.raises(TooLarge):
        PunchReceipt.verify("x" * 301, TERMINAL.public)


def test_digits_of_another_script_are_not_digits() -> None:
    statement = PUNCH.text(TERMINAL).rpartition("/")[0].replace("2026", "٢٠٢٦")
    with pytest.raises(ReceiptError):
        PunchReceipt.verify(f"{statement}/{'A' * 86}", TERMINAL.public)


def test_another_terminals_receipt_does_not_verify() -> None:
    with pytest.raises(BadSignature):
        PunchReceipt.verify(PUNCH.text(TERMINAL), COLLECTOR.public)


def test_a_signature_of_another_kind_of_statement_makes_no_receipt() -> None:
    statement, _, signature = PUNCH.text(TERMINAL).rpartition("/")
    TERMINAL.public.verify(_raw(signature), pae(PUNCH_RECEIPT_TYPE, statement.encode()))
    with pytest.raises(BadSignature):
        TERMINAL.public.verify(_raw(signature), pae(EVENT_TYPE, statement.encode()))


def _raw(text: str) -> bytes:
    return base64.urlsafe_b64decode(text + "==")


@pytest.mark.parametrize(
    "receipt",
    [
        PunchReceipt("Gate 1", CHAIN, 1, "ab" * 32, PUNCH.time),
        PunchReceipt("gate/1", CHAIN, 1, "ab" * 32, PUNCH.time),
        PunchReceipt("gate-1", CHAIN, 2**53, "ab" * 32, PUNCH.time),
        PunchReceipt("gate-1", CHAIN, -1, "ab" * 32, PUNCH.time),
        PunchReceipt("gate-1", "ab", 1, "ab" * 32, PUNCH.time),
        PunchReceipt("gate-1", CHAIN, 1, "ab" * 32, "yesterday"),
        PunchReceipt("g" * 400, CHAIN, 1, "ab" * 32, PUNCH.time),
    ],
)
def test_a_receipt_that_nobody_could_read_is_not_printed(receipt: PunchReceipt) -> None:
    with pytest.raises(EvidenceError):
        receipt.text(TERMINAL)


def test_a_receipt_shows_an_omission() -> None:
    PUNCH.stands("ab" * 32)
    with pytest.raises(Omitted):
        PUNCH.stands(None)
    with pytest.raises(Fork):
        PUNCH.stands("cd" * 32)


def test_reading_without_verifying_tells_only_whose_key_to_ask_for() -> None:
    assert PunchReceipt.unverified(PUNCH.text(TERMINAL)) == PUNCH
