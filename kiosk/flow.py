"""When to send, when to send again, when to connect again, when to go another way: the uplink's rules, without I/O.

Times are seconds of a monotonic clock that the caller passes in.
"""

from __future__ import annotations

import random
from collections.abc import Callable
from dataclasses import dataclass, field

FIRST_DELAY_S = 0.5  # a broker that restarts is back within a second
LONGEST_DELAY_S = 60.0  # after a night without a network the morning's punches leave within a minute
RESEND_AFTER_S = 10.0  # a collector answers in well under a second
ASK_EVERY_S = 60.0  # commands, handovers and questions are then no older than a minute
LONGEST_RESEND_S = 300.0  # a collector that is away for a day is not asked for the same window every ten seconds


@dataclass(slots=True)
class Backoff:
    """Exponential delays with jitter, so that two hundred terminals do not come back in one second."""

    first_s: float = FIRST_DELAY_S
    longest_s: float = LONGEST_DELAY_S
    draw: Callable[[float, float], float] = random.uniform
    _attempt: int = 0

    def next_s(self) -> float:
        """Return how long to wait before the next attempt: between half of the bound and the bound."""
        bound = min(self.longest_s, self.first_s * 2.0 ** min(self._attempt, 32))
        self._attempt += 1
        return self.draw(bound / 2, bound)

    def reset(self) -> None:
        """Forget the failures after a success."""
        self._attempt = 0


@dataclass(slots=True)
class OtherWay:
    """When events go without the broker: once none was there for `after_s`, until one is there again."""

    after_s: float  # 0: at once
    backoff: Backoff = field(default_factory=lambda: Backoff(1.0, 300.0))
    ask_every_s: float = ASK_EVERY_S
    _without_since_s: float = 0.0
    _next_s: float = 0.0  # not before
    _ask_s: float = 0.0  # where nothing waits

    def broker_left(self, now_s: float) -> None:
        """Note that a broker was there until now; at the start, that it is expected from now on."""
        self._without_since_s = now_s
        self._next_s = self._ask_s = 0.0
        self.backoff.reset()

    def due_s(self, *, waiting: bool) -> float:
        """Return from when on to post. `waiting`: there are events without a receipt, or questions about some."""
        return max(self._without_since_s + self.after_s, self._next_s, 0.0 if waiting else self._ask_s)

    def posted(self, now_s: float, *, moved: bool) -> None:
        """Note an answer. `moved`: it let something go, or nothing had waited; else there is no hurry to try again."""
        self._ask_s = now_s + self.backoff.draw(self.ask_every_s / 2, self.ask_every_s)
        if moved:
            self.backoff.reset()
            self._next_s = 0.0
        else:
            self._next_s = now_s + self.backoff.next_s()

    def failed(self, now_s: float) -> None:
        """Note that no answer came, or a refusal."""
        self._next_s = now_s + self.backoff.next_s()


@dataclass(slots=True)
class Window:
    """Which events are under way: published on this connection and not covered by a receipt."""

    size: int
    resend_after_s: float = RESEND_AFTER_S
    longest_resend_s: float = LONGEST_RESEND_S
    sent: int = -1  # highest seq published
    released: int = -1  # highest seq with a receipt
    resent: int = 0  # how often the window was sent again since the last receipt
    _due_s: float | None = field(default=None, repr=False)

    def restart(self, released: int) -> None:
        """Start over on a new connection: everything without a receipt goes again."""
        self.sent = self.released = released
        self._due_s = None

    @property
    def room(self) -> int:
        """How many more events may go now."""
        return max(0, self.size - (self.sent - self.released))

    def published(self, seq: int, now_s: float) -> None:
        """Note that `seq` went out."""
        self.sent = max(self.sent, seq)
        if self._due_s is None:
            self._due_s = now_s + self._patience_s

    def receipted(self, upto: int, now_s: float) -> None:
        """Note a receipt; one that brings nothing new changes nothing."""
        if upto <= self.released:
            return
        self.released = upto
        self.sent = max(self.sent, upto)
        self.resent = 0
        self._due_s = now_s + self._patience_s if self.sent > upto else None

    def rewind_if_due(self, now_s: float) -> bool:
        """If no receipt came in time, make the whole window unsent again, with growing patience; say whether."""
        if self._due_s is None or now_s < self._due_s:
            return False
        self.sent = self.released
        self.resent += 1
        self._due_s = None
        return True

    @property
    def _patience_s(self) -> float:
        return min(self.longest_resend_s, self.resend_after_s * 2.0 ** min(self.resent, 32))
