"""The key to which other terminals seal faces for this one: X25519 (RFC 7748), in memory only while it opens something.

It lies beside the terminal's key, mode 0600, or sealed to the TPM where there is one. A new signing key gets a new one:
whoever copied the disk before a rotation opens nothing that comes after it.
"""

from __future__ import annotations

from pathlib import Path

from cryptography.hazmat.primitives.asymmetric.x25519 import X25519PrivateKey

from kiosk.durable_file import sync_folder
from kiosk.gallery_key import gallery_key
from kiosk.tpm import Tpm


class TransferKey:
    """The private key in `path`."""

    def __init__(self, path: Path, tpm: Tpm | None) -> None:
        self._path, self._tpm = path, tpm

    def load(self) -> X25519PrivateKey:
        """Return the key, made where there is none. Raises an IdentityError."""
        return X25519PrivateKey.from_private_bytes(gallery_key(self._path, self._tpm).load())

    @property
    def public(self) -> bytes:
        """The 32 bytes that the card shows. Raises an IdentityError."""
        return self.load().public_key().public_bytes_raw()

    def renew(self) -> None:
        """Destroy the key; the next `load` makes another one. Raises OSError."""
        for file in (self._path, self._path.with_suffix(".tpm")):
            file.unlink(missing_ok=True)
        sync_folder(self._path.parent)
