"""Shows the newest checkpoint to the terminals, each with the proof that it grew from the one that it saw last.

Every terminal so is a witness, and its coverage says what it saw. All are shown the same checkpoint, a new one every
ten minutes, so that a bundle needs few proofs. What a terminal saw last, its unsigned health tells: if that is not
true, the proof does not fit and nothing happens.
"""

from __future__ import annotations

import time
from collections.abc import Callable
from dataclasses import dataclass, field

from sqlmodel import col, select

from collector.database import Database
from collector.devices.models import Device, DeviceStatus
from collector.errors import NotFound
from collector.ingest.message import Answer
from collector.ledger.proofs import Proofs
from evidence.add_checkpoint import write_add_checkpoint
from evidence.checkpoint import Checkpoint
from evidence.note import Note
from evidence.topics import Leaf, Topic

ANEW_AFTER_S = 600.0  # less than a period of coverage, so that each statement has a new one
AGAIN_AFTER_S = 30.0  # six reports of health: a message that was lost, or a proof from a size that had just passed


@dataclass(frozen=True, slots=True)
class _Shown:
    size: int
    note: bytes
    since_s: float
    messages: dict[int, bytes] = field(default_factory=dict)  # by what was seen before: most have seen the same


class Showing:
    """What terminals are to be shown. One thread calls it."""

    def __init__(self, database: Database, proofs: Proofs, *, ticks: Callable[[], float] = time.monotonic) -> None:
        """`ticks` is a monotonic clock in seconds."""
        self._database, self._proofs, self._ticks = database, proofs, ticks
        self._shown: _Shown | None = None
        self._told: dict[str, tuple[int, int, float]] = {}  # by device: from which size, to which, when

    def due(self) -> list[Answer]:
        """Return the messages that are to be sent now."""
        now_s = self._ticks()
        shown = self._round(now_s)
        if shown is None:
            return []
        found, told = [], {}
        for device, site, seen in self._terminals():
            if seen < shown.size and not self._was_told(device, seen, shown.size, now_s):
                told[device] = (seen, shown.size, now_s)
                found.append(Answer(str(Topic(site, device, Leaf.RECEIPT)), self._message(shown, seen)))
        self._told |= told  # only now: of a round that failed nothing was sent
        return found

    def to_one(self, seen: int) -> bytes | None:
        """Return the message for a terminal that saw `seen` entries last; None where there is nothing new."""
        shown = self._round(self._ticks())
        return None if shown is None or seen >= shown.size else self._message(shown, seen)

    def _message(self, shown: _Shown, seen: int) -> bytes:
        """The checkpoint with the proof for whoever saw `seen` entries, made once. Raises LedgerDamaged."""
        if seen not in shown.messages:
            shown.messages[seen] = write_add_checkpoint(seen, self._proofs.growth(seen, shown.size).proof, shown.note)
        return shown.messages[seen]

    def _round(self, now_s: float) -> _Shown | None:
        if self._shown is None or now_s - self._shown.since_s >= ANEW_AFTER_S:
            try:
                note = self._proofs.checkpoint()
            except NotFound:
                return self._shown
            self._shown = _Shown(Checkpoint.parse(Note.decode(note).text).size, note, now_s)
        return self._shown

    def _terminals(self) -> list[tuple[str, str, int]]:
        query = (
            select(Device.name, Device.site, DeviceStatus.health)
            .join(DeviceStatus, col(DeviceStatus.device) == col(Device.name))
            .where(col(Device.revoked_at).is_(None), col(DeviceStatus.online).is_(True))
        )
        with self._database.read() as session:
            rows = session.exec(query.order_by(col(Device.name))).all()
        seen = [(name, site, (health or {}).get("checkpoint_size")) for name, site, health in rows]
        return [(name, site, size) for name, site, size in seen if isinstance(size, int)]

    def _was_told(self, device: str, seen: int, size: int, now_s: float) -> bool:
        told = self._told.get(device)
        return told is not None and told[:2] == (seen, size) and now_s - told[2] < AGAIN_AFTER_S
