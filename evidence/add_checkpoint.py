"""A checkpoint with the proof that it grew from an older one: what a log shows to a witness, and to a terminal.

Standard: the body of `add-checkpoint` in c2sp.org/tlog-witness: the old size, a consistency proof, a checkpoint.
"""

from __future__ import annotations

import base64
from dataclasses import dataclass

from evidence.checkpoint import Checkpoint, parse_hash, parse_size
from evidence.errors import EvidenceError, InvalidProof
from evidence.note import Note

MAX_PROOF_LINES = 63
_BEGIN = b"old "


@dataclass(frozen=True, slots=True)
class AddCheckpoint:
    """What somebody is to take for the log's next state; nothing of it is believed yet."""

    old_size: int
    proof: tuple[bytes, ...]
    note: Note
    checkpoint: Checkpoint

    @classmethod
    def parse(cls, data: bytes) -> AddCheckpoint:
        """Read one. Raises InvalidProof."""
        head, gap, note = data.partition(b"\n\n")
        try:
            lines = head.decode("ascii").split("\n")
            if not gap or not lines[0].startswith("old ") or len(lines) > 1 + MAX_PROOF_LINES:
                raise InvalidProof("the text reads: old N, at most 63 lines of proof, an empty line, a checkpoint")
            old_size = parse_size(lines[0].removeprefix("old "))
            proof = tuple(parse_hash(line) for line in lines[1:])
            signed = Note.decode(note)
            checkpoint = Checkpoint.parse(signed.text)
        except (UnicodeDecodeError, EvidenceError) as error:
            raise InvalidProof(f"the checkpoint and its proof cannot be read: {error}") from error
        if old_size is None or old_size > checkpoint.size:
            raise InvalidProof("the old size is a number, and no larger than the checkpoint's")
        return cls(old_size, proof, signed, checkpoint)


def is_add_checkpoint(message: bytes) -> bool:
    """Tell such a message from the envelopes that travel on the same topic."""
    return message.startswith(_BEGIN)


def write_add_checkpoint(old_size: int, proof: tuple[bytes, ...], note: bytes) -> bytes:
    """Return the message."""
    lines = "".join(f"{base64.b64encode(one).decode()}\n" for one in proof)
    return _BEGIN + f"{old_size}\n{lines}\n".encode() + note
