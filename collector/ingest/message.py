"""One message from the broker, as the intake sees it."""

from __future__ import annotations

from typing import NamedTuple


class Message(NamedTuple):
    """A payload, where it was published and when it arrived."""

    topic: str
    payload: bytes
    received_at: str  # RFC 3339 UTC with milliseconds
    retained: bool = False  # the broker kept it: it may be old
    mid: int = 0  # MQTT packet id, for the acknowledgement
    connection: int = 0  # the connection that the packet id belongs to
    qos: int = 0


class Answer(NamedTuple):
    """A signed receipt, ready to publish."""

    topic: str
    payload: bytes
    retain: bool = False  # the broker keeps it for a terminal that is away
    chain: str = ""  # which it speaks of, for a receipt
