"""The terminal's signed chain on disk: append, what is not yet receipted, receipts, one-time authorisations.

SQLite in WAL mode with `synchronous=FULL`: what `append` returned survives a power cut. One process, one connection,
any thread. A row stays until a receipt signed by the collector covers it, and for the retention period after that.
While an opened enclosure is not cleared, no verified punch is signed here, whoever asks.
"""

from __future__ import annotations

import os
import secrets
import sqlite3
import threading
import time
from collections.abc import Collection, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import timedelta
from pathlib import Path
from typing import Any

import structlog

from evidence.chain import Head, follow, read_event
from evidence.clearance import opening_after
from evidence.envelope import EVENT_TYPE, MAX_ENVELOPE_BYTES, Envelope, pae, sign
from evidence.errors import ChainError, EvidenceError, TooLarge
from evidence.events import (
    DeviceEnrolledBody,
    Event,
    Fact,
    KeyRotatedBody,
    Kind,
    PunchBody,
    Verdict,
    parse_body,
    parse_event,
)
from evidence.keys import PublicKey, SigningKey
from evidence.receipt import PunchReceipt, Receipt, covers, verify_receipt
from evidence.status import Part
from kiosk import journal_file
from kiosk.clock import Clock, Stamp, format_time, parse_time
from kiosk.errors import IdentityError, JournalFailed, JournalFull, OpeningStands
from kiosk.health import free_bytes
from kiosk.identity import sync_folder
from kiosk.terminal_key import Succeeded
from kiosk.version import software

RETENTION = timedelta(days=90)  # a second copy at the source while a dispute about a month's hours is likely
LOW_SPACE_BYTES = 64 * 1024 * 1024  # some 10,000 punches of 6 kB: days of warning on a busy site
PROBE_BYTES = 16 * 1024  # more than a punch with twenty checks

_PROBE = pae("application/vnd.zaigang.probe", b"")  # signed to see whether the key works; no reader takes this type

log = structlog.get_logger(__name__)


COMMAND_ANSWER = "command:"  # before a command's id: the token under which its answer is appended once


@dataclass(frozen=True, slots=True)
class Recorded:
    """An event that is on disk."""

    seq: int
    hash: str  # hex SHA-256 of the signed bytes
    event: Event
    envelope: bytes


@dataclass(frozen=True, slots=True)
class Row:
    """One signed event as the table holds it."""

    seq: int
    chain: str
    hash: str
    kind: str
    time: str
    envelope: bytes


