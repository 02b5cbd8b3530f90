"""What of a message can be read and checked before the database is asked anything, and so outside the write lock.

That a signature stands under a key is a fact about bytes; whether that key counts is asked later, in the transaction.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from contextlib import suppress
from dataclasses import dataclass
from typing import Any, Protocol

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


@dataclass(slots=True)
class Opened:
    """A message of an event as far as it could be read."""

    message: Message
    event: Event | None = None
    hash: str = ""  # of the event
    error: Exception | None = None  # why there is no event
    stands_under: PublicKey | None = None  # the envelope's one signature, as an event; None: nobody has looked
    row_ahead: dict[str, Any] | None = None  # its row, where somebody had the time (collector/ledger/projection.py)

    def envelope(self) -> Envelope:
        """Decode the envelope: for the few that are looked at again. Raises evidence's EncodingError."""
        return Envelope.decode(self.message.payload)


class Opens(Protocol):
    """Whoever opens messages. One thread may open while another one lets it meet keys."""

    def open(self, messages: Sequence[Message]) -> list[Opened]:
        """Read every event and check its signature where the key that it names has been met. Raises nothing."""
        ...

    def meet(self, keys: Iterable[DeviceKey]) -> None:
        """Remember registered keys, of which nothing is believed but their bytes."""
        ...

    def close(self) -> None:
        """Let go of whatever it holds."""
        ...


class Opener:
    """Opens messages here."""

    def __init__(self) -> None:
        self.keys: dict[str, PublicKey] = {}  # by id, in the order in which they were met

    def open(self, messages: Sequence[Message]) -> list[Opened]:
        """Read every event and check its signature where the key that it names has been met. Raises nothing."""
        # In two steps: the same code over and over stays in the processor's cache.
        read = [self._read(message) if is_event(message) else (Opened(message), None) for message in messages]
        return [self._check(opened, envelope) for opened, envelope in read]

    def meet(self, keys: Iterable[DeviceKey]) -> None:
        """Remember registered keys; one that cannot be read is left to the transaction that asks for it."""
        for key in keys:
            if key.key_id not in self.keys:
                with suppress(InvalidKey):
                    self.remember(parse_key(key.key))

    def remember(self, key: PublicKey) -> None:
        """Remember a key, and no more of them than there are terminals: whoever comes again is met again."""
        self.keys[key.id] = key
        while len(self.keys) > KEYS_KEPT:
            del self.keys[next(iter(self.keys))]

    def close(self) -> None:
        """Nothing is held."""

    def _read(self, message: Message) -> tuple[Opened, Envelope | None]:
        try:
            envelope = Envelope.decode(message.payload)
            return Opened(message, parse_event(envelope.payload), envelope.hash), envelope
        except Exception as error:  # whatever it is, it is this message's own: the batch buries it with the reason
            return Opened(message, error=error), None

    def _check(self, opened: Opened, envelope: Envelope | None) -> Opened:
        if envelope is not None and (key := self.keys.get(envelope.signatures[0].keyid)) is not None:
            # What does not stand the transaction checks with the key that counts, and says why it is refused.
            with suppress(Exception):
                envelope.verify(key, EVENT_TYPE)
                opened.stands_under = key
        return opened


def is_event(message: Message) -> bool:
    """Say whether a message was published as an event."""
    return message.topic.endswith(_EVENT)
