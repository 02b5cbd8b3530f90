"""The SQLite file under the journal: held by one process, checked when it is opened, its refusals named.

A file that does not end in this terminal's own chain is never continued: two events at one seq are an equivocation.
"""

from __future__ import annotations

import errno
import fcntl
import os
import sqlite3
from collections.abc import Sequence
from pathlib import Path

from evidence.chain import Head, follow, read_event
from evidence.clearance import opening_after
from evidence.envelope import Envelope
from evidence.errors import EvidenceError
from evidence.events import Kind, parse_event
from evidence.keys import PublicKey
from evidence.rotation import rotation_keys
from kiosk.errors import JournalBusy, JournalDamaged, JournalFailed, JournalFull, JournalTooNew
from kiosk.health import free_bytes

SCHEMA_VERSION = 3  # 2: commands; 3: leftovers, origin
NO_SPACE_BYTES = 1024 * 1024  # an I/O error with less than this free is a full disk under another name
BUSY_TIMEOUT_S = 2.0  # somebody's sqlite3 shell may hold the file for a moment; a worker does not wait longer

_COMMANDS = """
CREATE TABLE commands (
  counter INTEGER PRIMARY KEY, id TEXT NOT NULL UNIQUE, envelope BLOB NOT NULL
) STRICT;
"""
# What an earlier chain of this terminal still owes the collector, and how this chain came to follow it.
_LEFTOVERS = """
CREATE TABLE leftovers (
  chain TEXT NOT NULL, seq INTEGER NOT NULL, envelope BLOB NOT NULL, PRIMARY KEY (chain, seq)
) STRICT;
CREATE TABLE origin (id INTEGER PRIMARY KEY, note TEXT NOT NULL) STRICT;
"""
_TABLES = f"""
{_COMMANDS}
{_LEFTOVERS}
CREATE TABLE events (
  seq INTEGER PRIMARY KEY, chain TEXT NOT NULL, hash TEXT NOT NULL, kind TEXT NOT NULL, time TEXT NOT NULL,
  envelope BLOB NOT NULL
) STRICT;
CREATE TABLE receipts (upto INTEGER PRIMARY KEY, head TEXT NOT NULL, time TEXT NOT NULL, envelope BLOB NOT NULL) STRICT;
CREATE TABLE spent (authorisation TEXT PRIMARY KEY, time TEXT NOT NULL) STRICT;
CREATE TABLE probe (id INTEGER PRIMARY KEY, filler BLOB NOT NULL) STRICT;
"""

_KEPT = f"('{Kind.ENCLOSURE_OPENED}', '{Kind.ENCLOSURE_CLEARED}')"  # the newest of each: state is derived from them
_ROTATED = f"'{Kind.DEVICE_KEY_ROTATED}'"  # all of them: they say which key signed which rows
# Rows up to a seq and below the head.
PRUNE = f"""
DELETE FROM events WHERE seq <= ? AND seq < ?
  AND seq NOT IN (SELECT max(seq) FROM events WHERE kind IN {_KEPT} GROUP BY kind) AND kind <> {_ROTATED}
"""  # noqa: S608  # constants


