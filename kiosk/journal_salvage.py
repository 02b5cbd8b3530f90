"""Sets a journal aside that must not be continued, saves what can be read, and prepares the file of a new chain.

What no receipt covers stays deliverable as leftovers; spent authorisations, taken commands and an opened enclosure are
carried over. A crash in between is finished or undone at the next start: nothing is gone before all is saved.
"""

from __future__ import annotations

import json
import os
from collections import Counter
from collections.abc import Collection
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import structlog
from pydantic import ValidationError

from evidence.canonical import parse_canonical
from evidence.clearance import opening_after
from evidence.envelope import Envelope
from evidence.errors import EvidenceError, UnknownKey
from evidence.events import Event, Kind, parse_event
from evidence.keys import PublicKey
from evidence.receipt import Receipt
from evidence.rotation import rotation_keys, verify_event
from kiosk import journal_file
from kiosk.clock import parse_time
from kiosk.durable_file import sync_folder
from kiosk.errors import JournalForeign
from kiosk.journal_check import NEVER_PRUNED
from kiosk.journal_mark import Mark
from kiosk.journal_once import COMMAND_ANSWER
from kiosk.sqlite_carving import CarvedRow, carve

RETIRED = "retired:"  # before a chain's id, among the spent tokens: nothing of it waits any more

log = structlog.get_logger(__name__)


@dataclass(slots=True)
class Remains:
    """What could be read of a journal."""

    events: dict[tuple[str, int], tuple[Event, str, bytes]] = field(default_factory=dict)  # with hash and envelope
    waiting: set[tuple[str, int]] = field(default_factory=set)  # leftovers of earlier chains
    released: dict[str, tuple[int, str]] = field(default_factory=dict)  # by chain: upto and head of its last receipt
    spent: dict[str, str] = field(default_factory=dict)
    commands: dict[int, tuple[str, bytes]] = field(default_factory=dict)
    foreign: Counter[str] = field(default_factory=Counter)  # events of another name or key
    chains: Counter[str] = field(default_factory=Counter)  # among the rows that were no leftovers
    doubtful_openings: set[int] = field(default_factory=set)  # seqs of rows that say so and are not believed

    @property
    def chain(self) -> str | None:
        """The chain that the journal was writing."""
        return self.chains.most_common(1)[0][0] if self.chains else None


def read_remains(path: Path, device: str, keys: Collection[PublicKey]) -> Remains:
    """Read every row that this terminal signed. Raises JournalForeign where all of it is another terminal's."""
    remains = Remains()
    known = _with_predecessors(path, {key.id: key for key in keys})
    for row in carve(path):
        _take(remains, row, device, known)
    if not remains.events and remains.foreign:
        raise JournalForeign(
            f"journal_foreign: {path.name} was written by {remains.foreign.most_common(1)[0][0]}; "
            "put the settings and the key file back, or move the journal away"
        )
    return remains


def set_aside(
    path: Path,
    remains: Remains,
    why: str,
    now: str,
    *,
    mark: Mark | None = None,
    covered: Receipt | None = None,
    max_pages: int | None = None,
) -> None:
    """Leave at `path` a new journal without events that knows its predecessor. `covered`: the collector's newest word.

    Raises sqlite3.Error or OSError, after which everything is as it was.
    """
    chain = remains.chain or (None if mark is None else mark.chain)
    upto = remains.released.get(chain or "", (-1, ""))[0]
    # Also what the collector's newest word may cover: whether it holds our event or another there, only it can say.
    leftovers = remains.waiting | {place for place in remains.events if place[0] == chain and place[1] > upto}
    fresh = path.with_name(f"{path.name}.new")
    _remove(fresh)
    origin = _origin(remains, chain, mark, covered, why, now) | {"leftovers": len(leftovers)}
    _write_fresh(fresh, remains, leftovers, origin, now, max_pages)
    stamp = f"{path.stem}.%s-{now[:19].replace('-', '').replace(':', '')}Z"
    _save_lines(path.with_name(stamp % "salvaged" + ".jsonl"), remains)
    _swap(path, fresh, path.with_name(stamp % "set-aside" + ".db"))
    log.critical("journal_set_aside", why=why, saved=len(remains.events), leftovers=len(leftovers))


def finish_interrupted(path: Path) -> None:
    """Finish or undo a `set_aside` that a crash cut short. Raises OSError."""
    fresh = path.with_name(f"{path.name}.new")
    if not fresh.exists():
        return
    if path.exists():
        _remove(fresh)
    else:
        _swap(path, fresh, path.with_name(f"{path.stem}.set-aside-interrupted.db"))


