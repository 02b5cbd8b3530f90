"""Keys: published vectors hold; what is weak, doubled or ambiguous is refused."""

from __future__ import annotations

import base64
import json
from pathlib import Path

import pytest
from cryptography.hazmat.primitives import serialization
from cryptography.hazmat.primitives.asymmetric import ec, ed25519, rsa, x25519
from hypothesis import given, settings
from hypothesis import strategies as st

from evidence.errors import BadSignature, InvalidKey
from evidence.keys import Algorithm, Ed25519Key, Es256Key, PublicKey, low_s
from tests.evidence.chains import ed25519_key, es256_key

P = 2**255 - 19
D = -121665 * pow(121666, -1, P) % P
GROUP_ORDER = 2**252 + 27742317777372353535851937790883648493  # RFC 8032, L
P256_ORDER = 0xFFFFFFFF00000000FFFFFFFFFFFFFFFFBCE6FAADA7179E84F3B9CAC2FC632551
ED25519_SPKI = bytes.fromhex("302a300506032b6570032100")  # RFC 8410: what stands before the 32 bytes of the key

# RFC 8032, section 7.1: secret key, public key, message, signature.
RFC_8032 = json.loads((Path(__file__).parent / "rfc8032.json").read_text())


def _ed25519(raw: bytes) -> PublicKey:
    return PublicKey(Algorithm.ED25519, ED25519_SPKI + raw)


@pytest.mark.parametrize("vector", RFC_8032, ids=lambda vector: str(vector["name"]))
def test_the_vectors_of_rfc_8032(vector: dict[str, str]) -> None:
    secret, public, message, signature = (
        bytes.fromhex(vector[name]) for name in ("secret", "public", "message", "signature")
    )
    key = Ed25519Key(ed25519.Ed25519PrivateKey.from_private_bytes(secret))
    assert key.public == _ed25519(public)
    assert key.sign(message) == signature
    key.public.verify(signature, message)
    with pytest.raises(BadSignature):
        key.public.verify(signature, message + b"\x00")


# RFC 6979, appendix A.2.5, P-256 with SHA-256, message "sample": its s lies in the upper half.
RFC_6979_X = 0xC9AFA9D845BA75166B5C215767B1D6934E50C3DB36E89B127B8A622B120F6721
RFC_6979_R = 0xEFD48B2AACB6A8FD1140DD9CD45E81D69D2C877B56AAF991C34D0EA84EAF3716
RFC_6979_S = 0xF7CB1C942D657C41D436C7A1B6E29F65F3E900DBB9AFF4064DC4AB2F843ACDA8


def test_the_vector_of_rfc_6979_holds_in_its_low_form_only() -> None:
    public = es256_key(RFC_6979_X).public
    assert RFC_6979_S > P256_ORDER // 2
    public.verify(low_s(RFC_6979_R, RFC_6979_S), b"sample")
    with pytest.raises(BadSignature, match="low-S"):
        public.verify(RFC_6979_R.to_bytes(32, "big") + RFC_6979_S.to_bytes(32, "big"), b"sample")


def _small_order_ys() -> set[int]:
    """The y of every point whose order divides 8 on -x² + y² = 1 + d·x²·y² over GF(p)."""
    ys = {1, P - 1, 0}  # (0, 1) has order 1, (0, -1) order 2; x = ±√-1 goes with y = 0: order 4
    # Order 8 doubles to order 4, so y(2Q) = (y² + x²) / (1 - d·x²·y²) = 0: x² = -y², which gives d·y⁴ + 2·y² - 1 = 0.
    root = _sqrt(1 + D)
    assert root is not None
    for sign in (1, -1):
        y = _sqrt((-1 + sign * root) * pow(D, -1, P) % P)
        if y is not None:
            ys |= {y, P - y}
    return ys


