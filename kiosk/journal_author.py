"""The next event of a terminal's chain: stamped, checked against its kind and against the seal, signed. No disk."""

from __future__ import annotations

import secrets
import time
from dataclasses import dataclass
from typing import Any

from evidence.chain import Head, follow
from evidence.envelope import EVENT_TYPE, MAX_ENVELOPE_BYTES, sign
from evidence.errors import ChainError, TooLarge
from evidence.events import Event, Fact, PunchBody, Verdict, parse_body
from evidence.keys import SigningKey
from kiosk.clock import Clock
from kiosk.errors import JournalFailed, OpeningStands


@dataclass(frozen=True, slots=True)
class Recorded:
    """An event that is on disk."""

    seq: int
    hash: str  # hex SHA-256 of the signed bytes
    event: Event
    envelope: bytes


@dataclass(frozen=True, slots=True)
class Row:
    """One signed event as the table holds it."""

    seq: int
    chain: str
    hash: str
    kind: str
    time: str
    envelope: bytes


class Author:
    """One terminal, who signs with `signer`."""

    def __init__(self, signer: SigningKey, device: str, site: str, tz: str, clock: Clock) -> None:
        self._signer, self._device, self._site, self._tz, self._clock = signer, device, site, tz, clock

    def sign_next(
        self,
        head: Head | None,
        opening: int | None,
        kind: str,
        body: Fact | dict[str, Any],
        successor: SigningKey | None = None,
    ) -> tuple[Event, Row, Head]:
        """Return the event after `head` (None: the first of a new chain), its row and the head that it makes.

        `opening`: the seq of an opening that is not cleared; `successor` signs too. Nothing is written. Raises
        OpeningStands, an IdentityError, JournalFailed, and an EvidenceError for a body that does not fit its kind or
        has no canonical form.
        """
        stamp = self._clock.stamp()
        event = Event(
            id=_uuid7(),
            device=self._device,
            chain=secrets.token_hex(16) if head is None else head.chain,
            seq=0 if head is None else head.seq + 1,
            prev=None if head is None else head.hash,
            kind=kind,
            time=stamp.time,
            tz=self._tz,
            clock=stamp.clock,
            boot=stamp.boot,
            mono_us=stamp.mono_us,
            site=self._site,
            nonce=secrets.token_hex(16),
            body=body.model_dump(mode="json") if isinstance(body, Fact) else body,
        )
        fact = parse_body(event)  # a body that the collector would dead-letter is a fault here, not there
        if opening is not None and isinstance(fact, PunchBody) and fact.verdict is Verdict.VERIFIED:
            raise OpeningStands(f"nothing is verified since the enclosure was opened (seq {opening}); clear it")
        envelope = sign(EVENT_TYPE, event.payload(), self._signer, *(() if successor is None else (successor,)))
        digest, data = envelope.hash, envelope.encode()
        if len(data) > MAX_ENVELOPE_BYTES:
            raise TooLarge(f"the signed event has {len(data)} bytes, an envelope at most {MAX_ENVELOPE_BYTES}")
        try:
            after = follow(head, event, digest)
        except ChainError as error:  # the monotonic clock fell within one boot: a machine restored from a snapshot
            raise JournalFailed(f"journal_failed: {error}; restart the machine") from error
        return event, Row(event.seq, event.chain, digest, event.kind, event.time, data), after


def _uuid7() -> str:
    """RFC 9562 version 7: milliseconds since 1970, then 74 random bits."""
    milliseconds = time.time_ns() // 1_000_000 & (1 << 48) - 1
    random = secrets.randbits(74)
    value = milliseconds << 80 | 0x7 << 76 | (random >> 62) << 64 | 0b10 << 62 | random & (1 << 62) - 1
    text = f"{value:032x}"
    return f"{text[:8]}-{text[8:12]}-{text[12:16]}-{text[16:20]}-{text[20:]}"
