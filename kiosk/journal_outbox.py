"""What of the journal still waits for a receipt, in this chain and in those it followed, and what may be pruned."""

from __future__ import annotations

from pathlib import Path

from kiosk import journal_file
from kiosk.clock import format_time, parse_time
from kiosk.journal_salvage import remove_aside
from kiosk.journal_store import Store


class Outbox:
    """The rows under way. Every method raises JournalFull or JournalFailed."""

    def __init__(self, store: Store, path: Path) -> None:
        self._store, self._path = store, path
        self.released = -1  # the highest seq of this chain that a receipt covers
        self.leftover = 0  # how many events of earlier chains wait
        self._beyond: dict[str, int] = {}  # by earlier chain: a receipt that covers more than we can compare

    def load(self) -> None:
        """Count what waits from earlier chains."""
        with self._store.reading() as database:
            (self.leftover,) = database.execute("SELECT count(*) FROM leftovers").fetchone()

    def unsent(self, after_seq: int, limit: int) -> list[tuple[int, bytes]]:
        """Return at most `limit` (seq, envelope) of this chain without a receipt beyond `after_seq`, in order."""
        with self._store.reading() as database:
            query = "SELECT seq, envelope FROM events WHERE seq > ? ORDER BY seq LIMIT ?"
            return list(database.execute(query, (max(after_seq, self.released), limit)))

    def range(self, first: int, last: int, limit: int) -> list[tuple[int, bytes]]:
        """Return at most `limit` (seq, envelope) of this chain from `first` to `last`, receipted or not."""
        with self._store.reading() as database:
            query = "SELECT seq, envelope FROM events WHERE seq BETWEEN ? AND ? ORDER BY seq LIMIT ?"
            return list(database.execute(query, (first, last, limit)))

    def hash_at(self, seq: int) -> str | None:
        """Return the hash of this chain's event at `seq`; None where it never was or was pruned."""
        with self._store.reading() as database:
            row = database.execute("SELECT hash FROM events WHERE seq = ?", (seq,)).fetchone()
        return None if row is None else str(row[0])

    def keep_receipt(self, upto: int, head: str, time: str, envelope: bytes) -> None:
        """Let this chain's rows up to `upto` go. Durable when it returns."""
        with self._store.writing() as database:
            database.execute("INSERT OR REPLACE INTO receipts VALUES (?, ?, ?, ?)", (upto, head, time, envelope))
        self.released = upto

    @property
    def oldest_unsent(self) -> str | None:
        """The time of this chain's first event without a receipt, as its terminal stamped it."""
        with self._store.reading() as database:
            row = database.execute("SELECT time FROM events WHERE seq = ?", (self.released + 1,)).fetchone()
            return None if row is None else str(row[0])

    def leftover_chains(self) -> list[str]:
        """Return the earlier chains of which events wait."""
        with self._store.reading() as database:
            return [row[0] for row in database.execute("SELECT DISTINCT chain FROM leftovers ORDER BY chain")]

    def leftovers(self, chain: str, after_seq: int, limit: int) -> list[tuple[int, bytes]]:
        """Return at most `limit` (seq, envelope) of an earlier chain that wait beyond `after_seq`, in order."""
        with self._store.reading() as database:
            query = "SELECT seq, envelope FROM leftovers WHERE chain = ? AND seq > ? ORDER BY seq LIMIT ?"
            return list(database.execute(query, (chain, after_seq, limit)))

    def leftover_at(self, chain: str, seq: int) -> bytes | None:
        """Return the envelope of an earlier chain's event that waits."""
        with self._store.reading() as database:
            query = "SELECT envelope FROM leftovers WHERE chain = ? AND seq = ?"
            row = database.execute(query, (chain, seq)).fetchone()
        return None if row is None else row[0]

    def release_leftovers(self, chain: str, upto: int) -> None:
        """Let an earlier chain's events up to `upto` go; they stay in what was set aside."""
        with self._store.writing() as database:
            database.execute("DELETE FROM leftovers WHERE chain = ? AND seq <= ?", (chain, upto))
        self.load()

    def note_beyond(self, chain: str, upto: int) -> None:
        """Note a receipt for an event that is not here: whether ours below are the collector's stays open."""
        self._beyond[chain] = max(upto, self._beyond.get(chain, -1))

    def forget_beyond(self, chain: str) -> None:
        """Forget such a receipt: it was given before these events were sent."""
        self._beyond.pop(chain, None)

    def release_beyond(self, chain: str, sent: int) -> None:
        """Let go what such a receipt covers up to `sent`, which has been on its way for long enough to be taken.

        Where the collector holds other events there, ours are kept there as evidence, without a receipt of their own.
        """
        upto = min(sent, self._beyond.pop(chain, -1))
        if upto >= 0:
            self.release_leftovers(chain, upto)

    def newest_receipt(self) -> str | None:
        """When the newest receipt here was written, by the collector's clock; None: there is none."""
        with self._store.reading() as database:
            newest: str | None = database.execute("SELECT max(time) FROM receipts").fetchone()[0]
        return newest

    def prune(self, now: str, retention_s: float, head_seq: int) -> int:
        """Remove rows whose receipt is older than the retention, never the head; return how many.

        The newest opening of the enclosure and its clear stay too: whether a punch can be verified follows from them.
        Age counts from the receipt's time, which is the collector's clock: this terminal's own may have been wrong.
        """
        oldest_kept = format_time(parse_time(now) - int(retention_s * 1e9))
        if self.leftover == 0:
            remove_aside(self._path, oldest_kept)
        with self._store.reading() as database:
            (upto,) = database.execute("SELECT max(upto) FROM receipts WHERE time < ?", (oldest_kept,)).fetchone()
        if upto is None:
            return 0
        with self._store.writing() as database:
            removed = database.execute(journal_file.PRUNE, (upto, head_seq)).rowcount
            database.execute("DELETE FROM receipts WHERE upto < ?", (upto,))
        return removed
