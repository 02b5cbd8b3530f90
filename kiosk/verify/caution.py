"""After a failed attempt the next one is asked for more: who tries a recording again must fit two prompts.

Pure: outcomes and times in. Kept in memory only; a restart forgives.
"""

from __future__ import annotations

REMEMBERED_US = 5 * 60 * 1_000_000  # as long as somebody goes on trying; the next shift starts afresh
KEPT = 256  # badges; the oldest go first


class Caution:
    """Remembers whose last attempt failed. A claim of no badge (None) answers for the whole terminal."""

    def __init__(self) -> None:
        self._failed_us: dict[str | None, int] = {}

    def note(self, badge: str | None, mono_us: int, *, failed: bool) -> None:
        """Take note of how an attempt ended."""
        self._failed_us.pop(badge, None)
        if not failed:
            return
        self._failed_us[badge] = mono_us
        while len(self._failed_us) > KEPT:
            self._failed_us.pop(next(iter(self._failed_us)))

    def careful(self, badge: str | None, mono_us: int) -> bool:
        """Whether the next attempt of this badge is asked two prompts; without a badge any failure here counts."""
        times = self._failed_us.values() if badge is None else [self._failed_us.get(badge), self._failed_us.get(None)]
        return any(one is not None and mono_us - one <= REMEMBERED_US for one in times)
