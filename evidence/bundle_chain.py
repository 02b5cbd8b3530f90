"""One chain of a bundle: every seq up to the head shown or accounted for, every event signed, linked, in the ledger.

The rules are those of `chain.py` (an event after a stretch that is not shown is held to the hash that the index gives
for it), and one more for each line of the index (`bundle_index.py`).
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass, field

from evidence.bundle_index import AFTER_REVOCATION, Erased, Line, Missing, Outside, Shown, Withheld
from evidence.bundle_manifest import ChainEntry, Manifest
from evidence.bundle_own_keys import check_own_key
from evidence.bundle_report import ChainFound, Report, ShownPunch
from evidence.bundle_tree import Tree, leaf_of
from evidence.chain import Head, follow
from evidence.checkpoint import Checkpoint
from evidence.clearance import opening_shown, verified_by_kind
from evidence.envelope import Envelope
from evidence.errors import (
    BadStart,
    BrokenLink,
    DuplicateKey,
    EvidenceError,
    HeadMismatch,
    HiddenGap,
    InvalidBody,
    InvalidEnvelope,
    InvalidIndex,
    LedgerOrder,
    MonotonicRegression,
    NotCanonical,
    NotJson,
    PolicyMissing,
    RevocationHidden,
    UnknownKey,
    VerifiedWhileOpened,
    WrongChain,
)
from evidence.events import (
    CoverageBody,
    Event,
    Fact,
    Kind,
    PresenceIntervalBody,
    PunchBody,
    Verdict,
    parse_body,
    parse_event,
)
from evidence.key_history import LogKey, signed_by_log
from evidence.keys import PublicKey
from evidence.note import Note
from evidence.rotation import rotation_keys, verify_event
from evidence.seen_checkpoint import CarriedNote, notes_in
from evidence.statements import COLLECTOR, StatementKind, verify_statement
from evidence.trust import BundleTrust

_POLICY = re.compile(r"[0-9a-f]{64}")


def _envelope(data: bytes) -> Envelope:
    """Read a line of a chain. Raises TooLarge or InvalidEnvelope, whatever else keeps it from being an envelope."""
    try:
        return Envelope.decode(data)
    except (NotJson, NotCanonical, DuplicateKey) as error:
        raise InvalidEnvelope(str(error)) from error


@dataclass(frozen=True, slots=True)
class Carried:
    """A note of the log that an event carries: one that its terminal held, or refused (bundle_seen.py)."""

    chain: ChainEntry
    seq: int
    leaf_index: int
    text: str
    refused: bool = False


@dataclass(frozen=True, slots=True)
class Bundle:
    """What all chains of one bundle are held against."""

    manifest: Manifest
    trust: BundleTrust
    tree: Tree
    policies: frozenset[str]
    report: Report
    log_keys: tuple[LogKey, ...]
    holes: list[tuple[ChainEntry, Erased | Missing, int]] = field(default_factory=list)  # to be authorised; line
    taken: dict[int, tuple[str, int]] = field(default_factory=dict)  # leaf index: whose event
    carried: list[Carried] = field(default_factory=list)
    signed: dict[str, bool] = field(default_factory=dict)  # note: whether the log signed it

    def is_signed(self, note: str) -> bool:
        """Say whether the log signed a note that an event carries."""
        if note not in self.signed:
            self.signed[note] = signed_by_log(note.encode(), self.log_keys)
        return self.signed[note]


class ChainCheck:
    """Checks one chain of a bundle line by line."""

    def __init__(self, bundle: Bundle, entry: ChainEntry, lines: Sequence[Line], envelopes: Sequence[bytes]) -> None:
        folder = f"chains/{entry.device}/{entry.chain}"
        self._index, self._events = f"{folder}.index", f"{folder}.jsonl"
        self._bundle, self._entry, self._lines, self._envelopes = bundle, entry, lines, envelopes
        self._found = ChainFound(entry, lines=list(lines))
        self._next = 0  # seq that the next line must begin with
        self._prev: str | None = None  # hash of the event before; None: not known
        self._head: Head | None = None  # the event before, where it is shown
        self._clock: tuple[str, int] | None = None  # boot and mono_us of the last event shown
        self._leaf = -1
        self._opening: int | None = None
        self._shown = 0
        self._key: PublicKey | None = None  # that counts for the next event
        self._revoked_from = bundle.manifest.revoked_from(entry.device)
        own = bundle.trust.statement_keys() if entry.device == COLLECTOR else ()
        self._own = {one.key: one for one in own}  # that may have signed the collector's chain; empty: not known

    def run(self) -> None:
        """Check everything, each problem once, and put the chain into the report."""
        report = self._bundle.report
        report.chains[self._entry.device, self._entry.chain] = self._found
        for number, line in enumerate(self._lines, 1):
            try:
                self._place(line, number == len(self._lines))
                self._take(line, number)
            except EvidenceError as error:
                report.add(error, self._index, chain=self._entry, seq=line.seq, line=number)
            self._next = max(self._next, line.last + 1)
        try:
            self._end()
        except EvidenceError as error:
            report.add(error, self._index, chain=self._entry)

    def _place(self, line: Line, is_last: bool) -> None:
        if line.seq > self._next:
            self._prev, self._head = None, None  # one hole is one problem: the link behind it cannot be checked
            self._shown += isinstance(line, Shown)
            raise HiddenGap(f"seq {self._next} to {line.seq - 1} are neither shown nor accounted for")
        if line.seq < self._next:
            raise InvalidIndex(f"the line is for seq {line.seq}, which a line before has accounted for")
        if isinstance(line, Outside) and not (line.seq == 1 or is_last):
            raise HiddenGap(f"seq {line.seq} to {line.last} are left out in the middle of what is shown")
        about_all = self._bundle.manifest.scope.worker is None and self._entry.device != COLLECTOR
        if isinstance(line, Withheld) and about_all:
            raise HiddenGap(f"seq {line.seq} is withheld, which only a bundle about one worker may do")

    def _take(self, line: Line, number: int) -> None:
        found = self._found
        if isinstance(line, Shown):
            self._take_event(line)
        elif isinstance(line, Outside):
            found.outside += line.last - line.seq + 1
            self._forget(line.hash)
        elif isinstance(line, Withheld):
            found.withheld += 1
            self._forget(line.hash)
        elif isinstance(line, Erased):
            found.erased += 1
            self._forget(line.hash)
            self._bundle.holes.append((self._entry, line, number))
            self._take_leaf(line.leaf_index, line.leaf, line.proof, line.seq)
        else:
            found.missing += line.last - line.seq + 1
            self._prev = self._head = None
            self._bundle.holes.append((self._entry, line, number))

    def _forget(self, digest: str) -> None:
        self._prev, self._head = digest, None

    def _take_event(self, line: Shown) -> None:
        if self._shown >= len(self._envelopes):
            raise InvalidIndex(f"the index shows seq {line.seq}, and {self._events} has no line for it")
        data = self._envelopes[self._shown]
        self._shown += 1
        before, head = self._prev, self._head
        self._prev, self._head = None, None
        envelope = _envelope(data)
        event = parse_event(envelope.payload)
        self._check_identity(event, line)
        key = self._verify(event, envelope)
        digest = self._found.hashes[event.seq] = envelope.hash
        self._prev, self._head = (
            digest,
            Head(event.device, event.chain, event.seq, digest, event.boot, event.mono_us),
        )
        clock, self._clock = self._clock, (event.boot, event.mono_us)
        self._found.events += 1
        self._bundle.report.events += 1
        if event.device == COLLECTOR:
            self._bundle.report.statements[line.leaf_index] = event
        self._take_leaf(line.leaf_index, leaf_of(line.salt, data), line.proof, line.seq)
        check_own_key(self._own, key, self._key or key, line.leaf_index)
        self._check_link(event, digest, before, head, clock)
        self._check_revocation(line)
        self._look_inside(event, line, key)

    def _check_identity(self, event: Event, line: Shown) -> None:
        if (event.device, event.chain) != (self._entry.device, self._entry.chain):
            raise WrongChain(f"the event belongs to {event.device}/{event.chain}, the file is for {self._index}")
        if event.seq != line.seq:
            raise InvalidIndex(f"the event is seq {event.seq}, the index says seq {line.seq}")

    def _verify(self, event: Event, envelope: Envelope) -> PublicKey:
        """Check the signature and that the chain's key changed only where both keys signed the change."""
        manifest, found = self._bundle.manifest, self._found
        key = manifest.key_for(event.device, event.chain, event.seq)
        first = self._key is None
        pinned = self._bundle.trust.pinned(event.device) if first else None
        if pinned is not None and key not in pinned:
            raise UnknownKey(f"the key {key.fingerprint} is none of those that you trust for {event.device}")
        if self._key is not None and key != self._key:
            raise UnknownKey(f"the manifest names the key {key.fingerprint}, to which no event hands the chain over")
        following = key
        if event.device == COLLECTOR:
            following = verify_statement(envelope, event, key)
            if following != key and following != manifest.key_for(event.device, event.chain, event.seq + 1):
                raise UnknownKey("the collector's chain hands over to another key than the manifest names")
        else:
            if event.kind == Kind.DEVICE_KEY_ROTATED:
                self._require_named(event)
            following = verify_event(envelope, event, key)
        if first:
            found.key, found.pinned = key.text(), pinned is not None
        if first or following is not key:  # hashing two keys with every event would show in the whole
            found.keys.update({key: None, following: None})
        self._key = following
        return key

    def _require_named(self, event: Event) -> None:
        """Check that a terminal's rotation leads to the key that the manifest names from the next seq on."""
        _, new = rotation_keys(event)
        named = self._bundle.manifest.key_for(event.device, event.chain, event.seq + 1)
        if new != named:
            raise InvalidBody(f"the rotation leads to {new.id[:16]}…, the manifest names {named.id[:16]}… after it")

    def _take_leaf(self, index: int, leaf: bytes, proof: tuple[bytes, ...], seq: int) -> None:
        if index in self._bundle.taken:
            one, other = self._bundle.taken[index]
            who = f"{self._entry.device} seq {seq}"
            raise LedgerOrder(f"ledger entry {index} is claimed for {who} and for {one} seq {other}")
        self._bundle.taken[index] = self._entry.device, seq
        if index <= self._leaf:
            raise LedgerOrder(f"seq {seq} is ledger entry {index}, the event before it came later, at {self._leaf}")
        self._leaf = index
        self._bundle.tree.check(index, leaf, proof)

    def _check_link(
        self, event: Event, digest: str, before: str | None, head: Head | None, clock: tuple[str, int] | None
    ) -> None:
        if event.device == COLLECTOR and event.seq == 0:
            if event.prev is not None or event.kind != StatementKind.BEGUN:
                raise BadStart(f"the collector's chain starts with {StatementKind.BEGUN} and names no event before it")
            return
        if head is not None or event.seq == 0:
            follow(head, event, digest)
            return
        if before is not None and event.prev != before:
            raise BrokenLink(f"seq {event.seq} names {str(event.prev)[:16]}… before it, the index {before[:16]}…")
        if clock is not None and event.boot == clock[0] and event.mono_us < clock[1]:
            raise MonotonicRegression(f"seq {event.seq} was signed before an earlier event of the same boot")

    def _check_revocation(self, line: Shown) -> None:
        start = self._revoked_from
        after = start is not None and line.leaf_index >= start
        if after and AFTER_REVOCATION not in line.flags:
            raise RevocationHidden(f"ledger entry {line.leaf_index} came after the revocation at {start}, unmarked")
        if not after and AFTER_REVOCATION in line.flags:
            raise InvalidIndex(f"seq {line.seq} is marked after_revocation, and the manifest has no such revocation")
        self._bundle.report.after_revocation += after

    def _look_inside(self, event: Event, line: Shown, key: PublicKey) -> None:
        late = line.late
        self._found.late += late is not None
        if event.device == COLLECTOR:  # its bodies decide about holes only (bundle_holes.py)
            return
        for note in notes_in(event):
            self._carry(event, line, note)
        opening, self._opening = self._opening, opening_shown(self._opening, event)
        body = self._read(event)
        if event.seq == 0 and event.body.get("key") != key.text():
            raise BadStart("the chain's first event names another key than the one that signed it")
        if isinstance(body, CoverageBody):
            self._found.coverage.append(body)
        if isinstance(body, PresenceIntervalBody):
            self._found.presence.append(body)
        if isinstance(body, PunchBody):
            self._take_punch(event, body, line, late)
        self._require_judged(event, opening)

    def _read(self, event: Event) -> Fact | None:
        """Read the body; None where this version cannot: signature and chain alone decide whether an event stands."""
        try:
            return parse_body(event)
        except InvalidBody:
            self._found.unread_bodies += 1
            return None

    def _carry(self, event: Event, line: Shown, note: CarriedNote) -> None:
        if not self._bundle.is_signed(note.text):  # a terminal can invent a note, and that says nothing of the ledger
            self._found.unsigned_checkpoints += 1
            return
        self._bundle.carried.append(Carried(self._entry, event.seq, line.leaf_index, note.text, note.refused))
        if note.refused:
            return
        try:
            self._found.seen.append((event.seq, Checkpoint.parse(Note.decode(note.text.encode()).text).size))
        except EvidenceError:  # bundle_seen.py says what is wrong with it
            return

    def _take_punch(self, event: Event, body: PunchBody, line: Shown, late: str | None) -> None:
        after = AFTER_REVOCATION in line.flags
        counts = Verdict.REVIEW if after and body.verdict is Verdict.VERIFIED else body.verdict
        self._bundle.report.punches.append(
            ShownPunch(
                device=event.device,
                seq=event.seq,
                leaf_index=line.leaf_index,
                time=event.time,
                tz=event.tz,
                worker=body.worker,
                log_type=body.log_type,
                method=body.method,
                verdict=counts,
                signed_verdict=body.verdict,
                received_at=line.received_at,
                late=late,
                clock_synced=event.clock.synced,
                not_before=self._found.seen[-1][1] if self._found.seen else None,
            )
        )

    def _require_judged(self, event: Event, opening: int | None) -> None:
        """Check what a punch says of its own verdict, also where the rest of it is a later version's."""
        if event.kind not in (Kind.PUNCH_RECORDED, Kind.PUNCH_REFUSED):
            return
        if verified_by_kind(event) and opening is not None:
            raise VerifiedWhileOpened(f"the punch is verified although nothing cleared the opening at seq {opening}")
        policy = event.body.get("policy")
        if isinstance(policy, str) and policy not in self._bundle.policies and _POLICY.fullmatch(policy):
            raise PolicyMissing(f"the punch was judged by policy {policy[:16]}…, which the bundle does not carry")

    def _end(self) -> None:
        if self._shown < len(self._envelopes):
            raise InvalidIndex(f"{self._events} has {len(self._envelopes) - self._shown} line(s) more than the index")
        if self._next - 1 != self._entry.head_seq:
            raise HeadMismatch(f"the chain ends at seq {self._next - 1}, the manifest says {self._entry.head_seq}")
        if self._prev != self._entry.head_hash and not isinstance(self._lines[-1], Missing):
            raise HeadMismatch("the last event is another one than the manifest says")
