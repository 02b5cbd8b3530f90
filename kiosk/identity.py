"""The terminal's keys on disk: the one that signs, and the one that encrypts the gallery.

Made at first start, mode 0600, on disk before they are used. A file that others may read is refused: whoever read it
can sign as this terminal. Once the enclosure was opened, the signing key is in memory only while it signs. Where there
is a TPM, the files hold what only it can use (`terminal_key`, `gallery_key`).
"""

from __future__ import annotations

import os
import secrets
import stat
from collections.abc import Callable
from pathlib import Path

from evidence.errors import InvalidKey
from evidence.keys import Ed25519Key, PublicKey
from kiosk.durable_file import create_file
from kiosk.errors import KeyFileExposed, KeyFileUnreadable

GALLERY_KEY_BYTES = 32  # AES-256
MAX_KEY_FILE_BYTES = 4096  # a PKCS #8 PEM of Ed25519 has 119
_FOR_OTHERS = stat.S_IRWXG | stat.S_IRWXO


def load_or_create(path: Path) -> Ed25519Key:
    """Return the signing key in `path`; make it where there is none.

    Raises KeyFileExposed or KeyFileUnreadable. An existing file is never overwritten.
    """
    pem = read_or_make(path, lambda: Ed25519Key.generate().pem())
    try:
        return Ed25519Key.from_pem(pem)
    except InvalidKey as error:
        raise KeyFileUnreadable(
            f"{path}: {error}; restore the file, or move it away and enrol this terminal again"
        ) from error


class FileKey:
    """The signing key in a file: held in memory, or once dropped read for each signature and let go again.

    Made where there is none. Raises KeyFileExposed or KeyFileUnreadable. Safe from several threads.
    """

    def __init__(self, path: Path) -> None:
        self._path = path
        self._held: Ed25519Key | None = load_or_create(path)
        self._public = self._held.public

    @property
    def public(self) -> PublicKey:
        """The public half."""
        return self._public

    @property
    def held(self) -> bool:
        """True while the key stays in memory between two signatures."""
        return self._held is not None

    def sign(self, message: bytes) -> bytes:
        """Sign `message` (RFC 8032). A dropped key whose file is gone raises KeyFileExposed or KeyFileUnreadable."""
        return (self._held or self._load()).sign(message)

    def drop(self) -> None:
        """Keep the key in memory no longer than one signature takes; OpenSSL wipes what it frees."""
        self._held = None

    def hold(self) -> None:
        """Keep the key in memory again. Raises as `sign`."""
        self._held = self._load()

    def _load(self) -> Ed25519Key:
        """Read the key; unlike at the start, none is made, and another one is none."""
        try:
            key = Ed25519Key.from_pem(_read(self._path))
        except OSError as error:
            raise KeyFileUnreadable(f"{self._path}: {error.strerror or error}; restore the file") from error
        except InvalidKey as error:
            raise KeyFileUnreadable(f"{self._path}: {error}; restore the file") from error
        if key.public != self._public:
            raise KeyFileUnreadable(f"{self._path} holds another key than at the start; restore the file")
        return key


def load_or_create_gallery_key(path: Path) -> bytes:
    """Return the 32 bytes in `path` that encrypt the face templates; make them where there are none.

    Raises KeyFileExposed or KeyFileUnreadable.
    """
    key = read_or_make(path, lambda: secrets.token_bytes(GALLERY_KEY_BYTES))
    if len(key) != GALLERY_KEY_BYTES:
        raise KeyFileUnreadable(
            f"{path} has {len(key)} bytes instead of {GALLERY_KEY_BYTES}; restore it, or move it away with the gallery "
            "and enrol the workers again"
        )
    return key


def read_or_make(path: Path, make: Callable[[], bytes]) -> bytes:
    """Return what a file of mode 0600 holds, made whole where there is none. Raises as `load_or_create`."""
    try:
        try:
            return _read(path)
        except FileNotFoundError:
            create_file(path, make())
            return _read(path)  # another process may have been first: both then use the same key
    except OSError as error:
        raise KeyFileUnreadable(f"{path}: {error.strerror or error}; the terminal's user must own it") from error


def _read(path: Path) -> bytes:
    handle = os.open(path, os.O_RDONLY | os.O_CLOEXEC)
    try:
        info = os.fstat(handle)
        if not stat.S_ISREG(info.st_mode):
            raise KeyFileUnreadable(f"{path} is not a file")
        if info.st_uid not in (os.geteuid(), 0):
            raise KeyFileExposed(f"{path} belongs to another user, who can sign with it; chown it and enrol again")
        if info.st_mode & _FOR_OTHERS:
            raise KeyFileExposed(
                f"{path} is open to others (mode {stat.S_IMODE(info.st_mode):04o}); run `chmod 600 {path}`, and if "
                "anybody else may have read it, move it away and enrol this terminal again"
            )
        return os.read(handle, MAX_KEY_FILE_BYTES)
    finally:
        os.close(handle)
