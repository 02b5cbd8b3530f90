"""The body of `POST /add-checkpoint` (c2sp.org/tlog-witness): an old size, a consistency proof, a checkpoint."""

from __future__ import annotations

from dataclasses import dataclass

from evidence.checkpoint import Checkpoint, parse_hash, parse_size
from evidence.errors import EvidenceError
from evidence.note import Note
from witness.errors import BadRequest

MAX_REQUEST_BYTES = 1_010_000  # a note and 63 hashes
MAX_PROOF_LINES = 63


@dataclass(frozen=True, slots=True)
class AddCheckpoint:
    """What somebody wants cosigned; nothing of it is believed yet."""

    old_size: int
    proof: tuple[bytes, ...]
    note: Note
    checkpoint: Checkpoint

    @classmethod
    def parse(cls, data: bytes) -> AddCheckpoint:
        """Read a request. Raises BadRequest."""
        head, gap, note = data.partition(b"\n\n")
        try:
            lines = head.decode("ascii").split("\n")
            if not gap or not lines[0].startswith("old ") or len(lines) > 1 + MAX_PROOF_LINES:
                raise BadRequest("the body reads: old N, at most 63 lines of proof, an empty line, a checkpoint")
            old_size = parse_size(lines[0].removeprefix("old "))
            proof = tuple(parse_hash(line) for line in lines[1:])
            signed = Note.decode(note)
            checkpoint = Checkpoint.parse(signed.text)
        except (UnicodeDecodeError, EvidenceError) as error:
            raise BadRequest(f"the request cannot be read: {error}") from error
        if old_size is None or old_size > checkpoint.size:
            raise BadRequest("the old size is a number, and no larger than the checkpoint's")
        return cls(old_size, proof, signed, checkpoint)