def remove_aside(path: Path, oldest_kept: str) -> None:
    """Remove what was set aside before `oldest_kept` (RFC 3339 UTC): the retention of rows counts for it too."""
    for old in (*path.parent.glob(f"{path.stem}.salvaged-*"), *path.parent.glob(f"{path.stem}.set-aside-*")):
        try:
            if old.stat().st_mtime * 1e9 < parse_time(oldest_kept):
                old.unlink()
        except OSError as error:
            log.warning("aside_not_removed", file=old.name, why=str(error))


def _with_predecessors(path: Path, keys: dict[str, PublicKey]) -> dict[str, PublicKey]:
    """Return the keys and those before them: a rotation is signed by both, so the newer vouches for the older.

    It may be a leftover by now, or every older leftover beside it would be a stranger's.
    """
    handed = []
    for row in carve(path):
        match row.values:
            case (None, str(), str(), Kind.DEVICE_KEY_ROTATED, str(), bytes(data)) | (str(), int(), bytes(data)):
                try:
                    envelope = Envelope.decode(data)
                    event = parse_event(envelope.payload)
                    before, after = rotation_keys(event)
                    verify_event(envelope, event, before)
                except EvidenceError:
                    continue
                handed.append((before, after))
    known = dict(keys)
    while found := [before for before, after in handed if after.id in known and before.id not in known]:
        known.update({key.id: key for key in found})
    return known


def _take(remains: Remains, row: CarvedRow, device: str, keys: dict[str, PublicKey]) -> None:
    match row.values:
        case (None, str(), str(), str(kind), str(), bytes(data)):  # events
            event = _event(remains, data, device, keys)
            believed = event is not None and event.seq == row.rowid
            if event is not None and believed:
                remains.chains[event.chain] += 1
            if kind == Kind.ENCLOSURE_OPENED and not (believed and event is not None and event.kind == kind):
                remains.doubtful_openings.add(row.rowid)
        case (str(), int(), bytes(data)):  # leftovers
            if (event := _event(remains, data, device, keys)) is not None:
                remains.waiting.add((event.chain, event.seq))
        case (None, str(head), str(), bytes(data)):  # receipts
            _receipt(remains, data, row.rowid, head)
        case (None, str(command), bytes(data)):
            remains.commands[row.rowid] = (command, data)
        case (str(token), str(time)):
            remains.spent[token] = time
        case _:
            pass


def _event(remains: Remains, data: bytes, device: str, keys: dict[str, PublicKey]) -> Event | None:
    try:
        envelope = Envelope.decode(data)
        event = parse_event(envelope.payload)
        key = keys.get(envelope.signatures[0].keyid)
        if event.device != device or key is None:
            raise UnknownKey(f"{event.device} with key {envelope.signatures[0].keyid[:16]}")
        verify_event(envelope, event, key)
    except UnknownKey as error:
        remains.foreign[str(error)] += 1
        return None
    except EvidenceError:
        return None
    remains.events[event.chain, event.seq] = (event, envelope.hash, data)
    return event


def _receipt(remains: Remains, data: bytes, upto: int, head: str) -> None:
    """Believe a kept receipt, which was verified when it came, if row and receipt still say the same."""
    try:
        receipt = Receipt.model_validate(parse_canonical(Envelope.decode(data).payload))
    except (EvidenceError, ValidationError):
        return
    if (receipt.upto, receipt.head) == (upto, head) and upto > remains.released.get(receipt.chain, (-1, ""))[0]:
        remains.released[receipt.chain] = (upto, head)


def _origin(
    remains: Remains, chain: str | None, mark: Mark | None, covered: Receipt | None, why: str, now: str
) -> dict[str, Any]:
    known: list[tuple[int, str]] = [(-1, "")]
    known += [(seq, held[1]) for (of, seq), held in remains.events.items() if of == chain]
    known += [remains.released[chain]] if chain in remains.released else []
    known += [(mark.seq, mark.head)] if mark is not None and mark.chain == chain else []
    known += [(covered.upto, covered.head)] if covered is not None and covered.chain == chain else []
    seq, head = max(known, key=lambda one: one[0])
    opening: int | None = None
    opened_at: str | None = None
    for place in sorted(place for place in remains.events if place[0] == chain):
        event = remains.events[place][0]
        try:
            opening = opening_after(opening, event)
        except EvidenceError:
            continue
        opened_at = event.time if opening == event.seq else opened_at
    found = "start"
    if opening is None and _may_have_opened(remains, chain, seq):
        found, opening, opened_at = "unknown", seq, now
    return {
        "predecessor": None if chain is None or seq < 0 else {"chain": chain, "seq": seq, "head": head},
        "mark": None if mark is None else mark.chain,  # it stays beside the new journal until that has an event
        "why": why,
        "opened_at": None if opening is None else opened_at,
        "opened_found": found,
    }


