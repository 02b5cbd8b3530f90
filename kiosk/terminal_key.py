"""The key by which a terminal signs, and the one that follows it at a rotation.

A successor is on disk before anything names it, and the journal decides when it counts: the rotation is committed there
before the old key is destroyed. A crash between leaves both, and the next start finishes what the journal says.
A new terminal's key is made in its TPM where it has one; an existing key file stays until a rotation moves the chain to
the TPM. Once made there, no file takes its place: a TPM that is gone is an error.
"""

from __future__ import annotations

from pathlib import Path
from typing import Protocol, runtime_checkable

import structlog

from evidence.envelope import pae
from evidence.keys import PublicKey, SigningKey
from kiosk.durable_file import sync_folder
from kiosk.errors import IdentityError, KeyFileUnreadable, TpmFailed
from kiosk.identity import FileKey, read_or_make
from kiosk.tpm import Tpm

_FIRST = pae("application/vnd.zaigang.probe", b"")  # signed to see whether the key works; no reader takes this type

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


class TpmKey:
    """A key that never leaves the TPM; the file holds it wrapped. Made where there is none. Raises an IdentityError."""

    def __init__(self, path: Path, tpm: Tpm) -> None:
        self._tpm = tpm
        self._wrapped = read_or_make(path, tpm.create_key)
        self._public = tpm.public(self._wrapped)
        self._keep = True
        self._public.verify(self.sign(_FIRST), _FIRST)  # now, and not with the first worker before the camera

    @property
    def public(self) -> PublicKey:
        """The public half."""
        return self._public

    @property
    def held(self) -> bool:
        """True while the TPM keeps the key loaded between two signatures."""
        return self._keep

    def sign(self, message: bytes) -> bytes:
        """Return ES256 over `message`. Raises TpmFailed."""
        return self._tpm.sign(self._wrapped, message, keep=self._keep)

    def drop(self) -> None:
        """Have the TPM forget the key after each signature."""
        self._keep = False
        self._tpm.unload()

    def hold(self) -> None:
        """Have it stay loaded. Raises TpmFailed."""
        self._keep = True
        self.sign(_FIRST)


class TerminalKey:
    """This terminal's signing key. Raises an IdentityError where it cannot be had. Safe from several threads."""

    def __init__(self, key_file: Path, tpm: Tpm | None = None) -> None:
        """`key_file`: `terminal.pem`; a TPM's key lies wrapped beside it in `terminal.tpm`."""
        self._tpm = tpm
        self._file, self._wrapped_file = key_file, key_file.with_suffix(".tpm")
        self._trouble: str | None = None
        if self._wrapped_file.exists() or (tpm is not None and not key_file.exists()):
            self._current: StoredKey = self._from_tpm(self._wrapped_file)
            # Both: power went while a rotation moved the chain to the TPM. The file's key signs nothing any more.
            key_file.unlink(missing_ok=True)
        else:
            self._current = FileKey(key_file)

    @property
    def public(self) -> PublicKey:
        """The public half of the key that counts now."""
        return self._current.public

    @property
    def held(self) -> bool:
        """True while the key is ready between two signatures."""
        return self._current.held

    @property
    def protected(self) -> bool:
        """True if a copy of this machine's disk does not give the key away."""
        return isinstance(self._current, TpmKey)

    @property
    def trouble(self) -> str | None:
        """Why the last signature could not be made, until one can."""
        return self._trouble

    def sign(self, message: bytes) -> bytes:
        """Return a 64-byte R||S signature over `message`. Raises an IdentityError."""
        try:
            signature = self._current.sign(message)
        except IdentityError as error:
            self._trouble = f"{error.code}: {error}"[:400]
            raise
        self._trouble = None
        return signature

    def drop(self) -> None:
        """Let go of the key between two signatures."""
        self._current.drop()

    def hold(self) -> None:
        """Keep it ready again. Raises an IdentityError."""
        self._current.hold()

    def successor(self) -> SigningKey:
        """As `Succeeded`; in the TPM where there is one, also where the key before is a file."""
        if self._tpm is not None or self.protected:
            return self._from_tpm(_next(self._wrapped_file))
        return FileKey(_next(self._file))

    def succeed(self, public: PublicKey) -> None:
        """As `Succeeded`. The file of the key before is replaced in one step, or removed where the TPM takes over."""
        held = self.held
        for place in (self._wrapped_file, self._file):
            if not _next(place).exists():
                continue
            following = self._from_tpm(_next(place)) if place == self._wrapped_file else FileKey(_next(place))
            if following.public == public:
                _next(place).replace(place)
                if place != self._file:
                    self._file.unlink(missing_ok=True)
                sync_folder(place.parent)
                self._current = following if place == self._wrapped_file else FileKey(place)
                if not held:
                    self._current.drop()
                log.warning("key_rotated", key=public.fingerprint, tpm=self.protected)
                return
        raise KeyFileUnreadable(
            f"the key handed over to ({public.fingerprint}) is not in {_next(self._file)}; restore it, or move the "
            "journal away and enrol this terminal again"
        )

    def _from_tpm(self, wrapped_file: Path) -> TpmKey:
        if self._tpm is None:
            raise TpmFailed(f"{wrapped_file} needs the TPM that made it, and none is there; check tpm in the settings")
        return TpmKey(wrapped_file, self._tpm)


def _next(place: Path) -> Path:
    return place.with_name(f"{place.stem}.next{place.suffix}")
