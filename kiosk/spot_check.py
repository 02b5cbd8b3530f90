"""A called worker: one spot check at a time, from the order to its signed answer. Without I/O; time is passed in.

The terminal calls until the worker is verified or the time is over; both are answers. Who was not verified may try
again while the call lasts, and the answer has every attempt. A call that a restart cut short is answered as such, with
the attempts up to it: nobody can say whether the worker stood there meanwhile.
"""

from __future__ import annotations

import threading
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Protocol

from pydantic import JsonValue, ValidationError

from evidence.command import Command, SpotCheckOrder
from evidence.events import Outcome, PunchBody, Verdict
from kiosk.commands import Done

if TYPE_CHECKING:
    from kiosk.journal_author import Recorded


MOST_ATTEMPTS = 20  # the last of them ends the call: every attempt stands in the answer, and an answer has an end
_RANK = {Verdict.REFUSED: 0, Verdict.REVIEW: 1, Verdict.VERIFIED: 2}

Attempt = dict[str, JsonValue]  # one attempt as the answer lists it: at, method, verdict, why


class AttemptsKept(Protocol):
    """Attempts at an open call, over a restart; a fault of the disk costs them, never the call."""

    def keep(self, command: str, attempts: list[Attempt]) -> None:
        """Replace what is kept by the attempts at this call."""

    def of(self, command: str) -> list[Attempt]:
        """Return what was kept of this call; nothing of another."""

    def drop(self) -> None:
        """Forget them: they are signed."""


class NotKept:
    """Attempts that are forgotten with the program."""

    def keep(self, command: str, attempts: list[Attempt]) -> None:
        """As the Protocol says."""

    def of(self, command: str) -> list[Attempt]:
        """As the Protocol says."""
        return []

    def drop(self) -> None:
        """As the Protocol says."""


@dataclass(frozen=True, slots=True)
class Call:
    """A worker who is to show up. `until_us`: monotonic microseconds."""

    command: Command
    worker: str
    name: str
    until_us: int


@dataclass(frozen=True, slots=True)
class GoesOn:
    """The attempt is noted and will stand in the answer; the worker may try again until then."""

    seconds_left: int


def no_clip() -> dict[str, JsonValue]:
    """Say of a clip that there is none."""
    return {"clip": None, "clip_why": "no_picture: nobody was looked at"}


@dataclass(slots=True)
class _Seen:
    """What has been seen since a call began."""

    attempts: list[Attempt] = field(default_factory=list)
    best: PunchBody | None = None  # the last of the best: what the answer shows in full
    clip: dict[str, JsonValue] = field(default_factory=no_clip)  # what the answer says of its clip


