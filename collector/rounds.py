"""A thread that does one thing again and again, and goes on when it fails."""

from __future__ import annotations

import threading
from collections.abc import Callable

import structlog

log = structlog.get_logger()


class Rounds:
    """Calls `step` every so often on a thread of its own."""

    def __init__(self, name: str, every_s: float, step: Callable[[], object]) -> None:
        self.name = name
        self._every_s = every_s
        self._step = step
        self._stop = threading.Event()
        self._thread = threading.Thread(target=self._run, name=name, daemon=True)
        self._failing: str | None = None

    @property
    def failing(self) -> str | None:
        """Why the last round did not succeed; None where it did, or none was made yet."""
        if self._thread.ident is not None and not self._thread.is_alive() and not self._stop.is_set():
            return "its thread has ended; restart the collector"
        return self._failing

    def start(self) -> None:
        """Start the thread."""
        self._thread.start()

    def stop(self) -> None:
        """End the thread after the round at hand."""
        self._stop.set()
        if self._thread.ident is not None:
            self._thread.join(10)

    def _run(self) -> None:
        while not self._stop.is_set():
            self.round()
            self._stop.wait(self._every_s)

    def round(self) -> None:
        """Do one round now; what goes wrong is logged and kept in `failing`."""
        try:
            self._step()
        except Exception as error:
            text = f"{type(error).__name__}: {error}"
            if text != self._failing:  # once, not every two seconds
                log.error("a round failed", rounds=self.name, error=text)
            self._failing = text
        else:
            self._failing = None
