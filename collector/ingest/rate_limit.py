"""How often somebody may come: a token bucket for each name."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable


class RateLimit:
    """`burst` at once, then `per_s` a second. Safe from several threads; as many names are kept as are asked for."""

    def __init__(self, burst: int, per_s: float, ticks: Callable[[], float] = time.monotonic) -> None:
        """`ticks` is a monotonic clock in seconds."""
        self._burst, self._per_s, self._ticks = burst, per_s, ticks
        self._buckets: dict[str, tuple[float, float]] = {}  # by name: tokens, and when they were counted
        self._lock = threading.Lock()

    def admits(self, name: str) -> bool:
        """Take a token; False where there is none."""
        with self._lock:
            now = self._ticks()
            tokens, at = self._buckets.get(name, (float(self._burst), now))
            tokens = min(float(self._burst), tokens + (now - at) * self._per_s)
            admitted = tokens >= 1
            self._buckets[name] = (tokens - 1 if admitted else tokens, now)
            return admitted
