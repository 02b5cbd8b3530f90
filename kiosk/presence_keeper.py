"""Presence at work: takes sightings and punches, lets time pass, signs what comes out, survives a restart.

Who is on shift stands in the journal. What was not yet said stands in a small file, written every few seconds; after a
crash it is signed as far as it goes, with the reason. An interval is removed from the file only after its commit, and
one that is in the journal already is not signed again.
"""

from __future__ import annotations

import threading
import time
from collections import deque
from collections.abc import Callable
from pathlib import Path
from typing import Literal

import structlog
from pydantic import TypeAdapter, ValidationError

from evidence.errors import EvidenceError, InvalidBody
from evidence.events import Kind, LogType, PresenceIntervalBody, PunchBody, parse_body
from evidence.status import Part
from kiosk.clock import Clock, Stamp, format_time, parse_time
from kiosk.durable_file import replace_file
from kiosk.errors import JournalFailed, JournalFull
from kiosk.journal import Journal
from kiosk.presence import Interval, Moment, Presence
from kiosk.sensors.beacons import Sighting
from kiosk.worn_badges import WornBadges

TICK_S = 5.0
KEEP_EVERY_S = 15.0  # what a crash costs at most; forty workers come to 12 kB each time
MOST_UNSIGNED = 2000  # a day of a full disk with forty workers on shift
_FILE: TypeAdapter[list[PresenceIntervalBody]] = TypeAdapter(list[PresenceIntervalBody])

log = structlog.get_logger(__name__)


