"""The model's terminal: a folder with key, journal and mark, a process that can die, copies of the folder, and what
its screen said.
"""

from __future__ import annotations

import sqlite3
from collections.abc import Callable, Container
from contextlib import closing, suppress
from pathlib import Path
from typing import Any

import kiosk
from evidence.errors import EvidenceError
from evidence.events import Kind
from evidence.keys import PublicKey
from evidence.receipt import read_receipt
from evidence.topics import Leaf, Topic
from kiosk.clock import SystemClock
from kiosk.errors import JournalForeign
from kiosk.flow import Window
from kiosk.journal import Journal
from kiosk.journal_author import Recorded
from kiosk.journal_mark import read_mark, write_mark
from kiosk.settings import KioskSettings
from kiosk.stick import export, take_receipts
from kiosk.terminal_key import TerminalKey
from kiosk.uplink import Uplink
from tests.delivery.model.centre import DEVICE, SITE
from tests.delivery.model.folder import Disk, Place, chain_of, predecessor_of, rows, undelivered
from tests.delivery.model.killing import Killed, killed_at
from tests.delivery.model.wire import Connection, Wire

CLOCK = SystemClock()
RECEIPTS = str(Topic(SITE, DEVICE, Leaf.RECEIPT))


class Terminal:
    """The machine that runs, and the one on the shelf: an older copy of it, or what it was before they changed places.

    `shown` is what a screen said was recorded. `lost` went with a disk before anybody else had it. `copied` are chains
    of which an older state went on: only there may one place hold two events. `doubt` says whether the next start
    must (True) or may (False) begin a new chain; None: neither.
    """

    def __init__(self, root: Path, wire: Wire, collector: PublicKey) -> None:
        self.root, self.folder, self.shelf = root, root / "terminal", root / "shelf"
        self.wire, self.collector = wire, collector
        self.backup: Disk | None = None
        self.shown: dict[str, Place] = {}
        self.signed: dict[Place, set[str]] = {}
        self.lost: dict[str, Place] = {}
        self.copied: set[str] = set()
        self.doubt: bool | None = None
        self.new_chains = 0
        self.rotations = 0
        self.journal: Journal | None = None
        self.key = TerminalKey(self.folder / "terminal.pem")
        self.known_keys = {self.key.public}
        self._settings = KioskSettings.model_validate(
            {"device": DEVICE, "site": SITE, "tz": "UTC", "collector_keys": [collector.text()]}
        )
        self.start()

    # --- a process

    def start(self) -> None:
        """Start the terminal; a new chain is begun where there is a reason, and names the one before."""
        before, least = chain_of(self.folder), self._last_known()
        self.journal = None
        self.key = TerminalKey(self.folder / "terminal.pem")
        self.journal = Journal(self._path, self.key, DEVICE, SITE, "UTC", CLOCK)
        self.uplink = Uplink(self.journal, self._settings, CLOCK, window=Window(5))
        self.reconnect()
        if self.journal.head.chain != before:
            if before is not None or self.doubt is not None:
                self._require_chain(before, least, reason=self.doubt is not None)
        else:
            assert self.doubt is not True, "a journal in doubt went on"
        self.doubt = None
        self.follow()

    def drop(self) -> None:
        """End the process."""
        if self.journal is not None:
            self.uplink.stop()
            self.journal.close()
            self.journal = None

    def restart(self) -> None:
        """Stop and start, as `systemctl restart` does."""
        self.drop()
        self.start()

    def killed(self, line: int, operation: Callable[[], Any]) -> bool:
        """`kill -9` at a line of what the terminal does; then it starts again. False: the line was never reached."""
        before, least = chain_of(self.folder), self._last_known()
        disk, reached = Disk(self.folder), True
        with suppress(Killed), killed_at(line, kiosk, disk.note):
            operation()
            disk.note()
            reached = False
        self.drop()
        disk.put_back()
        if reached and self.doubt is None and before in self.copied:
            self.doubt = False  # what it was told before it died may have begun a new chain
        now = chain_of(self.folder)
        if reached and now not in (before, None) and rows(self.folder):
            self._require_chain(before, least, reason=self.doubt is not None)
            self.doubt = None
        self.follow()
        self.start()
        return reached

    def follow(self) -> None:
        """Learn what was signed, shown or not."""
        for place, digest in rows(self.folder):
            held = self.signed.setdefault(place, set())
            held.add(digest)
            assert len(held) == 1 or place[0] in self.copied, "two events at one place, and no copy went on"
        self.known_keys.add(self.key.public)

    def _require_chain(self, before: str | None, least: int, *, reason: bool) -> None:
        """A new chain has a reason, and names its predecessor as far as anything here knew it."""
        assert reason, "a new chain for nothing"
        self.new_chains += 1
        named = predecessor_of(self.folder)
        if before is None or least < 0:
            assert named is None
            return
        assert named is not None
        assert (named["chain"], named["seq"] >= least) == (before, True), f"{named} follows {before} at {least}"
        assert named["head"] in self.signed[named["chain"], named["seq"]], "a predecessor that never was"

    def _last_known(self) -> int:
        """Return the highest seq of its chain that the folder can still vouch for; -1 for none."""
        chain, mark = chain_of(self.folder), read_mark(self._path)
        known = [
            seq for (of, seq), digest in rows(self.folder) if of == chain and digest in self.signed.get((of, seq), ())
        ]
        known += [mark.seq] if mark is not None and mark.chain == chain else []
        return max(known, default=-1)

    @property
    def _path(self) -> Path:
        return self.folder / "journal.db"

    # --- what it does

    def punch(self, size: int) -> None:
        """Record something and show it."""
        assert self.journal is not None
        self._show(self.journal.append("test.noted", {"filler": "x" * size}))

    def rotate(self) -> None:
        """Hand the chain over to a new key."""
        assert self.journal is not None
        self.rotations += 1
        self._show(self.journal.rotate_key("model"))

    def _show(self, done: Recorded) -> None:
        self.shown[done.hash] = done.event.chain, done.seq
        self.follow()

    def deliver(self, room: int) -> int:
        """One turn of the uplink, with a broker that takes `room` messages; return how many events it took."""
        self.connection.turn(room)
        self.uplink._deliver(self.connection)  # type: ignore[arg-type]
        return len(self.connection.published)

    def receive(self, payload: bytes) -> None:
        """Take one message from the receipt topic."""
        self._told(payload, lambda: self.uplink._on_message(RECEIPTS, payload))
        counts = self.uplink.counts
        assert not counts["errors"] and not counts["receipts_not_kept"], counts

    def _told(self, payload: bytes, take: Callable[[], Any]) -> None:
        """A receipt for what was never written here, and only that, begins a new chain at once."""
        assert self.journal is not None
        head, least, here = self.journal.head, self._last_known(), dict(rows(self.folder))
        take()
        changed = self.journal.head.chain != head.chain
        if changed:
            self._require_chain(head.chain, least, reason=head.chain in self.copied)
        with suppress(EvidenceError):  # cut on the way, or a question
            one = read_receipt(payload, self.collector, DEVICE)
            unknown = one.upto > head.seq or here.get((one.chain, one.upto), one.head) != one.head
            assert changed or one.chain != head.chain or not unknown, (
                "the collector knows another chain, and it goes on"
            )
        self.follow()

    def reconnect(self) -> None:
        """A new connection: what the broker had for the old one is lost."""
        self.wire.down.clear()
        self.uplink._online = False
        self.connection = Connection(self.wire)
        self.uplink._greet(self.connection)  # type: ignore[arg-type]

    def stick(self) -> list[bytes]:
        """Export to a stick; return the lines."""
        exported = export(self._path, self.root, "stick.jsonl")
        return exported.file.read_bytes().splitlines()

    def stick_back(self, lines: list[bytes]) -> None:
        """Take receipts from a stick."""
        for line in lines:
            self._told(line, lambda line=line: take_receipts(self.journal, [self.collector], [line]))  # type: ignore[misc]

    def prune(self) -> None:
        """Years later."""
        assert self.journal is not None
        self.journal.prune("2099-01-01T00:00:00.000Z")

    # --- disks

    def back_up(self) -> None:
        """Copy the folder while the terminal runs."""
        self.backup = Disk(self.folder)
        self.backup.note()

    def put_back(self, only: str = "") -> None:
        """Restore the copy: the whole folder, or what begins with `only` under the mark and the key of now."""
        if self.backup is None:
            return
        backup, mark = self.backup, read_mark(self._path)

        def restore() -> None:
            backup.put_back(self.folder, only)
            if only and mark is not None:
                write_mark(self._path, mark)
                held = dict(rows(self.folder))
                last = max((seq for of, seq in held if of == mark.chain), default=mark.seq)
                self.doubt = mark.seq > last or held.get((mark.chain, mark.seq), mark.head) != mark.head

        self._disaster(restore, goes_on=True)

    def swap(self) -> None:
        """The machine on the shelf runs on, and this one lies there: what was begun as a copy of it."""
        here, there = Disk(self.folder), Disk(self.shelf)
        if self.shelf.exists():
            there.note()
        elif self.backup is not None:
            there = self.backup
        else:
            return
        self.drop()
        here.note()
        there.put_back(self.folder)
        here.put_back(self.shelf)
        self._start_after(goes_on=True)

    def lose(self, mark_too: bool) -> None:
        """The journal is gone, and its mark perhaps."""

        def remove() -> None:
            for one in self.folder.glob("journal.db*"):
                if mark_too or not one.name.endswith(".mark"):
                    one.unlink()

        self.doubt = True
        self._disaster(remove)

    def damage(self, how: str, at: int) -> None:
        """Change one row on the disk: its hash, a bit of its envelope, or it is gone."""

        def change() -> None:
            with closing(sqlite3.connect(self._path)) as database:
                database.execute("PRAGMA secure_delete = ON")
                found = database.execute("SELECT seq, kind FROM events ORDER BY seq").fetchall()
                seq, kind = found[at % len(found)]
                vouching.append(kind == Kind.DEVICE_KEY_ROTATED and how != "hash")
                if how == "hash":
                    database.execute("UPDATE events SET hash = '0' WHERE seq = ?", (seq,))
                elif how == "bit":
                    (data,) = database.execute("SELECT envelope FROM events WHERE seq = ?", (seq,)).fetchone()
                    middle = len(data) // 2
                    changed = data[:middle] + bytes([data[middle] ^ 1]) + data[middle + 1 :]
                    database.execute("UPDATE events SET envelope = ? WHERE seq = ?", (changed, seq))
                else:
                    database.execute("DELETE FROM events WHERE seq = ?", (seq,))
                database.commit()

        vouching: list[bool] = []
        had = undelivered(self.folder)
        self.doubt = how != "delete"  # a missing end may look like an old copy, a missing beginning like pruning
        self._disaster(change, goes_on=how == "delete")
        if any(vouching):  # without its rotation nothing says that a key before was this terminal's
            left = undelivered(self.folder)
            self.lost.update({digest: place for digest, place in had.items() if digest not in left})

    def _disaster(self, what: Callable[[], None], *, goes_on: bool = False) -> None:
        self.drop()
        had = undelivered(self.folder)
        what()
        left = undelivered(self.folder)
        self.lost.update({digest: place for digest, place in had.items() if digest not in left})
        self._start_after(goes_on=goes_on)

    def _start_after(self, *, goes_on: bool) -> None:
        """Start with what lies on the disk now; where that is older than what was signed, it is a copy."""
        chain = chain_of(self.folder)
        if goes_on and chain is not None:
            last = max((seq for (_, seq), _ in rows(self.folder)), default=-1)
            if last < max((seq for of, seq in self.signed if of == chain), default=-1):
                self.copied.add(chain)
        try:
            self.start()
        except JournalForeign:  # the copy is from before the key was rotated: the message says to move it away
            assert self.rotations > 0
            self.lose(mark_too=False)

    def missing(self, had: Container[str]) -> dict[str, Place]:
        """Return what was shown, is not in `had`, waits on no machine, and was not lost with a disk."""
        open_ones = {digest: place for digest, place in self.shown.items() if digest not in had}
        if open_ones:
            waiting = undelivered(self.folder) | undelivered(self.shelf) | self.lost
            open_ones = {digest: place for digest, place in open_ones.items() if digest not in waiting}
        return open_ones
