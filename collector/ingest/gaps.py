"""Gaps: places that later events of a chain wait for. An old one is asked for again, then shown until it closes."""

from __future__ import annotations

import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta

import structlog
from sqlalchemy import func, select
from sqlmodel import Session, col

from collector.database import Database
from collector.devices.models import Device
from collector.ingest.message import Answer
from collector.ingest.models import StagedEvent
from collector.ledger.models import Chain, ChainState
from collector.timestamps import utc_text
from evidence.gap import GapRequest, sign_gap_request
from evidence.keys import SigningKey
from evidence.topics import Leaf, Topic

ASK_AFTER = timedelta(seconds=20)  # two resendings of a terminal: what is only late has come by then
SHOW_AFTER = timedelta(seconds=120)  # asked four times in vain: somebody has to look
ASK_EVERY_S = 30.0

log = structlog.get_logger()


@dataclass(frozen=True, slots=True)
class Gap:
    """Events `first` to `last` of a chain are missing while later ones wait."""

    device: str
    site: str
    chain: str
    first: int
    last: int
    waiting: int  # events that wait behind it
    since: str  # when the first of these came


def find_gaps(session: Session, older_than: timedelta, now: datetime, of_device: str | None = None) -> list[Gap]:
    """Return the first gap of every chain, or of one device's, whose waiting events came before `now - older_than`."""
    lowest, oldest = func.min(StagedEvent.seq), func.min(StagedEvent.received_at)
    query = (
        select(
            col(StagedEvent.device),
            col(StagedEvent.chain),
            lowest,
            oldest,
            func.count(),
            col(Device.site),
            col(Chain.head_seq),
        )
        .select_from(StagedEvent)
        .join(Device, col(Device.name) == col(StagedEvent.device))
        .join(
            Chain,
            (col(Chain.device) == col(StagedEvent.device)) & (col(Chain.chain) == col(StagedEvent.chain)),
            isouter=True,
        )
        .where(func.coalesce(Chain.state, ChainState.OPEN) != ChainState.FROZEN)
        .group_by(col(StagedEvent.device), col(StagedEvent.chain), col(Device.site), col(Chain.head_seq))
        .order_by(col(StagedEvent.device), col(StagedEvent.chain))
    )
    if of_device is not None:
        query = query.where(col(StagedEvent.device) == of_device)
    limit = utc_text(now - older_than)
    found = []
    for device, chain, lowest_seq, since, waiting, site, head in session.connection().execute(query):
        first = 0 if head is None else head + 1
        if lowest_seq > first and since <= limit:
            found.append(Gap(device, site, chain, first, lowest_seq - 1, waiting, since))
    return found


class Gaps:
    """Questions about gaps, and the ones that go to terminals. `ticks` is a monotonic clock in seconds."""

    def __init__(
        self,
        database: Database,
        receipt_key: SigningKey,
        *,
        ask_after: timedelta = ASK_AFTER,
        show_after: timedelta = SHOW_AFTER,
        ask_every_s: float = ASK_EVERY_S,
        ticks: Callable[[], float] = time.monotonic,
    ) -> None:
        self._database, self._key = database, receipt_key
        self._ask_after, self._show_after, self._ask_every_s = ask_after, show_after, ask_every_s
        self._ticks = ticks
        self._asked: dict[tuple[str, str, int], float] = {}

    def shown(self, device: str | None = None) -> list[Gap]:
        """Return the gaps that asking has not closed."""
        with self._database.read() as session:
            gaps = find_gaps(session, self._show_after, datetime.now(UTC))
        return [gap for gap in gaps if device in (None, gap.device)]

    def due(self) -> Sequence[Answer]:
        """Return the signed questions that are to be sent now; each is repeated until its gap closes."""
        with self._database.read() as session:
            gaps = find_gaps(session, self._ask_after, datetime.now(UTC))
        now = self._ticks()
        asked = {(gap.device, gap.chain, gap.first): gap for gap in gaps}
        self._asked = {place: when for place, when in self._asked.items() if place in asked}
        due = []
        for place, gap in asked.items():
            if now - self._asked.get(place, -self._ask_every_s) < self._ask_every_s:
                continue
            self._asked[place] = now
            log.warning("events are missing", device=gap.device, chain=gap.chain, first=gap.first, last=gap.last)
            due.append(self._question(gap))
        return due

    def questions(self, device: str) -> list[Answer]:
        """Return the signed questions about everything that one device's events wait for, however briefly.

        For a device that has just sent all it could: nothing is under way.
        """
        with self._database.read() as session:
            gaps = find_gaps(session, timedelta(), datetime.now(UTC), device)
        return [self._question(gap) for gap in gaps]

    def _question(self, gap: Gap) -> Answer:
        request = GapRequest(
            device=gap.device, chain=gap.chain, first=gap.first, last=gap.last, time=utc_text(datetime.now(UTC))
        )
        return Answer(str(Topic(gap.site, gap.device, Leaf.RECEIPT)), sign_gap_request(request, self._key))
