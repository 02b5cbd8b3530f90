"""Envelopes that come without a broker, in a file from a USB stick or a batch over HTTPS: same intake, same rules."""

from __future__ import annotations

import threading
from collections import Counter
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass, field
from itertools import islice
from typing import BinaryIO

import structlog
from sqlalchemy.exc import SQLAlchemyError

from collector.database import is_passing
from collector.errors import KeyHandedOver
from collector.ingest.intake import Intake
from collector.ingest.message import Answer, Message
from collector.timestamps import utc_now
from evidence.envelope import MAX_ENVELOPE_BYTES, Envelope
from evidence.errors import EvidenceError
from evidence.events import parse_event
from evidence.topics import Leaf, Topic

log = structlog.get_logger()

BATCH = 256  # envelopes in one transaction, as from the broker
_SKIP_BYTES = 1 << 20


@dataclass(slots=True)
class Delivered:
    """What came of a delivery, counted by envelope."""

    lines: int = 0
    outcomes: Counter[str] = field(default_factory=Counter)  # admitted, known, waiting, contradicting, refused
    refusals: Counter[str] = field(default_factory=Counter)  # codes of the dead letters
    receipts: dict[str, Answer] = field(default_factory=dict)  # the newest by chain, read from its payload

    @property
    def whole(self) -> bool:
        """True if nothing was refused or contradicts the ledger."""
        return not self.outcomes["refused"] and not self.outcomes["contradicting"]


class Deliveries:
    """Takes deliveries; safe from several threads and beside a running collector."""

    def __init__(self, intake: Intake) -> None:
        self._intake = intake
        self._lock = threading.Lock()  # an intake serves one thread

    def take(self, lines: Iterable[bytes], source: str, progress: Callable[[int], None] = lambda _: None) -> Delivered:
        """Offer every line to the ledger; `progress` hears after each batch how many were taken.

        Raises SQLAlchemyError; what was committed until then stays, and the same lines may be taken again.
        """
        done = Delivered()
        iterator = iter(lines)
        with self._lock:
            while batch := list(islice(iterator, BATCH)):
                messages = []
                for line in batch:
                    done.lines += 1
                    message = self._addressed(line, f"{source} line {done.lines}", done)
                    if message is not None:
                        messages.append(message)
                self._admit(messages, done)
                progress(done.lines)
        return done

    def take_from(self, site: str, device: str, lines: Sequence[bytes], health: bytes | None = None) -> Delivered:
        """Offer lines that one terminal sent itself, and what it says of itself: as if published under its topics.

        Raises as `take`.
        """
        done, now = Delivered(lines=len(lines)), utc_now()
        messages = [Message(str(Topic(site, device, Leaf.EVENT)), line, now) for line in lines]
        if health is not None:
            messages.append(Message(str(Topic(site, device, Leaf.HEALTH)), health, now))
        with self._lock:
            for start in range(0, len(messages), BATCH):
                self._admit(messages[start : start + BATCH], done)
        return done

    def refuse(self, where: str, line: bytes, code: str, why: str, source: str = "") -> None:
        """Make a dead letter of what nobody may deliver. Raises SQLAlchemyError."""
        with self._lock:
            self._intake.refuse(Message(where, line, utc_now()), code, why, source)

    def _addressed(self, line: bytes, where: str, done: Delivered) -> Message | None:
        """Find whose event it is. One that cannot say becomes a dead letter at once."""
        try:
            event = parse_event(Envelope.decode(line).payload)
        except EvidenceError as error:
            self._intake.refuse(Message(where, line, utc_now()), error.code, str(error))
            done.outcomes["refused"] += 1
            done.refusals[error.code] += 1
            return None
        return Message(str(Topic(event.site, event.device, Leaf.EVENT)), line, utc_now())

    def _admit(self, messages: Sequence[Message], done: Delivered) -> None:
        try:
            answers, outcomes, refusals = self._intake.admit_counted(messages)
        except KeyHandedOver:
            raise
        except Exception as error:
            if isinstance(error, SQLAlchemyError) and is_passing(error):
                raise
            self._split(messages, error, done)
            return
        done.outcomes += outcomes
        done.refusals += refusals
        for answer in answers:
            done.receipts[answer.chain] = answer

    def _split(self, messages: Sequence[Message], error: Exception, done: Delivered) -> None:
        """One message breaks the transaction: try each alone and bury the one that does it again."""
        if len(messages) > 1:
            for one in messages:
                self._admit([one], done)
            return
        log.error("a message breaks its transaction", error=str(error))
        self._intake.bury(messages[0], error)
        done.outcomes["refused"] += 1
        done.refusals["internal"] += 1


def read_lines(file: BinaryIO) -> Iterator[bytes]:
    """Yield the lines of a file without their line feeds, empty ones left out; an over-long one is cut just beyond."""
    limit = MAX_ENVELOPE_BYTES + 2
    while data := file.readline(limit):
        if not data.endswith(b"\n") and len(data) == limit:
            while (rest := file.readline(_SKIP_BYTES)) and not rest.endswith(b"\n"):
                pass
        if line := data.removesuffix(b"\n").removesuffix(b"\r"):
            yield line
