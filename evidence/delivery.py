"""A terminal's batch of events, for where there is no broker: a signed first line, then one envelope a line.

The first line says who sends it and, by their hash, exactly which lines follow, so whoever has no key of a registered
terminal can have nothing taken in. The events in it stand or fall by their own signatures, as from the broker.
"""

from __future__ import annotations

import base64
import binascii
import hashlib
import itertools
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from typing import Annotated

from pydantic import Field

from evidence.envelope import DELIVERY_TYPE, MAX_ENVELOPE_BYTES, Envelope
from evidence.errors import DeliveryError, EvidenceError, TooLarge, UnknownKey
from evidence.events import Counter, Fact, Hex128, HexDigest, Kind, Name, parse_event
from evidence.keys import PublicKey, SigningKey
from evidence.rotation import rotation_keys, verify_event
from evidence.signed_fact import read_fact, sign_fact
from evidence.status import Health

MAX_BATCH_BYTES = 1 << 20  # the whole of it; what reverse proxies let through by default
MAX_BATCH_EVENTS = 1000  # every line costs whoever reads it some work before anybody has proved anything
MAX_ROTATIONS = 8  # of which the collector has no word yet; each has some 1.5 kB


class Delivery(Fact):
    """A batch's first line. `rotations`: how the signing key came from earlier ones, where nobody may know that yet."""

    device: Name
    site: Name
    nonce: Hex128
    events: Counter  # lines that follow
    digest: HexDigest  # SHA-256 of everything behind the first line feed
    # base64 of the envelopes of device.key_rotated, oldest first
    rotations: Annotated[tuple[Annotated[str, Field(max_length=8192)], ...], Field(max_length=MAX_ROTATIONS)] = ()
    health: Health | None = None  # as on …/health


@dataclass(frozen=True, slots=True)
class Batch:
    """A batch that fits its first line; nobody has checked the signature of that yet."""

    delivery: Delivery
    request: Envelope
    lines: tuple[bytes, ...]  # envelopes of events, as they came

    def verify(self, registered: Sequence[PublicKey]) -> None:
        """Check that one of the device's keys has signed it, or one that rotations lead to from them.

        Rotations are taken from the first line and from among the events. Raises a SignatureError.
        """
        self.request.verify(self._key(registered), DELIVERY_TYPE)

    def _key(self, registered: Sequence[PublicKey]) -> PublicKey:
        wanted = self.request.signatures[0].keyid
        keys = {key.id: key for key in registered}
        rotations = self._rotations()
        while wanted not in keys:
            found = next(rotations, None)
            if found is None:
                raise UnknownKey(f"no key that counts for {self.delivery.device} has the id {wanted[:16]}…")
            self._follow(found, keys)
        return keys[wanted]

    def _follow(self, data: bytes, keys: dict[str, PublicKey]) -> None:
        """Add the key that a rotation leads to; whatever else it may be leads nowhere."""
        try:
            envelope = Envelope.decode(data)
            event = parse_event(envelope.payload)
            if event.device != self.delivery.device or event.kind != Kind.DEVICE_KEY_ROTATED:
                return
            before = keys.get(rotation_keys(event)[0].id)
            if before is not None:
                after = verify_event(envelope, event, before)
                keys[after.id] = after
        except EvidenceError:
            return

    def _rotations(self) -> Iterator[bytes]:
        for text in self.delivery.rotations:
            try:
                yield base64.b64decode(text, validate=True)
            except binascii.Error:
                continue
        by_two_keys = (line for line in self.lines if line.count(b'"keyid"') == 2)
        yield from itertools.islice(by_two_keys, MAX_ROTATIONS)


def write_batch(
    device: str,
    site: str,
    nonce: str,
    lines: Sequence[bytes],
    key: SigningKey,
    *,
    rotations: Iterable[bytes] = (),
    health: Health | None = None,
) -> bytes:
    """Put a batch together and sign its first line. Raises TooLarge beyond MAX_BATCH_BYTES or MAX_BATCH_EVENTS."""
    if len(lines) > MAX_BATCH_EVENTS:
        raise TooLarge(f"a batch has at most {MAX_BATCH_EVENTS} events, this one {len(lines)}")
    rest = b"\n".join(lines)
    said = Delivery(
        device=device,
        site=site,
        nonce=nonce,
        events=len(lines),
        digest=hashlib.sha256(rest).hexdigest(),
        rotations=tuple(base64.b64encode(one).decode() for one in rotations),
        health=health,
    )
    data = sign_fact(DELIVERY_TYPE, said, key) + b"\n" + rest
    if len(data) > MAX_BATCH_BYTES:
        raise TooLarge(f"a batch has at most {MAX_BATCH_BYTES} bytes, this one {len(data)}")
    return data


def read_batch(data: bytes) -> Batch:
    """Read a batch, believing nothing yet but that it fits its first line.

    Raises an EncodingError, or DeliveryError where the lines are not those that the first one speaks of.
    """
    if len(data) > MAX_BATCH_BYTES:
        raise TooLarge(f"a batch has at most {MAX_BATCH_BYTES} bytes, this one {len(data)}")
    first, _, rest = data.partition(b"\n")
    request = Envelope.decode(first)
    said = read_fact(request.payload, Delivery, DeliveryError, "the first line of a batch")
    if hashlib.sha256(rest).hexdigest() != said.digest:
        raise DeliveryError("the events are not those that the batch's first line speaks of; send it again")
    came = rest.count(b"\n") + 1 if rest else 0
    if came != said.events:
        raise DeliveryError(f"the batch's first line speaks of {said.events} events, {came} came")
    if came > MAX_BATCH_EVENTS:
        raise TooLarge(f"a batch has at most {MAX_BATCH_EVENTS} events, this one {came}")
    lines = tuple(rest.split(b"\n")) if rest else ()
    if any(len(line) > MAX_ENVELOPE_BYTES for line in lines):
        raise TooLarge(f"an envelope has at most {MAX_ENVELOPE_BYTES} bytes")
    return Batch(said, request, lines)
