"""The terminal as a witness: takes the checkpoints that the collector shows, and holds each against the one before.

The newest lies in `checkpoint.seen` in the data folder, on the disk before it counts. One that contradicts it is kept
in `checkpoints-refused/`, signed as `checkpoint.refused`, shown, and never takes its place.
"""

from __future__ import annotations

import hashlib
import threading
from collections import Counter
from collections.abc import Callable
from pathlib import Path

import structlog

from evidence.add_checkpoint import AddCheckpoint, is_add_checkpoint
from evidence.envelope import Envelope
from evidence.errors import EvidenceError, SplitView
from evidence.events import CheckpointRefusedBody, CoverageBody, Kind, parse_body, parse_event
from evidence.key_history import LogKey
from evidence.seen_checkpoint import SeenCheckpoint, carried, take
from evidence.status import Part
from kiosk.durable_file import replace_file
from kiosk.errors import JournalError
from kiosk.journal import Journal

MAX_REFUSED = 16  # kept and signed; an operator who shows more of them is not found out any better
UNPROVED = 3  # in a row: a single one comes when two messages cross

log = structlog.get_logger(__name__)


class LedgerWatch:
    """Holds the newest checkpoint of one ledger. Safe from any thread."""

    def __init__(
        self, journal: Journal, folder: Path, keys: tuple[LogKey, ...], wake: Callable[[], None] = lambda: None
    ) -> None:
        """`keys`: those of the ledger, none where none is pinned here. `wake` is called after a commit."""
        self.counts: Counter[str] = Counter()  # accepted, nothing_new, unproved, not_believed, refused, memory_lost
        self._journal, self._keys, self._wake = journal, keys, wake
        self._path, self._refused = folder / "checkpoint.seen", folder / "checkpoints-refused"
        self._lock = threading.Lock()
        self._signed: set[str] = set()
        self._unproved = 0
        self._trouble: str | None = None
        self._held = self._read()

    def trust(self, keys: tuple[LogKey, ...]) -> None:
        """Believe these keys from now on: one was handed over. What only they can have signed is read again."""
        with self._lock:
            self._keys = keys
            if self._trouble is not None:
                self._trouble = None
                self._held = self._read()

    @property
    def size(self) -> int | None:
        """Entries under the checkpoint that is held, 0 for none yet; None: no key of a ledger is pinned here."""
        if not self._keys:
            return None
        return 0 if self._held is None else self._held.checkpoint.size

    @property
    def text(self) -> str | None:
        """The checkpoint that is held, as coverage carries it."""
        return None if self._held is None else self._held.text

    @property
    def part(self) -> Part:
        """How the ledger looks from here."""
        if not self._keys:
            return Part(state="absent", reason="no_ledger_key: no key of the ledger is pinned in the settings")
        if self._refusals():
            return Part(
                state="failed",
                reason=f"split_view: the collector showed a ledger that does not continue the one seen here; the proof "
                f"lies in {self._refused.name} and in the chain",
            )
        if self._trouble is not None:
            return Part(state="failed", reason=self._trouble)
        if self._unproved >= UNPROVED:
            return Part(state="degraded", reason="unproved: the collector does not prove that its ledger only grew")
        if self._held is None:
            return Part(state="unknown", reason="not_shown: the collector has not shown its ledger yet")
        return Part(state="working")

    def offer(self, message: bytes) -> bool:
        """Take a message where it is a checkpoint; False for any other. Raises OSError where it cannot be kept."""
        if not is_add_checkpoint(message):
            return False
        keys = self._keys
        if not keys:
            self.counts["not_believed"] += 1
            return True
        if self._trouble is not None:
            self.counts["memory_lost"] += 1
            return True
        with self._lock:
            try:
                shown = AddCheckpoint.parse(message)
                found = take(self._held, shown, keys[0].vkey.name, keys)
            except SplitView as error:
                self._refuse(shown, error)
            except EvidenceError as error:  # anybody may send that; it is no word of the ledger
                log.warning("checkpoint_not_believed", why=str(error), code=error.code)
                self.counts["not_believed"] += 1
            else:
                self._accept(found, shown)
        self.sign()
        return True

    def sign(self) -> None:
        """Sign what was refused and is not in the journal yet. A journal that takes nothing now is asked again."""
        for path in self._refusals():
            if path.name in self._signed:
                continue
            try:
                body = CheckpointRefusedBody.model_validate_json(path.read_bytes())
                if self._journal.append_once(f"checkpoint.refused {path.name}", Kind.CHECKPOINT_REFUSED, body):
                    self._wake()
                self._signed.add(path.name)
            except (JournalError, EvidenceError, OSError, ValueError) as error:
                log.error("checkpoint_refusal_not_signed", why=str(error))

    def _accept(self, found: SeenCheckpoint | None, shown: AddCheckpoint) -> None:
        if found is None:
            newer = self._held is not None and shown.checkpoint.size > self._held.checkpoint.size
            self._unproved += newer
            self.counts["unproved" if newer else "nothing_new"] += 1
            return
        replace_file(self._path, found.text.encode())
        self._held, self._unproved = found, 0
        self.counts["accepted"] += 1

    def _refuse(self, shown: AddCheckpoint, error: SplitView) -> None:
        assert self._held is not None  # nothing contradicts nothing
        log.critical("split_view", why=str(error))
        self.counts["refused"] += 1
        path = self._refused / f"{hashlib.sha256(shown.note.text.encode()).hexdigest()[:32]}.json"
        if path.exists() or len(self._refusals()) >= MAX_REFUSED:
            return
        text = carried(shown.note, self._keys[0].vkey.name, self._keys).text
        body = CheckpointRefusedBody(held=self._held.text, shown=text, reason=f"{error.code}: {error}"[:400])
        self._refused.mkdir(exist_ok=True)
        replace_file(path, body.model_dump_json().encode())

    def _refusals(self) -> list[Path]:
        return sorted(self._refused.glob("*.json")) if self._refused.is_dir() else []

    def _read(self) -> SeenCheckpoint | None:
        """What was seen before this start; where the file is gone or damaged, what the last coverage says, signed."""
        if not self._keys:
            return None
        there = self._path.exists()
        try:
            if there:
                return self._believed(self._path.read_text())
        except (OSError, UnicodeDecodeError, EvidenceError) as error:
            log.error("checkpoint_seen_not_read", why=str(error))
        try:
            for envelope in self._journal.newest([Kind.COVERAGE], 1):
                body = parse_body(parse_event(Envelope.decode(envelope).payload))
                if isinstance(body, CoverageBody) and body.checkpoint is not None:
                    return self._believed(body.checkpoint)
        except (JournalError, EvidenceError) as error:
            log.error("checkpoint_of_coverage_not_read", why=str(error))
        if there:
            # To begin again in silence would be what somebody wants who damages it: it is said, and a person decides.
            self._trouble = (
                f"memory_lost: {self._path.name} cannot be read or believed with the keys known here; if that stays "
                "when the collector's handovers have come, remove it to begin again with the next one"
            )
        return None

    def _believed(self, text: str) -> SeenCheckpoint:
        return SeenCheckpoint.read(text, self._keys[0].vkey.name, self._keys)
