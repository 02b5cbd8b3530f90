"""What of the ledger goes into a bundle: which chains, which stretch of each, whose events are withheld.

Of a chain the first event, then everything between the first and the last event of the period is shown; of a bundle
about one worker, his own events and those that are about the terminal itself.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from datetime import timedelta
from typing import Any

from sqlalchemy import func
from sqlmodel import Session, col, or_, select

from collector.devices.models import Device, DeviceKey
from collector.ledger.models import LedgerEntry
from collector.ledger.tree import Tree
from collector.people.models import Enrolment
from collector.presence.models import PresenceInterval
from collector.punches.models import Punch
from collector.timestamps import parse_utc, utc_text
from evidence.bundle_gaps import late_why
from evidence.bundle_index import AFTER_REVOCATION, Line, Outside, Shown, Withheld
from evidence.bundle_make import ChainPart
from evidence.bundle_manifest import ChainEntry, KeyEntry, Revocation, Scope
from evidence.canonical import canonical
from evidence.envelope import Envelope
from evidence.errors import EvidenceError
from evidence.events import ConfigAppliedBody, CoverageBody, Event, Kind, parse_body, parse_event

PAGE = 1000  # entries read at once
COVERAGE_AFTER = timedelta(minutes=20)  # the statement about the period's end is signed up to a period of 15 min later
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
    }
)


@dataclass(frozen=True, slots=True)
class Selected:
    """One chain as it goes into the bundle, and the policies that were in force in it."""

    part: ChainPart
    policies: tuple[bytes, ...]


def chains_of(session: Session, scope: Scope, size: int) -> list[tuple[str, str]]:
    """Return the chains that the question is about: a site's, or where the worker was enrolled or punched."""
    query = select(LedgerEntry.device, LedgerEntry.chain).where(LedgerEntry.leaf_index < size)
    if scope.site is not None:
        return sorted(session.exec(query.where(LedgerEntry.site == scope.site).distinct()).all())
    named = [
        select(table.leaf_index).where(table.worker == scope.worker) for table in (Punch, Enrolment, PresenceInterval)
    ]
    about = or_(*(col(LedgerEntry.leaf_index).in_(one) for one in named))
    return sorted(session.exec(query.where(about).distinct()).all())


def select_chain(session: Session, tree: Tree, scope: Scope, place: tuple[str, str], size: int) -> Selected:
    """Return one chain's part: a line for every seq up to the last of the first `size` entries."""
    device, chain = place
    head = session.exec(_of(place, size).order_by(col(LedgerEntry.seq).desc()).limit(1)).one()
    first, last = _stretch(session, place, scope, size)
    lines: list[Line] = []
    shown: list[bytes] = []
    policies: dict[bytes, None] = {}
    coverage = _coverage(session, place, first, last, size)

    def take(entry: LedgerEntry) -> None:
        event = parse_event(Envelope.decode(entry.envelope).payload)
        if scope.worker is not None and not _is_about(event, scope.worker):
            lines.append(Withheld(entry.seq, entry.hash))
            return
        proof = tree.inclusion(entry.leaf_index, size)
        flags = _flags(entry, event, coverage)
        lines.append(Shown(entry.seq, entry.leaf_index, entry.salt, entry.received_at, flags, proof))
        shown.append(entry.envelope)

    for entry in _range(session, place, 0, 0, size):
        take(entry)
    if first > 1:
        lines.append(Outside(1, first - 1, _hash_at(session, place, first - 1)))
    for entry in _range(session, place, max(1, first), last, size):
        take(entry)
    after = max(last, 0) if last >= first else max(0, first - 1)
    if head.seq > after:
        lines.append(Outside(after + 1, head.seq, head.hash))
    for policy in _policies(session, place, size):
        policies[policy] = None
    entry_of = ChainEntry(device=device, chain=chain, head_seq=head.seq, head_hash=head.hash)
    return Selected(ChainPart(entry_of, lines, shown), tuple(policies))


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


