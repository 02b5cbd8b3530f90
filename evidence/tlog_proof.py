"""The proof that one entry stands in the ledger, as one text file that needs nothing else: c2sp.org/tlog-proof."""

from __future__ import annotations

import base64
from dataclasses import dataclass

from evidence.checkpoint import NO_WITNESSES, Checkpoint, WitnessPolicy, parse_hash, parse_size, verify_checkpoint
from evidence.errors import InvalidCheckpoint, InvalidProof, TooLarge
from evidence.merkle import MAX_PROOF_HASHES, verify_inclusion
from evidence.note import MAX_NOTE_BYTES, VerifierKey

HEADER = "c2sp.org/tlog-proof@v1"
MEDIA_TYPE = "text/plain; charset=utf-8"
MAX_PROOF_BYTES = 2 * MAX_NOTE_BYTES  # the checkpoint, the hashes, and as much of `extra`


@dataclass(frozen=True, slots=True)
class TlogProof:
    """A place, the path from it to the root, and the checkpoint that has the root; not yet believed."""

    index: int
    path: tuple[bytes, ...]
    checkpoint: bytes  # a signed note, verbatim
    extra: bytes | None = None  # nobody signs it

    def encode(self) -> bytes:
        """The text."""
        lines = [HEADER]
        if self.extra is not None:
            lines.append(f"extra {base64.b64encode(self.extra).decode()}")
        lines.append(f"index {self.index}")
        lines.extend(base64.b64encode(one).decode() for one in self.path)
        return "".join(f"{line}\n" for line in lines).encode() + b"\n" + self.checkpoint

    @classmethod
    def decode(cls, data: bytes) -> TlogProof:
        """Read the text. Raises InvalidProof, TooLarge."""
        if len(data) > MAX_PROOF_BYTES:
            raise TooLarge(f"a tlog-proof has at most {MAX_PROOF_BYTES} bytes, this one has more")
        head, gap, checkpoint = data.partition(b"\n\n")
        try:
            lines = head.decode("ascii").split("\n")
        except UnicodeDecodeError as error:
            raise InvalidProof("the lines before the checkpoint are ASCII") from error
        if not gap or not checkpoint or lines.pop(0) != HEADER:
            raise InvalidProof(f"a tlog-proof begins with {HEADER}, and an empty line stands before its checkpoint")
        try:
            extra = _extra(lines.pop(0)) if lines and lines[0].startswith("extra ") else None
            index = parse_size(lines.pop(0).removeprefix("index ")) if lines and lines[0].startswith("index ") else None
            path = tuple(parse_hash(line) for line in lines)
        except (InvalidCheckpoint, ValueError) as error:
            raise InvalidProof(f"a line of the tlog-proof cannot be read: {error}") from error
        if index is None or len(path) > MAX_PROOF_HASHES:
            raise InvalidProof(f"a tlog-proof has a line `index N` and at most {MAX_PROOF_HASHES} hashes")
        return cls(index, path, checkpoint, extra)

    def verify(
        self, leaf: bytes, origin: str, log_key: VerifierKey, policy: WitnessPolicy = NO_WITNESSES
    ) -> Checkpoint:
        """Check that the entry with this leaf hash stands at `index` of a ledger that the policy believes.

        Return the checkpoint. Raises what `verify_checkpoint` raises, and InclusionFailed.
        """
        checkpoint = verify_checkpoint(self.checkpoint, origin, log_key, policy)
        verify_inclusion(leaf, self.index, checkpoint.size, self.path, checkpoint.root)
        return checkpoint


def _extra(line: str) -> bytes:
    encoded = line.removeprefix("extra ")
    data = base64.b64decode(encoded, validate=True)
    if base64.b64encode(data).decode() != encoded:
        raise ValueError("the base64 of `extra` is not canonical")
    return data
