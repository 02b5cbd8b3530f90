"""Signature checks in a process of their own, where a collector is busy enough for a second core to matter.

A check is a fact about bytes, so it can be made anywhere, and it is a good part of what an event costs. Small batches
are checked on the spot and start nothing. Where the other process fails or hangs, the work is done here, and it is not
asked again for a while: what it would have said is said all the same.
"""

from __future__ import annotations

import multiprocessing
import os
import signal
import threading
import time
from collections.abc import Iterable, Sequence
from concurrent.futures import ProcessPoolExecutor
from contextlib import suppress
from typing import NamedTuple

import structlog

from evidence.errors import EvidenceError
from evidence.keys import PublicKey

log = structlog.get_logger()

WORTH_IT = 64  # signatures; fewer are checked here before the other process has answered
PATIENCE_S = 20.0  # a batch of 4,096 takes half a second
START_S = 60.0  # it takes a second or two
REST_S = 60.0  # after a failure


class Claim(NamedTuple):
    """A signature that may stand under a key."""

    key: PublicKey
    signature: bytes
    message: bytes

    def stands(self) -> bool:
        """Say whether it does. Raises nothing that a signature could cause."""
        try:
            self.key.verify(self.signature, self.message)
        except EvidenceError:
            return False
        return True


class Checker:
    """Checks signatures. For one thread; `close` may come from another once that one has ended."""

    def __init__(self, *, apart: bool = False, worth_it: int = WORTH_IT, patience_s: float = PATIENCE_S) -> None:
        """`apart`: large batches go to another process, which is started by the first of them."""
        self._apart = apart
        self._worth_it = worth_it
        self._patience_s = patience_s
        self._other: _Other | None = None
        self._rests_until = 0.0

    @property
    def process_id(self) -> int | None:
        """The other process, while there is one that has answered."""
        return None if self._other is None or not self._other.ready() else self._other.process_id

    def check(self, claims: Sequence[Claim]) -> list[bool]:
        """Say of each claim whether its signature stands."""
        if self._apart and len(claims) >= self._worth_it and time.monotonic() >= self._rests_until:
            try:
                self._other = self._other or _Other(self._patience_s)
                if self._other.ready():
                    return self._other.check(claims)
            except Exception as error:  # it was killed, it hangs, there is no memory for it
                log.error("signatures are checked here for a while: the process for it failed", error=repr(error))
                self._rests_until = time.monotonic() + REST_S
                self.close()
        return [one.stands() for one in claims]

    def close(self) -> None:
        """End the other process, if there is one."""
        other, self._other = self._other, None
        if other is not None:
            other.end()


class _Other:
    """The other process. Raises whatever goes wrong with it."""

    def __init__(self, patience_s: float) -> None:
        """Start it, and do not wait for it: what comes meanwhile is checked here."""
        self._patience_s = patience_s
        # Spawned: a fork would take the locks of threads along that do not exist there.
        self._executor = ProcessPoolExecutor(1, multiprocessing.get_context("spawn"), initializer=_settle)
        self._started = self._executor.submit(os.getpid)
        self._due_at = time.monotonic() + START_S

    @property
    def process_id(self) -> int:
        return self._started.result(0)

    def ready(self) -> bool:
        """Say whether it runs by now."""
        if not self._started.done() and time.monotonic() >= self._due_at:
            raise TimeoutError(f"it has not started within {START_S:.0f} s")
        return self._started.done()

    def check(self, claims: Sequence[Claim]) -> list[bool]:
        said = self._executor.submit(_check_all, claims).result(self._patience_s)
        if len(said) != len(claims):
            raise RuntimeError(f"{len(said)} answers to {len(claims)} claims")
        return [one == 1 for one in said]

    def end(self) -> None:
        """Kill it: it holds nothing, and one that hangs would never end by itself."""
        with suppress(Exception):  # it never ran, or runs no more
            os.kill(self.process_id, signal.SIGKILL)
        self._executor.shutdown(wait=False, cancel_futures=True)


def _settle() -> None:
    """Leave Ctrl-C to the collector, and end with it even where it is killed."""
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    threading.Thread(target=_end_with_parent, name="parent", daemon=True).start()


def _end_with_parent() -> None:
    parent = multiprocessing.parent_process()
    assert parent is not None
    parent.join()
    os._exit(1)


def _check_all(claims: Iterable[Claim]) -> bytes:
    """Check claims in the other process; one byte each: 1 where the signature stands."""
    return bytes(one.stands() for one in claims)
