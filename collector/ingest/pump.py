"""Between broker and ledger: one thread collects messages into batches and opens them, while another one admits the
batch before, then acknowledges and answers.

A database that fails stops the acknowledgements, not the thread: the batch is tried again until it is in. A message
that breaks its transaction every time is set aside alone, so that it blocks nothing.
"""

from __future__ import annotations

import queue
import threading
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Protocol

import structlog
from sqlalchemy.exc import SQLAlchemyError

from collector.database import is_passing
from collector.ingest.intake import Intake
from collector.ingest.message import Answer, Message
from collector.ingest.opening import Opened

log = structlog.get_logger()

READY_EVERY_S = 0.5  # how soon an approval given on the command line takes effect
QUEUE_LIMIT = 5000  # ten batches: with reports of 2 kB some ten megabytes
RETRY_S = 1.0  # a locked or full database is asked again at this pace


class Outlet(Protocol):
    """Where acknowledgements and receipts go."""

    def acknowledge(self, message: Message) -> None:
        """Tell the broker that the message is safe here."""
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
    stalled_s: float  # since the thread last came round, in seconds
    admitted: int  # messages handled since the start


class Pump:
    """Runs an intake on its own thread."""

    def __init__(
        self,
        intake: Intake,
        outlet: Outlet,
        batch_messages: int = 512,
        batch_wait_s: float = 0.02,
        *,
        outbox: Callable[[], Sequence[Answer]] = tuple,
    ) -> None:
        """`outbox` gives what is to be sent unasked, commands; it is asked every READY_EVERY_S."""
        self.messages: queue.SimpleQueue[Message] = queue.SimpleQueue()
        self._intake = intake
        self._outlet = outlet
        self._outbox = outbox
        self._batch_messages = batch_messages
        self._batch_wait_s = batch_wait_s
        self._stop = threading.Event()
        self._opened: queue.Queue[list[Opened]] = queue.Queue(maxsize=1)  # more would only wait here, not at the broker
        self._opening = threading.Thread(target=self._open, name="opening", daemon=True)
        self._thread = threading.Thread(target=self._run, name="intake", daemon=True)
        self._failing: str | None = None
        self._came_round = time.monotonic()
        self._handled = 0
        self._shedding = False

    @property
    def state(self) -> PumpState:
        """How it is doing now."""
        stalled_s = time.monotonic() - self._came_round
        alive = self._thread.is_alive() and self._opening.is_alive()
        return PumpState(alive, self._failing, self.messages.qsize(), stalled_s, self._handled)

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
        self._thread.start()

    def stop(self) -> None:
        """Finish the batch at hand and end the threads; what is not committed was not acknowledged."""
        self._stop.set()
        self._thread.join(10)
        self._opening.join(10)

    def _open(self) -> None:
        """Collect and open batch after batch. Opening raises nothing; were it to, `state` would say so."""
        while not self._stop.is_set():
            batch = self._collect()
            opened = self._intake.open(batch)
            while opened and not self._stop.is_set():
                try:
                    self._opened.put(opened, timeout=READY_EVERY_S)
                    break
                except queue.Full:
                    continue

    def _run(self) -> None:
        ready_at = 0.0
        while not self._stop.is_set():
            self._came_round = time.monotonic()
            try:
                if batch := self._next():
                    self._handle(batch)
                if time.monotonic() >= ready_at:
                    ready_at = time.monotonic() + READY_EVERY_S
                    self._send(self._intake.admit_ready())
                    self._send(self._outbox())
                self._failing = None
            except Exception as error:
                # Nothing was acknowledged: the broker or the terminal sends it again. The thread must live on.
                self._failing = f"{type(error).__name__}: {error}"
                log.exception("the intake failed")
                self._stop.wait(RETRY_S)

    def _next(self) -> list[Opened]:
        try:
            return self._opened.get(timeout=READY_EVERY_S)
        except queue.Empty:
            return []

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

    def _handle(self, batch: Sequence[Opened]) -> None:
        while not self._stop.is_set():
            try:
                answers = self._intake.admit_opened(batch)
            except SQLAlchemyError as error:
                if not is_passing(error):
                    self._split(batch, error)
                    return
                self._failing = str(
                    getattr(error, "orig", error)
                )  # locked, disk full, I/O, restarted: no message's fault
                self._came_round = time.monotonic()
                log.error("the database does not take the batch; it is tried again", error=self._failing)
                self._stop.wait(RETRY_S)
                continue
            except Exception as error:
                self._split(batch, error)
                return
            self._finish(batch, answers)
            return

    def _split(self, batch: Sequence[Opened], error: Exception) -> None:
        """One message breaks the transaction: try each alone and bury the one that does it again."""
        log.error("a batch broke", error=str(error), messages=len(batch))
        if len(batch) > 1:
            for one in batch:
                self._handle([one])
            return
        self._intake.bury(batch[0].message, error)
        self._finish(batch, [])

    def _finish(self, batch: Sequence[Opened], answers: Sequence[Answer]) -> None:
        self._failing = None
        self._handled += len(batch)
        for one in batch:
            self._outlet.acknowledge(one.message)
        self._send(answers)

    def _send(self, answers: Sequence[Answer]) -> None:
        for answer in answers:
            self._outlet.publish(answer)
