"""Where the key that encrypts the gallery comes from: a TPM where there is one (issue 4), a key file until then.

The rest of the terminal knows a `GalleryKey` and whether it is protected. A key file protects against a copy of the
gallery alone; whoever takes the whole card has both, and the status says so.
"""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Protocol

from evidence.status import Part
from kiosk.identity import load_or_create_gallery_key


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


def gallery_key(key_file: Path) -> GalleryKey:
    """Choose the best keeper that this machine has.

    A TPM's implementation is chosen here, before the file: it unseals what it once sealed to this machine, and takes
    over an existing key file by sealing its bytes and removing it, so that the gallery opens as before.
    """
    return KeyFile(key_file)


def keys_part(keeper: GalleryKey) -> Part:
    """What operators are told; for workers it is no trouble."""
    if keeper.protected:
        return Part(state="working")
    return Part(
        state="degraded",
        reason="keys_unprotected: no TPM holds the keys; whoever takes this machine's disk can read faces and sign",
    )