def revocations_of(session: Session, devices: Sequence[str], size: int) -> list[Revocation]:
    """Return which of these devices were revoked, and from which ledger entry on that counts."""
    found = []
    query = select(Device).where(col(Device.name).in_(devices), col(Device.revoked_at).is_not(None))
    for device in session.exec(query.order_by(col(Device.name))):
        first = session.exec(
            select(func.min(LedgerEntry.leaf_index)).where(
                LedgerEntry.device == device.name, col(LedgerEntry.after_revocation).is_(True)
            )
        ).one()
        assert device.revoked_at is not None
        start = size if first is None else min(first, size)  # nothing flagged yet: whatever comes will be
        found.append(Revocation(device=device.name, at=device.revoked_at, from_index=start))
    return found


def _of(place: tuple[str, str], size: int) -> Any:
    device, chain = place
    return select(LedgerEntry).where(
        LedgerEntry.device == device, LedgerEntry.chain == chain, col(LedgerEntry.leaf_index) < size
    )


def _stretch(session: Session, place: tuple[str, str], scope: Scope, size: int) -> tuple[int, int]:
    """Return the first and the last seq to show; (head + 1, head) where the period has no event of this chain."""
    device, chain = place
    bounds = select(func.min(LedgerEntry.seq), func.max(LedgerEntry.seq)).where(
        LedgerEntry.device == device, LedgerEntry.chain == chain, col(LedgerEntry.leaf_index) < size
    )
    inside = bounds.where(col(LedgerEntry.time) >= scope.since, col(LedgerEntry.time) < scope.until)
    low, high = session.exec(inside).one()
    if low is None or high is None:
        head = session.exec(bounds).one()[1] or 0
        return head + 1, head
    end = utc_text(parse_utc(scope.until) + COVERAGE_AFTER)
    after = bounds.where(col(LedgerEntry.seq) > high, col(LedgerEntry.time) < end, LedgerEntry.kind == Kind.COVERAGE)
    high = session.exec(after).one()[0] or high
    rotated = session.exec(bounds.where(LedgerEntry.kind == Kind.DEVICE_KEY_ROTATED)).one()[0]
    return min(low, low if rotated is None else rotated), high


def _range(session: Session, place: tuple[str, str], first: int, last: int, size: int) -> Iterator[LedgerEntry]:
    while first <= last:
        query = _of(place, size).where(col(LedgerEntry.seq) >= first, col(LedgerEntry.seq) <= last)
        rows = list(session.exec(query.order_by(col(LedgerEntry.seq)).limit(PAGE)))
        if not rows:
            return
        yield from rows
        first = rows[-1].seq + 1


def _hash_at(session: Session, place: tuple[str, str], seq: int) -> str:
    device, chain = place
    query = select(LedgerEntry.hash).where(
        LedgerEntry.device == device, LedgerEntry.chain == chain, LedgerEntry.seq == seq
    )
    return session.exec(query).one()


def _coverage(session: Session, place: tuple[str, str], first: int, last: int, size: int) -> list[CoverageBody]:
    query = _of(place, size).where(
        LedgerEntry.kind == Kind.COVERAGE, col(LedgerEntry.seq) >= first, col(LedgerEntry.seq) <= last
    )
    found = []
    for entry in session.exec(query.order_by(col(LedgerEntry.seq))):
        body = _body(entry)
        if isinstance(body, CoverageBody):
            found.append(body)
    return found


def _policies(session: Session, place: tuple[str, str], size: int) -> Iterator[bytes]:
    """Every policy that was ever applied in this chain: a punch may have been judged by an earlier one."""
    query = _of(place, size).where(LedgerEntry.kind == Kind.CONFIG_APPLIED).order_by(col(LedgerEntry.seq))
    for entry in session.exec(query):
        body = _body(entry)
        if isinstance(body, ConfigAppliedBody):
            yield canonical(body.policy)


def _body(entry: LedgerEntry) -> object:
    try:
        return parse_body(parse_event(Envelope.decode(entry.envelope).payload))
    except EvidenceError:
        return None


def _is_about(event: Event, worker: str) -> bool:
    result = event.body.get("result")
    named = event.body.get("worker")
    if event.kind == Kind.COMMAND_DONE and isinstance(result, dict):
        named = result.get("worker")
    return event.kind in ABOUT_THE_TERMINAL or named == worker


def _flags(entry: LedgerEntry, event: Event, coverage: Sequence[CoverageBody]) -> tuple[str, ...]:
    flags = (AFTER_REVOCATION,) if entry.after_revocation else ()
    late = late_why(event.time, event.clock, entry.received_at, coverage)
    return flags if late is None else (*flags, f"late:{late}")
