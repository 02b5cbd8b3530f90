"""The terminal's housekeeping: every few seconds, for as long as it runs, each duty once. Knows no duty by name.

A duty that fails is said, tried again in the next round, and keeps no other from its own; punching depends on none.
"""

from __future__ import annotations

import threading
import time
from collections.abc import Callable, Sequence

import structlog

from kiosk.clock import Clock, Stamp
from kiosk.journal import Journal

log = structlog.get_logger(__name__)

# Pause between two rounds. The slowest sensor notices within 5 s: a second is left for a slow round, and a console
# shows trouble within 10 s.
HEALTH_EVERY_S = 4.0
PRUNE_EVERY_S = 3600.0


class Keeper:
    """One thread. `first`: told the time of each round; what needs no room on the disk.

    `signing`: what may have to be signed, in this order; `last`: after them, told the time of the round, too. None
    of them while the journal cannot record. `hourly`: what has been kept long enough. `broken` says whether only a
    new process helps: then `failed` is set.
    """

    def __init__(
        self,
        clock: Clock,
        journal: Journal,
        *,
        first: Sequence[Callable[[Stamp], object]],
        signing: Sequence[Callable[[], object]],
        last: Sequence[Callable[[Stamp], object]],
        hourly: Sequence[Callable[[Stamp], object]],
        broken: Callable[[], bool],
    ) -> None:
        self._clock, self._journal = clock, journal
        self._first, self._signing, self._last, self._hourly = first, signing, last, hourly
        self._broken = broken
        self._pruned_s = time.monotonic()
        self._stopping = threading.Event()
        self.failed = threading.Event()
        self._thread = threading.Thread(target=self._run, name="keeper", daemon=True)

    def start(self) -> None:
        """Begin; the first round comes after HEALTH_EVERY_S."""
        self._pruned_s = time.monotonic()
        self._thread.start()

    def stop(self) -> None:
        """End after the running round; waits HEALTH_EVERY_S at most."""
        self._stopping.set()
        if self._thread.is_alive():
            self._thread.join(HEALTH_EVERY_S)

    @property
    def running(self) -> bool:
        """True from the start to the end; after `stop` only where a duty hangs."""
        return self._thread.is_alive()

    def _run(self) -> None:
        while not self._stopping.wait(HEALTH_EVERY_S):
            try:
                self._round(self._clock.stamp())
            except Exception:
                log.exception("keeper_failed")  # the next round tries again

    def _round(self, now: Stamp) -> None:
        for duty in self._first:
            attempt(duty, now)
        if self._broken():
            self.failed.set()
        if self._journal.state.state == "failed" and not self._journal.probe():
            return  # nothing below can be written; what is due is found again when there is room
        for signing in self._signing:
            attempt(signing)
        for duty in self._last:
            attempt(duty, now)
        if time.monotonic() - self._pruned_s > PRUNE_EVERY_S:
            self._pruned_s = time.monotonic()
            for duty in self._hourly:
                attempt(duty, now)


def attempt(duty: Callable[..., object], *given: Stamp) -> None:
    """Do a duty; its failure is said and goes no further."""
    try:
        duty(*given)
    except Exception:
        log.exception("keeper_failed", duty=getattr(duty, "__name__", type(duty).__name__))
