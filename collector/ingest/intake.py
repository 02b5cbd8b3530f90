"""The intake: a batch of messages in, one committed transaction, signed receipts out.

A receipt is signed only after the commit, so it never promises what a power cut could take back. A process whose key
was handed over meanwhile commits nothing: its receipts would count for nothing.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field

from sqlmodel import Session

from collector.database import Database
from collector.ingest.batch import Batch
from collector.ingest.dead_letters import Bounds, DeadLetterBox
from collector.ingest.message import Answer, Message
from collector.ingest.opening import Opened, Opener, Opens
from collector.statements.current_keys import require_current
from collector.statements.scribe import Scribe
from collector.timestamps import utc_now
from evidence.chain import Head
from evidence.keys import SigningKey
from evidence.receipt import Receipt, sign_receipt
from evidence.topics import Leaf, Topic


@dataclass(frozen=True, slots=True)
class Limits:
    """What the intake keeps of what it cannot admit."""

    staged_per_device: int = 2000
    dead_letters: Bounds = field(default_factory=Bounds)


class Intake:
    """Admission to the ledger. One thread calls it; another one may call `open` meanwhile."""

    def __init__(
        self,
        database: Database,
        receipt_key: SigningKey,
        seal_key: bytes,
        limits: Limits | None = None,
        now: Callable[[], str] = utc_now,
        scribe: Scribe | None = None,
        opener: Opens | None = None,
    ) -> None:
        self._database = database
        self._receipt_key = receipt_key
        self._seal_key = seal_key
        self._limits = limits or Limits()
        self._now = now
        self._scribe = scribe
        # With a scribe a batch may have to state something, for which every key must be the one that signs now.
        self._own = {"receipt": receipt_key.public} if scribe is None else scribe.keys
        self._opener = opener or Opener()

    def open(self, messages: Sequence[Message]) -> list[Opened]:
        """Read events and check signatures, as far as that needs no database. Raises nothing."""
        return self._opener.open(messages)

    def admit(self, messages: Sequence[Message]) -> list[Answer]:
        """Take the messages in one transaction; return the receipts that are due.

        Raises SQLAlchemyError, or KeyHandedOver; then nothing was taken.
        """
        return self.admit_opened(self.open(messages))

    def admit_opened(self, opened: Sequence[Opened]) -> list[Answer]:
        """As `admit`, of messages that are open already."""
        return self._admit(opened)[0]

    def admit_counted(self, messages: Sequence[Message]) -> tuple[list[Answer], Counter[str], Counter[str]]:
        """As `admit`, with how many events had which outcome, and the codes of what was refused."""
        return self._admit(self.open(messages))

    def _admit(self, opened: Sequence[Opened]) -> tuple[list[Answer], Counter[str], Counter[str]]:
        with self._database.write() as session:
            require_current(session, self._own)
            batch = self._batch(session)
            batch.take(opened)
            batch.write()
        self._opener.meet(batch.keys)
        return self._answers(batch), batch.outcomes, batch.refusals

    def refuse(self, message: Message, code: str, why: str, source: str = "") -> None:
        """Make a dead letter of bytes of which nobody knows whose they are, or of `source`. Raises SQLAlchemyError."""
        box = DeadLetterBox(self._limits.dead_letters)
        box.add(source, message.topic, message.payload, code, why, message.received_at)
        with self._database.write() as session:
            box.write(session)

    def admit_ready(self) -> list[Answer]:
        """Take what an approval has freed from staging. Raises SQLAlchemyError, KeyHandedOver."""
        with self._database.read() as session:
            if not self._batch(session).anything_ready():
                return []
        with self._database.write() as session:
            require_current(session, self._own)
            batch = self._batch(session)
            batch.take_ready()
            batch.write()
        return self._answers(batch)

    def bury(self, message: Message, error: Exception) -> None:
        """Make a dead letter of a message that breaks its transaction whenever it is tried."""
        box = DeadLetterBox(self._limits.dead_letters)
        text = f"{type(error).__name__}: {error}"
        box.add("", message.topic, message.payload, "internal", text, message.received_at)
        with self._database.write() as session:
            box.write(session)

    def _batch(self, session: Session) -> Batch:
        return Batch(session, self._seal_key, self._limits.staged_per_device, self._limits.dead_letters, self._scribe)

    def _answers(self, batch: Batch) -> list[Answer]:
        answers = []
        for (device, chain), site in batch.answer_to.items():
            head = batch.head(device, chain)
            if head is not None:
                answers.append(self._receipt(site, head, batch.tree_size))
        return [*answers, *batch.passed_on]

    def _receipt(self, site: str, head: Head, tree_size: int) -> Answer:
        receipt = Receipt(
            device=head.device, chain=head.chain, upto=head.seq, head=head.hash, tree_size=tree_size, time=self._now()
        )
        topic = str(Topic(site, head.device, Leaf.RECEIPT))
        return Answer(topic, sign_receipt(receipt, self._receipt_key), chain=head.chain)
