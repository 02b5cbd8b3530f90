"""The collector's own keys, one for each purpose, and the secrets that seal rows and sessions; files of mode 0600."""

from __future__ import annotations

import secrets
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

from collector.durable_file import create_file
from collector.errors import SettingsError
from evidence.errors import InvalidKey
from evidence.keys import Ed25519Key, PublicKey

SECRET_BYTES = 32  # as strong as the MACs made with it


@dataclass(frozen=True, slots=True)
class CollectorKeys:
    """What the collector signs with. Terminals pin the public halves of `receipt` and `command`."""

    receipt: Ed25519Key
    command: Ed25519Key
    seal: bytes  # MAC key over what the collector itself adds to a ledger row (received_at, flags, salt)
    session: bytes  # HMAC key of the console's session cookies
    checkpoint: Ed25519Key  # signs the ledger's checkpoints and nothing else
    statement: Ed25519Key  # signs the collector's own events

    def public(self) -> dict[str, PublicKey]:
        """Return the public halves by purpose."""
        signing = {"receipt": self.receipt, "command": self.command}
        signing |= {"checkpoint": self.checkpoint, "statement": self.statement}
        return {purpose: key.public for purpose, key in signing.items()}


def load_or_create_keys(folder: Path) -> CollectorKeys:
    """Read the keys in `folder`, making those that do not exist yet. Raises SettingsError."""
    try:
        folder.mkdir(parents=True, exist_ok=True, mode=0o700)
        return CollectorKeys(
            receipt=Ed25519Key.from_pem(load_or_create(folder / "receipt.pem", _new_pem)),
            command=Ed25519Key.from_pem(load_or_create(folder / "command.pem", _new_pem)),
            seal=load_or_create(folder / "seal.key", _new_secret),
            session=load_or_create(folder / "session.key", _new_secret),
            checkpoint=Ed25519Key.from_pem(load_or_create(folder / "checkpoint.pem", _new_pem)),
            statement=Ed25519Key.from_pem(load_or_create(folder / "statement.pem", _new_pem)),
        )
    except (OSError, InvalidKey) as error:
        raise SettingsError(f"the keys in {folder} cannot be used: {error}") from error


def _new_pem() -> bytes:
    return Ed25519Key.generate().pem()


def _new_secret() -> bytes:
    return secrets.token_bytes(SECRET_BYTES)


def load_or_create(path: Path, make: Callable[[], bytes]) -> bytes:
    """Read a file of mode 0600, made where there is none: written and synced under another name, then linked."""
    if not path.exists():
        create_file(path, make())
    mode = path.stat().st_mode & 0o777
    if mode & 0o077:
        raise SettingsError(f"{path} is readable by others (mode {mode:o}); run: chmod 600 {path}")
    return path.read_bytes()
