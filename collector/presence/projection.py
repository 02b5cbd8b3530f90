"""A signed presence.interval event as a row. Pure."""

from __future__ import annotations

from typing import Any

from evidence.events import Event, PresenceIntervalBody


def presence_row(event: Event, body: PresenceIntervalBody, leaf_index: int) -> dict[str, Any]:
    """Return the columns of `presence_intervals`."""
    return {
        "leaf_index": leaf_index,
        "worker": body.worker,
        "state": body.state,
        "started": body.since,
        "ended": body.to,
        "tz": event.tz,
        "site": event.site,
        "device": event.device,
        "samples": body.samples,
        "median_rssi": body.median_rssi,
        "ended_by": body.ended_by,
        "badge": body.badge,
        "clock_synced": event.clock.synced,
    }
