"""Envelopes: whatever byte is changed, somebody notices and says what it is."""

from __future__ import annotations

import base64
import hashlib
import json
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from evidence.canonical import canonical
from evidence.chain import read_event
from evidence.envelope import (
    EVENT_TYPE,
    MAX_ENVELOPE_BYTES,
    RECEIPT_TYPE,
    Envelope,
    Signature,
    pae,
    sign,
)
from evidence.errors import (
    BadSignature,
    DuplicateKey,
    EncodingError,
    EvidenceError,
    InvalidEnvelope,
    NotCanonical,
    NotJson,
    SignatureCount,
    TooLarge,
    UnknownKey,
    WrongPayloadType,
)
from evidence.keys import PublicKey, SigningKey
from tests.evidence.chains import an_event, ed25519_key, es256_key

ONE, TWO, TPM = ed25519_key(1), ed25519_key(2), es256_key(1)
FLIPS = (0x01, 0x02, 0x10, 0x20, 0x80, 0xFF)


def test_the_published_dsse_example() -> None:
    # https://github.com/secure-systems-lab/dsse/blob/v1.0.0/protocol.md, "Test Vectors"
    assert (
        pae("http://example.com/HelloWorld", b"hello world")
        == b"DSSEv1 29 http://example.com/HelloWorld 11 hello world"
    )


def test_the_encoding_counts_bytes_not_characters() -> None:
    assert pae("é", "中".encode()) == b"DSSEv1 2 \xc3\xa9 3 \xe4\xb8\xad"
    assert pae("", b"") == b"DSSEv1 0  0 "


@given(st.text(max_size=8), st.binary(max_size=8), st.text(max_size=8), st.binary(max_size=8))
def test_two_statements_never_share_their_signed_bytes(one: str, first: bytes, two: str, second: bytes) -> None:
    assert ((one, first) == (two, second)) == (pae(one, first) == pae(two, second))


@pytest.mark.parametrize("key", [ONE, TPM], ids=["ed25519", "es256"])
def test_flipping_any_byte_of_an_envelope_is_noticed(key: SigningKey) -> None:
    data = sign(EVENT_TYPE, an_event(0, None, key).payload(), key).encode()
    keys = {"gate-1": key.public}
    read_event(data, keys)
    for changed in _flipped(data):
        with pytest.raises(EvidenceError) as caught:
            read_event(changed, keys)
        assert caught.value.code != "evidence_error"


def test_flipping_any_byte_of_an_envelope_with_two_signatures_is_noticed() -> None:
    data = sign(EVENT_TYPE, an_event(0, None, ONE).payload(), ONE, TPM).encode()
    both = [ONE.public, TPM.public]
    Envelope.decode(data).verify_all(both, EVENT_TYPE)
    for changed in _flipped(data):
        with pytest.raises(EvidenceError):
            Envelope.decode(changed).verify_all(both, EVENT_TYPE)


def test_cutting_an_envelope_anywhere_or_adding_to_it_is_noticed() -> None:
    data = sign(EVENT_TYPE, an_event(0, None, ONE).payload(), ONE).encode()
    for end in range(len(data)):
        with pytest.raises(EncodingError):
            Envelope.decode(data[:end])
    for extra in (b" ", b"\n", b"\x00", b"}", data):
        with pytest.raises(EncodingError):
            Envelope.decode(data + extra)


def _flipped(data: bytes) -> list[bytes]:
    return [
        data[:place] + bytes([data[place] ^ flip]) + data[place + 1 :] for place in range(len(data)) for flip in FLIPS
    ]


@given(st.binary(max_size=200), st.sampled_from([(ONE,), (TPM,), (ONE, TPM), (TWO, ONE)]))
def test_what_was_signed_is_what_is_read(payload: bytes, keys: tuple[SigningKey, ...]) -> None:
    envelope = sign(EVENT_TYPE, payload, *keys)
    again = Envelope.decode(envelope.encode())
    assert again == envelope
    assert again.verify_all([key.public for key in keys], EVENT_TYPE) == payload
    assert again.hash == hashlib.sha256(pae(EVENT_TYPE, payload)).hexdigest()


