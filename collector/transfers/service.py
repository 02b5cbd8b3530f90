"""Sends what waits for a terminal until that has answered or its time is over, and lets go of what is over."""

from __future__ import annotations

import math
import time
from collections.abc import Callable

from sqlalchemy import or_
from sqlalchemy.orm import aliased
from sqlmodel import col, delete, select

from collector.database import Database
from collector.devices.models import Device, DeviceStatus
from collector.ingest.message import Answer
from collector.timestamps import utc_now
from collector.transfers.models import HeldTransfer
from evidence.topics import Leaf, Topic

AGAIN_AFTER_S = 20.0
AT_A_TIME = 16  # on the way to one terminal; an answer makes room for the next
PRUNE_EVERY_S = 3600.0


class Transfers:
    """The messages that wait. One thread calls `due`."""

    def __init__(self, database: Database, now: Callable[[], str] = utc_now) -> None:
        self._database, self._now = database, now
        self._sent_s: dict[str, float] = {}  # by message, monotonic seconds
        self._pruned_s = -math.inf

    def due(self) -> list[Answer]:
        """Return what is to be passed on now, in the order in which it came."""
        now_s = time.monotonic()
        if now_s - self._pruned_s >= PRUNE_EVERY_S:
            self._pruned_s = now_s
            self._prune()
        found = []
        still = set()
        for message, topic, envelope in self._waiting():
            still.add(message)
            if now_s - self._sent_s.get(message, -math.inf) >= AGAIN_AFTER_S:
                self._sent_s[message] = now_s
                found.append(Answer(topic, envelope))
        self._sent_s = {message: at for message, at in self._sent_s.items() if message in still}
        return found

    def _waiting(self) -> list[tuple[str, str, bytes]]:
        """The oldest messages of terminals that count for each terminal that is connected: hash, topic, envelope."""
        sender = aliased(Device)
        counting = select(sender.name).where(col(sender.revoked_at).is_(None), sender.site == HeldTransfer.site)
        open_ = (
            HeldTransfer.state == "waiting",
            HeldTransfer.expires > self._now(),
            col(HeldTransfer.sender).in_(counting),
        )
        connected = (
            select(HeldTransfer.recipient)
            .join(Device, col(Device.name) == HeldTransfer.recipient)
            .join(DeviceStatus, col(DeviceStatus.device) == HeldTransfer.recipient, isouter=True)
            .where(
                *open_,
                col(Device.revoked_at).is_(None),
                Device.site == HeldTransfer.site,
                or_(col(DeviceStatus.online).is_(None), col(DeviceStatus.online).is_(True)),
            )
            .distinct()
        )
        found = []
        with self._database.read() as session:
            for recipient in session.exec(connected).all():
                rows = select(HeldTransfer).where(*open_, HeldTransfer.recipient == recipient)
                oldest = session.exec(rows.order_by(col(HeldTransfer.id)).limit(AT_A_TIME))
                found += [(row.message, str(Topic(row.site, recipient, Leaf.PEER)), row.envelope) for row in oldest]
        return found

    def _prune(self) -> None:
        with self._database.write() as session:
            session.connection().execute(delete(HeldTransfer).where(col(HeldTransfer.expires) <= self._now()))
