"""A signed transfer.received event as a row. Pure."""

from __future__ import annotations

from typing import Any

from evidence.events import Event, TransferReceivedBody


def template_copy_row(event: Event, body: TransferReceivedBody, leaf_index: int) -> dict[str, Any]:
    """Return the columns of `template_copies`."""
    return {
        "leaf_index": leaf_index,
        "worker": body.worker,
        "device": event.device,
        "sender": body.sender,
        "copy_id": body.copy_id,
        "time": event.time,
        "until": body.until,
    }