class SpotChecks:
    """`name_of` gives an enrolled worker's name, None for one who is not; `answer` signs, and may raise a JournalError.

    Safe from any thread: orders come on the uplink's, the check on the attendant's, the end on the keeper's.
    """

    def __init__(
        self,
        *,
        name_of: Callable[[str], str | None],
        now_us: Callable[[], int],
        answer: Callable[[Command, Done], Recorded | None],
        kept: AttemptsKept | None = None,
        forget_clip: Callable[[str], None] = lambda command: None,
    ) -> None:
        self._name_of, self._now_us, self._answer = name_of, now_us, answer
        self._lock = threading.Lock()
        self._signing = threading.Lock()  # an answer is signed once, whoever gets there first
        self._kept: AttemptsKept = kept or NotKept()
        self._forget_clip = forget_clip
        self._call: Call | None = None
        self._seen = _Seen()
        self._checking = False  # the worker stands there: the time no longer runs out
        self._unsigned: list[tuple[Command, Done]] = []  # answers that the journal has not taken yet, oldest first

    @property
    def call(self) -> Call | None:
        """Who is called now."""
        with self._lock:
            return self._call

    @property
    def waiting(self) -> bool:
        """Whether somebody is called who may still come and is not being checked."""
        with self._lock:
            return self._call is not None and not self._checking and self._now_us() < self._call.until_us

    def order(self, command: Command, *, restarted: bool) -> Done | None:
        """Begin to call. Returns a refusal, or None: the answer comes later."""
        try:
            order = SpotCheckOrder.model_validate(command.body)
        except ValidationError as error:
            return Done("refused", f"invalid: the order cannot be read ({error.error_count()} field(s) wrong)", {})
        result: dict[str, JsonValue] = {"worker": order.worker}
        if restarted:
            self._forget_clip(command.id)  # whatever was kept of an attempt: this answer commits to none
            result |= {"attempts": list(self._kept.of(command.id)), **no_clip()}
            return Done("failed", "restarted: the terminal was restarted while it called", result)
        name = self._name_of(order.worker)
        if name is None:
            return Done("refused", "not_enrolled: this worker is not enrolled at this terminal", result)
        with self._lock:
            if self._call is not None:
                return Done("refused", "busy: another worker is being called", result)
            self._call = Call(command, order.worker, name, self._now_us() + order.minutes * 60_000_000)
            self._seen = _Seen()
        return None

    def begin(self) -> Call | None:
        """The worker says to be there: hold the time. None where nobody is called any more."""
        with self._lock:
            if self._call is None or self._checking or self._now_us() >= self._call.until_us:
                return None
            self._checking = True
            return self._call

    def finish(
        self, call: Call, body: PunchBody, clip: Callable[[], dict[str, JsonValue]] = no_clip
    ) -> Recorded | GoesOn | None:
        """An attempt is over, `body` says how. Verified, or with the time over, it ends the call, and that is signed.

        `clip` keeps the attempt's pictures and says so; called only for an attempt that the answer may show in full.
        None where the call was answered before. Raises what `answer` raises; the answer is then given by `tick`.
        """
        with self._lock:
            if self._call != call:
                return None
            seen = self._seen
            seen.attempts.append(_attempt(body))
            shown = seen.best is None or _RANK[body.verdict] >= _RANK[seen.best.verdict]
            if shown:
                seen.best = body
            left_us = call.until_us - self._now_us()
            goes_on = body.verdict is not Verdict.VERIFIED and left_us > 0 and len(seen.attempts) < MOST_ATTEMPTS
        self._kept.keep(call.command.id, seen.attempts)
        if shown:  # outside the lock, for it writes to the disk; nobody else begins while this attempt is held
            seen.clip = clip()
        if goes_on:
            self.give_back(call)
            return GoesOn(left_us // 1_000_000)
        return self._end(call)

    def give_back(self, call: Call) -> None:
        """The check could not be made at all; the time runs on."""
        with self._lock:
            if self._call == call:
                self._checking = False

    def tick(self) -> None:
        """End a call whose time is over, and sign what could not be signed before. Raises what `answer` raises."""
        self._sign()
        with self._lock:
            over = self._call is not None and not self._checking and self._now_us() >= self._call.until_us
            call = self._call if over else None
        if call is not None:
            self._end(call)

    def _end(self, call: Call) -> Recorded | None:
        with self._lock:
            if self._call != call:
                return None  # answered already
            self._call, self._checking = None, False
            self._unsigned.append((call.command, _answer(call, self._seen)))
        return self._sign()

    def _sign(self) -> Recorded | None:
        """Have the open answers signed, in order; return the last. One that the journal does not take stays, and
        raises.
        """
        recorded = None
        with self._signing:
            while self._unsigned:
                recorded = self._answer(*self._unsigned[0])
                del self._unsigned[0]
                if self.call is None and not self._unsigned:
                    self._kept.drop()
        return recorded


def _answer(call: Call, seen: _Seen) -> Done:
    """What came of a call: the best attempt as a punch would carry it, and all of them in short."""
    attempts: list[JsonValue] = list(seen.attempts)
    result: dict[str, JsonValue] = {"worker": call.worker, "attempts": attempts, **seen.clip}
    if seen.best is None:
        return Done("failed", "no_answer: the worker did not show up in time", result)
    verdict = seen.best.verdict
    whole = {"verdict", "method", "checks", "challenge", "policy", "tapped_at"}
    result |= seen.best.model_dump(mode="json", include=whole)
    if verdict is Verdict.VERIFIED:
        return Done("done", "ok: the worker showed up", result)
    count = f"{len(attempts)} attempt{'s' if len(attempts) > 1 else ''}"
    return Done("failed", f"not_verified: the best of {count} ended as {verdict}", result)


def _attempt(body: PunchBody) -> Attempt:
    why = [one.reason.partition(":")[0] for one in body.checks if one.outcome is Outcome.FAILED]
    if not why:
        why = [one.reason.partition(":")[0] for one in body.checks if one.outcome is Outcome.NOT_RUN]
    codes: list[JsonValue] = list(dict.fromkeys(why))
    return {"at": body.tapped_at, "method": str(body.method), "verdict": str(body.verdict), "why": codes}
