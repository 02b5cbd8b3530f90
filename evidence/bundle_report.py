"""What verifying a bundle found: every problem by name and place, and what the evidence in it comes to."""

from __future__ import annotations

from dataclasses import dataclass, field

from evidence.bundle_index import Line
from evidence.bundle_manifest import ChainEntry, Manifest
from evidence.errors import EvidenceError
from evidence.events import CoverageBody, Event, PresenceIntervalBody
from evidence.key_history import CountingKey
from evidence.keys import PublicKey

MAX_PROBLEMS = 1000  # kept, so that a file of garbage does not fill the memory; the rest is counted


@dataclass(frozen=True, slots=True)
class BundleProblem:
    """One thing that is wrong."""

    file: str  # in the bundle; empty: the bundle as a whole
    code: str
    message: str
    device: str | None = None
    chain: str | None = None
    seq: int | None = None
    line: int | None = None  # of `file`, from 1

    def __str__(self) -> str:
        place = [self.file] if self.file else []
        if self.line is not None:
            place.append(f"line {self.line}")
        if self.seq is not None:
            place.append(f"{self.device} seq {self.seq}" if self.device else f"seq {self.seq}")
        return f"{', '.join(place)}: [{self.code}] {self.message}" if place else f"[{self.code}] {self.message}"


@dataclass(frozen=True, slots=True)
class ShownPunch:
    """One attempt as the bundle proves it."""

    device: str
    seq: int
    leaf_index: int
    time: str
    tz: str
    worker: str | None
    log_type: str | None
    method: str
    verdict: str  # what counts: after a revocation nothing is verified
    signed_verdict: str
    received_at: str
    late: str | None
    clock_synced: bool
    not_before: int | None = None  # it was signed after the ledger had so many entries: the terminal had seen that


@dataclass(slots=True)
class ChainFound:
    """One chain of the bundle."""

    entry: ChainEntry
    key: str | None = None  # of its first event
    pinned: bool = False  # the reader knew the key beforehand
    keys: dict[PublicKey, None] = field(default_factory=dict)  # that signed it, one after the other, and the next
    events: int = 0
    withheld: int = 0
    outside: int = 0
    erased: int = 0
    missing: int = 0
    late: int = 0
    unread_bodies: int = 0
    unsigned_checkpoints: int = 0  # that its events carry and that no key of the ledger signed
    coverage: list[CoverageBody] = field(default_factory=list)
    presence: list[PresenceIntervalBody] = field(default_factory=list)
    hashes: dict[int, str] = field(default_factory=dict)  # of every event shown, by seq
    lines: list[Line] = field(default_factory=list)
    seen: list[tuple[int, int]] = field(default_factory=list)  # seq of a coverage event, size of the ledger it had seen


@dataclass(slots=True)
class Report:
    """What the check of one bundle found."""

    problems: list[BundleProblem] = field(default_factory=list)
    more_problems: int = 0
    notes: list[str] = field(default_factory=list)  # what holds and is worth knowing, one code each with a sentence
    manifest: Manifest | None = None
    sealer: CountingKey | None = None  # whose seal stands over the manifest
    tree_size: int | None = None
    cosignatures: int = 0
    timestamps: list[str] = field(default_factory=list)  # when each token says that the checkpoint existed
    timestamps_not_run: int = 0  # tokens that are there and that this installation cannot check
    chains: dict[tuple[str, str], ChainFound] = field(default_factory=dict)
    punches: list[ShownPunch] = field(default_factory=list)
    events: int = 0
    after_revocation: int = 0
    statements: dict[int, Event] = field(default_factory=dict)  # the collector's own, by ledger entry

    @property
    def ok(self) -> bool:
        """True if the bundle was read to its end and nothing in it is wrong."""
        return self.manifest is not None and self.tree_size is not None and not self.problems

    def add(
        self,
        error: EvidenceError,
        file: str = "",
        *,
        chain: ChainEntry | None = None,
        seq: int | None = None,
        line: int | None = None,
    ) -> None:
        """Keep a problem."""
        if len(self.problems) >= MAX_PROBLEMS:
            self.more_problems += 1
            return
        device, name = (None, None) if chain is None else (chain.device, chain.chain)
        self.problems.append(BundleProblem(file, error.code, str(error), device, name, seq, line))
