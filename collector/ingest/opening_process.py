"""Opening in a process of its own, where a collector is busy enough for a second core to matter.

What an opened event says is a fact about bytes, so it can be found anywhere, and finding it is half of what an event
costs. Small batches are opened on the spot and start nothing. Where the other process fails or hangs, the work is done
here, and it is not asked again for a while; what it cannot open is opened here too, which finds the reason.
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
from typing import Any, NamedTuple

import structlog

from collector.devices.models import DeviceKey
from collector.ingest.message import Message
from collector.ingest.opening import Opened, Opener, is_event
from collector.ledger.projection import project_ahead
from evidence.events import Event
from evidence.keys import PublicKey

log = structlog.get_logger()

WORTH_IT = 64  # events; fewer are opened here before the other process has answered
PATIENCE_S = 8.0  # a batch of 4,096 takes half a second
START_S = 60.0  # it takes a second or two
REST_S = 60.0  # after a failure


class Found(NamedTuple):
    """What the other process found in an event."""

    event: Event
    hash: str
    stands_under: str | None  # the key's id
    row_ahead: dict[str, Any] | None


class ProcessOpener:
    """Opens messages, large batches of them in another process, which the first of these starts."""

    def __init__(self, *, worth_it: int = WORTH_IT, patience_s: float = PATIENCE_S) -> None:
        self._here = Opener()
        self._worth_it = worth_it
        self._patience_s = patience_s
        self._other: _Other | None = None
        self._rests_until = 0.0

    @property
    def process_id(self) -> int | None:
        """The other process, while there is one that has answered."""
        return None if self._other is None or not self._other.ready() else self._other.process_id

    def meet(self, keys: Iterable[DeviceKey]) -> None:
        """Remember registered keys."""
        self._here.meet(keys)

    def open(self, messages: Sequence[Message]) -> list[Opened]:
        """Read every event and check its signature where the key that it names has been met. Raises nothing."""
        events = [message for message in messages if is_event(message)]
        if len(events) < self._worth_it or time.monotonic() < self._rests_until:
            return self._here.open(messages)
        try:
            self._other = self._other or _Other(self._patience_s)
            if not self._other.ready():
                return self._here.open(messages)
            found = iter(self._other.open(events, list(self._here.keys.values())))
        except Exception as error:  # it was killed, it hangs, there is no memory for it
            log.error("batches are opened here for a while: the process for it failed", error=repr(error))
            self._rests_until = time.monotonic() + REST_S
            self.close()
            return self._here.open(messages)
        return [self._opened(message, next(found) if is_event(message) else None) for message in messages]

    def close(self) -> None:
        """End the other process, if there is one."""
        other, self._other = self._other, None
        if other is not None:
            other.end()

    def _opened(self, message: Message, found: Found | None) -> Opened:
        if found is None:
            return self._here.open([message])[0]
        key = None if found.stands_under is None else self._here.keys.get(found.stands_under)
        return Opened(message, found.event, found.hash, None, key, found.row_ahead)


class _Other:
    """The other process. Raises whatever goes wrong with it."""

    def __init__(self, patience_s: float) -> None:
        """Start it, and do not wait for it: what comes meanwhile is opened here."""
        self._patience_s = patience_s
        # Spawned: a fork would take the locks of threads along that do not exist there.
        self._executor = ProcessPoolExecutor(1, multiprocessing.get_context("spawn"), initializer=_settle)
        self._started = self._executor.submit(os.getpid)
        self._due_at = time.monotonic() + START_S
        self._told: set[str] = set()  # ids of the keys that it knows

    @property
    def process_id(self) -> int:
        return self._started.result(0)

    def ready(self) -> bool:
        """Say whether it runs by now."""
        if not self._started.done() and time.monotonic() >= self._due_at:
            raise TimeoutError(f"it has not started within {START_S:.0f} s")
        return self._started.done()

    def open(self, events: Sequence[Message], keys: Sequence[PublicKey]) -> list[Found | None]:
        """Return what it finds in each event; None where it finds none."""
        new = [key for key in keys if key.id not in self._told]
        found = self._executor.submit(_open_all, [one.payload for one in events], new).result(self._patience_s)
        self._told = {key.id for key in keys}  # a key that is forgotten here is told again when it is met again
        if len(found) != len(events):
            raise RuntimeError(f"{len(found)} answers about {len(events)} events")
        return found

    def end(self) -> None:
        """Kill it: it holds nothing, and one that hangs would never end by itself."""
        for process in list((self._executor._processes or {}).values()):  # also one that never said its id
            with suppress(Exception):
                process.kill()
        self._executor.shutdown(wait=False, cancel_futures=True)


# --- in the other process

_opener = Opener()


def _settle() -> None:
    """Leave Ctrl-C to the collector, and end with it even where it is killed."""
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    threading.Thread(target=_end_with_parent, name="parent", daemon=True).start()


def _end_with_parent() -> None:
    parent = multiprocessing.parent_process()
    assert parent is not None
    parent.join()
    os._exit(1)


def _open_all(payloads: Iterable[bytes], new: Iterable[PublicKey]) -> list[Found | None]:
    for key in new:
        _opener.remember(key)
    return [_found(one) for one in _opener.open([Message("/event", payload, "") for payload in payloads])]


def _found(opened: Opened) -> Found | None:
    if opened.event is None:
        return None
    key = opened.stands_under
    return Found(opened.event, opened.hash, None if key is None else key.id, project_ahead(opened.event))
