"""The key by which a terminal signs, and the one that follows it at a rotation.

A successor is on disk before anything names it, and the journal decides when it counts: the rotation is committed there
before the old key is destroyed. A crash between leaves both, and the next start finishes what the journal says.
"""

from __future__ import annotations

from pathlib import Path
from typing import Protocol, runtime_checkable

import structlog

from evidence.keys import PublicKey, SigningKey
from kiosk.errors import KeyFileUnreadable
from kiosk.identity import FileKey, sync_folder

log = structlog.get_logger(__name__)


class StoredKey(SigningKey, Protocol):
    """One key of this terminal, wherever it lies."""

    @property
    def held(self) -> bool:
        """True while the key is ready between two signatures."""
        ...

    def drop(self) -> None:
        """Let go of the key between two signatures."""
        ...

    def hold(self) -> None:
        """Keep it ready again. Raises an IdentityError."""
        ...


@runtime_checkable
class Succeeded(Protocol):
    """A signing key that can be followed by another."""

    def successor(self) -> SigningKey:
        """Return the key that will follow, made where there is none, on disk. Raises an IdentityError."""
        ...

    def succeed(self, public: PublicKey) -> None:
        """Sign with the successor from now on and destroy the key before it. Raises an IdentityError."""
        ...


class TerminalKey:
    """This terminal's signing key. Raises an IdentityError where it cannot be had. Safe from several threads."""

    def __init__(self, key_file: Path) -> None:
        self._file = key_file
        self._next_file = key_file.with_name(f"{key_file.stem}.next{key_file.suffix}")
        self._current: StoredKey = FileKey(key_file)

    @property
    def public(self) -> PublicKey:
        """The public half of the key that counts now."""
        return self._current.public

    @property
    def held(self) -> bool:
        """True while the key is ready between two signatures."""
        return self._current.held

    def sign(self, message: bytes) -> bytes:
        """Return a 64-byte R||S signature over `message`. Raises an IdentityError."""
        return self._current.sign(message)

    def drop(self) -> None:
        """Let go of the key between two signatures."""
        self._current.drop()

    def hold(self) -> None:
        """Keep it ready again. Raises an IdentityError."""
        self._current.hold()

    def successor(self) -> SigningKey:
        """As `Succeeded` says."""
        return FileKey(self._next_file)

    def succeed(self, public: PublicKey) -> None:
        """As `Succeeded` says. The file of the key before is replaced in one step."""
        held = self.held
        if not self._next_file.exists() or FileKey(self._next_file).public != public:
            raise KeyFileUnreadable(
                f"the key handed over to ({public.fingerprint}) is not in {self._next_file}; restore it, "
                "or move the journal away and enrol this terminal again"
            )
        self._next_file.replace(self._file)
        sync_folder(self._file.parent)
        self._current = FileKey(self._file)
        if not held:
            self._current.drop()
        log.warning("key_rotated", key=public.fingerprint)