class PresenceKeeper:
    """Runs a `Presence`; safe from any thread. `max_shift_us` as the presence has it, `wake`: called after a commit.

    `erased` says at a start whether a worker was erased from this terminal: nothing of him is taken up again.
    """

    def __init__(
        self,
        presence: Presence,
        worn: WornBadges,
        journal: Journal,
        clock: Clock,
        path: Path,
        *,
        max_shift_us: int,
        wake: Callable[[], None] = lambda: None,
        erased: Callable[[str], bool] = lambda worker: False,
    ) -> None:
        self._presence, self._worn = presence, worn
        self._journal, self._clock, self._path, self._wake = journal, clock, path, wake
        self._max_shift_us = max_shift_us
        self._erased = erased
        self._boot = ""
        self._lock = threading.Lock()  # of the presence and the intervals that wait; never held while a disk works
        self._waiting: deque[PresenceIntervalBody] = deque()
        self._kept = b""
        self._kept_s = 0.0
        self._refused: str | None = None  # why the journal took nothing, until it takes something
        self._fault: str | None = None  # what went wrong last, until a round goes well
        self._stopping = threading.Event()
        self._thread = threading.Thread(target=self._run, name="presence", daemon=True)

    def start(self) -> None:
        """Take up what an earlier run left, then let time pass."""
        now = self._clock.stamp()
        self._boot = now.boot
        self._restore(now)
        self._thread.start()

    def stop(self) -> None:
        """Close what is open, sign it, and end."""
        self._stopping.set()
        if self._thread.is_alive():
            self._thread.join(2 * TICK_S)
        with self._lock:
            self._wait_for(self._presence.stop(_moment()))
        self._sign()
        self._keep()

    def sighted(self, sighting: Sighting) -> None:
        """Take one advertisement; quick, for the scanner's thread."""
        badges: dict[str, int | None] = {}
        for beacon in sighting.beacons:
            worker = self._worn.worker(beacon.id)
            if worker is not None:
                badges[worker] = sighting.rssi
        try:
            with self._lock:
                self._wait_for(self._presence.heard(Moment(sighting.mono_us, sighting.unix_ms), badges.items()))
        except Exception as error:  # a fault of ours must not end the scan; hundreds a second are not logged either
            if self._fault is None:
                log.exception("presence_failed")
            self._fault = f"error: {type(error).__name__}"

    def punched(self, body: PunchBody) -> None:
        """Take a recorded punch: IN begins to follow the worker, OUT ends it. A refused one changes nothing."""
        if body.worker is None or body.verdict == "refused" or not self._worn.of(body.worker):
            return
        with self._lock:
            if body.log_type is LogType.IN:
                self._wait_for(self._presence.punched_in(body.worker, _moment()))
            elif body.log_type is LogType.OUT:
                self._wait_for(self._presence.punched_out(body.worker, _moment()))

    def forget(self, worker: str) -> None:
        """Erase what is not signed yet of a worker, on disk too; what the chain has follows its retention."""
        with self._lock:
            self._presence.forget(worker)
            others = [one for one in self._waiting if one.worker != worker]
            self._waiting.clear()
            self._waiting.extend(others)
        self._keep()

    @property
    def on_shift(self) -> tuple[str, ...]:
        """Employee codes of those who are followed now."""
        with self._lock:
            return self._presence.on_shift

    @property
    def state(self) -> Part:
        """`failed` after a fault of ours, `degraded` while intervals wait for room in the journal."""
        if self._fault is not None:
            return Part(state="failed", reason=f"{self._fault}: presence is not noted; see the terminal's log")
        if self._refused is not None:
            return Part(state="degraded", reason=self._refused[:400])
        return Part(state="working")

    def tick(self) -> None:
        """Let time pass, sign what there is, keep what is open."""
        with self._lock:
            self._wait_for(self._presence.tick(_moment()))
        self._sign()
        if time.monotonic() - self._kept_s >= KEEP_EVERY_S:
            self._keep()

    def _run(self) -> None:
        while not self._stopping.wait(TICK_S):
            try:
                self.tick()
                self._fault = None
            except Exception as error:
                log.exception("presence_failed")  # the next round tries again; punching does not depend on it
                self._fault = f"error: {type(error).__name__}"

    # --- what waits to be signed

    def _wait_for(self, intervals: list[Interval]) -> None:
        self._waiting.extend(self._body(one) for one in intervals)
        while len(self._waiting) > MOST_UNSIGNED:
            lost = self._waiting.popleft()
            log.error("presence_interval_lost", since=lost.since, to=lost.to, why="the journal takes nothing")

    def _sign(self) -> None:
        """Commit what waits, oldest first; what the journal refuses for want of room waits on."""
        while self._waiting:
            body = self._waiting[0]
            try:
                self._journal.append(Kind.PRESENCE_INTERVAL, body.model_dump(mode="json", by_alias=True))
                self._wake()
            except (JournalFull, JournalFailed) as error:
                log.error("presence_not_signed", waiting=len(self._waiting), reason=str(error))
                self._refused = str(error)
                return
            except EvidenceError:
                log.exception("presence_interval_unfit")
            with self._lock:
                if self._waiting and self._waiting[0] is body:
                    self._waiting.popleft()
        self._refused = None

    def _body(self, one: Interval) -> PresenceIntervalBody:
        rotating = all(badge.startswith("eid:") for badge in self._worn.of(one.worker))
        badge: Literal["rotating", "constant"] = "rotating" if rotating else "constant"
        start_ms, end_ms = one.start.unix_ms, max(one.start.unix_ms, one.end.unix_ms)  # a slew may turn a moment round
        return PresenceIntervalBody.model_validate(
            {
                "worker": one.worker,
                "state": one.state,
                "from": format_time(start_ms * 1_000_000),
                "to": format_time(end_ms * 1_000_000),
                "boot": self._boot,
                "from_mono_us": one.start.mono_us,
                "to_mono_us": one.end.mono_us,
                "samples": one.samples,
                "median_rssi": one.median_rssi,
                "ended_by": one.ended_by,
                "badge": badge,
            }
        )

    # --- what survives

    def _keep(self) -> None:
        """Write what is not signed yet, and what would be left to say; nothing is written that stands there already."""
        with self._lock:
            bodies = [*self._waiting, *(self._body(one) for one in self._presence.unfinished())]
        content = _FILE.dump_json(bodies, by_alias=True)
        self._kept_s = time.monotonic()
        if content == self._kept:
            return
        try:
            replace_file(self._path, content)
            self._kept = content
        except OSError as error:
            log.error("presence_not_kept", reason=f"{self._path}: {error.strerror}")

    def _restore(self, now: Stamp) -> None:
        since = format_time(parse_time(now.time) - 2 * self._max_shift_us * 1000)
        shifts: dict[str, tuple[int, int | None]] = {}  # by worker: lasted so far in µs, or when it began by the clock
        signed: dict[tuple[str, str], int] = {}  # by worker and boot, up to where something was said
        begun: set[tuple[str, str, str, int]] = set()
        for event in self._journal.recent((Kind.PUNCH_RECORDED, Kind.PRESENCE_INTERVAL), since):
            try:
                body = parse_body(event)
            except InvalidBody:  # of another version; it stands in the journal all the same
                continue
            if isinstance(body, PresenceIntervalBody):
                place = (body.worker, body.boot)
                signed[place] = max(signed.get(place, 0), body.to_mono_us)
                begun.add((body.worker, body.boot, body.state, body.from_mono_us))
            elif isinstance(body, PunchBody) and body.worker is not None and self._worn.of(body.worker):
                if body.log_type is LogType.OUT:
                    shifts.pop(body.worker, None)
                elif body.log_type is LogType.IN:
                    of_now = event.boot == now.boot
                    began_ms = None if of_now else parse_time(event.time) // 1_000_000
                    shifts[body.worker] = (now.mono_us - event.mono_us if of_now else 0, began_ms)
        with self._lock:
            for left in self._left():
                told = (left.worker, left.boot, left.state, left.from_mono_us) in begun
                if self._erased(left.worker):
                    continue  # the power went between his erasure and that of this file
                if not told and left.from_mono_us >= signed.get((left.worker, left.boot), 0):
                    self._waiting.append(left)
            for worker, (already_us, began_ms) in shifts.items():
                if not self._erased(worker):
                    self._presence.punched_in(worker, _moment(), already_us, began_ms)

    def _left(self) -> list[PresenceIntervalBody]:
        try:
            return _FILE.validate_json(self._path.read_bytes())
        except FileNotFoundError:
            return []
        except (OSError, ValidationError) as error:
            log.error("presence_unreadable", path=str(self._path), reason=type(error).__name__)
            return []


def _moment() -> Moment:
    return Moment(time.monotonic_ns() // 1000, time.time_ns() // 1_000_000)
