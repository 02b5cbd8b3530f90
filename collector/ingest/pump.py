"""Between broker and ledger: one thread collects messages into batches and opens them, while another one admits the
batch before, then acknowledges and answers.

A database that fails stops the acknowledgements, not the thread: the batch is tried again until it is in. A message
that breaks its transaction every time is set aside alone, so that it blocks nothing. What is done besides batches is
done each alone, so that one thing that fails stops nothing else.
"""

from __future__ import annotations

import queue
import threading
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Protocol

import structlog
from sqlalchemy.exc import SQLAlchemyError

from collector.database import is_passing
from collector.errors import KeyHandedOver
from collector.ingest.intake import Intake
from collector.ingest.message import Answer, Message
from collector.ingest.opening import Opened

log = structlog.get_logger()

READY_EVERY_S = 0.5  # how soon an approval given on the command line takes effect
STAGING = "staging"  # the chore that every pump has
QUEUE_LIMIT = 5000  # ten batches: with reports of 2 kB some ten megabytes
RETRY_S = 1.0  # a locked or full database is asked again at this pace


class Outlet(Protocol):
    """Where acknowledgements and receipts go."""

    def acknowledge(self, messages: Sequence[Message]) -> None:
        """Tell the broker that the messages are safe here."""
        ...

    def publish(self, answer: Answer) -> None:
        """Send a receipt."""
        ...


@dataclass(frozen=True, slots=True)
class PumpState:
    """How the intake is doing."""

    alive: bool  # both threads
    failing: str | None  # why the last batch is not in yet
    waiting: int  # messages in the queue
    stalled_s: float  # since the slower thread last came round, in seconds
    admitted: int  # messages handled since the start
    undone: tuple[str, ...] = ()  # chores that failed the last time: what waits in staging, sources of the outbox


