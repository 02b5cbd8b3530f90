"""A called worker: one spot check at a time, from the order to its signed answer. Without I/O; time is passed in.

The terminal calls until the worker has been checked or the time is over; both are answers. A call that a restart cut
short is answered as such: nobody can say whether the worker stood there meanwhile.
"""

from __future__ import annotations

import threading
from collections.abc import Callable
from dataclasses import dataclass
from typing import TYPE_CHECKING

from pydantic import JsonValue, ValidationError

from evidence.command import Command, SpotCheckOrder
from evidence.events import PunchBody, Verdict
from kiosk.commands import Done

if TYPE_CHECKING:
    from kiosk.journal import Recorded


@dataclass(frozen=True, slots=True)
class Call:
    """A worker who is to show up. `until_us`: monotonic microseconds."""

    command: Command
    worker: str
    name: str
    until_us: int


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
    ) -> None:
        self._name_of, self._now_us, self._answer = name_of, now_us, answer
        self._lock = threading.Lock()
        self._signing = threading.Lock()  # an answer is signed once, whoever gets there first
        self._call: Call | None = None
        self._checking = False  # the worker stands there: the time no longer runs out
        self._unsigned: list[tuple[Command, Done]] = []  # answers that the journal has not taken yet, oldest first

    @property
    def call(self) -> Call | None:
        """Who is called now."""
        with self._lock:
            return self._call

    def order(self, command: Command, *, restarted: bool) -> Done | None:
        """Begin to call. Returns a refusal, or None: the answer comes later."""
        try:
            order = SpotCheckOrder.model_validate(command.body)
        except ValidationError as error:
            return Done("refused", f"invalid: the order cannot be read ({error.error_count()} field(s) wrong)", {})
        result: dict[str, JsonValue] = {"worker": order.worker}
        if restarted:
            return Done("failed", "restarted: the terminal was restarted while it called", result)
        name = self._name_of(order.worker)
        if name is None:
            return Done("refused", "not_enrolled: this worker is not enrolled at this terminal", result)
        with self._lock:
            if self._call is not None:
                return Done("refused", "busy: another worker is being called", result)
            self._call = Call(command, order.worker, name, self._now_us() + order.minutes * 60_000_000)
        return None

    def begin(self) -> Call | None:
        """The worker says to be there: hold the time. None where nobody is called any more."""
        with self._lock:
            if self._call is None or self._checking or self._now_us() >= self._call.until_us:
                return None
            self._checking = True
            return self._call

    def finish(self, call: Call, body: PunchBody) -> Recorded | None:
        """The check is over, `body` says how; sign it. A failed check ends the call, too: its answer is evidence.

        None where the call was answered before. Raises what `answer` raises; the answer is then given by `tick`.
        """
        verified = body.verdict is Verdict.VERIFIED
        reason = "ok: the worker showed up" if verified else f"not_verified: the check ended as {body.verdict}"
        return self._end(call, Done("done" if verified else "failed", reason, _result(call, body)))

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
            self._end(call, Done("failed", "no_answer: the worker did not show up in time", {"worker": call.worker}))

    def _end(self, call: Call, done: Done) -> Recorded | None:
        with self._lock:
            if self._call != call:
                return None  # answered already
            self._call, self._checking = None, False
            self._unsigned.append((call.command, done))
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
        return recorded


def _result(call: Call, body: PunchBody) -> dict[str, JsonValue]:
    """What was seen, as a punch would carry it: verdict, method, checks, challenge."""
    seen = body.model_dump(mode="json", include={"verdict", "method", "checks", "challenge", "policy", "tapped_at"})
    return {"worker": call.worker, **seen, "clip": None}
