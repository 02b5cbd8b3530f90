"""The terminal's signed chain on disk: append, what is not yet receipted, receipts, one-time authorisations.

SQLite in WAL mode with `synchronous=FULL`: what `append` returned survives a power cut. One process, one connection,
any thread. A row stays until a receipt signed by the collector covers it, and for the retention period after that.
While an opened enclosure is not cleared, no verified punch is signed here, whoever asks. A journal that was damaged,
lost or restored from a copy never goes on: it is set aside and a new chain begins, which names the one before.
"""

from __future__ import annotations

import json
import os
import sqlite3
from collections.abc import Collection
from datetime import timedelta
from pathlib import Path
from typing import Any

import structlog

from evidence.chain import Head, read_event
from evidence.clearance import opening_after
from evidence.envelope import Envelope, pae
from evidence.errors import EvidenceError, ReceiptMismatch
from evidence.events import (
    DeviceEnrolledBody,
    EnclosureOpenedBody,
    Event,
    Fact,
    KeyRotatedBody,
    Kind,
    parse_event,
)
from evidence.keys import PublicKey, SigningKey
from evidence.receipt import PunchReceipt, Receipt, covers, read_receipt
from evidence.status import Part
from kiosk import journal_file
from kiosk.clock import Clock, Stamp
from kiosk.durable_file import sync_folder
from kiosk.errors import (
    IdentityError,
    JournalDamaged,
    JournalFailed,
    JournalForeign,
    JournalFull,
    JournalTooNew,
)
from kiosk.health import free_bytes
from kiosk.journal_author import Author, Recorded, Row
from kiosk.journal_check import CHECK_WITHIN_S, check, require_not_behind
from kiosk.journal_mark import Mark, read_mark, write_mark
from kiosk.journal_once import COMMAND_ANSWER as COMMAND_ANSWER
from kiosk.journal_once import FORGET_ANSWERED, Once
from kiosk.journal_outbox import Outbox
from kiosk.journal_salvage import RETIRED, finish_interrupted, read_remains, set_aside
from kiosk.journal_store import Store
from kiosk.terminal_key import Succeeded
from kiosk.version import software

RETENTION = timedelta(days=90)  # a second copy at the source while a dispute about a month's hours is likely
LOW_SPACE_BYTES = 64 * 1024 * 1024  # some 10,000 punches of 6 kB: days of warning on a busy site

_PROBE = pae("application/vnd.zaigang.probe", b"")  # signed to see whether the key works; no reader takes this type

log = structlog.get_logger(__name__)


