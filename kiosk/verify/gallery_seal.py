"""What encrypts the gallery's rows: AES-256-GCM under a key that may be dropped from memory and taken again."""

from __future__ import annotations

import json
import os

from cryptography.exceptions import InvalidTag
from cryptography.hazmat.primitives.ciphers.aead import AESGCM

from kiosk.verify.errors import GalleryLocked, GalleryTampered

KEY_BYTES = 32
NONCE_BYTES = 12
_VERSION = "zaigang-gallery-1"


class Seal:
    """Seals bytes under `key`, 32 bytes, None: locked. Raises ValueError for a key of another length."""

    def __init__(self, key: bytes | None) -> None:
        self._cipher = None if key is None else _cipher(key)

    @property
    def locked(self) -> bool:
        """True while there is no key."""
        return self._cipher is None

    def drop(self) -> None:
        """Let go of the key. OpenSSL wipes what it frees."""
        self._cipher = None

    def take(self, key: bytes) -> None:
        """Take the key again. Raises as the constructor."""
        self._cipher = _cipher(key)

    def seal(self, plain: bytes, *bound_to: str) -> bytes:
        """Return nonce and ciphertext, readable only with the same `bound_to`. Raises GalleryLocked."""
        nonce = os.urandom(NONCE_BYTES)
        return nonce + self._held.encrypt(nonce, plain, _associated(bound_to))

    def unseal(self, sealed: bytes, *bound_to: str) -> bytes:
        """Return what was sealed. Raises GalleryTampered, GalleryLocked."""
        try:
            return self._held.decrypt(sealed[:NONCE_BYTES], sealed[NONCE_BYTES:], _associated(bound_to))
        except (InvalidTag, ValueError, TypeError) as error:
            raise GalleryTampered(f"the row {'/'.join(bound_to)} was changed; erase it and enrol again") from error

    @property
    def _held(self) -> AESGCM:
        if self._cipher is None:
            raise GalleryLocked("the gallery's key is not in memory since the enclosure was opened; it needs a clear")
        return self._cipher


def _cipher(key: bytes) -> AESGCM:
    if len(key) != KEY_BYTES:
        raise ValueError(f"the gallery's key has {KEY_BYTES} bytes, not {len(key)}")
    return AESGCM(key)


def _associated(parts: tuple[str, ...]) -> bytes:
    return json.dumps([_VERSION, *parts]).encode()  # a list, so that no two sets of parts read alike
