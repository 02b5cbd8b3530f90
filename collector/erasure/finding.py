"""Which envelopes speak of a worker. Pure.

It reads the bodies themselves and no derived row: kinds of later versions and bodies that could not be projected name
workers too.
"""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

from evidence.envelope import Envelope
from evidence.errors import EvidenceError
from evidence.events import parse_event

DEPTH = 8  # a signed body may nest; deeper than any kind goes nobody looks


def is_about(envelope: bytes, worker: str) -> bool:
    """Say whether the event is about this worker: a field `worker`, at any depth, has this code."""
    return _has(_body(envelope), "worker", worker, DEPTH)


def names_as_supervisor(envelope: bytes, worker: str) -> bool:
    """Say whether another one's event names this worker as the one who confirmed it: that is the other's record."""
    return _has(_body(envelope), "confirmed_by", worker, DEPTH)


def digest_line(leaf_index: int, event_hash: str) -> bytes:
    """The line of a tombstone under the digest of worker.erasure."""
    return f"{leaf_index} {event_hash}\n".encode()


def _body(envelope: bytes) -> Any:
    try:
        return parse_event(Envelope.decode(envelope).payload).body
    except EvidenceError:  # nothing that can be read: a dead letter cut short, a tombstone
        return None


def _has(value: Any, field: str, code: str, depth: int) -> bool:
    if depth == 0:
        return False
    inner: Iterable[Any] = ()
    if isinstance(value, dict):
        if value.get(field) == code:
            return True
        inner = value.values()
    elif isinstance(value, list):
        inner = value
    return any(_has(one, field, code, depth - 1) for one in inner)
