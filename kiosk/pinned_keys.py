"""The collector's keys that this terminal believes: those pinned at provisioning, and what they were handed over to.

The documents lie in `handovers.dsse` in the data folder. They are signed, so the file needs no secret: whoever writes
it can only take news away, and those come again with the next connection.
"""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import structlog

from evidence.errors import EvidenceError
from evidence.handover import follow_handovers, split_handovers
from evidence.keys import PublicKey
from kiosk.durable_file import replace_file

log = structlog.get_logger(__name__)


def believed_keys(pinned: Sequence[PublicKey], path: Path) -> tuple[PublicKey, ...]:
    """Return the keys that count; a file that cannot be read or believed leaves the pinned ones."""
    try:
        kept = split_handovers(path.read_bytes()) if path.exists() else None
        return tuple(pinned) if kept is None else follow_handovers(pinned, kept)
    except (OSError, EvidenceError) as error:
        log.error("handovers_not_read", why=str(error))
        return tuple(pinned)


def take_handovers(pinned: Sequence[PublicKey], path: Path, message: bytes) -> tuple[PublicKey, ...] | None:
    """Keep a message of handovers; return the keys that count now, None for a message of another kind.

    On disk before they count. Raises an EvidenceError for what cannot be believed, OSError where it cannot be kept.
    """
    documents = split_handovers(message)
    if documents is None:
        return None
    counting = follow_handovers(pinned, documents)
    before = believed_keys(pinned, path)
    if counting == before:
        return before
    if follow_handovers(before, documents) != counting:
        log.warning("handovers_older_than_held")  # a retained message from before the last rotation
        return before
    replace_file(path, message)
    log.warning("collector_key_handed_over", keys=[key.fingerprint for key in counting])
    return counting
