"""Bundles that are being made for the console, and those that wait to be fetched.

They lie in memory and nowhere else, for an hour at most, and only until somebody is erased: a bundle has personal data,
and no copy of it is to outlive that. A timer looks, whether or not anybody has the page open. One is made at a time,
since each holds its whole contents in memory.
"""

from __future__ import annotations

import secrets
import threading
import time
from collections.abc import Callable
from dataclasses import dataclass, field

import structlog

from collector.auth.service import Caller
from collector.console.writing import console_user
from collector.errors import CollectorError, Conflict, NotFound
from collector.evidence_bundles.service import EvidenceBundles, Made, Picture
from collector.statements.actor import acting_as
from evidence.bundle_manifest import Scope

KEPT_S = 3600.0  # the walk to a meeting and back; whoever comes later has it made again
KEPT_BYTES = 512 << 20  # in all; beyond that the oldest go
LOOK_EVERY_S = 5.0  # an erasure by another process is seen within this; by this one, too

log = structlog.get_logger()


@dataclass(slots=True)
class Job:
    """One bundle on its way. A thread moves it on, pages look at it."""

    token: str  # in its address; a secret, though only the session of the same key gets it
    key_id: str
    scope: Scope
    erased: int  # how many entries of the ledger were erased when it was begun
    step: str = "waiting"  # waiting, starting, chains, verify, picture, done
    done: int = 0
    of: int = 0
    made: Made | None = None
    error: CollectorError | None = None
    ended_s: float | None = None

    @property
    def running(self) -> bool:
        """Say whether it is still being made."""
        return self.ended_s is None


@dataclass(slots=True)
class Shelf:
    """The bundles of one process. Its methods may be called from any thread."""

    bundles: EvidenceBundles
    clock_s: Callable[[], float] = time.monotonic
    _jobs: list[Job] = field(default_factory=list)  # oldest first
    _lock: threading.Lock = field(default_factory=threading.Lock)
    _one_at_a_time: threading.Lock = field(default_factory=threading.Lock)
    _timer: threading.Timer | None = None  # while anything lies here

    def begin(self, scope: Scope, caller: Caller, picture: Picture | None) -> Job:
        """Have one made on a thread of its own. Raises Conflict while this key's last one is being made."""
        job = Job(secrets.token_urlsafe(16), caller.key_id, scope, self.bundles.erased())
        with self._lock:
            if any(one.running and one.key_id == caller.key_id for one in self._jobs):
                raise Conflict("your last bundle is still being made; wait for it")
            self._jobs.append(job)
        # A daemon: a collector that is told to stop does not wait for it, and nothing has left before it is recorded.
        threading.Thread(target=self._make, args=(job, caller, picture), name="bundle", daemon=True).start()
        return job

    def latest(self, key_id: str) -> Job | None:
        """Return this key's newest bundle, on its way, failed or ready."""
        self._clear()
        with self._lock:
            return next((one for one in reversed(self._jobs) if one.key_id == key_id), None)

    def tokens(self, key_id: str) -> dict[str, str]:
        """Return which of this key's bundles can be fetched: token by SHA-256."""
        self._clear()
        with self._lock:
            return {one.made.sha256: one.token for one in self._jobs if one.key_id == key_id and one.made is not None}

    def take(self, token: str, key_id: str) -> tuple[Job, Made]:
        """Return a bundle to whoever had it made. Raises NotFound for anybody else, and once it is gone."""
        self._clear()
        with self._lock:
            for one in self._jobs:
                if one.made is not None and one.key_id == key_id and secrets.compare_digest(one.token, token):
                    return one, one.made
        raise NotFound("this bundle is not kept here any more; make it again")

    def _make(self, job: Job, caller: Caller, picture: Picture | None) -> None:
        def tell(step: str, done: int, of: int) -> None:
            job.step, job.done, job.of = step, done, of

        try:
            with self._one_at_a_time, acting_as(console_user(caller)):
                job.step = "starting"
                made_by = f"{caller.name} ({caller.key_id})"
                made = self.bundles.make(job.scope, made_by, picture=picture, tell=tell)
            with self._lock:  # the timer looks from here on; what was erased until then, it has not seen
                if self.bundles.erased() != job.erased:
                    raise Conflict("somebody was erased while this bundle was being made; make it again")
                job.made = made
        except CollectorError as error:
            job.error = error
        except Exception as error:
            log.error("a bundle could not be made", exc_info=error)
            job.error = _Unforeseen("something went wrong here; the log says what")
        finally:
            job.ended_s = self.clock_s()
            self._look_again()

    def _look_again(self) -> None:
        with self._lock:
            if self._timer is None and self._jobs:
                self._timer = threading.Timer(LOOK_EVERY_S, self._look)
                self._timer.daemon = True
                self._timer.start()

    def _look(self) -> None:
        with self._lock:
            self._timer = None
        try:
            self._clear()
        except Exception as error:  # the database is away; what lies here goes with its hour all the same
            log.error("the shelf of bundles could not see what was erased", exc_info=error)
            with self._lock:
                self._let_go_old()
        self._look_again()

    def _let_go_old(self) -> None:
        now = self.clock_s()
        self._jobs = [one for one in self._jobs if one.ended_s is None or now - one.ended_s < KEPT_S]

    def _clear(self) -> None:
        with self._lock:
            self._let_go_old()
            erased = self.bundles.erased()
            self._jobs = [one for one in self._jobs if one.made is None or one.erased == erased]
            while sum(len(one.made.data) for one in self._jobs if one.made is not None) > KEPT_BYTES:
                ready = [one for one in self._jobs if one.made is not None]
                if len(ready) == 1:  # however large, the one that was just made can be fetched
                    break
                self._jobs.remove(ready[0])


class _Unforeseen(CollectorError):
    code = "internal"
    status = 500
