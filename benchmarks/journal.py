"""The journal's commits against the fewest that SQLite can do: same row bytes, same pragmas, one bare table.

Signing lies outside both. The two take turns in blocks, so that a disk that slows down slows both.
"""

from __future__ import annotations

import sqlite3
import statistics
import tempfile
import time
from pathlib import Path

import structlog

from benchmarks.ratio import Ratio
from evidence.keys import Ed25519Key
from kiosk.clock import SystemClock
from kiosk.journal import Journal
from kiosk.journal_author import Row

BLOCK = 50  # commits in a turn
ROUNDS = 40
BODY_BYTES = 3000  # a punch with ten checks
DEVICE = "bench"


def run(smoke: bool = False) -> list[Ratio]:
    """Measure commits a second of pre-signed rows. `smoke`: only see that it runs."""
    rounds = 2 if smoke else ROUNDS
    # Where the code lies, not in /tmp, which is often memory.
    with tempfile.TemporaryDirectory(dir=Path.cwd(), prefix=".bench-journal-") as name:
        folder = Path(name)
        rows = _signed_rows(folder / "signing", rounds * BLOCK)
        journal = _open(folder / "ours", Ed25519Key.generate())
        bare = _bare(folder / "bare.db")
        ours: list[float] = []
        limit: list[float] = []
        for number in range(rounds):
            block = rows[number * BLOCK : (number + 1) * BLOCK]
            turns = [(limit, lambda row: _insert(bare, row)), (ours, journal._commit)]
            for rates, commit in turns if number % 2 else reversed(turns):
                start = time.perf_counter()
                for row in block:
                    commit(row)
                rates.append(BLOCK / (time.perf_counter() - start))
        bare.close()
        journal.close()
    return [
        Ratio(
            "journal commits / bare SQLite FULL commits",
            statistics.median(ours),
            statistics.median(limit),
            "rows/s",
            ">= 0.7",
            f"median of {rounds} turns of {BLOCK}, {len(rows[0].envelope)} bytes a row, signing outside both",
        )
    ]


def _open(folder: Path, key: Ed25519Key) -> Journal:
    return Journal(folder / "journal.db", key, DEVICE, "bench", "Asia/Shanghai", SystemClock())


def _signed_rows(folder: Path, count: int) -> list[Row]:
    """Sign rows as a journal does, without committing them."""
    journal = _open(folder, Ed25519Key.generate())
    rows = []
    for _ in range(count):
        _, row, journal._head = journal._sign_next("test.noted", {"filler": "x" * BODY_BYTES})
        rows.append(row)
    journal.close()
    return rows


def _insert(database: sqlite3.Connection, row: Row) -> None:
    database.execute("INSERT INTO rows VALUES (?, ?)", (row.seq, row.envelope))


def _bare(path: Path) -> sqlite3.Connection:
    database = sqlite3.connect(path, isolation_level=None)
    database.execute("PRAGMA journal_mode = WAL")
    database.execute("PRAGMA synchronous = FULL")
    database.execute("CREATE TABLE rows (seq INTEGER PRIMARY KEY, envelope BLOB NOT NULL)")
    return database


if __name__ == "__main__":
    structlog.configure(processors=[structlog.processors.KeyValueRenderer()])
    for one in run():
        print(f"{one.name}: {one.ours:.0f} / {one.limit:.0f} {one.unit} = {one.ratio:.2f} (wanted {one.wanted})")
