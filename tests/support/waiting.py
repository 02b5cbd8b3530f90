"""Waiting for what will come true: no test sleeps for a time that it has guessed."""

from __future__ import annotations

import time
from collections.abc import Callable
from typing import Any

PATIENCE_S = 60.0  # two cores may be shared with much else


def until(probe: Callable[[], Any], what: str = "it", timeout_s: float = PATIENCE_S) -> Any:
    """Return what `probe` finds, as soon as it is true. Fails after `timeout_s`."""
    deadline = time.monotonic() + timeout_s
    while not (found := probe()):
        assert time.monotonic() < deadline, f"waited in vain for {what}"
        time.sleep(0.01)
    return found


def eventually(condition: Callable[[], bool], timeout_s: float = PATIENCE_S) -> None:
    """Return once the condition holds. Fails after `timeout_s`."""
    until(condition, timeout_s=timeout_s)
