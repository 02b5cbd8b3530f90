"""The rule of a key rotation: `device.key_rotated` is signed by the key that counts and by the one that follows it.

Every other event has one signature. Each key vouches for the other: the old one, that this is its successor; the new
one, that whoever has it accepts the place. From the next seq of this chain on the new key counts, and no old one.
"""

from __future__ import annotations

from evidence.envelope import EVENT_TYPE, Envelope
from evidence.errors import InvalidBody, InvalidKey
from evidence.events import Event, KeyRotatedBody, Kind, parse_body
from evidence.keys import PublicKey


def verify_event(envelope: Envelope, event: Event, key: PublicKey) -> PublicKey:
    """Check that an event's envelope is signed as it has to be under `key`; return the key that counts after it.

    `event` is what the envelope's payload parses to. Raises a SignatureError, or InvalidBody for a rotation that
    cannot be read or names another predecessor than `key`: what it says decides who has to sign it.
    """
    if event.kind != Kind.DEVICE_KEY_ROTATED:
        envelope.verify(key, EVENT_TYPE)
        return key
    previous, new = rotation_keys(event)
    if previous != key:
        raise InvalidBody(f"the rotation names {previous.id[:16]}… as the key before, here counts {key.id[:16]}…")
    envelope.verify_all([key, new], EVENT_TYPE)
    return new


def rotation_keys(event: Event) -> tuple[PublicKey, PublicKey]:
    """Return the key before and the key after a `device.key_rotated`. Raises InvalidBody."""
    body = parse_body(event)
    if not isinstance(body, KeyRotatedBody):
        raise InvalidBody(f"{event.kind} is no {Kind.DEVICE_KEY_ROTATED}")
    try:
        return PublicKey.parse_exactly(body.previous), PublicKey.parse_exactly(body.key)
    except InvalidKey as error:
        raise InvalidBody(f"the rotation names something that is no key: {error}") from error
