"""The checkpoints that terminals' events carry: what the collector signed and somebody outside has seen."""

from __future__ import annotations

from collections.abc import Iterator

from evidence.checkpoint import Checkpoint
from evidence.errors import EvidenceError
from evidence.events import Event
from evidence.note import Note
from evidence.seen_checkpoint import notes_in


def carried_by(event: Event) -> Iterator[Checkpoint]:
    """Yield the checkpoints in an event, not verified; what cannot be read is left to whoever verifies it."""
    for one in notes_in(event):
        try:
            yield Checkpoint.parse(Note.decode(one.text.encode()).text)
        except EvidenceError:
            continue