def _may_have_opened(remains: Remains, chain: str | None, last: int) -> bool:
    """Whether an event that is lost may have been an opening that nothing cleared; `last`: the highest seq known.

    Pruning takes receipted rows from below and never openings: a row that says it was one counts anywhere, and so does
    every seq that is missing where pruning has not been, or whoever deletes a row would close the case by it.
    """
    if chain is None:
        return True  # nothing could be read
    held = {seq: one[0].kind for (of, seq), one in remains.events.items() if of == chain}
    cleared = max((seq for seq, kind in held.items() if kind == Kind.ENCLOSURE_CLEARED), default=-1)
    if any(seq > cleared for seq in remains.doubtful_openings):
        return True
    beyond_pruning = remains.released.get(chain, (-1, ""))[0] + 1
    first = min((seq for seq, kind in held.items() if kind not in NEVER_PRUNED), default=beyond_pruning)
    return any(seq not in held for seq in range(max(min(first, beyond_pruning), cleared + 1), last + 1))


def _write_fresh(
    fresh: Path,
    remains: Remains,
    leftovers: set[tuple[str, int]],
    origin: dict[str, Any],
    now: str,
    max_pages: int | None,
) -> None:
    database = journal_file.connect(fresh, max_pages)
    try:
        journal_file.check_format(database, fresh)
        database.execute("BEGIN IMMEDIATE")
        rows = [(chain, seq, remains.events[chain, seq][2]) for chain, seq in sorted(leftovers)]
        database.executemany("INSERT INTO leftovers VALUES (?, ?, ?)", rows)
        retired = {RETIRED + chain: now for chain, _ in remains.events}
        database.executemany("INSERT OR IGNORE INTO spent VALUES (?, ?)", [*remains.spent.items(), *retired.items()])
        commands = [(counter, *held) for counter, held in remains.commands.items()]
        database.executemany("INSERT OR IGNORE INTO commands VALUES (?, ?, ?)", commands)
        answered = [(COMMAND_ANSWER + command, now) for _, command, data in commands if not data]
        database.executemany("INSERT OR IGNORE INTO spent VALUES (?, ?)", answered)  # its token may have been lost
        database.execute("INSERT INTO origin VALUES (1, ?)", (json.dumps(origin),))
        database.execute("COMMIT")
    finally:
        database.close()  # folds the log into the file
    handle = os.open(fresh, os.O_RDONLY)
    try:
        os.fsync(handle)
    finally:
        os.close(handle)


def _save_lines(file: Path, remains: Remains) -> None:
    """Write what was read as a chain file. The set-aside database has it too, so a full disk does not stop us."""
    if not remains.events:
        return
    try:
        file.touch(mode=0o600)
        with file.open("wb") as lines:
            for place in sorted(remains.events):
                lines.write(remains.events[place][2] + b"\n")
            lines.flush()
            os.fsync(lines.fileno())
    except OSError as error:
        log.error("salvage_not_written", file=file.name, why=str(error))
        file.unlink(missing_ok=True)


def _swap(path: Path, fresh: Path, aside: Path) -> None:
    """Put `fresh` in the place of `path`. The database goes first, so that a log without it means `fresh`."""
    number = 0
    while aside.exists():
        number += 1
        aside = aside.with_stem(f"{aside.stem}-{number}")
    if path.exists():
        path.rename(aside)
    wal, shm = (path.with_name(path.name + end) for end in ("-wal", "-shm"))
    if wal.exists():
        wal.rename(aside.with_name(f"{aside.name}-wal"))
    shm.unlink(missing_ok=True)
    sync_folder(path.parent)
    fresh.rename(path)
    sync_folder(path.parent)


def _remove(database: Path) -> None:
    for end in ("", "-wal", "-shm"):
        database.with_name(database.name + end).unlink(missing_ok=True)
