"""Which envelopes speak of a worker. Pure.

It reads the bodies themselves and no derived row: kinds of later versions and bodies that could not be projected name
workers too.
"""

from __future__ import annotations

import base64
import re
from collections.abc import Iterable, Iterator
from typing import Any

from evidence.envelope import Envelope
from evidence.errors import EvidenceError
from evidence.events import parse_event

_BASE64 = re.compile(rb"[A-Za-z0-9+/_-]{4,}")
_ESCAPED = re.compile(rb"(?:\\u[0-9A-Fa-f]{4})+")
_NAMED = re.compile(rb'"worker"\s*:\s*"')
DEPTH = 8  # a signed body may nest; deeper than any kind goes nobody looks


def is_about(envelope: bytes, worker: str) -> bool:
    """Say whether the event is about this worker: a field `worker`, at any depth, has this code."""
    return _has(_body(envelope), "worker", worker, DEPTH)


def may_be_about(content: bytes, worker: str, *, cut: bool) -> bool:
    """Say whether the beginning of a message that could not be admitted is about this worker, or may be.

    Of what can be read as an event its body decides. Of what cannot, the code counts wherever it stands: in the bytes
    or in what they are the Base64 of. What was `cut` and names no worker at all may be about anybody.
    """
    if _body(content) is not None:
        return is_about(content, worker)
    code, named = worker.encode(), False
    for text in _texts(content):
        if code in text:
            return True
        named = named or _NAMED.search(text) is not None
    return cut and not named


def workers_in(envelope: bytes) -> set[str]:
    """Return every code that a field `worker` has, at any depth."""
    return set(_all(_body(envelope), "worker", DEPTH))


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


def _texts(content: bytes) -> Iterator[bytes]:
    """The bytes, and what each stretch of Base64 in them decodes to, wherever its first group of four began."""
    yield _unescaped(content)
    for found in _BASE64.finditer(content):
        stretch = found.group().translate(bytes.maketrans(b"-_", b"+/"))
        for skipped in range(4):
            part = stretch[skipped:]
            yield _unescaped(base64.b64decode(part + b"A" * (-len(part) % 4)))


def _unescaped(text: bytes) -> bytes:
    """Undo JSON's escapes of characters: they are UTF-16."""
    return _ESCAPED.sub(
        lambda one: bytes.fromhex(one.group().replace(rb"\u", b"").decode()).decode("utf-16-be", "replace").encode(),
        text,
    )


def _has(value: Any, field: str, code: str, depth: int) -> bool:
    return any(one == code for one in _all(value, field, depth))


def _all(value: Any, field: str, depth: int) -> Iterator[str]:
    if depth == 0:
        return
    inner: Iterable[Any] = ()
    if isinstance(value, dict):
        if isinstance(value.get(field), str):
            yield value[field]
        inner = value.values()
    elif isinstance(value, list):
        inner = value
    for one in inner:
        yield from _all(one, field, depth - 1)