class Pump:
    """Runs an intake on two threads of its own."""

    def __init__(
        self,
        intake: Intake,
        outlet: Outlet,
        batch_messages: int = 512,
        batch_wait_s: float = 0.02,
        *,
        outbox: Mapping[str, Callable[[], Sequence[Answer]]] | None = None,
    ) -> None:
        """`outbox` gives by its name what is to be sent unasked, commands for one; asked every READY_EVERY_S."""
        self.messages: queue.SimpleQueue[Message] = queue.SimpleQueue()
        self._intake = intake
        self._outlet = outlet
        self._chores = {STAGING: intake.admit_ready, **(outbox or {})}
        self._batch_messages = batch_messages
        self._batch_wait_s = batch_wait_s
        self._stop = threading.Event()
        self._handover: queue.Queue[list[Opened]] = queue.Queue(maxsize=1)  # more would only wait here
        self._opening = threading.Thread(target=self._run_opening, name="opening", daemon=True)
        self._writing = threading.Thread(target=self._run_writing, name="intake", daemon=True)
        self._failing: str | None = None  # why the batch at hand is not written
        self._unopened: str | None = None  # why the one behind it is not opened
        self._undone: dict[str, str] = {}  # by chore, why; replaced, never changed: other threads read it
        self._wrote_at = self._opened_at = time.monotonic()  # when each thread last came round
        self._handled = 0
        self._shedding = False

    @property
    def state(self) -> PumpState:
        """How it is doing now."""
        stalled_s = time.monotonic() - min(self._wrote_at, self._opened_at)
        waiting, undone = self.messages.qsize(), tuple(self._undone)
        alive = self._writing.is_alive() and self._opening.is_alive()
        return PumpState(alive, self._failing or self._unopened, waiting, stalled_s, self._handled, undone)

    def offer(self, message: Message) -> None:
        """Queue a message. What nobody waits to hear of (QoS 0) is let go while the queue is far behind.

        QoS 1 needs no bound here: the broker sends no more than the receive maximum ahead.
        """
        if message.qos == 0 and self.messages.qsize() >= QUEUE_LIMIT:
            if not self._shedding:
                log.warning("the queue is full; health reports are let go", waiting=QUEUE_LIMIT)
            self._shedding = True
            return
        self._shedding = False
        self.messages.put(message)

    def start(self) -> None:
        """Start the threads."""
        self._opening.start()
        self._writing.start()

    def stop(self) -> None:
        """Finish the batch at hand and end the threads; what is not committed was not acknowledged."""
        self._stop.set()
        self._writing.join(10)
        self._opening.join(10)

    def _run_opening(self) -> None:
        """Collect and open batch after batch; one that could not be opened is tried again."""
        batch: list[Message] = []
        while not self._stop.is_set():
            self._opened_at = time.monotonic()
            try:
                batch = batch or self._collect()
                if batch:
                    self._hand_over(self._intake.open(batch))
                batch, self._unopened = [], None
            except Exception as error:  # opening raises nothing; were it to, the thread must live on and say so
                self._unopened = f"{type(error).__name__}: {error}"
                log.exception("a batch could not be opened")
                self._stop.wait(RETRY_S)

    def _hand_over(self, opened: list[Opened]) -> None:
        while not self._stop.is_set():
            self._opened_at = time.monotonic()  # it waits for the other thread, which says how it is
            try:
                self._handover.put(opened, timeout=READY_EVERY_S)
                return
            except queue.Full:
                continue

    def _take_over(self) -> list[Opened]:
        try:
            return self._handover.get(timeout=READY_EVERY_S)
        except queue.Empty:
            return []

    def _run_writing(self) -> None:
        due_at = 0.0
        batch: list[Opened] = []
        while not self._stop.is_set():
            self._wrote_at = time.monotonic()
            try:
                batch = batch or self._take_over()
                if batch:
                    self._handle(batch)
                batch, self._failing = [], None
            except Exception as error:  # kept and tried again: what is let go unacknowledged fills the broker's window
                self._failing = f"{type(error).__name__}: {error}"
                log.exception("the intake failed")
                self._stop.wait(RETRY_S)
            if time.monotonic() >= due_at:
                due_at = time.monotonic() + READY_EVERY_S
                for name, answers in self._chores.items():
                    self._do(name, answers)

    def _do(self, name: str, answers: Callable[[], Sequence[Answer]]) -> None:
        """Do one chore and send what it gives; what goes wrong stays with it and is told by `state`."""
        others = {other: why for other, why in self._undone.items() if other != name}
        try:
            self._send(answers())
        except Exception as error:
            text = f"{type(error).__name__}: {error}"
            if text != self._undone.get(name):  # once, not twice a second
                log.error("a chore of the intake failed; it is tried again", chore=name, exc_info=error)
            self._undone = others | {name: text}
        else:
            self._undone = others

    def _collect(self) -> list[Message]:
        try:
            batch = [self.messages.get(timeout=READY_EVERY_S)]
        except queue.Empty:
            return []
        deadline = time.monotonic() + self._batch_wait_s
        while len(batch) < self._batch_messages:
            try:
                batch.append(self.messages.get(timeout=max(0.0, deadline - time.monotonic())))
            except queue.Empty:
                break
        return batch

    def _handle(self, batch: list[Opened]) -> None:
        while not self._stop.is_set():
            try:
                answers = self._intake.admit_opened(batch)
            except KeyHandedOver as error:
                self._wait_with(error, "nothing is admitted until this collector is restarted")
                continue
            except SQLAlchemyError as error:
                if not is_passing(error):
                    self._split(batch, error)
                    return
                self._wait_with(
                    getattr(error, "orig", error), "the database does not take the batch; it is tried again"
                )
                continue
            except Exception as error:
                self._split(batch, error)
                return
            self._finish(batch, answers)
            return

    def _wait_with(self, error: Exception, what: str) -> None:
        """Locked, disk full, I/O, restarted, a key handed over: no message's fault. Nothing is acknowledged."""
        self._failing = str(error)
        self._wrote_at = time.monotonic()
        log.error(what, error=self._failing)
        self._stop.wait(RETRY_S)

    def _split(self, batch: list[Opened], error: Exception) -> None:
        """One message breaks the transaction: try each alone and bury the one that does it again.

        Each leaves the batch when it is done: should one fail, only the rest is tried again, and nothing is
        acknowledged twice, when its packet id may already mean another message.
        """
        log.error("a batch broke", error=str(error), messages=len(batch))
        if len(batch) > 1:
            while batch and not self._stop.is_set():
                self._handle(batch[:1])
                del batch[0]
            return
        self._intake.bury(batch[0].message, error)
        self._finish(batch, [])

    def _finish(self, batch: Sequence[Opened], answers: Sequence[Answer]) -> None:
        self._failing = None
        self._handled += len(batch)
        self._outlet.acknowledge([one.message for one in batch])
        self._send(answers)

    def _send(self, answers: Sequence[Answer]) -> None:
        for answer in answers:
            self._outlet.publish(answer)
