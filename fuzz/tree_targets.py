"""Fuzzed: the ledger's texts and proofs. What is read is the only writing of itself; what proves is the one proof."""

from __future__ import annotations

from collections.abc import Callable

from evidence.add_checkpoint import AddCheckpoint, write_add_checkpoint
from evidence.checkpoint import Checkpoint, WitnessPolicy, verify_checkpoint
from evidence.errors import EvidenceError, InvalidKey, InvalidProof
from evidence.keys import Ed25519Key, PublicKey
from evidence.merkle import (
    consistency_proof,
    inclusion_proof,
    leaf_hash,
    root_of,
    verify_consistency,
    verify_inclusion,
)
from evidence.note import Note, NoteSigner, SignatureType, VerifierKey, parse_signing_key, signing_key_text
from evidence.tiles import TileName
from evidence.tlog_proof import TlogProof
from fuzz.key import KEY, OTHER

ORIGIN = "zaigang.example/harbour"
LOG = NoteSigner(ORIGIN, SignatureType.ED25519, KEY)
WITNESS = NoteSigner("witness.example/council", SignatureType.COSIGNATURE_V1, OTHER)
LEAVES = [leaf_hash(bytes([number])) for number in range(40)]
HASH = 32


def note(data: bytes) -> None:
    """Read a note and check it as a checkpoint, signed or not."""
    one = Note.decode(data)
    assert one.encode() == data
    verify_checkpoint(data, ORIGIN, LOG.public, WitnessPolicy((WITNESS.public,), 1))


def signed_checkpoint(data: bytes) -> None:
    """Read a checkpoint that the log has signed, whatever it says."""
    text = data.decode(errors="replace")
    signed = Note(text, (LOG.sign(text),)).encode()
    assert verify_checkpoint(signed, ORIGIN, LOG.public).text() == text


def checkpoint(data: bytes) -> None:
    """Read a checkpoint's text."""
    text = data.decode(errors="replace")
    assert Checkpoint.parse(text).text() == text


def add_checkpoint(data: bytes) -> None:
    """Read what a log shows to a witness."""
    one = AddCheckpoint.parse(data)
    assert write_add_checkpoint(one.old_size, one.proof, one.note.encode()) == data


def tlog_proof(data: bytes) -> None:
    """Read the proof of one entry, and hold it against the log's key."""
    one = TlogProof.decode(data)
    assert one.encode() == data
    one.verify(LEAVES[0], ORIGIN, LOG.public)


def inclusion(data: bytes) -> None:
    """Two bytes, the size and the place, and then the proof."""
    size, place, proof = _numbers_and_hashes(data)
    verify_inclusion(LEAVES[place % len(LEAVES)], place, size, proof, root_of(LEAVES[:size]))
    assert tuple(proof) == inclusion_proof(place, size, LEAVES)


def consistency(data: bytes) -> None:
    """Two bytes, the newer size and the older one, and then the proof."""
    new, old, proof = _numbers_and_hashes(data)
    old_root = root_of(LEAVES[: min(old, new)])
    verify_consistency(old, old_root, new, root_of(LEAVES[:new]), proof)
    assert tuple(proof) == consistency_proof(old, new, LEAVES)


def key_text(data: bytes) -> None:
    """Read a public key, a verifier's key and a signing key: whatever one of them takes is written back."""
    text, taken = data.decode(errors="replace"), 0
    for read in (_public_key, _verifier_key, _signing_key):
        try:
            assert read(text) == text.strip()
        except EvidenceError:
            continue
        taken += 1
    if not taken:
        raise InvalidKey("no key in any form")


def tile_name(data: bytes) -> None:
    """Read a tile's path, the level up to the first slash."""
    level, _, rest = data.decode(errors="replace").partition("/")
    found = TileName.parse(level, rest)
    if found is None:
        raise InvalidProof("no tile has this path")
    assert found.path() == f"tile/{level}/{rest}"


def _public_key(text: str) -> str:
    return PublicKey.parse(text).text()


def _verifier_key(text: str) -> str:
    return VerifierKey.parse(text).text()


def _signing_key(text: str) -> str:
    signer = parse_signing_key(text)
    assert isinstance(signer.key, Ed25519Key)
    return signing_key_text(signer.name, signer.type, signer.key)


def _numbers_and_hashes(data: bytes) -> tuple[int, int, list[bytes]]:
    first, second, rest = data[:1], data[1:2], data[2:]
    size = int.from_bytes(first, "big") % (len(LEAVES) + 1)
    return size, int.from_bytes(second, "big"), [rest[at : at + HASH] for at in range(0, len(rest), HASH)]


TARGETS: tuple[Callable[[bytes], None], ...] = (
    note,
    signed_checkpoint,
    checkpoint,
    add_checkpoint,
    tlog_proof,
    inclusion,
    consistency,
    key_text,
    tile_name,
)
