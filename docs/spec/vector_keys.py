"""Keys and constants of the published vectors. The seeds are public: never use these keys for anything else."""

from __future__ import annotations

from dataclasses import dataclass

from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import ec, ed25519
from cryptography.hazmat.primitives.asymmetric.utils import decode_dss_signature

from evidence.keys import Ed25519Key, Es256Key, PublicKey, low_s

CHAIN, OTHER_CHAIN, BOOT = "c0" * 16, "d0" * 16, "b0" * 16
TIME = "2026-03-01T08:00:00.000Z"
P256_ORDER = 0xFFFFFFFF00000000FFFFFFFFFFFFFFFFBCE6FAADA7179E84F3B9CAC2FC632551


@dataclass(frozen=True, slots=True)
class Rfc6979Key:
    """An ES256 key whose signatures come out the same each time."""

    private: ec.EllipticCurvePrivateKey

    @property
    def public(self) -> PublicKey:
        """The public half."""
        return Es256Key(self.private).public

    def sign(self, message: bytes) -> bytes:
        """Sign `message`, low-S."""
        return low_s(*decode_dss_signature(self._sign(message)))

    def sign_high(self, message: bytes) -> bytes:
        """The twin of that signature, which must be refused."""
        raw = self.sign(message)
        return raw[:32] + (P256_ORDER - int.from_bytes(raw[32:], "big")).to_bytes(32, "big")

    def _sign(self, message: bytes) -> bytes:
        return self.private.sign(message, ec.ECDSA(hashes.SHA256(), deterministic_signing=True))


def ed25519_of(seed: int) -> Ed25519Key:
    """Return the Ed25519 key whose private half is 32 times the byte `seed`."""
    return Ed25519Key(ed25519.Ed25519PrivateKey.from_private_bytes(bytes([seed]) * 32))


GATE, OLD, COLLECTOR = ed25519_of(1), ed25519_of(2), ed25519_of(9)
TPM = Rfc6979Key(ec.derive_private_key(1, ec.SECP256R1()))
