"""The last signed checkpoint in a file beside the keys, outside of the database.

Whoever deletes rows from the database, or restores an older backup of it, would otherwise have the collector sign a
second history over the first.
"""

from __future__ import annotations

import os
import secrets
from pathlib import Path


def read_keepsake(path: Path) -> bytes | None:
    """Return the note, or None where none was written yet."""
    try:
        return path.read_bytes()
    except FileNotFoundError:
        return None


def write_keepsake(path: Path, note: bytes) -> None:
    """Put the note in the place of the one before: whole, and on the disk."""
    draft = path.with_name(f".{path.name}.{secrets.token_hex(4)}")
    with draft.open("wb") as file:
        file.write(note)
        file.flush()
        os.fsync(file.fileno())
    draft.replace(path)
    folder = os.open(path.parent, os.O_RDONLY)
    try:
        os.fsync(folder)
    finally:
        os.close(folder)
