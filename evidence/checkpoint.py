"""Checkpoints of the ledger: what the collector signs about its tree, and how many witnesses a verifier wants to see.

Standards: c2sp.org/tlog-checkpoint, c2sp.org/tlog-cosignature. Signed notes themselves are in note.py.
"""

from __future__ import annotations

import base64
import binascii
import re
from collections.abc import Sequence
from dataclasses import dataclass

from evidence.errors import InvalidCheckpoint, InvalidKey, MissingCosignatures, WrongOrigin
from evidence.merkle import HASH_BYTES, verify_consistency
from evidence.note import Note, NoteSigner, SignatureType, VerifierKey, sign_note

MAX_SIZE = 2**63 - 1  # c2sp.org/tlog-tiles names levels up to 63
_NUMBER = re.compile(r"0|[1-9][0-9]{0,18}")


@dataclass(frozen=True, slots=True)
class Checkpoint:
    """A ledger of this origin has `size` entries and this root."""

    origin: str
    size: int
    root: bytes
    extensions: tuple[str, ...] = ()  # further lines, which mean nothing here

    def text(self) -> str:
        """The text of its note."""
        lines = (self.origin, str(self.size), base64.b64encode(self.root).decode(), *self.extensions)
        return "".join(f"{line}\n" for line in lines)

    @classmethod
    def parse(cls, text: str) -> Checkpoint:
        """Read a note's text. Raises InvalidCheckpoint."""
        lines = text.split("\n")
        if len(lines) < 4 or lines[-1] or not all(lines[:-1]):
            raise InvalidCheckpoint("a checkpoint has an origin, a size and a root, one a line, and no empty line")
        size = parse_size(lines[1])
        if size is None:
            raise InvalidCheckpoint(f"the size {lines[1][:24]!r} is not a number below 2^63 in its shortest form")
        checkpoint = cls(lines[0], size, parse_hash(lines[2]), tuple(lines[3:-1]))
        if checkpoint.text() != text:
            raise InvalidCheckpoint("the root's base64 is not canonical")
        return checkpoint


@dataclass(frozen=True, slots=True)
class WitnessPolicy:
    """How many of which witnesses must have cosigned; none by default.

    Raises InvalidKey where a key is no witness's or stands twice, or more are wanted than there are.
    """

    witnesses: tuple[VerifierKey, ...] = ()
    needed: int = 0

    def __post_init__(self) -> None:
        if any(one.type is not SignatureType.COSIGNATURE_V1 for one in self.witnesses):
            raise InvalidKey("a witness's vkey is of type 4 (cosignature/v1); a log's key is no witness")
        if len({one.key for one in self.witnesses}) != len(self.witnesses):
            raise InvalidKey("two witnesses have the same key; each must be somebody else")
        if not 0 <= self.needed <= len(self.witnesses):
            raise InvalidKey(f"the policy wants {self.needed} of {len(self.witnesses)} witnesses, which cannot be")


NO_WITNESSES = WitnessPolicy()


def sign_checkpoint(checkpoint: Checkpoint, signer: NoteSigner) -> Note:
    """Sign as the log. Raises InvalidCheckpoint, InvalidNote, InvalidKey."""
    if Checkpoint.parse(checkpoint.text()) != checkpoint:
        raise InvalidCheckpoint("the checkpoint's origin or extensions would not be read again")
    return sign_note(checkpoint.text(), [signer])


def verify_checkpoint(
    note: bytes, origin: str, log_key: VerifierKey, policy: WitnessPolicy = NO_WITNESSES
) -> Checkpoint:
    """Read a checkpoint of `origin` that `log_key` signed and enough of the policy's witnesses cosigned.

    Raises an EncodingError, WrongOrigin, UnknownKey (the log has not signed), BadSignature (a signature of a known
    key is false), MissingCosignatures, InvalidKey.
    """
    if any(one.key == log_key.key for one in policy.witnesses):
        raise InvalidKey("the log cannot be its own witness: one key is named as both")
    signed = Note.decode(note)
    checkpoint = Checkpoint.parse(signed.text)
    if checkpoint.origin != origin:
        raise WrongOrigin(f"the checkpoint is of the ledger {checkpoint.origin!r}, wanted is {origin!r}")
    if log_key.type is not SignatureType.ED25519:
        raise InvalidKey("the log's vkey must be of type 1 (Ed25519)")
    signed.verify(log_key)
    witnessed = cosignatures(signed, policy.witnesses)
    if len(witnessed) < policy.needed:
        raise MissingCosignatures(
            f"{len(witnessed)} of the known witnesses have cosigned the checkpoint, the policy wants {policy.needed}"
        )
    return checkpoint


def cosignatures(note: Note, witnesses: Sequence[VerifierKey]) -> dict[VerifierKey, int]:
    """Return which of these witnesses cosigned, and when at the latest, in seconds since 1970. Raises BadSignature."""
    times = {one: note.verify(one) for one in witnesses if note.signatures_by(one)}
    return {witness: seconds for witness, seconds in times.items() if seconds is not None}


def verify_growth(older: Checkpoint, newer: Checkpoint, proof: Sequence[bytes]) -> None:
    """Check that `newer` keeps everything of `older`, both of one ledger. Raises WrongOrigin, ConsistencyFailed."""
    if older.origin != newer.origin:
        raise WrongOrigin(f"the checkpoints are of two ledgers, {older.origin!r} and {newer.origin!r}")
    verify_consistency(older.size, older.root, newer.size, newer.root, proof)


def parse_size(text: str) -> int | None:
    """Read a size or a place in its one decimal form; None for anything else."""
    if _NUMBER.fullmatch(text) is None or int(text) > MAX_SIZE:
        return None
    return int(text)


def parse_hash(text: str) -> bytes:
    """Read a SHA-256 hash in base64, in its one form. Raises InvalidCheckpoint."""
    try:
        data = base64.b64decode(text, validate=True)
    except (binascii.Error, ValueError) as error:
        raise InvalidCheckpoint(f"a hash is written in base64: {error}") from error
    if len(data) != HASH_BYTES or base64.b64encode(data).decode() != text:
        raise InvalidCheckpoint(f"a hash has {HASH_BYTES} bytes in canonical base64")
    return data
