"""Small files that are there whole or not at all, also after a power cut, and for the terminal's user alone.

Each file has one writer: a draft that a crash left behind is in nobody's use, and the next write takes its place.
"""

from __future__ import annotations

import os
import secrets
from pathlib import Path

_NEW = os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC


def replace_file(path: Path, content: bytes, *, mode: int = 0o600) -> None:
    """Put a file in place in one step, on disk when this returns. Raises OSError: the file before or this one is there.

    A crash may leave `.NAME.new` beside it, of the same mode.
    """
    draft = path.with_name(f".{path.name}.new")
    draft.unlink(missing_ok=True)  # it may be somebody else's idea of a mode
    try:
        _write(draft, content, mode)
        draft.replace(path)
    except Exception:
        draft.unlink(missing_ok=True)
        raise
    sync_folder(path.parent)


def create_file(path: Path, content: bytes) -> None:
    """Put a file of mode 0600 where there is none, made with its folder; one that is there stays. Raises OSError.

    Another process may be first: draft names are random, and a link never replaces.
    """
    path.parent.mkdir(parents=True, exist_ok=True, mode=0o700)
    draft = path.with_name(f".{path.name}.{secrets.token_hex(8)}")
    try:
        _write(draft, content, 0o600)
        try:
            os.link(draft, path)
        except FileExistsError:
            return
        sync_folder(path.parent)
    finally:
        draft.unlink(missing_ok=True)


def sync_folder(folder: Path) -> None:
    """Make the names in `folder` durable. Raises OSError."""
    handle = os.open(folder, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
    try:
        os.fsync(handle)
    finally:
        os.close(handle)


def _write(draft: Path, content: bytes, mode: int) -> None:
    with os.fdopen(os.open(draft, _NEW, mode), "wb") as file:
        os.fchmod(file.fileno(), mode)  # whatever the umask says
        file.write(content)
        file.flush()
        os.fsync(file.fileno())
