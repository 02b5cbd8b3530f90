"""The way without a network: envelopes out to a file on a USB stick, the collector's receipts and handovers back.

Exporting only reads, in a connection of its own, so it works while the terminal runs. A file has one envelope a line,
as `zaigang collector import` and `zaigang verify` read it.
"""

from __future__ import annotations

import os
import sqlite3
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

from evidence.envelope import HANDOVER_TYPE, MAX_ENVELOPE_BYTES, Envelope
from evidence.errors import EvidenceError, UnknownKey
from evidence.keys import PublicKey
from kiosk.errors import JournalError, StickError
from kiosk.journal import Journal

_LEFTOVERS = "SELECT envelope FROM leftovers ORDER BY chain, seq"
_EVERYTHING = "SELECT envelope FROM events ORDER BY seq"
_UNSENT = "SELECT envelope FROM events WHERE seq > (SELECT coalesce(max(upto), -1) FROM receipts) ORDER BY seq"


@dataclass(frozen=True, slots=True)
class Exported:
    """What was written."""

    file: Path
    events: int
    size: int  # bytes


@dataclass(frozen=True, slots=True)
class Taken:
    """What came of a file of receipts."""

    receipts: int
    refused: tuple[str, ...]  # why, a line each


def export(journal: Path, target: Path, name: str, *, everything: bool = False) -> Exported:
    """Write what no receipt covers, or `everything` that is kept, to the file `target`, or to `name` in that folder.

    On disk when it returns; a file that was cut off has another name. Raises StickError.
    """
    file = target / name if target.is_dir() else target
    part = file.with_name(f"{file.name}.part")
    count = 0
    try:
        with part.open("wb") as out:
            for envelope in _envelopes(journal, everything=everything):
                out.write(envelope + b"\n")
                count += 1
            out.flush()
            os.fsync(out.fileno())
        size = part.stat().st_size
        part.replace(file)
    except OSError as error:
        part.unlink(missing_ok=True)
        raise StickError(f"{file} cannot be written: {error.strerror or error}") from error
    except sqlite3.Error as error:
        part.unlink(missing_ok=True)
        raise StickError(f"the journal {journal} cannot be read: {error}") from error
    return Exported(file, count, size)


def _envelopes(journal: Path, *, everything: bool) -> Iterator[bytes]:
    if not journal.exists():
        raise StickError(f"there is no journal {journal}; this terminal has never run with these settings")
    database = sqlite3.connect(f"{journal.absolute().as_uri()}?mode=ro", uri=True, timeout=5)
    try:
        for query in (_LEFTOVERS, _EVERYTHING if everything else _UNSENT):
            for (envelope,) in database.execute(query):
                yield envelope
    finally:
        database.close()


def handovers_in(lines: Sequence[bytes]) -> list[bytes]:
    """Return the documents among these lines that hand over a key of the collector's, each once, in order."""
    return [line for line in dict.fromkeys(lines) if _is_handover(line)]


def take_receipts(journal: Journal, keys: Sequence[PublicKey], lines: Sequence[bytes]) -> Taken:
    """Let the rows go that these receipts cover; handovers are passed over.

    `keys`: the collector's that count, after the handovers. Raises a JournalError where receipts cannot be kept.
    """
    pinned = {key.id: key for key in keys}
    good, refused = 0, []
    for number, line in enumerate(lines, 1):
        if _is_handover(line):
            continue
        try:
            if len(line) > MAX_ENVELOPE_BYTES:
                raise UnknownKey("the line is too long for a receipt")
            key = pinned.get(Envelope.decode(line).signatures[0].keyid)
            if key is None:
                raise UnknownKey("no key that is pinned here signed it")
            journal.release(line, key)
            good += 1
        except JournalError:
            raise
        except EvidenceError as error:
            refused.append(f"line {number}: {error.code}: {error}")
    return Taken(good, tuple(refused))


def _is_handover(line: bytes) -> bool:
    try:
        return Envelope.decode(line).payload_type == HANDOVER_TYPE
    except EvidenceError:
        return False
