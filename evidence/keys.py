"""Signing keys: Ed25519 for key files, ES256 (ECDSA P-256, SHA-256) for keys that live in a TPM.

The algorithm is a property of the registered key and is never read from a message.
"""

from __future__ import annotations

import base64
import binascii
import functools
import hashlib
from dataclasses import dataclass
from enum import StrEnum
from typing import Protocol

from cryptography.exceptions import InvalidSignature
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec, ed25519
from cryptography.hazmat.primitives.asymmetric.utils import decode_dss_signature, encode_dss_signature

from evidence import ed25519 as ed25519_verification
from evidence.errors import BadSignature, InvalidKey

SIGNATURE_BYTES = 64  # both algorithms: R || S
_ED25519_SPKI = bytes.fromhex("302a300506032b6570032100")  # RFC 8410: what stands before the 32 bytes of the key
_P256_ORDER = 0xFFFFFFFF00000000FFFFFFFFFFFFFFFFBCE6FAADA7179E84F3B9CAC2FC632551  # SEC 2, secp256r1
_ED25519_PRIME = 2**255 - 19  # RFC 8032 section 5.1: a y coordinate at or above it is not an encoding
# y coordinates of the eight points of small order on edwards25519: a signature under such a key says nothing about
# its message. tests/evidence/test_keys.py derives them from the curve equation.
_SMALL_ORDER_Y = frozenset(
    {
        0,
        1,
        _ED25519_PRIME - 1,
        2707385501144840649318225287225658788936804267575313519463743609750303402022,
        55188659117513257062467267217118295137698188065244968500265048394206261417927,
    }
)


class Algorithm(StrEnum):
    """How a registered key signs."""

    ED25519 = "ed25519"
    ES256 = "es256"