class Journal:
    """One terminal's chain in one SQLite file.

    Opening makes the file and signs `device.enrolled` where there is none; else it checks the database and the head
    and goes on from there. `max_pages` bounds the database (4,096 bytes a page) for disks without quotas. Raises
    JournalFull, JournalBusy, JournalDamaged or JournalFailed.
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
    ) -> None:
        self.path = path
        self.device = device
        self.bad_receipts = 0  # since the start of this process
        self._signer = signer
        self._site, self._tz, self._clock = site, tz, clock
        self._retention, self._low_space_bytes = retention, low_space_bytes
        self._lock = threading.RLock()
        self._trouble: str | None = None  # why the last write failed, until one succeeds
        self._bad_receipt: str | None = None  # why the last receipt was refused, until a good one comes
        self._in_doubt = False  # the last commit failed: ask the file, not the memory, where the chain stands
        self._head: Head | None = None
        self._opening: int | None = None
        self._released = -1
        self._database: sqlite3.Connection | None = None
        self._holding: int | None = journal_file.hold(path)
        try:
            try:
                self._database = journal_file.connect(path, max_pages)
                journal_file.check_format(self._database, path)
                self._finish_rotation(self._database)
                self._keys = journal_file.read_keys(self._database, path, device, signer.public)
                self._head = journal_file.read_head(self._database, path, device, self._keys)
                self._opening = journal_file.read_opening(self._database, path, device, self._keys)
                self._released = journal_file.read_released(self._database, path, self._head)
            except (sqlite3.Error, OSError) as error:
                raise self._refused(error) from error
            if self._head is None:
                self.append(Kind.DEVICE_ENROLLED, DeviceEnrolledBody(key=signer.public.text(), software=software()))
                sync_folder(path.parent)
        except BaseException:
            self.close()
            raise

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
            self._in_doubt = True  # until the signer follows: nothing more may be signed with the old key
            self._settle()
            return Recorded(row.seq, row.hash, event, row.envelope)

    def append_once(self, token: str, kind: str, body: Fact | dict[str, Any]) -> Recorded | None:
        """As `append`, but only if nothing was appended under `token` before; None if something was.

        Event and token reach the disk in one transaction: whoever is not sure whether he signed asks again.
        """
        with self._lock:
            self._settle()
            with self._reading() as database:
                if database.execute("SELECT 1 FROM spent WHERE authorisation = ?", (token,)).fetchone():
                    return None
            return self.append(kind, body, token)

    def newest(self, kinds: Collection[str], limit: int) -> list[bytes]:
        """Return the newest `limit` envelopes of these kinds, newest first."""
        marks = ", ".join("?" for _ in kinds)
        with self._lock, self._reading() as database:
            rows = database.execute(
                f"SELECT envelope FROM events WHERE kind IN ({marks}) ORDER BY seq DESC LIMIT ?",  # noqa: S608
                (*kinds, limit),
            )
            return [row[0] for row in rows]

    def unsent(self, after_seq: int, limit: int) -> list[tuple[int, bytes]]:
        """Return at most `limit` (seq, envelope) without a receipt beyond `after_seq`, in order."""
        with self._lock, self._reading() as database:
            rows = database.execute(
                "SELECT seq, envelope FROM events WHERE seq > ? ORDER BY seq LIMIT ?",
                (max(after_seq, self._released), limit),
            )
            return [(seq, envelope) for seq, envelope in rows]

    def recent(self, kinds: Collection[str], since: str) -> list[Event]:
        """Return this terminal's own events of `kinds` stamped at or after `since`, in order; pruned ones are gone."""
        marks = ", ".join("?" * len(kinds))
        query = f"SELECT envelope FROM events WHERE kind IN ({marks}) AND time >= ? ORDER BY seq"  # noqa: S608
        with self._lock, self._reading() as database:
            rows = database.execute(query, (*kinds, since)).fetchall()
        return [parse_event(Envelope.decode(envelope).payload) for (envelope,) in rows]

    def release(self, receipt: bytes, collector_key: PublicKey) -> Receipt:
        """Let the rows go that a collector's receipt covers: they count as delivered and may be pruned in time.

        A receipt that is older than the newest one changes nothing. Raises an EvidenceError for a receipt that is
        not signed by `collector_key`, is for another chain or names another event than ours: nothing is let go then.
        Raises JournalFull or JournalFailed where the receipt could not be kept; it will come again.
        """
        with self._lock:
            try:
                one = verify_receipt(receipt, collector_key, self.device, self.head.chain)
                held = self._hash_at(one.upto)
                if held is not None or one.upto > self._released:  # else: late, for a row that was pruned since
                    covers(one, held)
            except EvidenceError as error:
                self.bad_receipts += 1
                self._bad_receipt = f"bad_receipt: {error}"
                log.warning("receipt_refused", code=error.code, why=str(error), count=self.bad_receipts)
                raise
            if one.upto > self._released:
                with self._writing() as database:
                    database.execute(
                        "INSERT OR REPLACE INTO receipts VALUES (?, ?, ?, ?)", (one.upto, one.head, one.time, receipt)
                    )
                self._released = one.upto
            self._bad_receipt = None
            return one

    def spend(self, authorisation_id: str) -> bool:
        """Use up a one-time authorisation; False if it was used before. Durable when it returns.

        Raises JournalFull or JournalFailed.
        """
        with self._lock, self._writing() as database:
            done = database.execute(
                "INSERT OR IGNORE INTO spent VALUES (?, ?)", (authorisation_id, self._clock.stamp().time)
            )
            return done.rowcount == 1

    @property
    def last_command(self) -> int:
        """The counter of the last command taken; 0 before the first."""
        with self._lock, self._reading() as database:
            (last,) = database.execute("SELECT max(counter) FROM commands").fetchone()
            return int(last or 0)

    def take_command(self, counter: int, command_id: str, envelope: bytes) -> bool:
        """Keep a command before it is carried out; False for one that was taken before. Durable when it returns.

        Raises JournalFull or JournalFailed.
        """
        with self._lock, self._writing() as database:
            done = database.execute("INSERT OR IGNORE INTO commands VALUES (?, ?, ?)", (counter, command_id, envelope))
            return done.rowcount == 1

    def open_commands(self) -> list[bytes]:
        """Return the envelopes of commands that were taken and not answered, in order: a restart came between."""
        query = """
            SELECT envelope FROM commands
            WHERE ? || id NOT IN (SELECT authorisation FROM spent) ORDER BY counter
        """
        with self._lock, self._reading() as database:
            return [row[0] for row in database.execute(query, (COMMAND_ANSWER,))]

    def knows_command(self, command_id: str) -> bool:
        """True for a command that was taken before."""
        with self._lock, self._reading() as database:
            return database.execute("SELECT 1 FROM commands WHERE id = ?", (command_id,)).fetchone() is not None

    def prune(self, now: str) -> int:
        """Remove rows whose receipt is older than the retention period, never the head; return how many.

        The newest opening of the enclosure and its clear stay too: whether a punch can be verified follows from them.
        Age counts from the receipt's time, which is the collector's clock: this terminal's own may have been wrong.
        """
        oldest_kept = format_time(parse_time(now) - int(self._retention.total_seconds() * 1e9))
        with self._lock:
            with self._reading() as database:
                (upto,) = database.execute("SELECT max(upto) FROM receipts WHERE time < ?", (oldest_kept,)).fetchone()
            if upto is None:
                return 0
            with self._writing() as database:
                removed = database.execute(journal_file.PRUNE, (upto, self.head.seq)).rowcount
                database.execute("DELETE FROM receipts WHERE upto < ?", (upto,))
            return removed

    def probe(self) -> bool:
        """Sign, write and remove a filler; True if the journal can record, which ends a failed state.

        For a terminal that takes no punches while the disk is full: nothing else would notice that space came back.
        """
        with self._lock:
            try:
                self._settle()
                self._signer.sign(_PROBE)
                with self._writing() as database:
                    database.execute("INSERT OR REPLACE INTO probe VALUES (1, zeroblob(?))", (PROBE_BYTES,))
                    database.execute("DELETE FROM probe")
            except (JournalFull, JournalFailed, IdentityError):
                return False
            self._trouble = None
            return True

    def punch_receipt(self, recorded: Recorded) -> str:
        """Return the worker's own proof of an event on disk, signed: the content of a QR code."""
        event = recorded.event
        return PunchReceipt(event.device, event.chain, event.seq, recorded.hash, event.time).text(self._signer)

    @property
    def head(self) -> Head:
        """The last committed event."""
        assert self._head is not None  # set before the constructor returns
        return self._head

    @property
    def opening(self) -> int | None:
        """The seq of the newest `enclosure.opened` that no `enclosure.cleared` answers; None where all is clear."""
        return self._opening

    @property
    def last_stamp(self) -> Stamp:
        """When the head was signed, by this terminal's clocks of then. Raises JournalFull or JournalFailed."""
        with self._lock, self._reading() as database:
            (data,) = database.execute("SELECT envelope FROM events WHERE seq = ?", (self.head.seq,)).fetchone()
        event, _ = read_event(data, {self.device: journal_file.key_at(self._keys, self.head.seq)})
        return Stamp(event.time, event.clock, event.boot, event.mono_us)

    @property
    def released(self) -> int:
        """The highest seq that a receipt covers; -1 before the first."""
        return self._released

    @property
    def depth(self) -> int:
        """How many events wait for a receipt; read without the lock, so that no screen waits for the disk."""
        return self.head.seq - self._released

    @property
    def oldest_unsent(self) -> str | None:
        """The time of the first event without a receipt, as its terminal stamped it; None where all have one."""
        with self._lock, self._reading() as database:
            row = database.execute("SELECT time FROM events WHERE seq = ?", (self._released + 1,)).fetchone()
            return None if row is None else str(row[0])

    @property
    def state(self) -> Part:
        """Whether punches can be recorded, and what to do where not."""
        if self._trouble is not None:
            return Part(state="failed", reason=self._trouble)
        free = free_bytes(self.path.parent)
        if free is not None and free < self._low_space_bytes:
            return Part(state="degraded", reason=f"low_space: {free >> 20} MiB are left under {self.path.parent.name}")
        if self._bad_receipt is not None:
            return Part(state="degraded", reason=f"{self._bad_receipt} ({self.bad_receipts} refused)"[:400])
        return Part(state="working")

    def close(self) -> None:
        """Close the file. Everything appended is already on disk."""
        with self._lock:
            if self._database is not None:
                self._database.close()
                self._database = None
            if self._holding is not None:
                os.close(self._holding)
                self._holding = None

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
        self._trouble = f"{error.code}: {error}"[:400]
        log.error("journal_unsigned", why=self._trouble)
        return JournalFailed(self._trouble)

    def _sign_next(
        self, kind: str, body: Fact | dict[str, Any], successor: SigningKey | None = None
    ) -> tuple[Event, Row, Head]:
        stamp = self._clock.stamp()
        head = self._head
        event = Event(
            id=_uuid7(),
            device=self.device,
            chain=secrets.token_hex(16) if head is None else head.chain,
            seq=0 if head is None else head.seq + 1,
            prev=None if head is None else head.hash,
            kind=kind,
            time=stamp.time,
            tz=self._tz,
            clock=stamp.clock,
            boot=stamp.boot,
            mono_us=stamp.mono_us,
            site=self._site,
            nonce=secrets.token_hex(16),
            body=body.model_dump(mode="json") if isinstance(body, Fact) else body,
        )
        fact = parse_body(event)  # a body that the collector would dead-letter is a fault here, not there
        if self._opening is not None and isinstance(fact, PunchBody) and fact.verdict is Verdict.VERIFIED:
            raise OpeningStands(f"nothing is verified since the enclosure was opened (seq {self._opening}); clear it")
        try:
            envelope = sign(EVENT_TYPE, event.payload(), self._signer, *(() if successor is None else (successor,)))
        except IdentityError as error:
            raise self._unsigned(error) from error
        digest, data = envelope.hash, envelope.encode()
        if len(data) > MAX_ENVELOPE_BYTES:
            raise TooLarge(f"the signed event has {len(data)} bytes, an envelope at most {MAX_ENVELOPE_BYTES}")
        try:
            after = follow(head, event, digest)
        except ChainError as error:  # the monotonic clock fell within one boot: a machine restored from a snapshot
            raise JournalFailed(f"journal_failed: {error}; restart the machine") from error
        return event, Row(event.seq, event.chain, digest, event.kind, event.time, data), after

    def _commit(self, row: Row, token: str | None = None) -> None:
        """Write one row, and a token with it, and wait until both are on disk. Raises JournalFull or JournalFailed."""
        with self._writing() as database:
            values = (row.seq, row.chain, row.hash, row.kind, row.time, row.envelope)
            if token is None:
                database.execute("INSERT INTO events VALUES (?, ?, ?, ?, ?, ?)", values)
            else:
                database.execute("BEGIN IMMEDIATE")
                try:
                    database.execute("INSERT INTO spent VALUES (?, ?)", (token, row.time))
                    database.execute("INSERT INTO events VALUES (?, ?, ?, ?, ?, ?)", values)
                    database.execute("COMMIT")
                except BaseException:
                    if database.in_transaction:
                        database.execute("ROLLBACK")
                    raise
        self._trouble = None

    def _settle(self) -> None:
        """After a failed commit the file decides where the chain stands: a row may have reached it after all."""
        if self._in_doubt:
            with self._reading() as database:
                self._finish_rotation(database)  # it may be a rotation that reached the disk after all
                self._keys = journal_file.read_keys(database, self.path, self.device, self._signer.public)
                self._head = journal_file.read_head(database, self.path, self.device, self._keys) or self._head
                self._opening = journal_file.read_opening(database, self.path, self.device, self._keys)
            self._in_doubt = False

    @contextmanager
    def _writing(self) -> Iterator[sqlite3.Connection]:
        try:
            yield self._open_database
        except sqlite3.Error as error:
            self._in_doubt = True
            raise self._refused(error) from error

    @contextmanager
    def _reading(self) -> Iterator[sqlite3.Connection]:
        try:
            yield self._open_database
        except sqlite3.Error as error:
            raise self._refused(error) from error

    def _refused(self, error: sqlite3.Error | OSError) -> JournalFull | JournalFailed:
        """Name what the database refused, and remember it for `state`."""
        full = journal_file.is_full(error, self.path.parent)
        self._trouble = journal_file.sentence(error, full=full)
        log.error("journal_refused", why=self._trouble)
        return JournalFull(self._trouble) if full else JournalFailed(self._trouble)

    @property
    def _open_database(self) -> sqlite3.Connection:
        if self._database is None:
            raise JournalFailed("journal_failed: the journal is closed")
        return self._database

    def _hash_at(self, seq: int) -> str | None:
        with self._reading() as database:
            row = database.execute("SELECT hash FROM events WHERE seq = ?", (seq,)).fetchone()
        return None if row is None else str(row[0])


def _uuid7() -> str:
    """RFC 9562 version 7: milliseconds since 1970, then 74 random bits."""
    milliseconds = time.time_ns() // 1_000_000 & (1 << 48) - 1
    random = secrets.randbits(74)
    value = milliseconds << 80 | 0x7 << 76 | (random >> 62) << 64 | 0b10 << 62 | random & (1 << 62) - 1
    text = f"{value:032x}"
    return f"{text[:8]}-{text[8:12]}-{text[12:16]}-{text[16:20]}-{text[20:]}"
