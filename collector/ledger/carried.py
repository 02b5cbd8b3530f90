"""The checkpoints that terminals' events carry: what the collector signed and somebody outside has seen."""

from __future__ import annotations

from collections.abc import Iterator, Sequence

from evidence.checkpoint import Checkpoint
from evidence.errors import EvidenceError
from evidence.events import Event
from evidence.key_history import LogKey, signed_by_log
from evidence.note import Note
from evidence.seen_checkpoint import notes_in


def carried_by(event: Event) -> Iterator[Checkpoint]:
    """Yield the checkpoints in an event, not verified; what cannot be read is left to whoever verifies it."""
    for one in notes_in(event):
        try:
            yield Checkpoint.parse(Note.decode(one.text.encode()).text)
        except EvidenceError:
            continue


def signed_in(event: Event, keys: Sequence[LogKey]) -> Iterator[Checkpoint | None]:
    """Yield the checkpoints in an event that a key of the log signed, None for any other note."""
    for one in notes_in(event):
        data = one.text.encode()
        try:
            yield Checkpoint.parse(Note.decode(data).text) if signed_by_log(data, keys) else None
        except EvidenceError:  # the log signed what is no checkpoint
            continue
