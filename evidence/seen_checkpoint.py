"""What a terminal does with the checkpoints that it is shown: each must have grown from the newest one that it holds.

A terminal so is a witness: an operator who shows it one ledger and somebody else another has signed both. The newest
checkpoint goes into every `coverage` event, so all that the terminal signs after it was signed after it.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass

from evidence.add_checkpoint import AddCheckpoint
from evidence.checkpoint import Checkpoint, verify_growth
from evidence.errors import ConsistencyFailed, InvalidCheckpoint, SplitView
from evidence.events import MAX_CHECKPOINT_TEXT, Event, Kind
from evidence.key_history import LogKey, read_checkpoint
from evidence.note import Note

_FIELDS: dict[str, tuple[str, ...]] = {Kind.COVERAGE: ("checkpoint",), Kind.CHECKPOINT_REFUSED: ("held", "shown")}


@dataclass(frozen=True, slots=True)
class SeenCheckpoint:
    """A checkpoint as it is held and carried in events: with the log's signature and nobody else's."""

    checkpoint: Checkpoint
    text: str  # the signed note

    @classmethod
    def read(cls, text: str, origin: str, keys: Sequence[LogKey]) -> SeenCheckpoint:
        """Read what was held or carried. Raises what `read_checkpoint` raises."""
        return cls(read_checkpoint(text.encode(), origin, keys), text)


def take(
    held: SeenCheckpoint | None, shown: AddCheckpoint, origin: str, keys: Sequence[LogKey]
) -> SeenCheckpoint | None:
    """Return the checkpoint to hold from now on; None where nothing can be said: an older one, or no proof from `held`.

    Raises SplitView where the log has signed two roots of one size; UnknownKey, BadSignature, RetiredKey or WrongOrigin
    where it was not this log that signed; InvalidCheckpoint for one that is too long to be carried.
    """
    offered = carried(shown.note, origin, keys)
    if held is None:
        return offered
    old, new = held.checkpoint, offered.checkpoint
    if new.size == old.size and new.root != old.root:
        raise SplitView(f"the ledger has signed two different checkpoints over {new.size} entries")
    if new.size <= old.size or shown.old_size != old.size:
        return None
    try:
        verify_growth(old, new, shown.proof)
    except ConsistencyFailed:  # nobody has signed the proof: anybody may have put a false one beside a true checkpoint
        return None
    return offered


@dataclass(frozen=True, slots=True)
class CarriedNote:
    """A note that an event carries, not read yet."""

    text: str
    refused: bool = False  # its terminal was shown it and did not take it


def notes_in(event: Event) -> Iterator[CarriedNote]:
    """Yield what an event carries. The rest of its body may be one that this version cannot read."""
    for field in _FIELDS.get(event.kind, ()):
        text = event.body.get(field)
        if isinstance(text, str):
            yield CarriedNote(text, refused=field == "shown")


def carried(note: Note, origin: str, keys: Sequence[LogKey]) -> SeenCheckpoint:
    """Return a note as an event carries it. Raises as `take`."""
    logs = {(one.vkey.name, one.vkey.id) for one in keys}
    own = Note(note.text, tuple(one for one in note.signatures if (one.name, one.key_id) in logs) or note.signatures)
    text = own.encode().decode()
    found = SeenCheckpoint.read(text, origin, keys)
    if len(text) > MAX_CHECKPOINT_TEXT:
        raise InvalidCheckpoint(f"a checkpoint of more than {MAX_CHECKPOINT_TEXT} letters fits no event")
    return found