@given(st.binary(max_size=99))
def test_our_envelope_is_rfc_8785_json_with_standard_base64(payload: bytes) -> None:
    data = sign(EVENT_TYPE, payload, ONE).encode()
    outer = json.loads(data)
    assert canonical(outer) == data
    assert base64.b64decode(outer["payload"], validate=True) == payload
    assert outer["signatures"][0]["keyid"] == hashlib.sha256(ONE.public.spki).hexdigest()


def test_the_hash_does_not_depend_on_the_signature() -> None:
    # ECDSA signatures differ each time; the chain must not.
    first, second = (sign(EVENT_TYPE, b"{}", TPM) for _ in range(2))
    assert first.signatures != second.signatures
    assert first.hash == second.hash


def test_one_kind_of_statement_never_passes_for_another() -> None:
    with pytest.raises(WrongPayloadType):
        sign(RECEIPT_TYPE, b"{}", ONE).verify(ONE.public, EVENT_TYPE)
    renamed = Envelope(EVENT_TYPE, b"{}", sign(RECEIPT_TYPE, b"{}", ONE).signatures)
    with pytest.raises(BadSignature):
        renamed.verify(ONE.public, EVENT_TYPE)


def test_only_the_registered_key_counts() -> None:
    envelope = sign(EVENT_TYPE, b"{}", ONE)
    with pytest.raises(UnknownKey):
        envelope.verify(TWO.public, EVENT_TYPE)
    claimed = Envelope(EVENT_TYPE, b"{}", (Signature(TWO.public.id, envelope.signatures[0].sig),))
    with pytest.raises(BadSignature):
        claimed.verify(TWO.public, EVENT_TYPE)


@pytest.mark.parametrize(
    ("signed_by", "wanted", "error"),
    [
        ((ONE, TWO), (ONE,), SignatureCount),
        ((ONE,), (ONE, TWO), SignatureCount),
        ((TWO, ONE), (ONE, TWO), UnknownKey),
        ((ONE, ONE), (ONE, TWO), UnknownKey),
        ((ONE, ONE), (ONE, ONE), SignatureCount),
    ],
)
def test_each_wanted_key_signs_once_in_its_place(
    signed_by: tuple[SigningKey, ...], wanted: tuple[SigningKey, ...], error: type[EvidenceError]
) -> None:
    with pytest.raises(error):
        sign(EVENT_TYPE, b"{}", *signed_by).verify_all([key.public for key in wanted], EVENT_TYPE)


def test_a_statement_without_a_signature_is_never_verified() -> None:
    with pytest.raises(SignatureCount):
        Envelope(EVENT_TYPE, b"{}", ()).verify_all([], EVENT_TYPE)


def _outer(**changes: Any) -> bytes:
    outer = json.loads(sign(EVENT_TYPE, b"{}", ONE).encode())
    return canonical({key: value for key, value in {**outer, **changes}.items() if value is not ...})


SIGNATURE = json.loads(sign(EVENT_TYPE, b"{}", ONE).encode())["signatures"][0]


@pytest.mark.parametrize(
    "data",
    [
        b"[]",
        b"null",
        b"7",
        b'"x"',
        b"{}",
        _outer(extra=1),
        _outer(payload=...),
        _outer(payload=None),
        _outer(payload=[]),
        _outer(payload="e30"),
        _outer(payload="e3 0="),
        _outer(payload="e31="),
        _outer(payload="e30=\n"),
        _outer(payload="e30=e30="),
        _outer(payload="é"),
        _outer(payload="-_=="),
        _outer(payloadType=7),
        _outer(payloadType=""),
        _outer(payloadType="a" * 129),
        _outer(payloadType='a"b'),
        _outer(payloadType="a b"),
        _outer(payloadType="é"),
        _outer(signatures={}),
        _outer(signatures=[]),
        _outer(signatures=[SIGNATURE] * 3),
        _outer(signatures=[None]),
        _outer(signatures=[[]]),
        _outer(signatures=[{**SIGNATURE, "x": 1}]),
        _outer(signatures=[{"sig": SIGNATURE["sig"]}]),
        _outer(signatures=[{**SIGNATURE, "keyid": 7}]),
        _outer(signatures=[{**SIGNATURE, "keyid": "\x1b[31m"}]),
        _outer(signatures=[{**SIGNATURE, "keyid": SIGNATURE["keyid"].upper()}]),
        _outer(signatures=[{**SIGNATURE, "sig": None}]),
    ],
)
def test_json_that_is_no_envelope_is_named_so(data: bytes) -> None:
    with pytest.raises(InvalidEnvelope):
        Envelope.decode(data)


