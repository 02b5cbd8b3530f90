"""Staging: verified events that cannot enter yet, because a gap before them is open or their chain waits for approval.

Bounded per device; what does not fit is not kept, and the terminal sends it again since it gets no receipt.
"""

from __future__ import annotations

from bisect import bisect
from collections.abc import Collection
from dataclasses import asdict, dataclass, field, fields

from sqlalchemy import bindparam, delete, func
from sqlalchemy import select as sqlalchemy_select
from sqlmodel import Session, col, select

from collector.database import insert_rows
from collector.errors import StagingFull
from collector.ingest.models import StagedEvent
from collector.ledger.models import Chain, ChainState

AT_ONCE = 500  # places asked for in one question: three parameters each, and SQLite takes 32,766, PostgreSQL 65,535

_Place = tuple[str, str, int]


@dataclass(frozen=True, slots=True)
class Waiting:
    """A verified event that cannot enter yet: a row of staged_events."""

    device: str
    chain: str
    seq: int
    hash: str
    received_at: str
    envelope: bytes


@dataclass(slots=True)
class Staging:
    """The staged events as one transaction sees and changes them."""

    session: Session
    per_device: int
    _seqs: dict[tuple[str, str], set[int]] = field(default_factory=dict)
    _counts: dict[str, int] = field(default_factory=dict)
    _added: dict[_Place, Waiting] = field(default_factory=dict)
    _read: dict[_Place, Waiting] = field(default_factory=dict)
    _removed: dict[tuple[str, str], set[int]] = field(default_factory=dict)

    def waits(self, device: str, chain: str, seq: int) -> bool:
        """Say whether an event waits at this place."""
        return seq in self._waiting(device, chain)

    def held(self, device: str, chain: str, seq: int) -> Waiting | None:
        """Return the event that waits at this place."""
        if seq not in self._waiting(device, chain):
            return None
        place = (device, chain, seq)
        if place not in self._added and place not in self._read:
            self.fetch({place})
        return self._added.get(place) or self._read.get(place)

    def fetch(self, places: Collection[_Place]) -> None:
        """Read the events that wait at these places, AT_ONCE with a question; it may bring others of the chains."""
        self.look_up({one[:2] for one in places})
        wanted = sorted(one for one in places if one not in self._read and one[2] in self._waiting(*one[:2]))
        for start in range(0, len(wanted), AT_ONCE):
            self._fetch(wanted[start : start + AT_ONCE])

    def _fetch(self, places: Collection[_Place]) -> None:
        devices, chains, seqs = ({one[at] for one in places} for at in range(3))
        query = sqlalchemy_select(*(col(getattr(StagedEvent, one.name)) for one in fields(Waiting))).where(
            col(StagedEvent.device).in_(devices), col(StagedEvent.chain).in_(chains), col(StagedEvent.seq).in_(seqs)
        )
        for row in self.session.connection().execute(query):
            event = Waiting(*row)
            self._read[event.device, event.chain, event.seq] = event

    def next_of(self, device: str, chain: str, seq: int, offered: Collection[int]) -> list[_Place]:
        """Return the places that wait among the seqs from `seq` on that are there without a gap, with those offered."""
        waiting = self._waiting(device, chain)
        found = []
        while seq in waiting or seq in offered:
            if seq in waiting:
                found.append((device, chain, seq))
            seq += 1
        return found

    def add(self, event: Waiting) -> None:
        """Keep an event at a place where none waits. Raises StagingFull."""
        if event.device not in self._counts:
            query = select(func.count()).select_from(StagedEvent).where(col(StagedEvent.device) == event.device)
            self._counts[event.device] = self.session.exec(query).one()
        if self._counts[event.device] >= self.per_device:
            raise StagingFull(f"{self.per_device} events of {event.device} wait already; it will send this one again")
        self._counts[event.device] += 1
        self._waiting(event.device, event.chain).add(event.seq)
        self._added[event.device, event.chain, event.seq] = event

    def take(self, device: str, chain: str, seq: int) -> Waiting | None:
        """Remove and return the event that waits at this place."""
        event = self.held(device, chain, seq)
        if event is None:
            return None
        self._drop(device, chain, seq)
        return event

    def drop(self, device: str, chain: str, seq: int) -> None:
        """Remove what waits at a place that has been taken, if anything does."""
        if seq in self._waiting(device, chain):
            self._drop(device, chain, seq)

    def _drop(self, device: str, chain: str, seq: int) -> None:
        self._waiting(device, chain).discard(seq)
        if device in self._counts:
            self._counts[device] -= 1
        if self._added.pop((device, chain, seq), None) is None:
            self._removed.setdefault((device, chain), set()).add(seq)

    def write(self) -> None:
        """Store what still waits and delete what was taken."""
        gone = [
            {"of_device": device, "of_chain": chain, "low": low, "high": high}
            for (device, chain), seqs in self._removed.items()
            for low, high in _runs(seqs, self._waiting(device, chain))
        ]
        if gone:
            self.session.connection().execute(_DELETE, gone)
        if self._added:
            insert_rows(self.session, StagedEvent, [asdict(event) for event in self._added.values()])

    def ready(self) -> list[tuple[str, str, int]]:
        """Return (device, chain, seq) of every staged event that is next in an open chain."""
        query = (
            select(StagedEvent.device, StagedEvent.chain, StagedEvent.seq)
            .join(Chain, (col(Chain.device) == col(StagedEvent.device)) & (col(Chain.chain) == col(StagedEvent.chain)))
            .where(Chain.state == ChainState.OPEN, StagedEvent.seq == func.coalesce(Chain.head_seq, -1) + 1)
        )
        return list(self.session.exec(query))

    def look_up(self, chains: Collection[tuple[str, str]]) -> None:
        """Read which events of these chains (device, chain) wait, AT_ONCE with a question."""
        unread = sorted({one for one in chains if one not in self._seqs})
        self._seqs.update({one: set() for one in unread})
        for start in range(0, len(unread), AT_ONCE):
            self._look_up(set(unread[start : start + AT_ONCE]))

    def _look_up(self, unread: Collection[tuple[str, str]]) -> None:
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


def _runs(taken: Collection[int], waiting: Collection[int]) -> list[tuple[int, int]]:
    """Return (first, last) of as few runs as hold all that was taken and nothing that waits."""
    runs: list[tuple[int, int]] = []
    kept = sorted(waiting)
    for seq in sorted(taken):
        if runs and bisect(kept, seq) == bisect(kept, runs[-1][1]):
            runs[-1] = runs[-1][0], seq
        else:
            runs.append((seq, seq))
    return runs


_DELETE = delete(StagedEvent.__table__).where(  # type: ignore[attr-defined]
    col(StagedEvent.device) == bindparam("of_device"),
    col(StagedEvent.chain) == bindparam("of_chain"),
    col(StagedEvent.seq).between(bindparam("low"), bindparam("high")),
)
