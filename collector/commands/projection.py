"""A command.done event as a row. Pure."""

from __future__ import annotations

import json
from typing import Any

from evidence.events import CommandDoneBody, Event


def answer_row(event: Event, body: CommandDoneBody, leaf_index: int) -> dict[str, Any]:
    """Return the columns of `command_answers`."""
    return {
        "leaf_index": leaf_index,
        "command": body.command,
        "device": event.device,
        "time": event.time,
        "outcome": body.outcome,
        "reason": body.reason,
        "result": json.dumps(body.result, ensure_ascii=False, sort_keys=True),
    }