def test_an_envelope_written_another_way_is_refused() -> None:
    data = _outer()
    for other in (data.replace(b":", b": ", 1), data.replace(b"event", rb"\u0065vent"), data[:-1] + b" }"):
        with pytest.raises(NotCanonical):
            Envelope.decode(other)
    with pytest.raises(DuplicateKey):
        Envelope.decode(data.replace(b'{"payload"', b'{"payload":"","payload"', 1))
    with pytest.raises(NotJson):
        Envelope.decode(b"\x80" + data)


def test_a_megabyte_of_anything_is_refused_before_it_is_parsed() -> None:
    for data in (b"[" * 1_000_000, b"\x00" * 1_000_000, _outer() + b" " * 1_000_000):
        with pytest.raises(TooLarge):
            Envelope.decode(data)


def test_the_largest_envelope_that_can_be_signed_can_be_read_and_none_larger() -> None:
    fixed = len(sign(EVENT_TYPE, b"", ONE).encode())
    largest = (MAX_ENVELOPE_BYTES - fixed) // 4 * 3
    data = sign(EVENT_TYPE, bytes(largest), ONE).encode()
    assert Envelope.decode(data).verify(ONE.public, EVENT_TYPE) == bytes(largest)
    with pytest.raises(TooLarge):
        sign(EVENT_TYPE, bytes(largest + 3), ONE)


def test_an_envelope_that_no_reader_takes_is_not_written() -> None:
    with pytest.raises(InvalidEnvelope):
        Envelope('x"', b"", (Signature(ONE.public.id, bytes(64)),)).encode()
    with pytest.raises(InvalidEnvelope):
        Envelope("x", b"", (Signature("", bytes(64)),)).encode()


def test_a_message_cannot_choose_its_algorithm() -> None:
    # The same 64 bytes under the id of a key of the other kind: the registered key decides how they are checked.
    envelope = sign(EVENT_TYPE, b"{}", ONE)
    public: PublicKey = TPM.public
    forged = Envelope(EVENT_TYPE, b"{}", (Signature(public.id, envelope.signatures[0].sig),))
    with pytest.raises(BadSignature):
        forged.verify(public, EVENT_TYPE)


@given(
    st.binary(max_size=60),
    st.integers(0, 2**20),
    st.sampled_from(list(b'Aa+/=-_ "\\{},:\n\x00\xff')),
    st.integers(0, 2),
)
def test_the_quick_reading_and_the_slow_one_judge_alike(payload: bytes, place: int, byte: int, how: int) -> None:
    data = bytearray(sign(EVENT_TYPE, payload, ONE).encode())
    place %= len(data)
    data[place : place + (how != 1)] = bytes([byte]) if how else b""  # cut out, put in, changed
    assert _read(Envelope.decode, bytes(data)) == _read(Envelope._decode_slowly, bytes(data))


@pytest.mark.parametrize("payload", [b"", b"a", b"ab", b"abc"])
def test_no_other_base64_of_the_same_bytes_is_read(payload: bytes) -> None:
    """Every last letter before the padding: only one of them has no unused bit set."""
    data = sign(EVENT_TYPE, payload, ONE).encode()
    end = data.index(b'"', len(b'{"payload":"')) - (-len(payload)) % 3
    for letter in b"ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/":
        other = data[: end - 1] + bytes([letter]) + data[end:]
        assert _read(Envelope.decode, other) == _read(Envelope._decode_slowly, other)


def _read(decode: Any, data: bytes) -> Any:
    try:
        return decode(data)
    except EncodingError as error:
        return type(error)
