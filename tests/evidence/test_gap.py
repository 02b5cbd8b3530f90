"""A gap request is signed by the collector for one device, and is no receipt."""

from __future__ import annotations

import pytest
from pydantic import ValidationError

from evidence.canonical import canonical
from evidence.envelope import GAP_REQUEST_TYPE, sign
from evidence.errors import BadSignature, GapRequestError, GapRequestMismatch, UnknownKey, WrongPayloadType
from evidence.gap import GapRequest, read_gap_request, sign_gap_request
from evidence.keys import Ed25519Key
from evidence.receipt import read_receipt

KEY = Ed25519Key.generate()
REQUEST = GapRequest(device="gate-1", chain="0" * 32, first=3, last=9, time="2026-05-04T08:00:00.000Z")


def test_it_reads_back_as_it_was_signed() -> None:
    assert read_gap_request(sign_gap_request(REQUEST, KEY), KEY.public, "gate-1") == REQUEST


def test_another_device_another_key_and_changed_bytes_are_refused() -> None:
    data = sign_gap_request(REQUEST, KEY)
    with pytest.raises(GapRequestMismatch):
        read_gap_request(data, KEY.public, "gate-2")
    with pytest.raises(UnknownKey):
        read_gap_request(data, Ed25519Key.generate().public, "gate-1")
    with pytest.raises(BadSignature):
        read_gap_request(_flip(data), KEY.public, "gate-1")


def _flip(data: bytes) -> bytes:
    at = data.index(b'"sig":"') + 10
    return data[:at] + (b"B" if data[at : at + 1] != b"B" else b"C") + data[at + 1 :]


def test_it_is_no_receipt_and_a_receipt_is_none() -> None:
    with pytest.raises(WrongPayloadType):
        read_receipt(sign_gap_request(REQUEST, KEY), KEY.public, "gate-1")


def test_a_range_that_ends_before_it_begins_is_none() -> None:
    with pytest.raises(ValidationError):
        GapRequest(device="gate-1", chain="0" * 32, first=9, last=3, time="2026-05-04T08:00:00.000Z")
    payload = canonical({**REQUEST.model_dump(mode="json"), "first": 10})
    with pytest.raises(GapRequestError):
        read_gap_request(sign(GAP_REQUEST_TYPE, payload, KEY).encode(), KEY.public, "gate-1")
