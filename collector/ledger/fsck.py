"""Derives the ledger again from its envelopes and keys, and names the first difference to what is stored.

Checked: contiguous places, decoding, signatures, chains, every derived column, leaf hashes, the seal over what the
collector added, chain heads, derived rows, the collector's own keys, revocations and approved chains as it stated
them, the Merkle tree's tiles and checkpoints. Not found: entries cut off at the end together with their chain heads and
every checkpoint over them, by somebody who may write the database and the file `last-checkpoint`; receipts at the
terminals and witnesses show those.
"""

from __future__ import annotations

import hmac
from collections.abc import Iterator, Sequence
from dataclasses import asdict, dataclass, field
from typing import Any, NoReturn

from cryptography import x509
from sqlmodel import Session, SQLModel, col, select

from collector.database import Database
from collector.devices.keys import key_for
from collector.devices.models import DeviceKey
from collector.erasure.checking import Tombs
from collector.errors import UnknownKind
from collector.ledger.carried import signed_in
from collector.ledger.fsck_devices import Decisions
from collector.ledger.fsck_own_keys import OwnKeys
from collector.ledger.fsck_tree import TreeCheck
from collector.ledger.leaves import FROM_ENVELOPE, SALT_BYTES, leaf_data, leaf_hash, seal, tomb_seal
from collector.ledger.models import Chain, LedgerEntry
from collector.ledger.projection import TABLES, project
from collector.ledger.tree import Tree
from collector.schema import HEAD, held_revision
from collector.statements.gaps import bridged
from collector.statements.handovers import log_keys_of
from collector.statements.models import OwnChain
from evidence import merkle
from evidence.chain import Head, follow
from evidence.envelope import Envelope
from evidence.errors import EvidenceError, InvalidBody
from evidence.events import Event, parse_event
from evidence.key_history import LogKey
from evidence.note import VerifierKey
from evidence.rotation import verify_event
from evidence.statements import (
    COLLECTOR,
    GapDeclaredBody,
    StatementKind,
    continue_statements,
    parse_statement,
)

PAGE = 1000  # entries in memory at once: about 2 MB


@dataclass(frozen=True, slots=True)
class Difference:
    """One thing that is not as it must be."""

    table: str
    row: str  # where
    column: str
    message: str

    def __str__(self) -> str:
        return f"{self.table} {self.row}, {self.column}: {self.message}"


@dataclass(slots=True)
class LedgerReport:
    """What the check found."""

    entries: int = 0
    chains: int = 0
    rows: int = 0
    tiles: int = 0
    checkpoints: int = 0
    cosignatures: int = 0
    anchors: int = 0
    anchors_not_run: int = 0  # time-stamps whose authority's root certificates were not given
    unsigned_checkpoints: int = 0  # that events carry and no key of the ledger signed: their terminals' inventions
    difference: Difference | None = None

    def as_json(self) -> dict[str, Any]:
        """The report for programs."""
        difference = None if self.difference is None else asdict(self.difference)
        return {
            "ok": self.difference is None,
            "entries": self.entries,
            "chains": self.chains,
            "rows": self.rows,
            "tiles": self.tiles,
            "checkpoints": self.checkpoints,
            "cosignatures": self.cosignatures,
            "anchors": self.anchors,
            "anchors_not_run": self.anchors_not_run,
            "unsigned_checkpoints": self.unsigned_checkpoints,
            "difference": difference,
        }


class _Found(Exception):
    def __init__(self, table: str, row: object, column: str, message: str) -> None:
        super().__init__(message)
        self.difference = Difference(table, str(row), column, message)


@dataclass(slots=True)
class _State:
    """What has been derived so far."""

    session: Session
    seal_key: bytes
    report: LedgerReport
    keys: dict[str, list[DeviceKey]]
    tree: TreeCheck
    own_keys: OwnKeys
    tombs: Tombs
    decisions: Decisions
    log_keys: tuple[LogKey, ...]
    carried: dict[tuple[int, bytes], int] = field(default_factory=dict)  # size and root that a terminal saw: its entry
    heads: dict[tuple[str, str], Head] = field(default_factory=dict)


def check_ledger(
    database: Database,
    seal_key: bytes,
    log: VerifierKey,
    anchor_roots: Sequence[x509.Certificate] = (),
    keepsake: bytes | None = None,
) -> LedgerReport:
    """Check everything in one consistent view of the database; a running collector goes on meanwhile.

    `log` is the key that checkpoints are signed with, `anchor_roots` are those of the time-stamp authority,
    `keepsake` is the note in the file `last-checkpoint`.
    """
    report = LedgerReport()
    with database.read() as session:
        keys: dict[str, list[DeviceKey]] = {}
        for key in session.exec(select(DeviceKey)):
            keys.setdefault(key.device, []).append(key)
        try:
            tree = TreeCheck(session, log, seal_key, _found, anchor_roots, keepsake)
        except _Found as found:
            report.difference = found.difference
            return report
        own_keys, tombs, decisions = OwnKeys(session, _found), Tombs(session, _found), Decisions(session, _found)
        log_keys = log_keys_of(session, log)
        state = _State(session, seal_key, report, keys, tree, own_keys, tombs, decisions, log_keys)
        try:
            _compare("alembic_version", "", {"version_num": HEAD}, {"version_num": held_revision(session.connection())})
            for page in _pages(session):
                _check_page(state, page)
            state.tree.finish()
            _check_chains(state)
            state.own_keys.finish()
            state.decisions.finish()
            state.tombs.finish()
            _check_carried(state)
        except _Found as found:
            report.difference = found.difference
        for name in ("tiles", "checkpoints", "cosignatures", "anchors", "anchors_not_run"):
            setattr(report, name, getattr(state.tree, name))
    return report


