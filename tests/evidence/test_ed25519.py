"""Two libraries verify Ed25519, and there is one verdict: that of `cryptography`, whatever the signature.

The signatures that two implementations may judge differently are made here from the curve's equation: R or A with a
component of small order, R of small order itself, S beyond the group's order.
"""

from __future__ import annotations

import hashlib
from collections.abc import Iterator

import pytest
from cryptography.exceptions import InvalidSignature
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PublicKey
from hypothesis import given, settings
from hypothesis import strategies as st

from evidence import ed25519 as module
from evidence.ed25519 import PROBE, libsodium_accepts, libsodium_is_strict, verify
from evidence.errors import BadSignature
from evidence.keys import PublicKey
from tests.evidence.test_keys import GROUP_ORDER, D, P

Point = tuple[int, int]
BASE_Y = 4 * pow(5, -1, P) % P
ORDER_8_Y = 2707385501144840649318225287225658788936804267575313519463743609750303402022


def add(one: Point, two: Point) -> Point:
    (x1, y1), (x2, y2) = one, two
    product = D * x1 * x2 * y1 * y2 % P
    x = (x1 * y2 + x2 * y1) * pow(1 + product, -1, P)
    y = (y1 * y2 + x1 * x2) * pow(1 - product, -1, P)
    return x % P, y % P


def times(number: int, point: Point) -> Point:
    result = (0, 1)
    while number:
        if number & 1:
            result = add(result, point)
        point, number = add(point, point), number >> 1
    return result


def point_at(y: int) -> Point:
    """The point with this y and an even x (RFC 8032 section 5.1.3)."""
    square = (y * y - 1) * pow(D * y * y + 1, -1, P) % P
    x = pow(square, (P + 3) // 8, P)
    if (x * x - square) % P:
        x = x * pow(2, (P - 1) // 4, P) % P
    assert (x * x - square) % P == 0
    return (P - x if x & 1 else x), y


def encoded(point: Point) -> bytes:
    return (point[1] | (point[0] & 1) << 255).to_bytes(32, "little")


def number(*data: bytes) -> int:
    return int.from_bytes(hashlib.sha512(b"".join(data)).digest(), "little") % GROUP_ORDER


BASE, ORDER_8 = point_at(BASE_Y), point_at(ORDER_8_Y)
SECRET = int.from_bytes(hashlib.sha256(b"zaigang a").digest(), "little") % GROUP_ORDER
RANDOM = int.from_bytes(hashlib.sha256(b"zaigang r").digest(), "little") % GROUP_ORDER
MESSAGE = b"zaigang"


def signed(a_small: int, r_small: int, random: int = RANDOM, beyond: int = 0) -> tuple[bytes, bytes, bytes]:
    """Return key, signature and message; the smalls are multiples of a point of order 8 that are added to A and R."""
    key = encoded(add(times(SECRET, BASE), times(a_small, ORDER_8)))
    r = encoded(add(times(random, BASE), times(r_small, ORDER_8)))
    s = (random + number(r, key, MESSAGE) * SECRET) % GROUP_ORDER + beyond
    return key, r + s.to_bytes(32, "little"), MESSAGE


def odd() -> Iterator[tuple[bytes, bytes, bytes]]:
    for small in range(8):
        yield signed(0, small)
        yield signed(0, small, random=0)  # R of small order
        yield signed(0, small, beyond=GROUP_ORDER)
        for a_small in range(1, 8):
            yield signed(a_small, small)
            yield signed(a_small, small, random=RANDOM + a_small)


def accepted_by_cryptography(key: bytes, signature: bytes, message: bytes) -> bool:
    try:
        Ed25519PublicKey.from_public_bytes(key).verify(signature, message)
    except InvalidSignature:
        return False
    return True


def accepted(key: bytes, signature: bytes, message: bytes) -> bool:
    try:
        verify(Ed25519PublicKey.from_public_bytes(key), key, signature, message)
    except InvalidSignature:
        return False
    return True


def test_the_verdict_is_that_of_cryptography_for_every_odd_signature() -> None:
    found = [accepted_by_cryptography(*one) for one in odd()]
    assert [accepted(*one) for one in odd()] == found
    assert set(found) == {True, False}


def test_libsodium_accepts_nothing_that_cryptography_refuses() -> None:
    for one in odd():
        assert accepted_by_cryptography(*one) or not libsodium_accepts(*one)


def test_what_libsodium_alone_refuses_is_accepted_as_everywhere_else() -> None:
    neutral = signed(0, 0, random=0)
    assert accepted_by_cryptography(*neutral) and not libsodium_accepts(*neutral)
    PublicKey.from_ed25519(neutral[0]).verify(neutral[1], neutral[2])


@given(st.binary(max_size=40), st.integers(0, 63), st.integers(1, 255))
@settings(max_examples=200)
def test_a_changed_byte_is_refused_by_both(message: bytes, place: int, flip: int) -> None:
    key, _, _ = signed(0, 0)
    r = encoded(times(RANDOM, BASE))
    s = (RANDOM + number(r, key, message) * SECRET) % GROUP_ORDER
    good = r + s.to_bytes(32, "little")
    PublicKey.from_ed25519(key).verify(good, message)
    bad = good[:place] + bytes([good[place] ^ flip]) + good[place + 1 :]
    with pytest.raises(BadSignature):
        PublicKey.from_ed25519(key).verify(bad, message)


def test_the_probe_holds_only_up_to_small_order() -> None:
    assert signed(0, 1) == PROBE
    key, signature, message = PROBE
    a, r = times(SECRET, BASE), add(times(RANDOM, BASE), ORDER_8)
    right = add(r, times(number(signature[:32], key, message), a))
    left = times(int.from_bytes(signature[32:], "little"), BASE)
    assert left != right and times(8, left) == times(8, right)


def test_a_libsodium_that_compares_up_to_small_order_is_not_asked(monkeypatch: pytest.MonkeyPatch) -> None:
    assert libsodium_is_strict()
    libsodium_is_strict.cache_clear()
    monkeypatch.setattr(module, "libsodium_accepts", lambda *_: True)
    try:
        assert not libsodium_is_strict()
        with pytest.raises(InvalidSignature):
            verify(Ed25519PublicKey.from_public_bytes(PROBE[0]), *PROBE)
    finally:
        libsodium_is_strict.cache_clear()
