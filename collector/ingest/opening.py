"""What of a message can be read and checked before the database is asked anything, and so outside the write lock.

That a signature stands under a key is a fact about bytes; whether that key counts is asked later, in the transaction.
"""

from __future__ import annotations

from collections.abc import Iterable
from contextlib import suppress
from dataclasses import dataclass

from collector.devices.keys import parse_key
from collector.devices.models import DeviceKey
from collector.ingest.checking import Checker, Claim
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
    envelope: Envelope | None = None
    event: Event | None = None
    error: Exception | None = None  # why there is no event
    stands_under: PublicKey | None = None  # the envelope's one signature, as an event; None: nobody has looked


class Opener:
    """Opens messages; knows the registered keys that it has met, and believes of them nothing but their bytes.

    One thread may open while another one lets it meet keys.
    """

    def __init__(self, checker: Checker | None = None) -> None:
        self._keys: dict[str, PublicKey] = {}  # by id, in the order in which they were met
        self._checker = checker or Checker()

    def open(self, messages: Iterable[Message]) -> list[Opened]:
        """Read every event and check its signature where the key that it names has been met. Raises nothing."""
        opened = [self._read(message) if message.topic.endswith(_EVENT) else Opened(message) for message in messages]
        claims = {place: claim for place, one in enumerate(opened) if (claim := self._claim(one)) is not None}
        for (place, claim), stands in zip(claims.items(), self._checker.check(list(claims.values())), strict=True):
            if stands:  # else the transaction checks it with the key that counts, and says why it is refused
                opened[place].stands_under = claim.key
        return opened

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

    def _claim(self, opened: Opened) -> Claim | None:
        """Return what the event's one signature says, if it is one of a key that was met."""
        envelope = opened.envelope
        if envelope is None or envelope.payload_type != EVENT_TYPE or len(envelope.signatures) != 1:
            return None
        (signature,) = envelope.signatures
        key = self._keys.get(signature.keyid)
        return None if key is None else Claim(key, signature.sig, envelope.signed_bytes)
