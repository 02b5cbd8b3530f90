"""A second memory of where the chain stood, beside the journal: shows a journal that was lost or restored from a copy.

Written after commits and not waited for, so it may lag behind the journal and is never ahead of it.
"""

from __future__ import annotations

import json
from pathlib import Path
from typing import NamedTuple

import structlog

log = structlog.get_logger(__name__)


class Mark(NamedTuple):
    """An event of this terminal that once was on disk."""

    chain: str
    seq: int
    head: str  # its hash


def mark_path(journal: Path) -> Path:
    """Return where the mark of a journal lies."""
    return journal.with_name(f"{journal.name}.mark")


def read_mark(journal: Path) -> Mark | None:
    """Return the mark; None where there is none that can be read."""
    try:
        held = json.loads(mark_path(journal).read_text())
        mark = Mark(str(held["chain"]), int(held["seq"]), str(held["head"]))
    except FileNotFoundError:
        return None
    except (OSError, ValueError, KeyError, TypeError) as error:
        log.warning("mark_unreadable", why=f"{type(error).__name__}: {error}")
        return None
    return mark


def write_mark(journal: Path, mark: Mark) -> None:
    """Keep the mark; a disk that refuses costs only the second memory."""
    path = mark_path(journal)
    beside = path.with_suffix(".part")
    try:
        beside.touch(mode=0o600)
        beside.write_text(json.dumps(mark._asdict()) + "\n")
        beside.replace(path)
    except OSError as error:
        log.warning("mark_not_kept", why=str(error))