def _found(table: str, row: object, column: str, message: str) -> NoReturn:
    raise _Found(table, row, column, message)


def _pages(session: Session) -> Iterator[list[LedgerEntry]]:
    after = -(2**62)  # a place below 0 is a difference too
    while True:
        query = select(LedgerEntry).where(col(LedgerEntry.leaf_index) > after).order_by(col(LedgerEntry.leaf_index))
        page = list(session.exec(query.limit(PAGE)))
        if page:
            after = page[-1].leaf_index
        yield page
        session.expunge_all()
        if len(page) < PAGE:
            return


def _check_page(state: _State, page: list[LedgerEntry]) -> None:
    low = state.report.entries
    expected: dict[type[SQLModel], dict[int, dict[str, Any]]] = {table: {} for table in TABLES}
    for entry in page:
        event = _check_entry(state, entry)
        if event is None:
            continue
        for one in signed_in(event, state.log_keys):
            if one is None:
                state.report.unsigned_checkpoints += 1
            else:
                state.carried.setdefault((one.size, one.root), entry.leaf_index)
        try:
            projected = project(event, entry.leaf_index, after_revocation=entry.after_revocation)
        except (InvalidBody, UnknownKind):
            continue
        if projected is not None:
            expected[projected.table][entry.leaf_index] = projected.row
    high = state.report.entries if len(page) == PAGE else 2**62  # the last page answers for rows beyond the end
    for table, rows in expected.items():
        _check_rows(state, table, rows, low if low else -(2**62), high)


def _check_carried(state: _State) -> None:
    """What terminals saw must be the beginning of this ledger; everything else was derived again before."""
    tree = Tree(state.session)
    for (size, root), place in state.carried.items():
        if size > place or tree.root(size) != root:
            message = f"split_view: its terminal saw another ledger of {size} entries than this one begins with"
            raise _Found("ledger_entries", place, "envelope", message)


def _check_entry(state: _State, entry: LedgerEntry) -> Event | None:
    place = entry.leaf_index
    if place != state.report.entries:
        message = f"the entry after {state.report.entries - 1} stands at {place}; places are contiguous from 0"
        raise _Found("ledger_entries", place, "leaf_index", message)
    if entry.envelope == b"" and entry.salt == b"":
        _check_tombstone(state, entry)
        state.decisions.take(entry)
        state.tree.feed(entry.leaf_hash)
        return None
    try:
        envelope = Envelope.decode(entry.envelope)
        event = parse_event(envelope.payload)
    except EvidenceError as error:
        raise _Found("ledger_entries", place, "envelope", f"{error.code}: {error}") from error
    _compare("ledger_entries", place, _derived(event, envelope), entry.model_dump())
    try:
        if event.device == COLLECTOR:
            key = state.own_keys.verify(envelope, event, place)
        else:
            key = key_for(state.keys.get(event.device, ()), event.chain, event.seq)
            verify_event(envelope, event, key)
    except EvidenceError as error:
        raise _Found("ledger_entries", place, "envelope", f"{error.code}: {error}") from error
    _check_leaf(state, entry, key.id)
    try:
        go_on = continue_statements if event.device == COLLECTOR else follow
        state.heads[event.device, event.chain] = go_on(
            state.heads.get((event.device, event.chain)), event, envelope.hash
        )
    except EvidenceError as error:
        raise _Found("ledger_entries", place, "prev", f"{error.code}: {error}") from error
    state.decisions.take(entry)
    state.tree.feed(entry.leaf_hash)
    if event.device == COLLECTOR:
        state.decisions.hear(event, place)
        _go_on_behind_a_gap(state, event)
        if event.kind == StatementKind.WORKER_ERASURE:
            state.tombs.authorise(event)
    state.report.entries += 1
    return event


