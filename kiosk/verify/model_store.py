"""Where model files lie on this machine, and the rule that none is used whose SHA-256 is not the pinned one."""

from __future__ import annotations

import fcntl
import hashlib
import os
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Protocol

from kiosk.verify.errors import ModelCorrupted, ModelMissing

FOLDER_VARIABLE = "ZAIGANG_MODELS"  # names the folder outright; otherwise zaigang/models in the XDG cache
CHUNK = 1 << 20  # bytes


class Progress(Protocol):
    """Told what a long step is doing."""

    def say(self, text: str) -> None:
        """Note one line."""

    def downloaded(self, done: int, total: int | None) -> None:
        """Note bytes so far, and of how many if the server said."""


class Silent:
    """Progress that nobody watches."""

    def say(self, text: str) -> None:
        """Drop the line."""

    def downloaded(self, done: int, total: int | None) -> None:
        """Drop the count."""


def models_folder() -> Path:
    """Return the folder of built and fetched models; it may not exist yet."""
    named = os.environ.get(FOLDER_VARIABLE)
    if named:
        return Path(named)
    return Path(os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache", "zaigang", "models")


def sha256_of(path: Path) -> str:
    """Return the file's SHA-256 in hex. Raises ModelMissing."""
    digest = hashlib.sha256()
    try:
        with path.open("rb") as file:
            while chunk := file.read(CHUNK):
                digest.update(chunk)
    except OSError as error:
        raise ModelMissing(f"cannot read {path}: {error.strerror or error}") from error
    return digest.hexdigest()


def require_sha256(path: Path, *pinned: str) -> Path:
    """Return the path if the file is one of the pinned ones. Raises ModelMissing, ModelCorrupted."""
    found = sha256_of(path)
    if found not in pinned:
        raise ModelCorrupted(f"{path} is damaged or another file: SHA-256 {found}, wanted {' or '.join(pinned)}")
    return path


@contextmanager
def only_one_builder(folder: Path) -> Iterator[None]:
    """Wait until no other process builds in this folder. The kernel frees the lock of a process that dies."""
    folder.mkdir(parents=True, exist_ok=True)
    with (folder / ".lock").open("w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        yield
