"""MQTT topics: `zaigang/v1/{site}/{device}/{leaf}`, built and parsed in one place."""

from __future__ import annotations

import re
from dataclasses import dataclass
from enum import StrEnum

from evidence.errors import EncodingError

ROOT = "zaigang/v1"
_TOPIC = re.compile(rf"{ROOT}/([a-z0-9][a-z0-9-]{{0,47}})/([a-z0-9][a-z0-9-]{{0,47}})/([a-z]{{1,16}})")


class Leaf(StrEnum):
    """What travels on a topic, and which way."""

    EVENT = "event"  # up, QoS 1: one envelope
    HEALTH = "health"  # up, QoS 0: Health as JSON
    STATUS = "status"  # up, retained, the will says offline: Status as JSON
    RECEIPT = "receipt"  # down, QoS 1: one receipt envelope
    COMMAND = "command"  # down, QoS 1: one command envelope
    TRANSFER = "transfer"  # up, QoS 1: one envelope for another terminal of the site
    PEER = "peer"  # down, QoS 1: one envelope of another terminal, passed on as it came


@dataclass(frozen=True, slots=True)
class Topic:
    """A parsed topic."""

    site: str
    device: str
    leaf: Leaf

    def __str__(self) -> str:
        return f"{ROOT}/{self.site}/{self.device}/{self.leaf}"

    @classmethod
    def parse(cls, text: str) -> Topic:
        """Read a topic. Raises EncodingError."""
        match = _TOPIC.fullmatch(text)
        try:
            if match is None:
                raise ValueError
            return cls(match[1], match[2], Leaf(match[3]))
        except ValueError as error:
            raise EncodingError(f"{text[:120]!r} is not a topic of {ROOT}") from error


def subscription(leaf: Leaf) -> str:
    """The filter under which a collector hears this leaf of every device."""
    return f"{ROOT}/+/+/{leaf}"