def _check_tombstone(state: _State, entry: LedgerEntry) -> None:
    """An erased entry: nothing to derive, but its seal, its place in the chain and its authorisation must stand."""
    if entry.leaf_hash != merkle.leaf_hash(entry.leaf_data):
        raise _Found("ledger_entries", entry.leaf_index, "leaf_data", "the leaf hash is not the hash of it")
    if not hmac.compare_digest(entry.seal, tomb_seal(state.seal_key, entry.model_dump(), entry.leaf_hash)):
        _check_seal(state, entry)
        message = "it was emptied by hand, or one of its columns was changed before: no erasure has sealed it"
        raise _Found("ledger_entries", entry.leaf_index, "seal", message)
    head = state.heads.get((entry.device, entry.chain))
    expected = (-1, None) if head is None else (head.seq, head.hash)
    if (entry.seq - 1, entry.prev) != expected:
        raise _Found("ledger_entries", entry.leaf_index, "prev", "the tombstone does not continue its chain")
    state.heads[entry.device, entry.chain] = Head(
        entry.device, entry.chain, entry.seq, entry.hash, entry.boot, entry.mono_us
    )
    state.tombs.take(entry.leaf_index, entry.hash)
    state.report.entries += 1


def _go_on_behind_a_gap(state: _State, event: Event) -> None:
    body = parse_statement(event) if event.kind == StatementKind.GAP_DECLARED else None
    if isinstance(body, GapDeclaredBody):
        head = state.heads.get((body.device, body.chain))
        if head is None or head.seq + 1 != body.first:
            raise _Found("declared_gaps", event.seq, "first", "the gap does not begin behind its chain's head")
        state.heads[body.device, body.chain] = bridged(head, body.last, body.next_prev)


def _derived(event: Event, envelope: Envelope) -> dict[str, Any]:
    return {name: getattr(event, name) for name in FROM_ENVELOPE} | {"event_id": event.id, "hash": envelope.hash}


def _check_leaf(state: _State, entry: LedgerEntry, key_id: str) -> None:
    place = entry.leaf_index
    if entry.key_id != key_id:
        raise _Found("ledger_entries", place, "key_id", f"stored {entry.key_id[:16]}…, it was signed by {key_id[:16]}…")
    if len(entry.salt) != SALT_BYTES:
        raise _Found("ledger_entries", place, "salt", f"a salt has {SALT_BYTES} bytes, this one {len(entry.salt)}")
    if entry.leaf_data != leaf_data(entry.salt, entry.envelope):
        raise _Found("ledger_entries", place, "leaf_data", "it is not the hash of salt and envelope: one was changed")
    if entry.leaf_hash != leaf_hash(entry.salt, entry.envelope):
        raise _Found("ledger_entries", place, "leaf_hash", "it is not the hash of salt and envelope: one was changed")
    _check_seal(state, entry)


def _check_seal(state: _State, entry: LedgerEntry) -> None:
    place, key_id, revoked = entry.leaf_index, entry.key_id, entry.after_revocation
    wanted = seal(state.seal_key, place, entry.leaf_hash, entry.received_at, key_id, after_revocation=revoked)
    if not hmac.compare_digest(entry.seal, wanted):
        message = "the collector's seal does not fit: received_at, after_revocation, salt or the seal was changed"
        if entry.envelope == b"":
            message = (
                "the seal of the tombstone does not fit: one of its columns was changed, before or after the erasure"
            )
        raise _Found("ledger_entries", place, "seal", message)


def _check_rows(state: _State, table: Any, expected: dict[int, dict[str, Any]], low: int, high: int) -> None:
    query = select(table).where(col(table.leaf_index) >= low, col(table.leaf_index) < high)
    stored = {row.leaf_index: row.model_dump() for row in state.session.exec(query)}
    name = str(table.__tablename__)
    for place in sorted(expected.keys() | stored.keys()):
        if place not in stored:
            raise _Found(name, place, "leaf_index", "the row that its entry gives is missing")
        if place not in expected:
            raise _Found(name, place, "leaf_index", "no entry gives this row")
        _compare(name, place, expected[place], stored[place])
        state.report.rows += 1


def _check_chains(state: _State) -> None:
    for chain in state.session.exec(select(Chain)):
        head = state.heads.pop((chain.device, chain.chain), None)
        derived = {
            "head_seq": None if head is None else head.seq,
            "head_hash": None if head is None else head.hash,
            "head_boot": None if head is None else head.boot,
            "head_mono_us": None if head is None else head.mono_us,
        }
        _compare("chains", f"{chain.device}/{chain.chain}", derived, chain.model_dump())
        state.report.chains += 1
    for own in state.session.exec(select(OwnChain)):
        head = state.heads.pop((COLLECTOR, own.chain), None)
        derived = (
            {"head_seq": None, "head_hash": None} if head is None else {"head_seq": head.seq, "head_hash": head.hash}
        )
        _compare("own_chain", own.chain, derived, own.model_dump())
    for device, chain_id in state.heads:
        raise _Found("chains", f"{device}/{chain_id}", "chain", "the ledger holds entries of it, the row is missing")


def _compare(table: str, row: object, derived: dict[str, Any], stored: dict[str, Any]) -> None:
    for column, value in derived.items():
        held = stored[column]
        if held != value or type(held) is not type(value):
            raise _Found(table, row, column, f"stored {held!r}, the envelope gives {value!r}")
