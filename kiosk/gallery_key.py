"""Where the key that encrypts the gallery comes from: sealed to the TPM where there is one, else a key file.

The rest of the terminal knows a `GalleryKey` and whether it is protected. A key file protects against a copy of the
gallery alone; whoever takes the whole card has both, and the status says so.
"""

from __future__ import annotations

import secrets
from dataclasses import dataclass
from pathlib import Path
from typing import Protocol

from evidence.status import Part
from kiosk.durable_file import sync_folder
from kiosk.errors import KeyFileUnreadable, TpmFailed
from kiosk.identity import GALLERY_KEY_BYTES, load_or_create_gallery_key, read_or_make
from kiosk.terminal_key import TerminalKey
from kiosk.tpm import Tpm


class GalleryKey(Protocol):
    """One way to keep the gallery's key."""

    @property
    def protected(self) -> bool:
        """True if a copy of this machine's disk does not give the key away."""
        ...

    def load(self) -> bytes:
        """Return the 32 bytes, made where there are none. Raises an IdentityError."""
        ...


@dataclass(frozen=True, slots=True)
class KeyFile:
    """The key in a file of its own, readable by the terminal's user only."""

    path: Path

    @property
    def protected(self) -> bool:
        """A file goes where its disk goes."""
        return False

    def load(self) -> bytes:
        """As the Protocol says."""
        return load_or_create_gallery_key(self.path)


@dataclass(frozen=True, slots=True)
class Sealed:
    """The key sealed to this machine's TPM. Takes over a key file that is there: seals its bytes, then removes it."""

    path: Path
    key_file: Path
    tpm: Tpm

    @property
    def protected(self) -> bool:
        """Only this TPM unseals it."""
        return True

    def load(self) -> bytes:
        """As the Protocol says; a TPM that is gone raises TpmFailed, and nothing takes its place."""
        key = self.tpm.unseal(read_or_make(self.path, self._seal))
        if len(key) != GALLERY_KEY_BYTES:
            raise KeyFileUnreadable(f"{self.path} seals {len(key)} bytes instead of {GALLERY_KEY_BYTES}; restore it")
        self.key_file.unlink(missing_ok=True)  # only now: what was sealed has come back whole
        sync_folder(self.path.parent)
        return key

    def _seal(self) -> bytes:
        old = load_or_create_gallery_key(self.key_file) if self.key_file.exists() else None
        return self.tpm.seal(old or secrets.token_bytes(GALLERY_KEY_BYTES))


@dataclass(frozen=True, slots=True)
class Unreachable:
    """The key was sealed by a TPM that is not there."""

    path: Path

    @property
    def protected(self) -> bool:
        """Nobody can read it, this terminal included."""
        return True

    def load(self) -> bytes:
        """Raise TpmFailed."""
        raise TpmFailed(f"{self.path} needs the TPM that made it, and none is there; check tpm in the settings")


def gallery_key(key_file: Path, tpm: Tpm | None = None) -> GalleryKey:
    """Choose the best keeper that this machine has; what was sealed once is never asked of a file again."""
    sealed = key_file.with_suffix(".tpm")
    if tpm is not None:
        return Sealed(sealed, key_file, tpm)
    return Unreachable(sealed) if sealed.exists() else KeyFile(key_file)


def keys_part(keeper: GalleryKey, signing: TerminalKey) -> Part:
    """What operators are told; for workers it is no trouble."""
    if signing.trouble is not None:
        return Part(state="failed", reason=signing.trouble)
    if keeper.protected and not signing.protected:
        return Part(
            state="degraded",
            reason="keys_unprotected: the signing key is still a file; `zaigang kiosk rotate-key` moves it to the TPM",
        )
    if keeper.protected:
        return Part(state="working")
    return Part(
        state="degraded",
        reason="keys_unprotected: no TPM holds the keys; whoever takes this machine's disk can read faces and sign",
    )
