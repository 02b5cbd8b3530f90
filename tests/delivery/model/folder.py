"""A terminal's folder in the model: as it was at one moment, and what can be read in it without its program."""

from __future__ import annotations

import json
import shutil
import sqlite3
import tempfile
from collections.abc import Iterator
from contextlib import ExitStack, closing, contextmanager
from pathlib import Path
from typing import Any

from evidence.envelope import Envelope
from evidence.errors import EvidenceError
from evidence.events import parse_event
from kiosk.journal_mark import read_mark

Place = tuple[str, int]  # chain and seq


class Disk:
    """A folder as it was at one moment. SQLite's shared memory dies with the process and is left out."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self._files: dict[str, bytes] = {}

    def note(self) -> None:
        """Remember the folder as it is."""
        kept = (one for one in self.folder.iterdir() if not one.name.endswith("-shm"))
        self._files = {one.name: one.read_bytes() for one in kept}

    def put_back(self, folder: Path | None = None, only: str = "") -> None:
        """Make the folder (or another one) what was noted; `only`: those files whose names begin so."""
        folder = folder or self.folder
        folder.mkdir(exist_ok=True)
        for one in [one for one in folder.iterdir() if one.name.startswith(only)]:
            shutil.rmtree(one) if one.is_dir() else one.unlink()
        for name, content in self._files.items():
            if name.startswith(only):
                (folder / name).touch(mode=0o600)
                (folder / name).write_bytes(content)


@contextmanager
def looking(folder: Path) -> Iterator[sqlite3.Connection | None]:
    """Yield a connection to a folder's journal that changes nothing there; None where there is no database."""
    journal = folder / "journal.db"
    with ExitStack() as stack:
        if not journal.exists() or journal.stat().st_size == 0:
            yield None
            return
        if (folder / "journal.db-wal").exists() and not (folder / "journal.db-shm").exists():  # its process died
            aside = Path(stack.enter_context(tempfile.TemporaryDirectory(prefix="zaigang-model-")))
            for one in folder.glob("journal.db*"):
                shutil.copy(one, aside)
            journal = aside / "journal.db"
        database = stack.enter_context(closing(sqlite3.connect(f"{journal.as_uri()}?mode=rw", uri=True)))
        yield database if database.execute("PRAGMA user_version").fetchone()[0] else None


def rows(folder: Path) -> list[tuple[Place, str]]:
    """Return place and hash of every event of the running chain that can be read."""
    with looking(folder) as database:
        found = [] if database is None else database.execute("SELECT chain, seq, envelope FROM events").fetchall()
    return [((chain, seq), digest) for chain, seq, data in found if (digest := _hash(data)) is not None]


def undelivered(folder: Path) -> dict[str, Place]:
    """Return hash and place of every event that waits for a receipt and can be read."""
    with looking(folder) as database:
        if database is None:
            return {}
        waiting = database.execute(
            "SELECT chain, seq, envelope FROM events WHERE seq > (SELECT coalesce(max(upto), -1) FROM receipts) "
            "UNION ALL SELECT chain, seq, envelope FROM leftovers"
        ).fetchall()
    return {digest: (chain, seq) for chain, seq, data in waiting if (digest := _hash(data)) is not None}


def salvaged(folder: Path) -> set[str]:
    """Return the hashes of what was saved beside a journal that was set aside."""
    lines = (line for file in folder.glob("journal.salvaged-*") for line in file.read_bytes().splitlines())
    return {digest for line in lines if (digest := _hash(line)) is not None}


def chain_of(folder: Path) -> str | None:
    """Return the chain that a folder was writing, as far as it can say; None where it cannot."""
    mark, note = read_mark(folder / "journal.db"), None
    with looking(folder) as database:
        if database is not None:
            row = database.execute("SELECT chain FROM events ORDER BY seq DESC LIMIT 1").fetchone()
            if row is not None:
                return str(row[0])
            note = database.execute("SELECT note FROM origin").fetchone()
    if note is None or (mark is not None and mark.chain not in note[0]):
        return None if mark is None else mark.chain
    before = json.loads(note[0])["predecessor"]  # a new journal without its first event
    return None if before is None else str(before["chain"])


def predecessor_of(folder: Path) -> dict[str, Any] | None:
    """Return what the first event of a folder's chain names as its predecessor."""
    with looking(folder) as database:
        assert database is not None
        (first,) = database.execute("SELECT envelope FROM events WHERE seq = 0").fetchone()
    return parse_event(Envelope.decode(first).payload).body.get("predecessor")  # type: ignore[return-value]


def _hash(envelope: bytes) -> str | None:
    try:
        return Envelope.decode(envelope).hash
    except EvidenceError:
        return None
