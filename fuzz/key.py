"""The keys of all fuzzing."""

from __future__ import annotations

from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey

from evidence.keys import Ed25519Key

# RFC 8032, test 1: known to everybody
_PKCS8 = "MC4CAQAwBQYDK2VwBCIEIJ1hsZ3v/VpguoRK9JLsLMREScVpezJpGXA7rAMcrn9g"
KEY = Ed25519Key.from_pem(f"-----BEGIN PRIVATE KEY-----\n{_PKCS8}\n-----END PRIVATE KEY-----\n".encode())
OTHER = Ed25519Key(Ed25519PrivateKey.from_private_bytes(b"\x02" * 32))
