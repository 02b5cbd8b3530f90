"""Opaque cursors for pages that stay in step while rows are inserted: the last row's place, not its number."""

from __future__ import annotations

import base64
import json

from collector.errors import Invalid


def write_cursor(*place: str | int) -> str:
    """Write a place as URL-safe text."""
    return base64.urlsafe_b64encode(json.dumps(place, separators=(",", ":")).encode()).rstrip(b"=").decode()


def read_cursor(text: str, *kinds: type) -> list[str | int]:
    """Read a place with parts of these types. Raises Invalid."""
    try:
        place = json.loads(base64.urlsafe_b64decode(text.encode("ascii") + b"=" * (-len(text) % 4)))
        if isinstance(place, list) and [type(part) for part in place] == list(kinds):
            return place
    except (ValueError, RecursionError):
        pass
    raise Invalid("the cursor is not one of ours; take `next` from the page before")
