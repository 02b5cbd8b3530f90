"""Delivering over HTTPS while no broker is there: when a batch is due, what came of it, and the words for the status.

It runs on the uplink's own thread, between two tries of a broker, so nothing goes two ways at once.
"""

from __future__ import annotations

import time
from collections import Counter, deque
from collections.abc import Callable

import structlog

from evidence.errors import EvidenceError
from evidence.gap import GapRequest
from evidence.status import Health, Part
from kiosk.errors import IdentityError, JournalError, ProvisioningError
from kiosk.flow import OtherWay
from kiosk.https_delivery import Answer, HttpsDelivery, Outgoing
from kiosk.journal import Journal

log = structlog.get_logger(__name__)


class HttpsFallback:
    """The way without a broker. One thread calls `broker_left`, `due_s`, `post` and `leave`; the rest, any."""

    def __init__(
        self,
        delivery: HttpsDelivery,
        journal: Journal,
        way: OtherWay,
        asked: deque[GapRequest],
        take: Callable[[bytes], object],
        command: Callable[[bytes], None] | None,
    ) -> None:
        """`asked`: the collector's open questions. `take` and `command` judge what would come on …/receipt and
        …/command.
        """
        self.counts: Counter[str] = Counter()  # batches, events, failed, refused
        self._delivery, self._journal, self._way = delivery, journal, way
        self._asked, self._take, self._command = asked, take, command
        self._answered = False  # the last batch, and no broker since
        self._stuck = False  # answered, and nothing was let go
        self._trouble: str | None = None
        self._refusals: dict[str, int] = {}

    def broker_left(self) -> None:
        """Note that a broker was there until now; at the start, that it is expected from now on."""
        self._way.broker_left(time.monotonic())

    def leave(self) -> None:
        """Note that a broker takes over."""
        self._answered, self._stuck, self._trouble, self._refusals = False, False, None, {}

    def due_s(self) -> float:
        """Return from when on to post, monotonic seconds."""
        return self._way.due_s(waiting=self._journal.depth > 0 or bool(self._asked))

    @property
    def delivers(self) -> bool:
        """True while the collector answers here and no broker is there."""
        return self._answered

    def state(self, offline: str, *, brokers: bool) -> Part:
        """Say how it is. `offline`: why no broker is there. `brokers`: whether there should be one."""
        if not self._answered:
            both = offline if self._trouble is None else f"{offline}; HTTPS: {self._trouble}"
            return Part(state="failed", reason=both[:400])
        if self._refusals:
            many, codes = sum(self._refusals.values()), ", ".join(sorted(self._refusals))
            return Part(state="degraded", reason=f"events_refused: {many} over HTTPS, by the collector ({codes})"[:400])
        if self._stuck:
            why = "the collector takes events over HTTPS, but gives no receipt; is a chain to be approved?"
            return Part(state="degraded", reason=f"no_receipts: {why}")
        if not brokers:
            return Part(state="working", reason="https: no broker is set, events go over HTTPS")
        return Part(state="degraded", reason=f"https: events go over HTTPS until a broker is back; {offline}"[:400])

    def post(self, health: Health | None) -> None:
        """Post one batch and take the answer. Never raises: the state says what broke, and the next post waits."""
        try:
            self._exchange(health)
        except Exception as error:
            self._answered, self._trouble = False, f"{getattr(error, 'code', 'error')}: {error}"
            self.counts["failed"] += 1
            self._way.failed(time.monotonic())
            expected = isinstance(error, ProvisioningError | IdentityError | JournalError | EvidenceError | OSError)
            log.warning("https_failed", why=self._trouble, exc_info=None if expected else error)

    def _exchange(self, health: Health | None) -> None:
        before, asked = self._let_go(), self._places()
        out = self._delivery.gather(tuple(self._asked))
        answer = self._delivery.post(out.events, health)
        if not self._answered:
            log.info("https_delivers", unsent=self._journal.depth)
        self._take_answer(out, answer)
        news = self._let_go() > before or answer.outcomes.get("admitted", 0) > 0 or bool(self._places() - asked)
        moved = news or not (out.events or self._asked)
        self._answered, self._stuck, self._trouble = True, not moved, None
        self._refusals = answer.refusals
        self._way.posted(time.monotonic(), moved=moved)

    def _take_answer(self, out: Outgoing, answer: Answer) -> None:
        self.counts["batches"] += 1
        self.counts["events"] += len(out.events)
        self.counts["refused"] += sum(answer.refusals.values())
        self._asked.clear()  # what is still missing is asked for in this answer
        for message in answer.messages:
            self._take(message.encode())
        if self._command is not None:
            for command in answer.commands:
                self._command(command.encode())
        for chain, last in out.old.items():  # they have been taken, whatever became of them
            self._journal.release_beyond(chain, last)

    def _places(self) -> set[tuple[str, int, int]]:
        return {(one.chain, one.first, one.last) for one in self._asked}

    def _let_go(self) -> int:
        """Rises with every event that a receipt let go."""
        return self._journal.head.seq - self._journal.depth