class Journal:
    """One terminal's chain in one SQLite file.

    Opening makes the file and signs `device.enrolled` where there is none; else it checks pages and rows for at most
    `check_within_s` and goes on from the head. What must not go on is set aside (kiosk/journal_salvage.py).
    `max_pages` bounds the database (4,096 bytes a page) for disks without quotas. Raises JournalFull, JournalBusy,
    JournalForeign, JournalTooNew or JournalFailed.
    """

    def __init__(
        self,
        path: Path,
        signer: SigningKey,
        device: str,
        site: str,
        tz: str,
        clock: Clock,
        *,
        retention: timedelta = RETENTION,
        low_space_bytes: int = LOW_SPACE_BYTES,
        max_pages: int | None = None,
        check_within_s: float = CHECK_WITHIN_S,
    ) -> None:
        self.path = path
        self.device = device
        self.bad_receipts = 0  # since the start of this process
        self._signer = signer
        self._keys: journal_file.Keys = [(0, signer.public)]  # which key signed which rows, newest first
        self._author = Author(signer, device, site, tz, clock)
        self._clock = clock
        self._retention, self._low_space_bytes = retention, low_space_bytes
        self._max_pages, self._check_within_s = max_pages, check_within_s
        self._bad_receipt: str | None = None  # why the last receipt was refused, until a good one comes
        self._origin: dict[str, Any] = {}  # how this chain came to follow another one
        self._head: Head | None = None
        self._opening: int | None = None
        self._store = Store(path, max_pages)
        self._lock = self._store.lock
        self._once = Once(self._store, lambda: self._clock.stamp().time)
        self._outbox = Outbox(self._store, path)
        self._holding: int | None = journal_file.hold(path)
        try:
            try:
                finish_interrupted(path)
                self._load()
            except (JournalForeign, JournalTooNew):
                raise
            except JournalDamaged as error:
                self._begin_anew(str(error))
            except OSError as error:
                raise self._store.refused(error) from error
        except BaseException:
            self.close()
            raise

    def _load(self) -> None:
        """Open the file, check it, and sign the first event where there is none. Raises a JournalError or OSError."""
        mark = read_mark(self.path)
        if mark is not None and (not self.path.exists() or self.path.stat().st_size == 0):
            raise journal_file.damaged(self.path, "the file is gone or empty")
        self._store.open()
        try:
            self._read_all(mark)
        except (TypeError, ValueError) as error:  # a column of another type than its table has
            raise journal_file.damaged(self.path, f"a row cannot be read ({error})") from error
        self._outbox.load()
        if self._head is None:
            self._enrol()
        if self._origin.get("opened_at") and self.head.seq == 0:  # the case was open before this chain began
            found = self._origin.get("opened_found", "start")
            self.append(Kind.ENCLOSURE_OPENED, EnclosureOpenedBody(found=found, seen_at=self._origin["opened_at"]))
        self._note_mark()

    def _read_all(self, mark: Mark | None) -> None:
        """Read where the chain stands, and check it. Raises JournalDamaged, TypeError or ValueError."""
        with self._store.reading() as database:
            note = database.execute("SELECT note FROM origin").fetchone()
            self._origin = {} if note is None else json.loads(note[0])
            self._read_chain(database)
            self._outbox.released = journal_file.read_released(database, self.path, self._head)
            checked = check(database, self.path, self.device, self._key_at, self.released, self._check_within_s)
            require_not_behind(database, self.path, self._head, mark)
        if not checked.whole:
            log.warning("journal_partly_checked", newest_rows=checked.rows, head=self.head.seq)

    def _read_chain(self, database: sqlite3.Connection) -> None:
        """Read keys, head and opening, once the signer has followed a rotation that reached the disk."""
        self._finish_rotation(database)
        self._keys = journal_file.read_keys(database, self.path, self.device, self._signer.public)
        self._head = journal_file.read_head(database, self.path, self.device, self._keys) or self._head
        self._opening = journal_file.read_opening(database, self.path, self.device, self._keys)

    def _key_at(self, seq: int) -> PublicKey:
        return journal_file.key_at(self._keys, seq)

    def _enrol(self) -> None:
        body = DeviceEnrolledBody(
            key=self._signer.public.text(), software=software(), predecessor=self._origin.get("predecessor")
        )
        self.append(Kind.DEVICE_ENROLLED, body)
        sync_folder(self.path.parent)

    def _begin_anew(self, why: str, covered: Receipt | None = None) -> None:
        """Set the file aside and begin a new chain. Raises a JournalError."""
        log.critical("journal_not_continued", why=why)
        with self._lock:
            self._store.close()
            before, self._head, self._opening = self._head, None, None
            try:
                known = {self._signer.public, *(key for _, key in self._keys)}
                remains = read_remains(self.path, self.device, known)
                now = self._clock.stamp().time
                mark = read_mark(self.path)
                set_aside(self.path, remains, why, now, mark=mark, covered=covered, max_pages=self._max_pages)
                self._store.corrupt, self._store.trouble = False, None
                self._load()
            except BaseException as error:  # the file stays closed, nothing is signed; a new start tries again
                self._head, self._store.corrupt = before, True
                self._store.close()
                if isinstance(error, sqlite3.Error | OSError):
                    raise self._store.refused(error) from error
                raise

    def begin_anew(self, reason: str) -> None:
        """Set this chain aside at an operator's word and begin another one, which names it. Raises a JournalError.

        For a chain that the collector has frozen: it would take nothing of it any more.
        """
        self._begin_anew(f"by_operator: {reason}")

    def append(self, kind: str, body: Fact | dict[str, Any], token: str | None = None) -> Recorded:
        """Sign the next event of the chain, commit it, with `token` in one transaction, and only then return it.

        Raises JournalFull or JournalFailed, after which the chain stands where it stood, OpeningStands for a verified
        punch while an opened enclosure is not cleared, and an EvidenceError for a body that does not fit its kind or
        has no canonical form.
        """
        with self._lock:
            self._settle()
            event, row, head = self._sign_next(kind, body)
            self._commit(row, token)
            self._head = head
            self._opening = opening_after(self._opening, event)
            return Recorded(row.seq, row.hash, event, row.envelope)

    def rotate_key(self, reason: str) -> Recorded:
        """Hand this chain over to the signer's successor: one event, signed by both keys, then the old one is gone.

        Raises a JournalError, after which the old key counts as before, and an IdentityError where the successor
        cannot be had.
        """
        with self._lock:
            self._settle()
            if not isinstance(self._signer, Succeeded):
                raise IdentityError("this terminal's key can have no successor")
            successor = self._signer.successor()
            before = self._signer.public
            body = KeyRotatedBody(previous=before.text(), key=successor.public.text(), reason=reason)
            event, row, head = self._sign_next(Kind.DEVICE_KEY_ROTATED, body, successor)
            self._commit(row)
            self._head = head
            self._store.in_doubt = True  # until the signer follows: nothing more may be signed with the old key
            self._settle()
            return Recorded(row.seq, row.hash, event, row.envelope)

    def append_once(self, token: str, kind: str, body: Fact | dict[str, Any]) -> Recorded | None:
        """As `append`, but only if nothing was appended under `token` before; None if something was.

        Event and token reach the disk in one transaction: whoever is not sure whether he signed asks again.
        """
        with self._lock:
            self._settle()
            return None if self._once.is_spent(token) else self.append(kind, body, token)

    def newest(self, kinds: Collection[str], limit: int) -> list[bytes]:
        """Return the newest `limit` envelopes of these kinds, newest first."""
        marks = ", ".join("?" for _ in kinds)
        with self._store.reading() as database:
            rows = database.execute(
                f"SELECT envelope FROM events WHERE kind IN ({marks}) ORDER BY seq DESC LIMIT ?",  # noqa: S608
                (*kinds, limit),
            )
            return [row[0] for row in rows]

    def unsent(self, after_seq: int, limit: int) -> list[tuple[int, bytes]]:
        """Return at most `limit` (seq, envelope) without a receipt beyond `after_seq`, in order."""
        return self._outbox.unsent(after_seq, limit)

    def range(self, first: int, last: int, limit: int) -> list[tuple[int, bytes]]:
        """Return at most `limit` (seq, envelope) from `first` to `last`, receipted or not; pruned ones are gone."""
        return self._outbox.range(first, last, limit)

    def leftover_chains(self) -> list[str]:
        """Return the earlier chains of this terminal of which events still wait for a receipt."""
        return self._outbox.leftover_chains() if self._outbox.leftover else []

    def leftovers(self, chain: str, after_seq: int, limit: int) -> list[tuple[int, bytes]]:
        """Return at most `limit` (seq, envelope) of an earlier chain that wait beyond `after_seq`, in order."""
        return self._outbox.leftovers(chain, after_seq, limit)

    def recent(self, kinds: Collection[str], since: str) -> list[Event]:
        """Return this terminal's own events of `kinds` stamped at or after `since`, in order; pruned ones are gone."""
        marks = ", ".join("?" * len(kinds))
        query = f"SELECT envelope FROM events WHERE kind IN ({marks}) AND time >= ? ORDER BY seq"  # noqa: S608
        with self._store.reading() as database:
            rows = database.execute(query, (*kinds, since)).fetchall()
        return [parse_event(Envelope.decode(envelope).payload) for (envelope,) in rows]

    def release(self, receipt: bytes, collector_key: PublicKey) -> Receipt:
        """Let the rows go that a collector's receipt covers: they count as delivered and may be pruned in time.

        A receipt that is older than the newest one changes nothing. Raises an EvidenceError for a receipt that is
        not signed by `collector_key`, is for another chain or names another event than ours: nothing is let go then.
        One that is signed and speaks of events that this chain never had shows a journal restored from a copy: a new
        chain begins at once. Raises a JournalError where the receipt could not be kept; it will come again.
        """
        with self._lock:
            one: Receipt | None = None
            try:
                one = read_receipt(receipt, collector_key, self.device)
                if one.chain != self.head.chain:
                    self._release_leftovers(one)
                    return one
                held = self._outbox.hash_at(one.upto)
                if held is not None or one.upto > self.released:  # else: late, for a row that was pruned since
                    covers(one, held)
            except EvidenceError as error:
                self.bad_receipts += 1
                self._bad_receipt = f"bad_receipt: {error}"
                log.warning("receipt_refused", code=error.code, why=str(error), count=self.bad_receipts)
                if one is not None and one.chain == self.head.chain:
                    self._begin_anew(f"journal_behind: {error}", one)
                raise
            if one.upto > self.released:
                self._outbox.keep_receipt(one.upto, one.head, one.time, receipt)
                self._note_mark()
            self._bad_receipt = None
            return one

    def _release_leftovers(self, one: Receipt) -> None:
        held = self._outbox.leftover_at(one.chain, one.upto)
        if held is not None:
            covers(one, Envelope.decode(held).hash)
            self._outbox.release_leftovers(one.chain, one.upto)
        elif self._once.is_spent(RETIRED + one.chain):
            self._outbox.note_beyond(one.chain, one.upto)
        else:
            raise ReceiptMismatch(f"the receipt is for chain {one.chain}, which is none of this terminal's")

    def forget_beyond(self, chain: str) -> None:
        """Forget a receipt for an earlier chain that was on its way before its leftovers were sent."""
        self._outbox.forget_beyond(chain)

    def release_beyond(self, chain: str, sent: int) -> None:
        """Let leftovers up to `sent` go that a receipt covers whose own event is not here. Raises a JournalError."""
        self._outbox.release_beyond(chain, sent)

    def spend(self, authorisation_id: str) -> bool:
        """Use up a one-time authorisation; False if it was used before. Durable when it returns.

        Raises JournalFull or JournalFailed.
        """
        return self._once.spend(authorisation_id)

    @property
    def last_command(self) -> int:
        """The counter of the last command taken; 0 before the first."""
        return self._once.last_command

    def take_command(self, counter: int, command_id: str, envelope: bytes) -> bool:
        """Keep a command before it is carried out; False for one that was taken before. Durable when it returns.

        Raises JournalFull or JournalFailed.
        """
        return self._once.take_command(counter, command_id, envelope)

    def open_commands(self) -> list[bytes]:
        """Return the envelopes of commands that were taken and not answered, in order: a restart came between."""
        return self._once.open_commands()

    def knows_command(self, command_id: str) -> bool:
        """True for a command that was taken before."""
        return self._once.knows_command(command_id)

    def newest_receipt(self) -> str | None:
        """When the newest receipt here was written, by the collector's clock; None: there is none."""
        with self._lock:
            return self._outbox.newest_receipt()

    def prune_by_receipts(self, now: str) -> int:
        """Prune as the collector's clock says, but never later than `now`: a clock set ahead here removes nothing."""
        with self._lock:
            newest = self._outbox.newest_receipt()
            return 0 if newest is None else self.prune(min(now, newest))

    def prune(self, now: str) -> int:
        """Remove rows whose receipt is older than the retention period, never the head; return how many."""
        with self._lock:
            return self._outbox.prune(now, self._retention.total_seconds(), self.head.seq)

    def probe(self) -> bool:
        """Sign, write and remove a filler; True if the journal can record, which ends a failed state."""
        with self._lock:
            try:
                self._settle()
                self._signer.sign(_PROBE)
            except (JournalFull, JournalFailed, IdentityError):
                return False
            return self._store.probe()

    def punch_receipt(self, recorded: Recorded) -> str:
        """Return the worker's own proof of an event on disk, signed: the content of a QR code."""
        event = recorded.event
        return PunchReceipt(event.device, event.chain, event.seq, recorded.hash, event.time).text(self._signer)

    @property
    def head(self) -> Head:
        """The last committed event."""
        head = self._head
        if head is None:  # a new chain begins at this moment, under the lock
            with self._lock:
                head = self._head
        assert head is not None
        return head

    @property
    def opening(self) -> int | None:
        """The seq of the newest `enclosure.opened` that no `enclosure.cleared` answers; None where all is clear."""
        return self._opening

    @property
    def last_stamp(self) -> Stamp:
        """When the head was signed, by this terminal's clocks of then. Raises JournalFull or JournalFailed."""
        with self._store.reading() as database:
            (data,) = database.execute("SELECT envelope FROM events WHERE seq = ?", (self.head.seq,)).fetchone()
        event, _ = read_event(data, {self.device: self._key_at(self.head.seq)})
        return Stamp(event.time, event.clock, event.boot, event.mono_us)

    @property
    def released(self) -> int:
        """The highest seq that a receipt covers; -1 before the first."""
        return self._outbox.released

    @property
    def depth(self) -> int:
        """How many events wait for a receipt; read without the lock, so that no screen waits for the disk."""
        return self.head.seq - self.released + self._outbox.leftover

    @property
    def oldest_unsent(self) -> str | None:
        """The time of the first event without a receipt, as its terminal stamped it; None where all have one."""
        return self._outbox.oldest_unsent

    @property
    def corrupt(self) -> bool:
        """True once SQLite found the file damaged while it was open; the next start sets it aside."""
        return self._store.corrupt

    @property
    def state(self) -> Part:
        """Whether punches can be recorded, and what to do where not."""
        if self._store.trouble is not None:
            return Part(state="failed", reason=self._store.trouble)
        free = free_bytes(self.path.parent)
        if free is not None and free < self._low_space_bytes:
            return Part(state="degraded", reason=f"low_space: {free >> 20} MiB are left under {self.path.parent.name}")
        if self._origin and self.released < 0:
            why = f"new_chain: approve it at the collector; the journal before was set aside ({self._origin['why']})"
            return Part(state="degraded", reason=why[:400])
        if self._bad_receipt is not None:
            return Part(state="degraded", reason=f"{self._bad_receipt} ({self.bad_receipts} refused)"[:400])
        return Part(state="working")

    def close(self) -> None:
        """Close the file. Everything appended is already on disk."""
        with self._lock:
            if self._head is not None:
                self._note_mark()
            self._store.close()
            if self._holding is not None:
                os.close(self._holding)
                self._holding = None

    def _note_mark(self) -> None:
        write_mark(self.path, Mark(self.head.chain, self.head.seq, self.head.hash))

    def _finish_rotation(self, database: sqlite3.Connection) -> None:
        """Where the chain was handed over and the old key still signs, a crash came between: take the new one."""
        handed = journal_file.handed_over(database, self.path)
        if handed is None or handed[0] != self._signer.public or not isinstance(self._signer, Succeeded):
            return
        try:
            self._signer.succeed(handed[1])
        except IdentityError as error:
            raise self._unsigned(error) from error

    def _unsigned(self, error: IdentityError) -> JournalFailed:
        """Name why nothing can be signed, and remember it for `state`: without its key a terminal records nothing."""
        self._store.trouble = f"{error.code}: {error}"[:400]
        log.error("journal_unsigned", why=self._store.trouble)
        return JournalFailed(self._store.trouble)

    def _sign_next(
        self, kind: str, body: Fact | dict[str, Any], successor: SigningKey | None = None
    ) -> tuple[Event, Row, Head]:
        try:
            return self._author.sign_next(self._head, self._opening, kind, body, successor)
        except IdentityError as error:
            raise self._unsigned(error) from error

    def _commit(self, row: Row, token: str | None = None) -> None:
        """Write one row, and a token with it, and wait until both are on disk. Raises JournalFull or JournalFailed."""
        values = (row.seq, row.chain, row.hash, row.kind, row.time, row.envelope)
        if token is None:
            with self._store.writing() as database:
                database.execute("INSERT INTO events VALUES (?, ?, ?, ?, ?, ?)", values)
        else:
            with self._store.transaction() as database:
                database.execute("INSERT INTO spent VALUES (?, ?)", (token, row.time))
                database.execute(FORGET_ANSWERED, (COMMAND_ANSWER, token))
                database.execute("INSERT INTO events VALUES (?, ?, ?, ?, ?, ?)", values)
        self._store.trouble = None

    def _settle(self) -> None:
        """After a failed commit the file decides where the chain stands: a row may have reached it after all."""
        if self._store.in_doubt:
            try:
                with self._store.reading() as database:
                    self._read_chain(database)  # it may be a rotation that reached the disk after all
            except JournalDamaged:
                self._store.corrupt = True  # a new start sets it aside and goes on; this one never would
                raise
            self._store.in_doubt = False
