"""The model's network: what lies on the broker in either direction, and what may become of it there."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

MISDEEDS = ("drop", "double", "swap", "cut")


class Wire:
    """Two queues: events on their way up, receipts and questions on their way down."""

    def __init__(self) -> None:
        self.up: list[bytes] = []
        self.down: list[bytes] = []

    def misbehave(self, which: str, what: str, at: int) -> None:
        """Do one of MISDEEDS to the message at a place (modulo how many there are)."""
        queue: list[bytes] = getattr(self, which)
        if not queue:
            return
        at %= len(queue)
        if what == "drop":
            del queue[at]
        elif what == "double":
            queue.append(queue[at])
        elif what == "swap":
            queue[0], queue[at] = queue[at], queue[0]
        else:
            queue[at] = queue[at][: len(queue[at]) // 2]

    def wipe(self) -> None:
        """Forget everything, as a broker without persistence that was killed."""
        self.up.clear()
        self.down.clear()


class Connection:
    """Stands where the terminal's BrokerConnection stands: events go up, as many as the broker takes now."""

    subscribed = True

    def __init__(self, wire: Wire) -> None:
        self._wire = wire
        self.room = 0
        self.published: list[bytes] = []  # events of the turn

    def turn(self, room: int) -> None:
        """The broker has acknowledged what came before and takes `room` more."""
        self.room, self.published = room, []

    def publish(
        self,
        topic: str,
        payload: bytes,
        *,
        qos: int = 1,
        retain: bool = False,
        on_refused: Callable[[str], None] | None = None,
    ) -> None:
        """Take one message; only events go anywhere."""
        if topic.endswith("/event"):
            self._wire.up.append(payload)
            self.published.append(payload)
        self.room -= 1


class Ticks:
    """The model's monotonic clock, in place of the module `time`."""

    def __init__(self) -> None:
        self.now_s = 0.0

    def monotonic(self) -> float:
        """Return the model's time."""
        return self.now_s

    def __getattr__(self, name: str) -> Any:
        raise AttributeError(f"the model has no time.{name}")
