"""What of a message can be read and checked before the database is asked anything, and so outside the write lock.

That a signature stands under a key is a fact about bytes; whether that key counts is asked later, in the transaction.
"""

from __future__ import annotations

from collections.abc import Iterable
from contextlib import suppress
from dataclasses import dataclass

from collector.devices.keys import parse_key
from collector.devices.models import DeviceKey
from collector.ingest.message import Message
from evidence.envelope import EVENT_TYPE, Envelope
from evidence.errors import InvalidKey
from evidence.events import Event, parse_event
from evidence.keys import PublicKey
from evidence.topics import Leaf

_EVENT = f"/{Leaf.EVENT}"
KEYS_KEPT = 4096  # as many terminals as one collector is asked to hold


@dataclass(frozen=True, slots=True)
class Opened:
    """A message of an event as far as it could be read."""

    message: Message
    envelope: Envelope | None = None
    event: Event | None = None
    error: Exception | None = None  # why there is no event
    stands_under: PublicKey | None = None  # the envelope's one signature, as an event; None: nobody has looked


class Opener:
    """Opens messages; knows the registered keys that it has met, and believes of them nothing but their bytes.

    One thread may open while another one lets it meet keys.
    """

    def __init__(self) -> None:
        self._keys: dict[str, PublicKey] = {}  # by id, in the order in which they were met

    def open(self, messages: Iterable[Message]) -> list[Opened]:
        """Read every event and check its signature where the key that it names has been met. Raises nothing."""
        read = [self._read(message) if message.topic.endswith(_EVENT) else Opened(message) for message in messages]
        return [self._check(one) for one in read]

    def meet(self, keys: Iterable[DeviceKey]) -> None:
        """Remember registered keys; one that cannot be read is left to the transaction that asks for it."""
        for key in keys:
            if key.key_id not in self._keys:
                with suppress(InvalidKey):
                    self._keys[key.key_id] = parse_key(key.key)
        while len(self._keys) > KEYS_KEPT:
            del self._keys[next(iter(self._keys))]  # whoever comes again is met again

    def _read(self, message: Message) -> Opened:
        try:
            envelope = Envelope.decode(message.payload)
            return Opened(message, envelope, parse_event(envelope.payload))
        except Exception as error:  # whatever it is, it is this message's own: the batch buries it with the reason
            return Opened(message, error=error)

    def _check(self, opened: Opened) -> Opened:
        if opened.envelope is None:
            return opened
        key = self._keys.get(opened.envelope.signatures[0].keyid)
        if key is None:
            return opened
        try:
            opened.envelope.verify(key, EVENT_TYPE)
        except Exception:  # the transaction checks it again with the key that counts, and says why it is refused
            return opened
        return Opened(opened.message, opened.envelope, opened.event, None, key)
