"""The checkpoints that terminals' events carry: what the collector signed and somebody outside has seen."""

from __future__ import annotations

from collections.abc import Iterator

from evidence.checkpoint import Checkpoint
from evidence.errors import EvidenceError
from evidence.events import CheckpointRefusedBody, CoverageBody, Event, parse_body
from evidence.note import Note


def carried_by(event: Event) -> Iterator[Checkpoint]:
    """Yield the checkpoints in an event, not verified; what cannot be read is left to whoever verifies it."""
    try:
        body = parse_body(event)
    except EvidenceError:
        return
    texts: list[str | None] = []
    if isinstance(body, CoverageBody):
        texts = [body.checkpoint]
    elif isinstance(body, CheckpointRefusedBody):
        texts = [body.held, body.shown]
    for text in texts:
        try:
            if text is not None:
                yield Checkpoint.parse(Note.decode(text.encode()).text)
        except EvidenceError:
            continue
