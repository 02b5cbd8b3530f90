"""What happens at most once on a terminal: one-time authorisations are spent, commands are taken by their counter."""

from __future__ import annotations

from collections.abc import Callable

from kiosk.journal_store import Store

COMMAND_ANSWER = "command:"  # before a command's id: the token under which its answer is appended once

# What was answered is not carried out again, so its words need not lie here: an order to erase names the erased.
FORGET_ANSWERED = "UPDATE commands SET envelope = x'' WHERE ? || id = ?"  # (COMMAND_ANSWER, token)


class Once:
    """The tokens that were spent and the commands that were taken. Every method raises JournalFull or JournalFailed.

    `now` gives RFC 3339 UTC with milliseconds.
    """

    def __init__(self, store: Store, now: Callable[[], str]) -> None:
        self._store, self._now = store, now

    def is_spent(self, token: str) -> bool:
        """True if it was spent."""
        with self._store.reading() as database:
            return database.execute("SELECT 1 FROM spent WHERE authorisation = ?", (token,)).fetchone() is not None

    def spend(self, token: str) -> bool:
        """Use up a token; False if it was used before. Durable when it returns."""
        with self._store.writing() as database:
            done = database.execute("INSERT OR IGNORE INTO spent VALUES (?, ?)", (token, self._now()))
            return done.rowcount == 1

    @property
    def last_command(self) -> int:
        """The counter of the last command taken; 0 before the first."""
        with self._store.reading() as database:
            (last,) = database.execute("SELECT max(counter) FROM commands").fetchone()
            return int(last or 0)

    def take_command(self, counter: int, command_id: str, envelope: bytes) -> bool:
        """Keep a command before it is carried out; False for one that was taken before. Durable when it returns."""
        with self._store.writing() as database:
            done = database.execute("INSERT OR IGNORE INTO commands VALUES (?, ?, ?)", (counter, command_id, envelope))
            return done.rowcount == 1

    def open_commands(self) -> list[bytes]:
        """Return the envelopes of commands that were taken and not answered, in order: a restart came between."""
        query = """
            SELECT envelope FROM commands
            WHERE ? || id NOT IN (SELECT authorisation FROM spent) ORDER BY counter
        """
        with self._store.reading() as database:
            return [row[0] for row in database.execute(query, (COMMAND_ANSWER,))]

    def knows_command(self, command_id: str) -> bool:
        """True for a command that was taken before."""
        with self._store.reading() as database:
            return database.execute("SELECT 1 FROM commands WHERE id = ?", (command_id,)).fetchone() is not None
