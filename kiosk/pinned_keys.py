"""The collector's keys that this terminal believes: those pinned at provisioning, and what they were handed over to.

The documents lie in `handovers.dsse` in the data folder. They are signed, so the file needs no secret: whoever writes
it can only take news away, and those come again with the next connection.
"""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import structlog

from evidence.errors import EvidenceError
from evidence.handover import follow_handovers, parse_handover, split_handovers
from evidence.key_history import LogKey, log_keys
from evidence.keys import PublicKey
from evidence.note import VerifierKey
from kiosk.durable_file import replace_file

HANDOVERS = "handovers.dsse"  # in the data folder

log = structlog.get_logger(__name__)


def believed_keys(pinned: Sequence[PublicKey], path: Path) -> tuple[PublicKey, ...]:
    """Return the keys that count; a file that cannot be read or believed leaves the pinned ones."""
    try:
        kept = split_handovers(path.read_bytes()) if path.exists() else None
        return tuple(pinned) if kept is None else follow_handovers(pinned, kept)
    except (OSError, EvidenceError) as error:
        log.error("handovers_not_read", why=str(error))
        return tuple(pinned)


def take_handovers(
    pinned: Sequence[PublicKey], path: Path, message: bytes, also: Sequence[PublicKey] = ()
) -> tuple[PublicKey, ...] | None:
    """Keep a message of handovers; return which keys count now for the pinned ones, None for a message of another kind.

    `also` are pinned for something else, the ledger's: the message is kept for their sake, too. On disk before they
    count. Raises an EvidenceError for what cannot be believed, OSError where it cannot be kept.
    """
    documents = split_handovers(message)
    if documents is None:
        return None
    everybody = (*pinned, *also)
    counting = follow_handovers(everybody, documents)
    before = believed_keys(everybody, path)
    if counting == before:
        return believed_keys(pinned, path)
    if follow_handovers(before, documents) != counting:
        log.warning("handovers_older_than_held")  # a retained message from before the last rotation
        return believed_keys(pinned, path)
    replace_file(path, message)
    log.warning("collector_key_handed_over", keys=[key.fingerprint for key in counting])
    return follow_handovers(pinned, documents)


def ledger_keys(vkey: str | None, path: Path) -> tuple[LogKey, ...]:
    """Return the ledger's keys: the pinned one, and those that kept handovers lead to; none without a pinned one."""
    if vkey is None:
        return ()
    pinned = VerifierKey.parse(vkey)
    try:
        kept = split_handovers(path.read_bytes()) if path.exists() else None
        return log_keys([pinned], [parse_handover(one) for one in kept or ()])
    except (OSError, EvidenceError) as error:
        log.error("handovers_not_read", why=str(error))
        return log_keys([pinned], [])
