"""What a terminal remembers of its exchanges: peers, copies sent and taken, answers. One SQLite file, mode 0600.

No employee code lies here: copies are known by random ids, workers by the id of their enrolment. Safe from several
threads. What is deleted is overwritten.
"""

from __future__ import annotations

import os
import sqlite3
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import astuple, dataclass, fields, replace
from pathlib import Path
from typing import Any, Literal

from evidence.keys import PublicKey
from kiosk.errors import TransferFailed

FORMAT = 2
_TABLES = """
CREATE TABLE peers (
  device TEXT PRIMARY KEY, key TEXT NOT NULL, state TEXT NOT NULL, sent INTEGER NOT NULL, taken INTEGER NOT NULL,
  card BLOB
) STRICT;
CREATE TABLE strangers (device TEXT PRIMARY KEY, card BLOB NOT NULL) STRICT;
CREATE TABLE copies (
  copy_id TEXT PRIMARY KEY, enrolment TEXT NOT NULL, device TEXT NOT NULL, consented TEXT NOT NULL,
  keys TEXT NOT NULL, counter INTEGER NOT NULL, made TEXT NOT NULL, until TEXT NOT NULL, state TEXT NOT NULL,
  reason TEXT NOT NULL, message TEXT NOT NULL, envelope BLOB NOT NULL
) STRICT;
CREATE INDEX copies_of ON copies (enrolment, device);
CREATE TABLE answers (
  message TEXT PRIMARY KEY, device TEXT NOT NULL, copy_id TEXT NOT NULL, state TEXT NOT NULL, envelope BLOB NOT NULL,
  expires TEXT NOT NULL
) STRICT;
CREATE TABLE notes (name TEXT PRIMARY KEY, value TEXT NOT NULL) STRICT;
"""

# Since format 2. taken: copies that lie here; withdrawn: consents that were taken back here (staying_away.py);
# peer_keys: every key that was ever confirmed or followed
_ADDED = """
CREATE TABLE taken (
  copy_id TEXT PRIMARY KEY, device TEXT NOT NULL, enrolment TEXT NOT NULL, consented TEXT NOT NULL,
  chain TEXT NOT NULL, seq INTEGER NOT NULL
) STRICT;
CREATE TABLE withdrawn (
  copy_id TEXT, device TEXT NOT NULL, enrolment TEXT NOT NULL, consented TEXT NOT NULL,
  PRIMARY KEY (device, enrolment, consented)
) STRICT;
CREATE TABLE peer_keys (device TEXT NOT NULL, key TEXT NOT NULL, PRIMARY KEY (device, key)) STRICT;
INSERT INTO peer_keys SELECT device, key FROM peers;
"""

PeerState = Literal["confirmed", "removed"]
CopyState = Literal["open", "held", "refused", "erasing"]


@dataclass(frozen=True, slots=True)
class Peer:
    """A terminal whose fingerprint somebody has confirmed here, once."""

    device: str
    key: str  # PublicKey.text(), as confirmed or followed since
    state: PeerState
    sent: int = 0  # counter of the last message to it
    taken: int = 0  # counter of the last message taken from it
    card: bytes | None = None  # the newest card that this key has signed

    @property
    def public(self) -> PublicKey:
        """Its signing key."""
        return PublicKey.parse(self.key)


@dataclass(frozen=True, slots=True)
class Copy:
    """One worker's template on one peer, as far as this terminal knows.

    open: sent and not answered. erasing: it is to go, and the peer has not said so yet.
    """

    copy_id: str
    enrolment: str
    device: str
    consented: str  # time of the consent that it rests on
    keys: str  # ids of the keys that the message names: sender's, recipient's, transfer key's
    counter: int
    made: str
    until: str
    state: CopyState
    reason: str  # of a refusal
    message: str  # hash of the envelope
    envelope: bytes  # what is sent until it is answered; then empty


@dataclass(frozen=True, slots=True)
class Answered:
    """What this terminal answered to one message of a peer.

    held, gone, refused as the answer says; left: gone without that peer's wish, so that it has to be told; over: a
    later message was about the same copy.
    """

    message: str
    device: str  # that sent it
    copy_id: str
    state: str
    envelope: bytes
    expires: str


