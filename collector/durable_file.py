"""Small files beside the database that are there whole or not at all, also after a power cut; mode 0600.

Several collectors may share a folder: a draft has a name of its own, and making a file never replaces one.
"""

from __future__ import annotations

import os
import tempfile
from pathlib import Path


def replace_file(path: Path, content: bytes) -> None:
    """Put a file in place in one step, on disk when this returns. Raises OSError; then old or new is there."""
    draft = _draft(path, content)
    try:
        draft.replace(path)
    except OSError:
        draft.unlink()
        raise
    _sync_folder(path.parent)


def create_file(path: Path, content: bytes) -> None:
    """Put a file where there is none, on disk when this returns; one that is there stays. Raises OSError."""
    draft = _draft(path, content)
    try:
        os.link(draft, path)  # unlike a rename, a link never replaces what another process just made
    except FileExistsError:
        return
    finally:
        draft.unlink()
    _sync_folder(path.parent)


def _draft(path: Path, content: bytes) -> Path:
    handle, name = tempfile.mkstemp(dir=path.parent, prefix=f".{path.name}.")  # mode 0600
    draft = Path(name)
    try:
        with os.fdopen(handle, "wb") as file:
            file.write(content)
            file.flush()
            os.fsync(handle)
    except BaseException:
        draft.unlink()
        raise
    return draft


def _sync_folder(folder: Path) -> None:
    handle = os.open(folder, os.O_RDONLY | os.O_DIRECTORY)
    try:
        os.fsync(handle)
    finally:
        os.close(handle)
