"""Ed25519 verification (RFC 8032): libsodium may accept, and what it does not accept `cryptography` decides.

libsodium takes half of the time. Both compare the bytes of R with those of S·B - k·A, so libsodium accepts nothing
that `cryptography` refuses; it refuses more (an R of small order), and there the second word counts. So the verdict is
the one of `cryptography` whatever the signature, and no two verifiers of this project differ. A libsodium that
compares points up to small order instead is not asked.
"""

from __future__ import annotations

import functools

from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PublicKey
from nacl.bindings import crypto_sign_open
from nacl.exceptions import CryptoError

# A key and a signature over b"zaigang" whose R has a component of order 8: S·B = R + k·A holds for eight times both
# sides alone. tests/evidence/test_ed25519.py makes them.
_PROBE_KEY = bytes.fromhex("092e9a85eb91995a037be51f27a8d522a107e5a662aa89d76f0a9a8b7b4af041")
_PROBE_SIGNATURE = bytes.fromhex(
    "da27fd533e27d7298d5fcd5b70b2de46e0f1360bc6c188010f7643fb0811a660"
    "e67228b31c00973d7457f266a8d49e91ab0fa9e9c62d002ca303705167b3f604"
)
PROBE = (_PROBE_KEY, _PROBE_SIGNATURE, b"zaigang")


def verify(key: Ed25519PublicKey, raw: bytes, signature: bytes, message: bytes) -> None:
    """Check a 64-byte signature; `raw` are the key's 32 bytes. Raises cryptography's InvalidSignature."""
    if libsodium_is_strict() and libsodium_accepts(raw, signature, message):
        return
    key.verify(signature, message)


def libsodium_accepts(raw: bytes, signature: bytes, message: bytes) -> bool:
    """Say whether libsodium finds the signature good. Other threads run meanwhile."""
    try:
        crypto_sign_open(signature + message, raw)
    except CryptoError:
        return False
    return True


@functools.cache
def libsodium_is_strict() -> bool:
    """Say whether this libsodium refuses what only a comparison up to small order would accept."""
    return not libsodium_accepts(*PROBE)
