"""The chains that one transaction touches: their last admitted events, read once and written at its end."""

from __future__ import annotations

from collections.abc import Collection
from dataclasses import dataclass, field

from sqlalchemy import func
from sqlmodel import Session, col, select

from collector.errors import InDeclaredGap
from collector.ledger.models import Chain, ChainState, LedgerEntry
from evidence.chain import Head


@dataclass(slots=True)
class Tip:
    """One chain as this transaction sees it."""

    row: Chain
    head: Head | None
    hashes: dict[int, str] = field(default_factory=dict)  # by seq, of what this transaction admitted
    changed: bool = False

    @property
    def next_seq(self) -> int:
        """The seq that continues the chain."""
        return 0 if self.head is None else self.head.seq + 1

    def move_to(self, head: Head) -> None:
        """Make an admitted event the last one."""
        self.head = head
        self.hashes[head.seq] = head.hash
        self.changed = True

    def freeze(self) -> None:
        """Let nothing more in."""
        self.row.state = ChainState.FROZEN
        self.changed = True


class Tips:
    """The chains of one transaction."""

    def __init__(self, session: Session) -> None:
        self._session = session
        self._tips: dict[tuple[str, str], Tip | None] = {}  # None: the chain has not begun
        self._counts: dict[str, int] = {}

    def get(self, device: str, chain: str) -> Tip | None:
        """Return a chain; None if it has not begun."""
        if (device, chain) not in self._tips:
            self.look_up({(device, chain)})
        return self._tips[device, chain]

    def look_up(self, chains: Collection[tuple[str, str]]) -> None:
        """Read these chains, in one question."""
        unread = {one for one in chains if one not in self._tips}
        if not unread:
            return
        self._tips.update(dict.fromkeys(unread))
        devices, names = {device for device, _ in unread}, {chain for _, chain in unread}
        query = select(Chain).where(col(Chain.device).in_(devices), col(Chain.chain).in_(names))
        for row in self._session.exec(query):
            if (row.device, row.chain) in unread:
                self._tips[row.device, row.chain] = Tip(row, _head(row))

    def begin(self, device: str, chain: str, at: str, *, waits: bool = False) -> Tip:
        """Begin a chain: open if it is the device's first, else pending until an administrator approves.

        `waits`: it names a chain before it, so it is not the first, whatever has come here.
        """
        if device not in self._counts:
            query = select(func.count()).select_from(Chain).where(col(Chain.device) == device)
            self._counts[device] = self._session.exec(query).one()
        state = ChainState.OPEN if self._counts[device] == 0 and not waits else ChainState.PENDING
        self._counts[device] += 1
        tip = Tip(Chain(device=device, chain=chain, state=state, opened_at=at), None, changed=True)
        self._tips[device, chain] = tip
        return tip

    def admitted_hash(self, tip: Tip, seq: int) -> str:
        """Return the hash of the event that the ledger holds at a seq up to the head. Raises InDeclaredGap."""
        held = tip.hashes.get(seq)
        if held is None:
            place = (LedgerEntry.device == tip.row.device, LedgerEntry.chain == tip.row.chain, LedgerEntry.seq == seq)
            held = self._session.exec(select(LedgerEntry.hash).where(*place)).first()
            if held is None:
                raise InDeclaredGap(f"seq {seq} of {tip.row.device} was given up by a declared gap; it is kept here")
        return held

    def write(self) -> None:
        """Store what changed."""
        for tip in self._tips.values():
            if tip is None or not tip.changed:
                continue
            if tip.head is not None:
                tip.row.head_seq, tip.row.head_hash = tip.head.seq, tip.head.hash
                tip.row.head_boot, tip.row.head_mono_us = tip.head.boot, tip.head.mono_us
            self._session.add(tip.row)
        self._session.flush()


def _head(row: Chain) -> Head | None:
    if row.head_seq is None:
        return None
    assert row.head_hash is not None and row.head_boot is not None and row.head_mono_us is not None
    return Head(row.device, row.chain, row.head_seq, row.head_hash, row.head_boot, row.head_mono_us)
