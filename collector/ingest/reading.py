"""From an opened message to a verified event: registered device, event, topic, signature by the key that counts.

The steps are methods of their own so that a batch can take each step for all its messages before the next: the
same code over and over stays in the processor's cache, which makes the whole half as fast again.
"""

from __future__ import annotations

from collections.abc import Collection, Iterator
from dataclasses import dataclass
from typing import Any, NamedTuple

from sqlmodel import Session, col, select

from collector.devices.keys import key_for, require_unused
from collector.devices.models import Device, DeviceKey
from collector.errors import UnknownDevice, WrongTopic
from collector.ingest.message import Message
from collector.ingest.models import StagedEvent
from collector.ingest.opening import Opened
from evidence.envelope import Envelope
from evidence.errors import InvalidBody, UnknownKey
from evidence.events import Event, Kind, parse_event
from evidence.keys import PublicKey
from evidence.rotation import rotation_keys, verify_event
from evidence.topics import Topic


@dataclass(frozen=True, slots=True)
class Registered:
    """A device and its keys as this transaction sees them."""

    device: Device
    keys: list[DeviceKey]  # grows where the transaction admits a rotation


class Addressed(NamedTuple):
    """A message of a registered device."""

    opened: Opened
    topic: Topic
    registered: Registered

    @property
    def message(self) -> Message:
        """The message."""
        return self.opened.message


class Decoded(NamedTuple):
    """An event that its signature does not speak for yet."""

    opened: Opened
    event: Event
    registered: Registered

    @property
    def message(self) -> Message:
        """The message."""
        return self.opened.message


class Offered(NamedTuple):
    """A decoded event whose signature stands."""

    event: Event
    hash: str
    key_id: str
    data: bytes
    received_at: str
    registered: Registered
    message: Message
    rotated_to: PublicKey | None = None  # the event hands its chain over to this key
    row_ahead: dict[str, Any] | None = None  # its row, where somebody had the time


class Reader:
    """Reads messages with the devices and keys that one transaction sees."""

    def __init__(self, session: Session) -> None:
        self._session = session
        self._devices: dict[str, Registered | None] = {}
        # Chains whose rotation was read but is not admitted yet, in this batch or in staging: the first seq of each
        # key to come. What they sign is read so that it can wait; admission asks the registered keys alone.
        self._to_come: dict[tuple[str, str], list[tuple[int, PublicKey]]] = {}
        self._staged_read: set[tuple[str, str]] = set()

    def address(self, opened: Opened, topic: Topic) -> Addressed:
        """Find the device. Raises UnknownDevice."""
        registered = self.registered(topic.device)
        if registered is None:
            raise UnknownDevice(f"no administrator has registered {topic.device}; run: zaigang collector device add")
        return Addressed(opened, topic, registered)

    def decode(self, addressed: Addressed) -> Decoded:
        """Take the event as it was read, believing nothing yet. Raises WrongTopic or evidence's EncodingError."""
        opened, topic = addressed.opened, addressed.topic
        if opened.error is not None:
            raise opened.error.with_traceback(None)  # a batch is tried again: each time would hang another one on it
        event = opened.event
        assert event is not None
        if (topic.site, topic.device) != (event.site, event.device):
            raise WrongTopic(f"published under {topic.site}/{topic.device}, the event says {event.site}/{event.device}")
        return Decoded(opened, event, addressed.registered)

    def verify(self, decoded: Decoded) -> Offered:
        """Check the signature with the key that counts at the event's place, or will once what waits is admitted.

        Raises evidence's SignatureError or InvalidBody, or KeyMismatch for a rotation to a key that was used before.
        """
        opened, event, message = decoded.opened, decoded.event, decoded.message
        key, after = self._signed_by(decoded)
        rotated_to = after if after != key else None
        if rotated_to is not None:
            self._note(event, rotated_to, decoded.registered)
        return Offered(
            event,
            opened.hash,
            key.id,
            message.payload,
            message.received_at,
            decoded.registered,
            message,
            rotated_to,
            opened.row_ahead,
        )

    def require_counting(self, offered: Offered) -> None:
        """Raise UnknownKey where another key counts by now: a rotation was admitted after this event was read."""
        event = offered.event
        if (event.device, event.chain) not in self._to_come:
            return
        if key_for(offered.registered.keys, event.chain, event.seq).id != offered.key_id:
            raise UnknownKey(f"seq {event.seq} is signed by a key that does not count there since a rotation")

    def _signed_by(self, decoded: Decoded) -> tuple[PublicKey, PublicKey]:
        """Return the key that signed, and the one that counts after. A registered key goes before one to come."""
        event, opened = decoded.event, decoded.opened
        try:
            key = key_for(decoded.registered.keys, event.chain, event.seq)
            if opened.stands_under == key and event.kind != Kind.DEVICE_KEY_ROTATED:
                return key, key
            return key, verify_event(opened.envelope(), event, key)
        except (UnknownKey, InvalidBody):  # InvalidBody: a second rotation, which names a key to come as the one before
            self._read_staged(event.device, event.chain)
            to_come = self._to_come_at(event)
            if to_come is None:
                raise
            return to_come, verify_event(opened.envelope(), event, to_come)

    def _note(self, event: Event, key: PublicKey, registered: Registered) -> None:
        if any(held.key_id == key.id and held.first_seq == event.seq + 1 for held in registered.keys):
            return  # admitted before: it comes again
        require_unused(self._session, key)
        self._to_come.setdefault((event.device, event.chain), []).append((event.seq + 1, key))

    def _to_come_at(self, event: Event) -> PublicKey | None:
        known = [one for one in self._to_come.get((event.device, event.chain), ()) if one[0] <= event.seq]
        return max(known, key=lambda one: one[0])[1] if known else None

    def _read_staged(self, device: str, chain: str) -> None:
        """Learn the rotations that wait in staging, once a batch: they were verified when they were staged."""
        if (device, chain) in self._staged_read:
            return
        self._staged_read.add((device, chain))
        query = select(StagedEvent.envelope).where(StagedEvent.device == device, StagedEvent.chain == chain)
        for data in self._session.exec(query.order_by(col(StagedEvent.seq))):
            event = parse_event(Envelope.decode(data).payload)
            if event.kind == Kind.DEVICE_KEY_ROTATED:
                self._to_come.setdefault((device, chain), []).append((event.seq + 1, rotation_keys(event)[1]))

    def registered(self, name: str) -> Registered | None:
        """Look a device up; None for one that no administrator has registered."""
        if name not in self._devices:
            self.look_up({name})
        return self._devices[name]

    def keys(self) -> Iterator[DeviceKey]:
        """Yield the keys of every device that was asked for."""
        for registered in self._devices.values():
            if registered is not None:
                yield from registered.keys

    def look_up(self, names: Collection[str]) -> None:
        """Read these devices and their keys: two questions for a batch, where one each would take longer than it."""
        unread = [name for name in names if name not in self._devices]
        if not unread:
            return
        devices = {one.name: one for one in self._session.exec(select(Device).where(col(Device.name).in_(unread)))}
        keys: dict[str, list[DeviceKey]] = {name: [] for name in devices}
        for key in self._session.exec(select(DeviceKey).where(col(DeviceKey.device).in_(devices))):
            keys[key.device].append(key)
        for name in unread:
            self._devices[name] = Registered(devices[name], keys[name]) if name in devices else None
