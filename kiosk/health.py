"""What the terminal says of itself to operators: the parts' states put together, and how much disk is left."""

from __future__ import annotations

import os
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Protocol

from evidence.status import Health, Part
from kiosk.clock import Stamp
from kiosk.version import software


def free_bytes(folder: Path) -> int | None:
    """Return how many bytes the terminal's user may still write under `folder`; None where nobody can say."""
    try:
        room = os.statvfs(folder)
    except OSError:
        return None
    return room.f_bavail * room.f_frsize


class HasState(Protocol):
    """Any part of the terminal."""

    @property
    def state(self) -> Part:
        """How it is."""


def state_of(part: HasState | None) -> Part:
    """Ask `part` how it is; None: it is not there. A part that raises has failed: the others are told all the same."""
    return Part(state="absent") if part is None else asked(lambda: part.state)


def asked(ask: Callable[[], Part]) -> Part:
    """As `state_of`, for a part whose state is the answer to `ask`."""
    try:
        return Part.model_validate(ask())  # an answer that is none would break whoever lists the parts
    except Exception as error:
        return Part(state="failed", reason=f"error: {type(error).__name__}: {error}"[:400])


def gather(
    *,
    device: str,
    site: str,
    now: Stamp,
    started_mono_us: int,
    unsent: int,
    oldest_unsent: str | None,
    head_seq: int | None,
    disk_free_bytes: int | None,
    parts: Mapping[str, Part],
    punches: int = 0,
    confirmed: int = 0,
    checkpoint_size: int | None = None,
) -> Health:
    """Put one health message together; pure. `started_mono_us`: monotonic microseconds at the program's start."""
    return Health(
        device=device,
        site=site,
        time=now.time,
        software=software(),
        uptime_s=max(0, now.mono_us - started_mono_us) // 1_000_000,
        unsent=unsent,
        oldest_unsent=oldest_unsent,
        head_seq=head_seq,
        disk_free_bytes=disk_free_bytes,
        parts=dict(parts),
        punches=punches,
        confirmed=confirmed,
        checkpoint_size=checkpoint_size,
    )


def clock_part(now: Stamp) -> Part:
    """Say what the clock's own word comes to: an unsynchronised clock still records, and every event says so."""
    if now.clock.source == "rtc":
        return Part(state="degraded", reason="not_synced: only its RTC keeps this clock; connect NTP or a GPS receiver")
    if not now.clock.synced and now.clock.error_ms is not None:
        wrong = f"may be wrong by {now.clock.error_ms} ms; its source has not answered for long"
        return Part(state="degraded", reason=f"not_synced: this clock {wrong}")
    if not now.clock.synced:
        return Part(state="degraded", reason="not_synced: nothing sets this clock; connect NTP or a GPS receiver")
    return Part(state="working")


def troubles(parts: Mapping[str, Part]) -> tuple[str, ...]:
    """Return the reason codes of what has failed, then of what is degraded, for the corner of the screen."""
    ranked = [part for state in ("failed", "degraded") for part in parts.values() if part.state == state]
    return tuple(dict.fromkeys(part.reason.partition(":")[0] for part in ranked if part.reason))
