"""The checkpoints of a bundle: signed by the ledger, cosigned as the reader wants, the last one grown from the first.

`checkpoints/last` is what every proof of the bundle leads to; `checkpoints/first` is an earlier one, and
`checkpoints/consistency` the proof (RFC 6962, a base64 hash a line) that the one became the other by appending only.
"""

from __future__ import annotations

import base64

from evidence.bundle_report import Report
from evidence.bundle_tree import Tree
from evidence.checkpoint import Checkpoint, WitnessPolicy, cosignatures, parse_hash, verify_growth
from evidence.errors import (
    CheckpointUnproved,
    EvidenceError,
    FileMissing,
    InvalidProof,
    RewrittenHistory,
)
from evidence.key_history import read_checkpoint
from evidence.note import Note, VerifierKey
from evidence.trust import BundleTrust

FIRST, LAST, CONSISTENCY = "checkpoints/first", "checkpoints/last", "checkpoints/consistency"


def write_consistency(proof: tuple[bytes, ...]) -> bytes:
    """Return the file."""
    return "".join(f"{base64.b64encode(one).decode()}\n" for one in proof).encode()


def read_consistency(data: bytes) -> tuple[bytes, ...]:
    """Read the file. Raises InvalidProof or InvalidCheckpoint."""
    if data and not data.endswith(b"\n"):
        raise InvalidProof("the consistency proof's last line is cut off")
    try:
        lines = data.decode("ascii").split("\n")[:-1]
    except UnicodeDecodeError as error:
        raise InvalidProof("the consistency proof is not ASCII") from error
    return tuple(parse_hash(line) for line in lines)


def check_checkpoints(files: dict[str, bytes], trust: BundleTrust, report: Report) -> Tree | None:
    """Check the three files; return the tree that the bundle's proofs must lead to, None where none can be trusted."""
    for name in (FIRST, LAST, CONSISTENCY):
        if name not in files:
            report.add(FileMissing(f"the bundle has no {name}"), name)
    if LAST not in files:
        return None
    try:
        last = _read(files[LAST], trust, _policy(trust))
    except EvidenceError as error:
        report.add(error, LAST)
        return None
    if trust.witnesses is not None:
        report.cosignatures = len(cosignatures(Note.decode(files[LAST]), _policy(trust).witnesses))
    report.tree_size = last.size
    if FIRST in files and CONSISTENCY in files:
        _check_growth(files, last, trust, report)
    return Tree(last.size, last.root)


def stamped_note(note: bytes, trust: BundleTrust) -> bytes:
    """What a time-stamp is over: the checkpoint with the ledger's own signature, without those of witnesses.

    Raises an EncodingError.
    """
    signed = Note.decode(note)
    logs = {(one.vkey.name, one.vkey.id) for one in trust.log_keys()}
    own = tuple(one for one in signed.signatures if (one.name, one.key_id) in logs)
    return Note(signed.text, own).encode()


def check_kept(files: dict[str, bytes], trust: BundleTrust, report: Report) -> None:
    """Hold the checkpoints that the reader kept from before against those of the bundle."""
    held = []
    for name in (FIRST, LAST):
        try:
            held.append(_read(files.get(name, b""), trust, WitnessPolicy()))
        except EvidenceError:
            continue  # named where the bundle's own checkpoints are checked
    for text in trust.checkpoints:
        try:
            _hold(_read(text.encode(), trust, WitnessPolicy()), held)
        except EvidenceError as error:
            report.add(error)


def _hold(kept: Checkpoint, held: list[Checkpoint]) -> None:
    same = [one for one in held if one.size == kept.size]
    if any(one.root != kept.root for one in same):
        raise RewrittenHistory(
            f"you hold a checkpoint over {kept.size} entries that the ledger signed, the bundle has another of the "
            "same size: entries were changed, removed or moved since"
        )
    if not same and kept.size > 0:
        raise CheckpointUnproved(
            f"the bundle does not prove that it grew from your checkpoint over {kept.size} entries; ask for one made "
            "from it (zaigang bundle --since-checkpoint FILE)"
        )


def _check_growth(files: dict[str, bytes], last: Checkpoint, trust: BundleTrust, report: Report) -> None:
    try:
        first = _read(files[FIRST], trust, WitnessPolicy())
    except EvidenceError as error:
        report.add(error, FIRST)
        return
    try:
        verify_growth(first, last, read_consistency(files[CONSISTENCY]))
    except EvidenceError as error:
        report.add(error, CONSISTENCY)


def _read(note: bytes, trust: BundleTrust, policy: WitnessPolicy) -> Checkpoint:
    """Read a checkpoint signed by one of the trusted keys, or one that handovers connect with them."""
    return read_checkpoint(note, trust.origin, trust.log_keys(), policy)


def _policy(trust: BundleTrust) -> WitnessPolicy:
    if trust.witnesses is None:
        return WitnessPolicy()
    return WitnessPolicy(tuple(map(VerifierKey.parse, trust.witnesses.keys)), trust.witnesses.quorum)
