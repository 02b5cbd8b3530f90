"""Which of several collectors takes the events in: one leads, the others stand by, and one of them takes over.

A broker deals what is published out to all that share a subscription, message by message. Of two collectors each would
get every other event of a terminal, write it to staging until the one before is in, and read and verify it again. So
each asks to lead, which is a lock in the database, and only the leader subscribes to events. Nothing is wrong when two
believe to lead, or nobody does for a moment: the ledger's own lock orders the writes, and a terminal sends again
whatever has no receipt.
"""

from __future__ import annotations

import threading
import time
from collections.abc import Callable
from typing import Protocol

import structlog

from collector.database import LeaderLock
from collector.errors import LeaderUnknown
from collector.ingest.pump import PumpState
from collector.ingest.subscriber import BrokerState

log = structlog.get_logger()

EVERY_S = 0.25  # how soon a collector that died is replaced
GIVE_UP_S = 5.0  # of failing; a database that restarts is back by then, and all would fail alike
STALLED_S = 15.0  # of hanging; longer than the patience with a process for opening
TOLD_AFTER_S = 10.0  # that nobody can tell who leads


class Events(Protocol):
    """What can subscribe to events and leave off."""

    @property
    def state(self) -> BrokerState:
        """How the connection is doing."""
        ...

    def take_events(self, *, wanted: bool) -> None:
        """Subscribe to events, or leave off."""
        ...


class LeaderElection:
    """Asks to lead and steps down; `round` is called every EVERY_S."""

    def __init__(
        self,
        lock: LeaderLock,
        events: Events,
        pump: Callable[[], PumpState],
        now: Callable[[], float] = time.monotonic,
    ) -> None:
        self._lock = lock
        self._events = events
        self._pump = pump
        self._now = now
        self._fails_since: float | None = None
        self._unknown_since: float | None = None
        self._unknown = ""
        self._ended = threading.Event()
        self.leads = False

    @property
    def trouble(self) -> str | None:
        """Why nobody could say for a while who leads."""
        since = self._unknown_since
        return None if since is None or self._now() - since < TOLD_AFTER_S else self._unknown

    def round(self) -> None:
        """Ask, or step down where this collector could do nothing with it."""
        if not self._able():
            self._lock.release()
            self._set(leads=False)
            return
        try:
            taken = self._lock.take()
        except LeaderUnknown as error:  # everybody goes on as before
            if self._unknown != str(error):
                log.error("who leads cannot be told", error=str(error))
            self._unknown = str(error)
            self._unknown_since = self._now() if self._unknown_since is None else self._unknown_since
            return
        self._unknown, self._unknown_since = "", None
        if self._ended.is_set():  # while it asked
            self._lock.release()
        else:
            self._set(leads=taken)

    def end(self) -> None:
        """Let another one go on at once."""
        self._ended.set()
        self._lock.release()
        self._set(leads=False)

    def _able(self) -> bool:
        state = self._pump()
        if state.stalled_s >= STALLED_S or self._ended.is_set():
            return False
        if state.alive and state.failing is None:
            self._fails_since = None
        elif self._fails_since is None:
            self._fails_since = self._now()
        failed = self._fails_since is not None and self._now() - self._fails_since >= GIVE_UP_S
        return self._events.state.connected and not failed

    def _set(self, *, leads: bool) -> None:
        if leads != self.leads:
            log.info("this collector takes events in" if leads else "this collector takes events in no more")
        self.leads = leads
        self._events.take_events(wanted=leads)
