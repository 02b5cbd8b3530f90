"""The checkpoints that a bundle's events carry, held against its ledger: no terminal may have seen another one.

`checkpoints/seen` has a line for each size: the size and the consistency proof to the last checkpoint, hashes in
base64, parted by spaces. What a `coverage` or `checkpoint.refused` carries, the ledger has signed and a terminal has
seen: if the bundle's tree did not grow from it, the operator has shown two histories (`split_view`). A note that no
key of the ledger signed is its terminal's invention; bundle_chain.py counts it.
"""

from __future__ import annotations

import base64
import re
from collections.abc import Mapping

from evidence.bundle_chain import Bundle, Carried
from evidence.checkpoint import Checkpoint, parse_hash
from evidence.errors import CheckpointUnproved, ConsistencyFailed, EvidenceError, InvalidProof, LedgerOrder, SplitView
from evidence.key_history import read_checkpoint
from evidence.merkle import verify_consistency

SEEN = "checkpoints/seen"
_LINE = re.compile(r"(0|[1-9][0-9]{0,15})((?: [A-Za-z0-9+/]{43}=){0,64})")
Proofs = Mapping[int, tuple[bytes, ...]]


def write_seen(proofs: Proofs) -> bytes:
    """Return the file."""
    lines = (
        " ".join([str(size), *(base64.b64encode(one).decode() for one in proofs[size])]) + "\n"
        for size in sorted(proofs)
    )
    return "".join(lines).encode()


def read_seen(data: bytes) -> dict[int, tuple[bytes, ...]]:
    """Read the file. Raises InvalidProof or InvalidCheckpoint."""
    found: dict[int, tuple[bytes, ...]] = {}
    *lines, rest = data.decode("latin-1").split("\n")
    for line in lines:
        match = _LINE.fullmatch(line)
        if match is None or (found and int(match[1]) <= max(found)):
            raise InvalidProof("a line has a size, larger than the one before, and the hashes of a consistency proof")
        found[int(match[1])] = tuple(parse_hash(one) for one in match[2].split())
    if rest or not found:
        raise InvalidProof("the proofs from the checkpoints that terminals saw are cut off or empty")
    return found


def check_seen(files: dict[str, bytes], bundle: Bundle) -> None:
    """Check every checkpoint that an event carries; problems go into the report."""
    proofs: dict[int, tuple[bytes, ...]] = {}
    if SEEN in files:
        try:
            proofs = read_seen(files[SEEN])
        except EvidenceError as error:
            bundle.report.add(error, SEEN)
            return
    proved: dict[str, Checkpoint] = {}  # by note: a terminal carries the same one in many events
    for one in bundle.carried:
        try:
            _check(one, proofs, bundle, proved)
        except EvidenceError as error:
            file = f"chains/{one.chain.device}/{one.chain.chain}.jsonl"
            bundle.report.add(error, file, chain=one.chain, seq=one.seq)


def _check(one: Carried, proofs: Proofs, bundle: Bundle, proved: dict[str, Checkpoint]) -> None:
    seen = proved.get(one.text) or read_checkpoint(one.text.encode(), bundle.trust.origin, bundle.log_keys)
    if seen.size > one.leaf_index and one.refused:
        raise SplitView(
            f"the ledger signed {seen.size} entries without this event, which is entry {one.leaf_index} here"
        )
    if seen.size > one.leaf_index:
        raise LedgerOrder(
            f"the terminal had seen a ledger of {seen.size} entries when it signed this, which is entry "
            f"{one.leaf_index}: it was put in before it existed"
        )
    if one.text not in proved:
        _prove(seen, proofs, bundle)
        proved[one.text] = seen


def _prove(seen: Checkpoint, proofs: Proofs, bundle: Bundle) -> None:
    tree = bundle.tree
    if seen.size not in proofs:
        raise CheckpointUnproved(f"the bundle does not prove that it grew from the {seen.size} entries seen here")
    try:
        verify_consistency(seen.size, seen.root, tree.size, tree.root, proofs[seen.size])
    except ConsistencyFailed as error:
        raise SplitView(
            f"the terminal holds the ledger's signature over {seen.size} entries that the ledger of this bundle does "
            "not begin with: one was shown to the terminal, another is shown here"
        ) from error
