"""Batches of events that terminals post themselves, where they reach no broker, and what they are to hear.

A batch is signed by the terminal's own key, and its events go through the same intake as from the broker, under the
topic of whoever signed. The answer has what would have come down: handovers, gap requests, receipts, the newest
checkpoint, open commands, each signed as ever.
"""

from __future__ import annotations

import threading
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass

import structlog
from sqlmodel import select

from collector.commands.service import Commands
from collector.database import Database
from collector.devices.keys import counting_now
from collector.devices.models import Device, DeviceKey
from collector.errors import CollectorError, DeliveryRefused, Invalid, TooManyDeliveries
from collector.ingest.deliveries import Delivered, Deliveries
from collector.ingest.gaps import Gaps
from collector.ingest.rate_limit import RateLimit
from collector.ledger.showing import Showing
from collector.statements.handovers import handovers_message
from evidence.delivery import Batch, read_batch
from evidence.errors import EvidenceError

AT_ONCE, PER_S = 40, 4.0  # batches of one terminal: a month without a network is some three hundred
REFUSALS_AT_ONCE, REFUSALS_PER_S = 60, 1.0  # dead letters and log lines under one registered name, or under no such
COMMANDS_AT_ONCE = 16  # under 1 MiB even at the largest envelope; the others come with the next answer

log = structlog.get_logger()


@dataclass(frozen=True, slots=True)
class Brought:
    """What came of a batch, and what the terminal is to hear."""

    done: Delivered
    messages: Sequence[bytes]  # as on …/receipt: handovers, gap requests, receipts, a checkpoint
    commands: Sequence[bytes]  # as on …/command


class TerminalDeliveries:
    """Takes terminals' batches; safe from several threads."""

    def __init__(
        self,
        database: Database,
        deliveries: Deliveries,
        gaps: Gaps,
        commands: Commands,
        showing: Showing,
        ticks: Callable[[], float] = time.monotonic,
    ) -> None:
        self._database, self._deliveries = database, deliveries
        self._gaps, self._commands, self._showing = gaps, commands, showing
        self._limit = RateLimit(AT_ONCE, PER_S, ticks)
        self._refusals = RateLimit(REFUSALS_AT_ONCE, REFUSALS_PER_S, ticks)
        self._showing_lock = threading.Lock()  # it serves one thread

    def take(self, data: bytes) -> Brought:
        """Take one batch; the same one again changes nothing and has the same answer.

        Raises Invalid, DeliveryRefused, TooManyDeliveries, KeyHandedOver or SQLAlchemyError.
        """
        try:
            batch = read_batch(data)
        except EvidenceError as error:
            raise Invalid(f"{error.code}: {error}") from error
        said = batch.delivery
        self._authenticate(batch)
        if not self._limit.admits(said.device):
            raise TooManyDeliveries(f"{said.device} sends more than {PER_S:g} batches a second; it is to wait")
        health = None if said.health is None else said.health.model_dump_json().encode()
        done = self._deliveries.take_from(said.site, said.device, batch.lines, health)
        return Brought(done, self._messages(said.device, done, batch), self._open_commands(said.device))

    def _authenticate(self, batch: Batch) -> None:
        """Check that a terminal which may send has signed the batch. Raises DeliveryRefused."""
        said = batch.delivery
        with self._database.read() as session:
            device = session.get(Device, said.device)
            keys = session.exec(select(DeviceKey).where(DeviceKey.device == said.device)).all()
        if device is None:
            why = f"no administrator has registered {said.device}; join with a code, or: zaigang collector device add"
            raise self._refused(batch, "unknown_device", why)
        if device.site != said.site:
            why = f"{said.device} stands at another site than {said.site}, as the batch says; correct its setting site"
            raise self._refused(batch, "wrong_site", why, limit=said.device)
        try:
            batch.verify([counting_now(keys)])
        except EvidenceError as error:
            why = f"not signed by {said.device}: {error}"
            raise self._refused(batch, error.code, why, limit=said.device) from error
        if device.revoked_at is not None:
            why = f"{said.device} was revoked at {device.revoked_at}; what it still has comes on a USB stick"
            raise self._refused(batch, "revoked_device", why, said.device, said.device)

    def _refused(self, batch: Batch, code: str, why: str, source: str = "", limit: str = "") -> DeliveryRefused:
        """Make a dead letter of the first event, which is the same however often the batch comes; return the error.

        `limit`: the registered name that the batch bears, so that a stranger uses up the room of one name alone.
        """
        said = batch.delivery
        if self._refusals.admits(limit):
            first = batch.lines[0] if batch.lines else batch.request.encode()
            self._deliveries.refuse(f"https {said.site}/{said.device}", first, code, why, source)
            log.warning("a terminal's batch is refused", device=said.device, code=code, why=why)
        return DeliveryRefused(code, why)

    def _messages(self, device: str, done: Delivered, batch: Batch) -> list[bytes]:
        """Handovers first: what follows may be signed by the key that they lead to."""
        with self._database.read() as session:
            handovers = handovers_message(session)
        found = [handovers] if handovers else []
        found += [answer.payload for answer in self._gaps.questions(device)]
        found += [answer.payload for answer in done.receipts.values()]
        health = batch.delivery.health
        if health is not None and health.checkpoint_size is not None:
            found += self._checkpoint(health.checkpoint_size)
        return found

    def _checkpoint(self, seen: int) -> list[bytes]:
        """What goes wrong here stays here: the events are committed, and their receipts have to go out."""
        try:
            with self._showing_lock:
                shown = self._showing.to_one(seen)
        except CollectorError as error:
            log.error("no checkpoint can be shown", code=error.code, why=str(error))
            return []
        return [] if shown is None else [shown]

    def _open_commands(self, device: str) -> list[bytes]:
        return [answer.payload for answer in self._commands.open(device)[:COMMANDS_AT_ONCE]]
