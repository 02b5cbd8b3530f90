"""Checks a journal at start: SQLite's pages, then every kept row from the newest back, in a bounded time.

Found: flipped bits, missing and moved rows, another chain, a journal that stands behind its receipts or its mark.
"""

from __future__ import annotations

import sqlite3
import time
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

from evidence.chain import Head, read_event
from evidence.errors import EvidenceError
from evidence.events import Kind
from evidence.keys import PublicKey
from kiosk.errors import JournalDamaged
from kiosk.journal_file import damaged
from kiosk.journal_mark import Mark

CHECK_WITHIN_S = 10.0  # some 15,000 signatures on a Pi 4; a terminal that starts at 07:50 is wanted at 07:55
_OPCODES = 10_000  # of SQLite's virtual machine between two looks at the clock: about a millisecond
NEVER_PRUNED = (Kind.ENCLOSURE_OPENED, Kind.ENCLOSURE_CLEARED, Kind.DEVICE_KEY_ROTATED)  # single ones of them are left


@dataclass(frozen=True, slots=True)
class Checked:
    """How far the check came."""

    rows: int  # whose signature, place and link were checked
    whole: bool  # False: the time was over first, or SQLite's own check was


def check(
    database: sqlite3.Connection,
    path: Path,
    device: str,
    key_at: Callable[[int], PublicKey],
    released: int,
    within_s: float = CHECK_WITHIN_S,
) -> Checked:
    """Check pages and rows; `key_at` gives the key that signed a seq.

    Raises JournalDamaged or sqlite3.Error; TypeError or ValueError for a column that is not what its table has.
    """
    deadline = time.monotonic() + within_s
    pages = _check_pages(database, path, deadline)
    return _check_rows(database, path, device, key_at, released, deadline, pages=pages)


def require_not_behind(database: sqlite3.Connection, path: Path, head: Head | None, mark: Mark | None) -> None:
    """Compare with the mark. Raises JournalDamaged where the journal is an older copy, or sqlite3.Error."""
    if mark is None:
        return
    if head is None or mark.chain != head.chain:
        row = database.execute("SELECT note FROM origin WHERE note LIKE ?", (f"%{mark.chain}%",)).fetchone()
        if row is None and head is None:
            raise damaged(path, f"it holds no event and this terminal had written {mark.seq}")
        if row is None:
            raise damaged(path, "it holds another chain than this terminal last wrote; it was restored from a copy")
        return
    if mark.seq > head.seq:
        raise damaged(path, f"it ends at seq {head.seq} and this terminal had written {mark.seq}; it is an old copy")
    held = database.execute("SELECT hash FROM events WHERE seq = ?", (mark.seq,)).fetchone()
    if held is not None and held[0] != mark.head:
        raise damaged(path, f"it holds another event at seq {mark.seq} than this terminal once wrote")


def _check_pages(database: sqlite3.Connection, path: Path, deadline: float) -> bool:
    database.set_progress_handler(lambda: int(time.monotonic() > deadline), _OPCODES)
    try:
        (verdict,) = database.execute("PRAGMA integrity_check(1)").fetchone()
    except sqlite3.OperationalError as error:
        if getattr(error, "sqlite_errorcode", None) == sqlite3.SQLITE_INTERRUPT:
            return False
        raise
    finally:
        database.set_progress_handler(None, 0)
    if verdict != "ok":
        raise damaged(path, f"SQLite says {verdict}")
    return True


def _check_rows(
    database: sqlite3.Connection,
    path: Path,
    device: str,
    key_at: Callable[[int], PublicKey],
    released: int,
    deadline: float,
    *,
    pages: bool,
) -> Checked:
    above: tuple[int, str | None, str] | None = None  # seq, prev and chain of the row above
    pruned_below = False
    rows = 0
    for seq, digest, data in database.execute("SELECT seq, hash, envelope FROM events ORDER BY seq DESC"):
        if time.monotonic() > deadline:
            return Checked(rows, whole=False)
        try:
            event, envelope = read_event(data, {device: key_at(seq)})
        except EvidenceError as error:
            raise damaged(path, f"row {seq} cannot be believed: {error}") from error
        if (event.seq, envelope.hash) != (seq, digest):
            raise damaged(path, f"row {seq} holds another event than it says")
        if above is not None:
            if above[0] == seq + 1 and above[1] != digest:
                raise damaged(path, f"row {above[0]} does not follow row {seq}")
            if above[0] != seq + 1 and above[0] - 1 > released:
                raise damaged(path, f"event {above[0] - 1} is missing")
            if above[2] != event.chain:
                raise damaged(path, f"row {seq} belongs to another chain")
            pruned_below = pruned_below or above[0] != seq + 1
        if pruned_below and event.kind not in NEVER_PRUNED:
            raise _hole(path, seq)
        above = (seq, event.prev, event.chain)
        rows += 1
    if above is not None and above[0] - 1 > released:
        raise damaged(path, f"event {above[0] - 1} is missing")
    return Checked(rows, whole=pages)


def _hole(path: Path, seq: int) -> JournalDamaged:
    return damaged(path, f"events above row {seq} are missing that pruning would not have taken alone")
