"""What of the ledger goes into a bundle: which chains, which stretch of each, whose events are withheld.

Of a chain the first event, then everything between the first and the last event of the period is shown; of a bundle
about one worker, his own events and those that are about the terminal itself. What was erased or declared missing
names the collector's statement that authorises it; what nobody authorised has no line, and the bundle says so.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass

from sqlalchemy import func
from sqlmodel import Session, col, or_, select

from collector.devices.models import Device, DeviceKey
from collector.evidence_bundles.authorities import Authorities
from collector.evidence_bundles.stretch import Place, end_of, entries_between, entries_of, gaps_of, hash_at, stretch
from collector.ledger.carried import carried_by
from collector.ledger.models import LedgerEntry
from collector.ledger.tree import Tree
from collector.people.models import Enrolment
from collector.presence.models import PresenceInterval
from collector.punches.models import Punch
from evidence.bundle_gaps import late_why
from evidence.bundle_index import AFTER_REVOCATION, Erased, Line, Missing, Outside, Shown, Withheld
from evidence.bundle_make import ChainPart
from evidence.bundle_manifest import ChainEntry, KeyEntry, Revocation, Scope
from evidence.canonical import canonical
from evidence.envelope import Envelope
from evidence.errors import EvidenceError
from evidence.events import ConfigAppliedBody, CoverageBody, Event, Kind, parse_body, parse_event
from evidence.statements import COLLECTOR

ABOUT_THE_TERMINAL = frozenset(
    {
        Kind.DEVICE_ENROLLED,
        Kind.DEVICE_KEY_ROTATED,
        Kind.COVERAGE,
        Kind.CLOCK_STEPPED,
        Kind.ENCLOSURE_OPENED,
        Kind.ENCLOSURE_CLEARED,
        Kind.SENSOR_CHANGED,
        Kind.CONFIG_APPLIED,
        Kind.CHECKPOINT_REFUSED,
    }
)


@dataclass(frozen=True, slots=True)
class Selected:
    """One chain as it goes into the bundle, and the policies that were in force in it."""

    part: ChainPart
    policies: tuple[bytes, ...]
    seen: frozenset[int] = frozenset()  # sizes of the checkpoints that the events shown carry


def chains_of(session: Session, scope: Scope, size: int) -> list[tuple[str, str]]:
    """Return the chains that the question is about: a site's, or where the worker was enrolled or punched."""
    query = select(LedgerEntry.device, LedgerEntry.chain).where(
        LedgerEntry.leaf_index < size,
        LedgerEntry.device != COLLECTOR,  # authorities.py shows of its chain what is needed, and nobody's data
    )
    if scope.site is not None:
        return sorted(session.exec(query.where(LedgerEntry.site == scope.site).distinct()).all())
    named = [
        select(table.leaf_index).where(table.worker == scope.worker) for table in (Punch, Enrolment, PresenceInterval)
    ]
    about = or_(*(col(LedgerEntry.leaf_index).in_(one) for one in named))
    return sorted(session.exec(query.where(about).distinct()).all())


def select_chain(
    session: Session, tree: Tree, scope: Scope, place: Place, size: int, authorities: Authorities
) -> Selected:
    """Return one chain's part: a line for every seq up to the last that the first `size` entries have or give up."""
    device, chain = place
    head = session.exec(entries_of(place, size).order_by(col(LedgerEntry.seq).desc()).limit(1)).one()
    gaps = gaps_of(session, place, size)
    head_seq, head_hash = end_of(head, gaps)
    first, last = stretch(session, place, scope, size, gaps)
    lines: list[Line] = []
    shown: list[bytes] = []
    seen: set[int] = set()
    coverage = coverage_events(session, place, first, last, size)

    def take(entry: LedgerEntry) -> None:
        if not entry.envelope:
            by = authorities.of_tombstone(entry.leaf_index)
            if by is not None:
                proof = tree.inclusion(entry.leaf_index, size)
                lines.append(Erased(entry.seq, entry.leaf_index, entry.leaf_hash, entry.hash, by, proof))
            return
        event = _event(entry)
        if scope.worker is not None and (event is None or not _is_about(event, scope.worker)):
            lines.append(Withheld(entry.seq, entry.hash))
            return
        proof = tree.inclusion(entry.leaf_index, size)
        flags = _flags(entry, event, coverage)
        lines.append(Shown(entry.seq, entry.leaf_index, entry.salt, entry.received_at, flags, proof))
        shown.append(entry.envelope)
        seen.update(() if event is None else (one.size for one in carried_by(event)))

    def miss(low: int, high: int) -> None:
        for gap in gaps:
            begin, end = max(low, gap.first), min(high, gap.last)
            if begin <= end:
                lines.append(Missing(begin, end, authorities.use(gap.leaf_index)))

    def account(low: int, high: int) -> None:
        for entry in entries_between(session, place, low, high, size):
            miss(low, entry.seq - 1)
            take(entry)
            low = entry.seq + 1
        miss(low, high)

    account(0, 0)
    before = hash_at(session, place, first - 1)
    if first > 1 and before is not None:
        lines.append(Outside(1, first - 1, before))
    account(max(1, first), last)
    after = max(last, 0) if last >= first else max(0, first - 1)
    if head_seq > after:
        lines.append(Outside(after + 1, head_seq, head_hash))
    entry_of = ChainEntry(device=device, chain=chain, head_seq=head_seq, head_hash=head_hash)
    policies = dict.fromkeys(_policies(session, place, size))
    return Selected(ChainPart(entry_of, lines, shown), tuple(policies), frozenset(seen))