def hold(path: Path) -> int:
    """Hold the journal at `path` for this process; return the handle that holds it.

    Raises JournalBusy, JournalFull or JournalFailed.
    """
    try:
        path.parent.mkdir(parents=True, exist_ok=True, mode=0o700)
        handle = os.open(path.with_name(f"{path.name}.lock"), os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
    except OSError as error:
        if error.errno == errno.ENOSPC:
            raise JournalFull("disk_full: there is no room for a journal; free space on the terminal's disk") from error
        raise JournalFailed(f"journal_failed: {path.parent}: {error.strerror}") from error
    try:
        fcntl.flock(handle, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except OSError as error:
        os.close(handle)
        raise JournalBusy(f"journal_busy: another process has {path} open; stop it first") from error
    return handle


def connect(path: Path, max_pages: int | None) -> sqlite3.Connection:
    """Open or make the database. Raises sqlite3.Error or OSError."""
    os.close(os.open(path, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600))  # SQLite's own files inherit the mode
    database = sqlite3.connect(path, timeout=BUSY_TIMEOUT_S, check_same_thread=False, isolation_level=None)
    try:
        database.execute("PRAGMA journal_mode = WAL")
        database.execute("PRAGMA synchronous = FULL")
        database.execute("PRAGMA secure_delete = ON")  # what was erased or pruned is not left in free pages
        if max_pages is not None:
            database.execute(f"PRAGMA max_page_count = {max_pages:d}")
    except BaseException:
        database.close()
        raise
    return database


def check_format(database: sqlite3.Connection, path: Path) -> None:
    """Make the tables in a new file, and what an older format lacks.

    Raises JournalTooNew, JournalDamaged or sqlite3.Error.
    """
    (version,) = database.execute("PRAGMA user_version").fetchone()
    if version > SCHEMA_VERSION:
        raise JournalTooNew(f"journal_too_new: {path} has format {version}, known is {SCHEMA_VERSION}; update zaigang")
    if version == 0 and database.execute("SELECT count(*) FROM sqlite_schema").fetchone() != (0,):
        raise damaged(path, "its tables are there and its format is not")
    missing = {0: _TABLES, 1: _COMMANDS + _LEFTOVERS, 2: _LEFTOVERS}.get(version)
    if missing is not None:
        try:
            database.executescript(f"BEGIN; {missing} PRAGMA user_version = {SCHEMA_VERSION}; COMMIT;")
        except sqlite3.Error:
            if database.in_transaction:
                database.rollback()
            raise


def handed_over(database: sqlite3.Connection, path: Path) -> tuple[PublicKey, PublicKey] | None:
    """Return the keys before and after the newest rotation; None where there was none. Nothing is verified.

    Raises JournalDamaged or sqlite3.Error.
    """
    row = database.execute(
        f"SELECT envelope FROM events WHERE kind = {_ROTATED} ORDER BY seq DESC LIMIT 1"  # noqa: S608  # a constant
    ).fetchone()
    try:
        return None if row is None else rotation_keys(parse_event(Envelope.decode(row[0]).payload))
    except EvidenceError as error:
        raise damaged(path, f"its newest rotation of the key cannot be read: {error}") from error


Keys = Sequence[tuple[int, PublicKey]]  # the first seq for which each key counts, newest first


def read_keys(database: sqlite3.Connection, path: Path, device: str, key: PublicKey) -> Keys:
    """Return which key signed which rows, from `key`, which counts now, back through the rotations.

    Each rotation is signed by both its keys, so the newer one vouches for the one before. Raises JournalDamaged or
    sqlite3.Error.
    """
    keys: list[tuple[int, PublicKey]] = []
    rows = database.execute(f"SELECT seq, envelope FROM events WHERE kind = {_ROTATED} ORDER BY seq DESC")  # noqa: S608
    for seq, data in rows:
        try:
            before, after = rotation_keys(parse_event(Envelope.decode(data).payload))
            event, _ = read_event(data, {device: before})
        except EvidenceError as error:
            raise damaged(path, f"row {seq} is no rotation of this terminal's key: {error}") from error
        if (event.seq, after) != (seq, key):
            raise damaged(path, f"row {seq} hands over to another key than the one that counts after it")
        keys.append((seq + 1, key))
        key = before
    return [*keys, (0, key)]


def key_at(keys: Keys, seq: int) -> PublicKey:
    """Return the key that signed the event at `seq`."""
    return next(key for first, key in keys if first <= seq)


def read_head(database: sqlite3.Connection, path: Path, device: str, keys: Keys) -> Head | None:
    """Check the last two events against each other and the terminal's keys; return the head, None for an empty file.

    Raises JournalDamaged or sqlite3.Error.
    """
    rows = database.execute(
        "SELECT seq, hash, envelope FROM events WHERE seq >= (SELECT max(seq) FROM events) - 1 ORDER BY seq"
    ).fetchall()
    if len(rows) == 1:  # the event before was pruned, and then all below it but what PRUNE keeps
        query = f"SELECT count(*) FROM events WHERE seq < ? AND kind NOT IN {_KEPT} AND kind <> {_ROTATED}"  # noqa: S608
        (left,) = database.execute(query, rows[0][:1]).fetchone()
        if left:
            raise damaged(path, f"event {rows[0][0] - 1} is missing")
    head: Head | None = None
    try:
        for seq, digest, data in rows:
            event, envelope = read_event(data, {device: key_at(keys, seq)})
            if (event.seq, envelope.hash) != (seq, digest):
                raise damaged(path, f"row {seq} holds another event than it says")
            if head is None and seq > 0:  # what it follows is further back, or pruned
                head = Head(event.device, event.chain, event.seq, digest, event.boot, event.mono_us)
            else:
                head = follow(head, event, digest)
    except EvidenceError as error:
        raise damaged(path, f"it does not end in this terminal's chain: {error}") from error
    return head


def read_opening(database: sqlite3.Connection, path: Path, device: str, keys: Keys) -> int | None:
    """Return the seq of the newest opening of the enclosure without a later clear that names it; None without one.

    Both are checked against the terminal's keys. Raises JournalDamaged or sqlite3.Error.
    """
    opening: int | None = None
    for kind in (Kind.ENCLOSURE_OPENED, Kind.ENCLOSURE_CLEARED):
        row = database.execute(
            "SELECT seq, envelope FROM events WHERE kind = ? ORDER BY seq DESC LIMIT 1", (kind,)
        ).fetchone()
        if row is None:
            continue
        try:
            event, _ = read_event(row[1], {device: key_at(keys, row[0])})
            if (event.seq, event.kind) != (row[0], kind):
                raise damaged(path, f"row {row[0]} holds another event than it says")
            opening = opening_after(opening, event)
        except EvidenceError as error:
            raise damaged(path, f"row {row[0]} is not this terminal's: {error}") from error
    return opening


def read_released(database: sqlite3.Connection, path: Path, head: Head | None) -> int:
    """Return the highest seq that a receipt covers, -1 for none. Raises JournalDamaged or sqlite3.Error.

    A journal that stands behind its receipts was restored from a copy.
    """
    row = database.execute("SELECT upto, head FROM receipts ORDER BY upto DESC LIMIT 1").fetchone()
    if row is None:
        return -1
    upto, receipted = int(row[0]), row[1]
    held = database.execute("SELECT hash FROM events WHERE seq = ?", (upto,)).fetchone()
    if head is None or upto > head.seq or (held is not None and held[0] != receipted):
        raise damaged(path, f"the collector's receipt for seq {upto} speaks of events that are not here")
    return upto


def is_full(error: sqlite3.Error | OSError, folder: Path) -> bool:
    """Say whether SQLite or the system refused for want of room."""
    if isinstance(error, OSError):
        return error.errno in (errno.ENOSPC, errno.EDQUOT)
    code = getattr(error, "sqlite_errorcode", None)
    if code is None:
        return False
    primary = code & 0xFF  # the low byte of an extended code
    if primary == sqlite3.SQLITE_FULL:
        return True
    free = free_bytes(folder)  # growing the shared-memory file or opening the log fails by other names
    return primary in (sqlite3.SQLITE_IOERR, sqlite3.SQLITE_CANTOPEN) and free is not None and free < NO_SPACE_BYTES


def sentence(error: sqlite3.Error | OSError, *, full: bool) -> str:
    """Return a reason with its code: what SQLite refused and what to do."""
    name = getattr(error, "sqlite_errorname", type(error).__name__)
    if full:
        return f"disk_full: there is no room for another event ({name}); free space on the terminal's disk"
    return f"journal_failed: the database refused ({name}: {error}); check the terminal's disk"[:400]


def is_corrupt(error: sqlite3.Error | OSError) -> bool:
    """Say whether SQLite found what no SQLite wrote."""
    code = getattr(error, "sqlite_errorcode", None)
    if code is None:  # the driver could not make text of what it read
        return isinstance(error, sqlite3.Error) and "decode" in str(error)
    # SQLITE_ERROR: our statements are fixed, so a table or column that they do not find was there.
    return code & 0xFF in (sqlite3.SQLITE_CORRUPT, sqlite3.SQLITE_NOTADB, sqlite3.SQLITE_ERROR)


def damaged(path: Path, why: str) -> JournalDamaged:
    """Return the error for a journal that must not be continued."""
    return JournalDamaged(f"journal_damaged: {path.name} is not continued: {why}"[:400])