def _sqrt(square: int) -> int | None:
    square %= P
    root = pow(square, (P + 3) // 8, P)  # p = 5 mod 8
    if root * root % P != square:
        root = root * pow(2, (P - 1) // 4, P) % P
    return root if root * root % P == square else None


def _order(y: int) -> int:
    """The order of a point with this y, by doubling it up to three times; 0 where it is more than 8."""
    x_squared = (y * y - 1) * pow(D * y * y + 1, -1, P) % P
    x = _sqrt(x_squared)
    assert x is not None, "not on the curve"
    order = 1
    while (x, y) != (0, 1):
        if order == 8:
            return 0
        product = D * x * x * y * y % P
        x, y = 2 * x * y * pow(1 + product, -1, P) % P, (y * y + x * x) * pow(1 - product, -1, P) % P
        order *= 2
    return order


def test_every_key_of_small_order_is_refused_in_every_encoding() -> None:
    ys = _small_order_ys()
    assert sorted(_order(y) for y in ys) == [1, 2, 4, 8, 8]
    encodings = {y + shift for y in ys for shift in (0, P) if y + shift < 2**255}
    assert len(encodings) == 7
    for y in encodings:
        for sign in (0, 1):
            raw = (y | sign << 255).to_bytes(32, "little")
            with pytest.raises(InvalidKey):
                PublicKey.parse(_ed25519(raw).text())
            with pytest.raises(InvalidKey):
                _ed25519(raw).verify(bytes(64), b"anything")


def test_a_key_of_small_order_would_sign_anything() -> None:
    # Why they are refused: with A = (0, 1) the equation S·B = R + k·A holds for R = A, S = 0 whatever the message.
    raw = ed25519.Ed25519PublicKey.from_public_bytes((1).to_bytes(32, "little"))
    raw.verify((1).to_bytes(32, "little") + bytes(32), b"whatever you like")


def test_a_key_beyond_the_prime_is_refused() -> None:
    for y in range(P, 2**255):
        with pytest.raises(InvalidKey):
            PublicKey.parse(_ed25519(y.to_bytes(32, "little")).text())


@given(st.binary(max_size=64))
@settings(max_examples=50)
def test_an_ed25519_signature_with_s_beyond_the_group_order_is_refused(message: bytes) -> None:
    key = ed25519_key()
    signature = key.sign(message)
    s = int.from_bytes(signature[32:], "little")
    for twin in (s + GROUP_ORDER, s + 2 * GROUP_ORDER, s + 7 * GROUP_ORDER):
        with pytest.raises(BadSignature):
            key.public.verify(signature[:32] + twin.to_bytes(32, "little"), message)


@given(st.binary(max_size=64))
@settings(max_examples=50)
def test_an_es256_signature_has_no_twin(message: bytes) -> None:
    key = es256_key()
    signature = key.sign(message)
    key.public.verify(signature, message)
    s = int.from_bytes(signature[32:], "big")
    assert s <= P256_ORDER // 2
    for other in (P256_ORDER - s, s + P256_ORDER):
        if other < 2**256:
            with pytest.raises(BadSignature):
                key.public.verify(signature[:32] + other.to_bytes(32, "big"), message)


@pytest.mark.parametrize("r", [0, 1, P256_ORDER, 2**256 - 1])
@pytest.mark.parametrize("s", [0, 1, P256_ORDER // 2, P256_ORDER])
def test_es256_numbers_at_the_edges_are_refused(r: int, s: int) -> None:
    with pytest.raises(BadSignature):
        es256_key().public.verify(r.to_bytes(32, "big") + s.to_bytes(32, "big"), b"")


@pytest.mark.parametrize("key", [ed25519_key(), es256_key()], ids=["ed25519", "es256"])
def test_a_signature_has_64_bytes(key: Ed25519Key | Es256Key) -> None:
    signature = key.sign(b"x")
    for wrong in (b"", signature[:-1], signature + b"\x00", signature * 2):
        with pytest.raises(BadSignature):
            key.public.verify(wrong, b"x")


def test_a_key_is_written_and_read_in_one_way_only() -> None:
    for key in (ed25519_key(), es256_key()):
        text = key.public.text()
        assert PublicKey.parse(f" {text}\n") == key.public
        algorithm, _, encoded = text.partition(":")
        der = base64.b64decode(encoded)
        for other in (
            encoded,
            f"rsa:{encoded}",
            f"{algorithm.upper()}:{encoded}",
            f"{algorithm}:",
            f"{algorithm}:{encoded.rstrip('=')}=\n=",
            f"{algorithm}:{base64.b64encode(der + b'x').decode()}",
            f"{algorithm}:{base64.b64encode(der[:-1]).decode()}",
            f"{algorithm}:!{encoded}",
        ):
            with pytest.raises(InvalidKey):
                PublicKey.parse(other)


def test_unused_bits_of_the_base64_do_not_make_a_second_text() -> None:
    text = es256_key().public.text()
    assert text.endswith("==")
    letters = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/"
    other = text[:-3] + letters[letters.index(text[-3]) + 1] + "=="
    assert base64.b64decode(other.partition(":")[2]) == base64.b64decode(text.partition(":")[2])
    with pytest.raises(InvalidKey):
        PublicKey.parse(other)


def test_a_compressed_point_does_not_give_a_key_a_second_id() -> None:
    point = (
        es256_key()
        .private.public_key()
        .public_bytes(serialization.Encoding.X962, serialization.PublicFormat.CompressedPoint)
    )
    head = bytes.fromhex("3039301306072a8648ce3d020106082a8648ce3d030107032200")
    with pytest.raises(InvalidKey):
        PublicKey.parse(f"es256:{base64.b64encode(head + point).decode()}")


def test_a_key_of_another_kind_is_refused() -> None:
    others = [
        rsa.generate_private_key(65537, 2048).public_key(),
        ec.generate_private_key(ec.SECP384R1()).public_key(),
        x25519.X25519PrivateKey.generate().public_key(),
    ]
    spkis = [
        other.public_bytes(serialization.Encoding.DER, serialization.PublicFormat.SubjectPublicKeyInfo)
        for other in others
    ]
    for spki in [*spkis, ed25519_key().public.spki]:
        with pytest.raises(InvalidKey):
            PublicKey(Algorithm.ES256, spki).verify(bytes(64), b"")
    for spki in [*spkis, es256_key().public.spki]:
        with pytest.raises(InvalidKey):
            PublicKey(Algorithm.ED25519, spki).verify(bytes(64), b"")


def test_a_private_key_survives_its_pem_and_nothing_else_is_read() -> None:
    key = Ed25519Key.generate()
    assert Ed25519Key.from_pem(key.pem()).public == key.public
    other = es256_key().private.private_bytes(
        serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, serialization.NoEncryption()
    )
    for pem in (b"", b"garbage", other, key.pem()[:-40]):
        with pytest.raises(InvalidKey):
            Ed25519Key.from_pem(pem)


def test_a_fingerprint_is_short_enough_to_read_aloud() -> None:
    key = ed25519_key().public
    assert key.fingerprint.replace(" ", "") == key.id[:16]
    assert len(key.fingerprint.split()) == 4
