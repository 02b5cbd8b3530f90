"""The collector's own keys: receipt key, command key, and the secret that seals ledger rows; files of mode 0600."""

from __future__ import annotations

import os
import secrets
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

from collector.errors import SettingsError
from evidence.errors import InvalidKey
from evidence.keys import Ed25519Key

SECRET_BYTES = 32  # as strong as the MACs made with it


@dataclass(frozen=True, slots=True)
class CollectorKeys:
    """What the collector signs with. Terminals pin the public halves of `receipt` and `command`."""

    receipt: Ed25519Key
    command: Ed25519Key
    seal: bytes  # MAC key over what the collector itself adds to a ledger row (received_at, flags, salt)
    session: bytes  # HMAC key of the console's session cookies
    checkpoint: Ed25519Key  # signs the ledger's checkpoints and nothing else


def load_or_create_keys(folder: Path) -> CollectorKeys:
    """Read the keys in `folder`, making those that do not exist yet. Raises SettingsError."""
    try:
        folder.mkdir(parents=True, exist_ok=True, mode=0o700)
        return CollectorKeys(
            receipt=Ed25519Key.from_pem(_load_or_create(folder / "receipt.pem", _new_pem)),
            command=Ed25519Key.from_pem(_load_or_create(folder / "command.pem", _new_pem)),
            seal=_load_or_create(folder / "seal.key", _new_secret),
            session=_load_or_create(folder / "session.key", _new_secret),
            checkpoint=Ed25519Key.from_pem(_load_or_create(folder / "checkpoint.pem", _new_pem)),
        )
    except (OSError, InvalidKey) as error:
        raise SettingsError(f"the keys in {folder} cannot be used: {error}") from error


def _new_pem() -> bytes:
    return Ed25519Key.generate().pem()


def _new_secret() -> bytes:
    return secrets.token_bytes(SECRET_BYTES)


def _load_or_create(path: Path, make: Callable[[], bytes]) -> bytes:
    """Read the file, or write it first: complete and synced under another name, then linked, so no half key exists."""
    if not path.exists():
        draft = path.with_name(f".{path.name}.{secrets.token_hex(4)}")
        descriptor = os.open(draft, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600)
        with os.fdopen(descriptor, "wb") as file:
            file.write(make())
            file.flush()
            os.fsync(file.fileno())
        try:
            os.link(draft, path)  # unlike a rename, a link never replaces the key that another process just made
        except FileExistsError:
            pass
        finally:
            draft.unlink()
        _sync_folder(path.parent)
    mode = path.stat().st_mode & 0o777
    if mode & 0o077:
        raise SettingsError(f"{path} is readable by others (mode {mode:o}); run: chmod 600 {path}")
    return path.read_bytes()


def _sync_folder(folder: Path) -> None:
    descriptor = os.open(folder, os.O_RDONLY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)
