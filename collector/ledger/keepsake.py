"""The last signed checkpoint in a file beside the keys, outside of the database.

Whoever deletes rows from the database, or restores an older backup of it, would otherwise have the collector sign a
second history over the first.
"""

from __future__ import annotations

from pathlib import Path

from collector.durable_file import replace_file


def read_keepsake(path: Path) -> bytes | None:
    """Return the note, or None where none was written yet."""
    try:
        return path.read_bytes()
    except FileNotFoundError:
        return None


def write_keepsake(path: Path, note: bytes) -> None:
    """Put the note in the place of the one before: whole, and on the disk."""
    replace_file(path, note)