@dataclass(frozen=True)  # without slots: the id is derived once
class PublicKey:
    """A registered public key: its algorithm and its DER SubjectPublicKeyInfo."""

    algorithm: Algorithm
    spki: bytes

    @functools.cached_property
    def id(self) -> str:
        """The key id: lower-case hex SHA-256 of the SubjectPublicKeyInfo."""
        return hashlib.sha256(self.spki).hexdigest()

    @property
    def fingerprint(self) -> str:
        """The first 16 hex digits of the id in groups of four, for people to compare aloud."""
        return " ".join(self.id[i : i + 4] for i in range(0, 16, 4))

    def text(self) -> str:
        """One line to copy: `algorithm:base64(SPKI)`."""
        return f"{self.algorithm}:{base64.b64encode(self.spki).decode()}"

    @classmethod
    def parse_exactly(cls, text: str) -> PublicKey:
        """As `parse`, of the one text that is the key's, with nothing around it. Raises InvalidKey."""
        key = cls.parse(text)
        if key.text() != text:
            raise InvalidKey("the key has something around it")
        return key

    @classmethod
    def from_ed25519(cls, raw: bytes) -> PublicKey:
        """Make an Ed25519 key of its 32 bytes (RFC 8032). Raises InvalidKey."""
        key = cls(Algorithm.ED25519, _ED25519_SPKI + raw)
        _load(key.algorithm, key.spki)
        return key

    @property
    def ed25519_raw(self) -> bytes:
        """The 32 bytes of an Ed25519 key (RFC 8032). Raises InvalidKey for another algorithm."""
        if self.algorithm is not Algorithm.ED25519:
            raise InvalidKey(f"an Ed25519 key is needed here, this one is of {self.algorithm}")
        return self.spki[len(_ED25519_SPKI) :]

    @classmethod
    def parse(cls, text: str) -> PublicKey:
        """Read what `text` wrote. Raises InvalidKey."""
        return _parse(text)

    def verify(self, signature: bytes, message: bytes) -> None:
        """Check a 64-byte R||S signature over `message`. Raises BadSignature or InvalidKey."""
        if len(signature) != SIGNATURE_BYTES:
            raise BadSignature(f"a signature has {SIGNATURE_BYTES} bytes, this one {len(signature)}")
        key = _load(self.algorithm, self.spki)
        try:
            if not isinstance(key, ec.EllipticCurvePublicKey):
                ed25519_verification.verify(key, self.spki[len(_ED25519_SPKI) :], signature, message)
                return
            r, s = int.from_bytes(signature[:32], "big"), int.from_bytes(signature[32:], "big")
            if not (0 < r < _P256_ORDER and 0 < s <= _P256_ORDER // 2):
                raise BadSignature("the ECDSA signature is not in low-S form, so it could have a twin")
            key.verify(encode_dss_signature(r, s), message, ec.ECDSA(hashes.SHA256()))
        except InvalidSignature as error:
            raise BadSignature("the signature does not fit the bytes and the registered key") from error


class SigningKey(Protocol):
    """Whatever can sign: a key file here, a TPM elsewhere."""

    @property
    def public(self) -> PublicKey:
        """The public half."""
        ...

    def sign(self, message: bytes) -> bytes:
        """Return a 64-byte R||S signature over `message`."""
        ...


@dataclass(frozen=True)  # without slots: the public half is derived once
class Ed25519Key:
    """An Ed25519 private key in memory."""

    private: ed25519.Ed25519PrivateKey

    @classmethod
    def generate(cls) -> Ed25519Key:
        """Make a new key from the operating system's randomness."""
        return cls(ed25519.Ed25519PrivateKey.generate())

    @classmethod
    def from_pem(cls, pem: bytes) -> Ed25519Key:
        """Read an unencrypted PKCS #8 PEM. Raises InvalidKey."""
        try:
            key = serialization.load_pem_private_key(pem, None)
        except (ValueError, TypeError) as error:
            raise InvalidKey(f"the key file is not a PKCS #8 PEM: {error}") from error
        if not isinstance(key, ed25519.Ed25519PrivateKey):
            raise InvalidKey("the key file holds another kind of key than Ed25519")
        return cls(key)

    def pem(self) -> bytes:
        """The key as unencrypted PKCS #8 PEM; the caller keeps it at mode 0600."""
        return self.private.private_bytes(
            serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, serialization.NoEncryption()
        )

    @functools.cached_property
    def public(self) -> PublicKey:
        """The public half."""
        return PublicKey(Algorithm.ED25519, _spki(self.private.public_key()))

    def sign(self, message: bytes) -> bytes:
        """Sign `message` (RFC 8032)."""
        return self.private.sign(message)


@dataclass(frozen=True)  # without slots: the public half is derived once
class Es256Key:
    """An ECDSA P-256 private key in memory; the shape a TPM's key has."""

    private: ec.EllipticCurvePrivateKey

    @classmethod
    def generate(cls) -> Es256Key:
        """Make a new key from the operating system's randomness."""
        return cls(ec.generate_private_key(ec.SECP256R1()))

    @functools.cached_property
    def public(self) -> PublicKey:
        """The public half."""
        return PublicKey(Algorithm.ES256, _spki(self.private.public_key()))

    def sign(self, message: bytes) -> bytes:
        """Sign `message`: R||S, S in its low form so that the signature has no twin."""
        r, s = decode_dss_signature(self.private.sign(message, ec.ECDSA(hashes.SHA256())))
        return low_s(r, s)


def low_s(r: int, s: int) -> bytes:
    """Write an ECDSA P-256 signature as 64 bytes R||S with S in its lower half."""
    return r.to_bytes(32, "big") + min(s, _P256_ORDER - s).to_bytes(32, "big")


def _spki(key: ed25519.Ed25519PublicKey | ec.EllipticCurvePublicKey) -> bytes:
    return key.public_bytes(serialization.Encoding.DER, serialization.PublicFormat.SubjectPublicKeyInfo)


@functools.lru_cache(maxsize=4096)  # a manifest or a registry names few keys, and is asked for one with every event
def _parse(text: str) -> PublicKey:
    name, _, encoded = text.strip().partition(":")
    try:
        algorithm = Algorithm(name)
        spki = base64.b64decode(encoded, validate=True)
    except (ValueError, binascii.Error) as error:
        raise InvalidKey("a public key is written `ed25519:…` or `es256:…` with base64 after the colon") from error
    _load(algorithm, spki)
    key = PublicKey(algorithm, spki)
    if key.text() != text.strip():
        raise InvalidKey("the key's base64 is not canonical: unused bits are set or padding is odd")
    return key


@functools.lru_cache(maxsize=4096)  # loading costs as much as a verification; a collector sees few keys, often
def _load(algorithm: Algorithm, spki: bytes) -> ed25519.Ed25519PublicKey | ec.EllipticCurvePublicKey:
    try:
        key = serialization.load_der_public_key(spki)
    except Exception as error:  # cryptography raises ValueError, UnsupportedAlgorithm and others here
        raise InvalidKey(f"the public key cannot be read: {error}") from error
    if algorithm is Algorithm.ED25519 and isinstance(key, ed25519.Ed25519PublicKey):
        y = int.from_bytes(key.public_bytes_raw(), "little") & (2**255 - 1)
        if y in _SMALL_ORDER_Y or y >= _ED25519_PRIME:
            raise InvalidKey("the Ed25519 key is of small order or not in its canonical form; make a new key")
    elif not (
        algorithm is Algorithm.ES256
        and isinstance(key, ec.EllipticCurvePublicKey)
        and isinstance(key.curve, ec.SECP256R1)
    ):
        raise InvalidKey(f"the public key is not of the algorithm it is registered under ({algorithm})")
    if _spki(key) != spki:  # a compressed point, say: the same key under a second id
        raise InvalidKey("the public key is not in its canonical DER form (uncompressed point, named curve)")
    return key