class Store:
    """Opens or makes the file. Raises TransferFailed, as does every method that meets a disk that refuses."""

    def __init__(self, path: Path) -> None:
        self._lock = threading.RLock()
        try:
            os.close(os.open(path, os.O_CREAT | os.O_RDWR | os.O_CLOEXEC, 0o600))
            self._database = sqlite3.connect(path, check_same_thread=False, isolation_level=None)
        except (OSError, sqlite3.Error) as error:
            raise TransferFailed(f"{path} cannot be opened: {error}") from error
        try:
            self._prepare(path)
        except BaseException:
            self._database.close()
            raise

    def close(self) -> None:
        """Close the file."""
        with self._lock:
            self._database.close()

    # Peers

    def peers(self) -> list[Peer]:
        """Everybody who was confirmed here, also those who were removed since."""
        return [Peer(*row) for row in self.rows(_select(Peer, "peers ORDER BY device"))]

    def peer(self, device: str) -> Peer | None:
        """One of them."""
        rows = self.rows(_select(Peer, "peers WHERE device = ?"), device)
        return Peer(*rows[0]) if rows else None

    def keep_peer(self, device: str, key: str, state: PeerState, card: bytes | None, *, follows: bool = False) -> None:
        """Keep who a peer is. Its counters stand, however old the caller's idea of them is.

        Only a key that was never a peer's of that name, and does not follow the one before, begins to count anew: its
        owner knows nothing of what that one has sent.
        """
        with self.writing() as database:
            known = database.execute("SELECT 1 FROM peers WHERE device = ?", (device,)).fetchone()
            new = database.execute("INSERT OR IGNORE INTO peer_keys VALUES (?, ?)", (device, key)).rowcount == 1
            if known is None:
                database.execute("INSERT INTO peers VALUES (?, ?, ?, 0, 0, ?)", (device, key, state, card))
                return
            database.execute(
                "UPDATE peers SET key = ?, state = ?, card = ?, taken = CASE WHEN ? THEN 0 ELSE taken END "
                "WHERE device = ?",
                (key, state, card, new and not follows, device),
            )

    def next_counter(self, device: str, at_least: int) -> int:
        """Take the next number of a message to a peer. `at_least`: a store put back from a copy must not repeat one."""
        with self.writing() as database:
            (sent,) = database.execute("SELECT sent FROM peers WHERE device = ?", (device,)).fetchone()
            number = max(int(sent) + 1, at_least)
            database.execute("UPDATE peers SET sent = ? WHERE device = ?", (number, device))
            return number

    def raise_counter(self, device: str, last: int) -> None:
        """The peer has taken a higher number than this terminal remembers: the file was put back from a copy."""
        with self.writing() as database:
            database.execute("UPDATE peers SET sent = max(sent, ?) WHERE device = ?", (last, device))

    def strangers(self) -> dict[str, bytes]:
        """The newest card of each terminal that nobody has confirmed, or that has another key than was confirmed."""
        return {device: bytes(card) for device, card in self.rows("SELECT device, card FROM strangers")}

    def keep_stranger(self, device: str, card: bytes, at_most: int) -> bool:
        """Keep a card to be confirmed; False where there are too many already."""
        with self.writing() as database:
            (others,) = database.execute("SELECT count(*) FROM strangers WHERE device <> ?", (device,)).fetchone()
            if others >= at_most:
                return False
            database.execute("INSERT OR REPLACE INTO strangers VALUES (?, ?)", (device, card))
            return True

    def forget_stranger(self, device: str) -> None:
        """Its card is the confirmed one now."""
        with self.writing() as database:
            database.execute("DELETE FROM strangers WHERE device = ?", (device,))

    # Copies on other terminals

    def copies(self) -> list[Copy]:
        """Every copy that this terminal has sent and not seen gone."""
        return [Copy(*row) for row in self.rows(_select(Copy, "copies ORDER BY counter, copy_id"))]

    def tally(self) -> list[tuple[str, str, str, bool, int]]:
        """How many copies there are by device, state and reason, and whether their message is not answered yet."""
        query = """
            SELECT device, state, reason, length(envelope) > 0 AS waiting, count(*) FROM copies
            GROUP BY device, state, reason, waiting
        """
        return [(device, state, reason, bool(waiting), n) for device, state, reason, waiting, n in self.rows(query)]

    def open_messages(self, *, templates: bool) -> list[str]:
        """Hashes of the messages that no peer has answered, oldest first.

        Each word to erase is among them; a template only with `templates`, and where its peer is confirmed.
        """
        query = """
            SELECT message FROM copies
            WHERE length(envelope) > 0
              AND (state = 'erasing' OR (? AND device IN (SELECT device FROM peers WHERE state = 'confirmed')))
            ORDER BY counter, copy_id
        """
        return [str(row[0]) for row in self.rows(query, templates)]

    def envelope(self, message: str) -> bytes | None:
        """One of them."""
        rows = self.rows("SELECT envelope FROM copies WHERE message = ?", message)
        return bytes(rows[0][0]) if rows else None

    def copy(self, copy_id: str) -> Copy | None:
        """One of them."""
        rows = self.rows(_select(Copy, "copies WHERE copy_id = ?"), copy_id)
        return Copy(*rows[0]) if rows else None

    def keep_copy(self, copy: Copy) -> None:
        """Keep what is known of a copy."""
        with self.writing() as database:
            self._put(database, "copies", copy)

    def drop_copy(self, copy_id: str) -> None:
        """It is gone there, as the peer has said."""
        with self.writing() as database:
            database.execute("DELETE FROM copies WHERE copy_id = ?", (copy_id,))

    def settle(self, copy: Copy, state: CopyState, reason: str = "") -> None:
        """The newest message of a copy was answered: nothing of it is sent again."""
        self.keep_copy(replace(copy, state=state, reason=reason[:400], envelope=b""))

    # What came from other terminals

    def answer(self, message: str) -> bytes | None:
        """What was answered to the message with this hash."""
        rows = self.rows("SELECT envelope FROM answers WHERE message = ?", message)
        return bytes(rows[0][0]) if rows else None

    def answered(self, state: str) -> list[Answered]:
        """Everything that was answered so and is not over yet."""
        query = _select(Answered, "answers WHERE state = ? ORDER BY expires")
        return [Answered(*row) for row in self.rows(query, state)]

    def keep_answer(self, answered: Answered, taken: int | None) -> None:
        """Keep an answer, and with it the counter of what was taken: one is not on the disk without the other.

        What was answered before about the same copy counts as answered by this one.
        """
        with self.writing() as database:
            if answered.state in ("held", "gone"):
                same = (answered.copy_id, answered.device)
                database.execute("UPDATE answers SET state = 'over' WHERE copy_id = ? AND device = ?", same)
            self._put(database, "answers", answered)
            if taken is not None:
                database.execute("UPDATE peers SET taken = max(taken, ?) WHERE device = ?", (taken, answered.device))

    def prune(self, now: str) -> None:
        """Forget answers to what nobody may send any more."""
        with self.writing() as database:
            database.execute("DELETE FROM answers WHERE expires <= ?", (now,))

    # Notes

    def note(self, name: str) -> str | None:
        """A small thing to remember."""
        rows = self.rows("SELECT value FROM notes WHERE name = ?", name)
        return str(rows[0][0]) if rows else None

    def keep_note(self, name: str, value: str) -> None:
        """Remember it."""
        with self.writing() as database:
            database.execute("INSERT OR REPLACE INTO notes VALUES (?, ?)", (name, value))

    def _prepare(self, path: Path) -> None:
        try:
            for pragma in ("journal_mode = delete", "synchronous = full", "secure_delete = on"):
                self._database.execute(f"PRAGMA {pragma}")
            (found,) = self._database.execute("PRAGMA user_version").fetchone()
            if found > FORMAT:
                raise TransferFailed(f"{path} has format {found}, known is {FORMAT}; update zaigang")
            if found < FORMAT:
                tables = _ADDED if found else _TABLES + _ADDED
                self._database.executescript(f"BEGIN; {tables} PRAGMA user_version = {FORMAT}; COMMIT;")
        except sqlite3.Error as error:
            raise TransferFailed(
                f"{path} cannot be used ({error}); move it away and confirm the peers again"
            ) from error

    def _put(self, database: sqlite3.Connection, table: str, row: Copy | Answered) -> None:
        marks = ", ".join("?" for _ in fields(row))
        database.execute(f"INSERT OR REPLACE INTO {table} ({_columns(type(row))}) VALUES ({marks})", astuple(row))  # noqa: S608

    def rows(self, query: str, *values: Any) -> list[Any]:
        """What a query finds."""
        with self._lock:
            try:
                return self._database.execute(query, values).fetchall()
            except sqlite3.Error as error:
                raise TransferFailed(f"the file of exchanges cannot be read: {error}") from error

    @contextmanager
    def writing(self) -> Iterator[sqlite3.Connection]:
        """Change the file, whole or not at all."""
        with self._lock:
            try:
                self._database.execute("BEGIN IMMEDIATE")
                yield self._database
                self._database.execute("COMMIT")
            except sqlite3.Error as error:
                raise TransferFailed(f"the file of exchanges takes nothing: {error}") from error
            finally:
                if self._database.in_transaction:
                    self._database.execute("ROLLBACK")


def _columns(row: type[Peer] | type[Copy] | type[Answered]) -> str:
    return ", ".join(one.name for one in fields(row))


def _select(row: type[Peer] | type[Copy] | type[Answered], rest: str) -> str:
    return f"SELECT {_columns(row)} FROM {rest}"  # noqa: S608  constants of this file
