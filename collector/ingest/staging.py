"""Staging: verified events that cannot enter yet, because a gap before them is open or their chain waits for approval.

Bounded per device; what does not fit is not kept, and the terminal sends it again since it gets no receipt.
"""

from __future__ import annotations

from collections.abc import Collection
from dataclasses import dataclass, field

from sqlalchemy import delete, func
from sqlmodel import Session, col, select

from collector.database import insert_into
from collector.errors import StagingFull
from collector.ingest.models import StagedEvent
from collector.ledger.models import Chain, ChainState

_Place = tuple[str, str, int]


@dataclass(slots=True)
class Staging:
    """The staged events as one transaction sees and changes them."""

    session: Session
    per_device: int
    _seqs: dict[tuple[str, str], set[int]] = field(default_factory=dict)
    _counts: dict[str, int] = field(default_factory=dict)
    _added: dict[_Place, StagedEvent] = field(default_factory=dict)
    _removed: set[_Place] = field(default_factory=set)

    def held(self, device: str, chain: str, seq: int) -> StagedEvent | None:
        """Return the event that waits at this place."""
        if seq not in self._waiting(device, chain):
            return None
        return self._added.get((device, chain, seq)) or self.session.get(StagedEvent, (device, chain, seq))

    def add(self, event: StagedEvent) -> None:
        """Keep an event at a place where none waits. Raises StagingFull."""
        if event.device not in self._counts:
            query = select(func.count()).select_from(StagedEvent).where(col(StagedEvent.device) == event.device)
            self._counts[event.device] = self.session.exec(query).one()
        if self._counts[event.device] >= self.per_device:
            raise StagingFull(f"{self.per_device} events of {event.device} wait already; it will send this one again")
        self._counts[event.device] += 1
        self._waiting(event.device, event.chain).add(event.seq)
        self._added[event.device, event.chain, event.seq] = event

    def take(self, device: str, chain: str, seq: int) -> StagedEvent | None:
        """Remove and return the event that waits at this place."""
        event = self.held(device, chain, seq)
        if event is None:
            return None
        self._waiting(device, chain).discard(seq)
        if device in self._counts:
            self._counts[device] -= 1
        if self._added.pop((device, chain, seq), None) is None:
            self._removed.add((device, chain, seq))
        return event

    def write(self) -> None:
        """Store what still waits and delete what was taken."""
        for device, chain, seq in self._removed:
            place = (StagedEvent.device, StagedEvent.chain, StagedEvent.seq)
            wanted = (device, chain, seq)
            self.session.exec(delete(StagedEvent).where(*(col(c) == v for c, v in zip(place, wanted, strict=True))))
        if self._added:
            rows = [event.model_dump() for event in self._added.values()]
            keep = insert_into(self.session, StagedEvent.__table__).on_conflict_do_nothing()  # type: ignore[attr-defined]
            self.session.connection().execute(keep, rows)

    def ready(self) -> list[tuple[str, str, int]]:
        """Return (device, chain, seq) of every staged event that is next in an open chain."""
        query = (
            select(StagedEvent.device, StagedEvent.chain, StagedEvent.seq)
            .join(Chain, (col(Chain.device) == col(StagedEvent.device)) & (col(Chain.chain) == col(StagedEvent.chain)))
            .where(Chain.state == ChainState.OPEN, StagedEvent.seq == func.coalesce(Chain.head_seq, -1) + 1)
        )
        return list(self.session.exec(query))

    def look_up(self, chains: Collection[tuple[str, str]]) -> None:
        """Read which events of these chains (device, chain) wait, in one question."""
        unread = {one for one in chains if one not in self._seqs}
        if not unread:
            return
        self._seqs.update({one: set() for one in unread})
        devices, names = {device for device, _ in unread}, {chain for _, chain in unread}
        query = select(StagedEvent.device, StagedEvent.chain, StagedEvent.seq)
        query = query.where(col(StagedEvent.device).in_(devices), col(StagedEvent.chain).in_(names))
        for device, chain, seq in self.session.exec(query):
            if (device, chain) in unread:
                self._seqs[device, chain].add(seq)

    def _waiting(self, device: str, chain: str) -> set[int]:
        if (device, chain) not in self._seqs:
            self.look_up({(device, chain)})
        return self._seqs[device, chain]
