"""How long things last between two terminals, and a time so much later."""

from __future__ import annotations

from datetime import timedelta

from kiosk.clock import format_time, parse_time

LEASE = timedelta(days=30)  # a copy that is not renewed goes by itself: nobody can keep it alive by losing messages
RENEW_WITHIN = timedelta(days=15)  # a gate may be away for a fortnight without losing a face
ERASE_WAITS = timedelta(days=120)  # for a terminal that is away; its copies have long ended by themselves
AGAIN_AFTER = timedelta(days=7)  # until what a peer refused is offered once more: it may have the model by then


def later(time: str, by: timedelta) -> str:
    """RFC 3339 UTC with milliseconds, so much later. Raises ValueError."""
    return format_time(parse_time(time) + round(by.total_seconds() * 1e9))