def keys_of(session: Session, devices: Sequence[str]) -> list[KeyEntry]:
    """Return the whole key history of these devices, oldest first."""
    query = select(DeviceKey).where(col(DeviceKey.device).in_(devices)).order_by(col(DeviceKey.id))
    return [
        KeyEntry(
            device=key.device,
            key=key.key,
            chain=key.chain,
            first_seq=key.first_seq,
            last_seq=key.last_seq,
            added_at=key.added_at,
        )
        for key in session.exec(query)
    ]


def revocations_of(session: Session, devices: Sequence[str], size: int, authorities: Authorities) -> list[Revocation]:
    """Return which of these devices were revoked, and from which ledger entry on that counts, as the collector stated.

    The statements decide and not the column `revoked_at`: no key guards that. A revocation stated behind the first
    `size` entries concerns none of them and is left out. One that the collector never stated is told by the flags of
    the entries; no verifier takes it without a statement, and says so.
    """
    found = []
    query = select(Device.name, Device.revoked_at).where(col(Device.revoked_at).is_not(None))
    column = dict(session.exec(query.where(col(Device.name).in_(devices))).all())
    for device in sorted(devices):
        stated = authorities.of_revocation(device)
        at = column.get(device)
        if stated is None and at is not None:
            found.append(Revocation(device=device, at=at, from_index=_first_flagged(session, device, size)))
        elif stated is not None and stated.leaf_index < size:
            authorities.use(stated.leaf_index)
            found.append(Revocation(device=device, at=stated.time, from_index=stated.from_index))
    return found


def _first_flagged(session: Session, device: str, size: int) -> int:
    query = select(func.min(LedgerEntry.leaf_index)).where(
        LedgerEntry.device == device, col(LedgerEntry.after_revocation).is_(True)
    )
    first = session.exec(query).one()
    return size if first is None else min(first, size)  # nothing flagged yet: whatever comes will be


def coverage_events(session: Session, place: Place, first: int, last: int, size: int) -> list[CoverageBody]:
    """Return what a terminal signed of its coverage from seq `first` to `last`, in order."""
    query = entries_of(place, size).where(
        LedgerEntry.kind == Kind.COVERAGE, col(LedgerEntry.seq) >= first, col(LedgerEntry.seq) <= last
    )
    found = []
    for entry in session.exec(query.order_by(col(LedgerEntry.seq))):
        body = _body(entry)
        if isinstance(body, CoverageBody):
            found.append(body)
    return found


def _policies(session: Session, place: Place, size: int) -> Iterator[bytes]:
    """Every policy that was ever applied in this chain: a punch may have been judged by an earlier one."""
    query = entries_of(place, size).where(LedgerEntry.kind == Kind.CONFIG_APPLIED).order_by(col(LedgerEntry.seq))
    for entry in session.exec(query):
        body = _body(entry)
        if isinstance(body, ConfigAppliedBody):
            yield canonical(body.policy)


def _event(entry: LedgerEntry) -> Event | None:
    try:
        return parse_event(Envelope.decode(entry.envelope).payload)
    except EvidenceError:  # changed by hand: whoever checks the bundle finds it
        return None


def _body(entry: LedgerEntry) -> object:
    event = _event(entry)
    try:
        return None if event is None else parse_body(event)
    except EvidenceError:
        return None


def _is_about(event: Event, worker: str) -> bool:
    result = event.body.get("result")
    named = event.body.get("worker")
    if event.kind == Kind.COMMAND_DONE and isinstance(result, dict):
        named = result.get("worker")
    return event.kind in ABOUT_THE_TERMINAL or named == worker


def _flags(entry: LedgerEntry, event: Event | None, coverage: Sequence[CoverageBody]) -> tuple[str, ...]:
    flags = (AFTER_REVOCATION,) if entry.after_revocation else ()
    late = None if event is None else late_why(event.time, event.clock, entry.received_at, coverage)
    return flags if late is None else (*flags, f"late:{late}")
