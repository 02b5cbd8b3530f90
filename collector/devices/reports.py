"""Health and status messages of terminals: read, checked against their topic, and kept as the device's live status."""

from __future__ import annotations

from typing import Any

from pydantic import ValidationError
from sqlmodel import Session, col, select

from collector.devices.models import DeviceStatus
from collector.errors import InvalidStatus, WrongTopic
from collector.ingest.message import Message
from evidence.canonical import parse_strict
from evidence.status import Health, Status
from evidence.topics import Leaf, Topic

MAX_REPORT_BYTES = 16_384  # seven parts with a sentence each make 2 kB
MAX_PARTS = 32  # a terminal has seven


class StatusUpdates:
    """The reports of one transaction; the last one of a device counts."""

    def __init__(self) -> None:
        self._changes: dict[str, dict[str, Any]] = {}

    def heard(self, device: str, at: str) -> None:
        """Note that a device gave a sign of life."""
        self._changes.setdefault(device, {})["last_activity"] = at

    def take(self, message: Message, topic: Topic) -> None:
        """Note one report. Raises InvalidStatus, WrongTopic or evidence's EncodingError."""
        if len(message.payload) > MAX_REPORT_BYTES:
            raise InvalidStatus(f"a report has at most {MAX_REPORT_BYTES} bytes, this one {len(message.payload)}")
        value = parse_strict(message.payload)
        try:
            if topic.leaf is Leaf.HEALTH:
                self._take_health(Health.model_validate(value), message, topic)
            elif topic.leaf is Leaf.STATUS:
                self._take_status(Status.model_validate(value), message, topic)
            else:
                raise InvalidStatus(f"nothing is expected on …/{topic.leaf}")
        except ValidationError as error:
            raise InvalidStatus(f"the report cannot be read: {error.error_count()} field(s) wrong") from error

    def _take_health(self, health: Health, message: Message, topic: Topic) -> None:
        _same_place(topic, health.site, health.device)
        if len(health.parts) > MAX_PARTS:
            raise InvalidStatus(f"a terminal has at most {MAX_PARTS} parts, this one names {len(health.parts)}")
        change = self._changes.setdefault(topic.device, {})
        change["health"] = health.model_dump(mode="json")
        change["health_at"] = change["last_activity"] = message.received_at

    def _take_status(self, status: Status, message: Message, topic: Topic) -> None:
        _same_place(topic, status.site, status.device)
        change = self._changes.setdefault(topic.device, {})
        change["online"] = status.state == "online"
        # A retained message is what the broker remembers: it says nothing new about a state that is known already.
        change["retained"] = message.retained
        change["status_at"] = message.received_at
        if status.state == "online" and not message.retained:
            change["last_activity"] = message.received_at

    def write(self, session: Session) -> None:
        """Store what changed."""
        query = select(DeviceStatus).where(col(DeviceStatus.device).in_(self._changes))
        known = {row.device: row for row in session.exec(query)}
        for device, change in self._changes.items():
            row = known.get(device) or DeviceStatus(device=device)
            _apply(row, change)
            session.add(row)


def _apply(row: DeviceStatus, change: dict[str, Any]) -> None:
    for name in ("last_activity", "health", "health_at"):
        if name in change:
            setattr(row, name, change[name])
    if "online" not in change:
        if "health_at" in change and not row.online:
            # Its greeting was missed or refused (it was not registered yet), but a terminal that reports is connected.
            row.online, row.last_connect = True, change["health_at"]
        return
    known = row.last_connect is not None if change["online"] else row.last_disconnect is not None
    news = not change["retained"] or row.online != change["online"] or not known
    row.online = change["online"]
    if news and row.online:
        row.last_connect = change["status_at"]
    elif news:
        row.last_disconnect = change["status_at"]


def _same_place(topic: Topic, site: str, device: str) -> None:
    if (topic.site, topic.device) != (site, device):
        raise WrongTopic(f"published under {topic.site}/{topic.device}, the report says {site}/{device}")
