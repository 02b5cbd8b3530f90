"""The Merkle tree of RFC 6962 (RFC 9162 section 2.1): roots, inclusion and consistency proofs, over leaf hashes.

Pure: whoever stores a tree asks here which complete subtrees a proof needs, reads those, and has them folded.
"""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field

from evidence.errors import ConsistencyFailed, InclusionFailed

HASH_BYTES = 32  # SHA-256
EMPTY_ROOT = hashlib.sha256(b"").digest()  # RFC 6962 section 2.1: the root of a tree without leaves
MAX_PROOF_HASHES = 64  # a tree of 2^63 leaves needs no more; C2SP tlog-witness allows 63


@dataclass(frozen=True, slots=True)
class Subtree:
    """A complete subtree: the 2^level leaves from index·2^level on."""

    level: int
    index: int


def leaf_hash(data: bytes) -> bytes:
    """Hash the data of a leaf."""
    return hashlib.sha256(b"\x00" + data).digest()


def node_hash(left: bytes, right: bytes) -> bytes:
    """Hash two subtrees into the one above them."""
    return hashlib.sha256(b"\x01" + left + right).digest()


def root_of(leaf_hashes: Sequence[bytes]) -> bytes:
    """Return the root over these leaf hashes; without any, EMPTY_ROOT."""
    row = list(leaf_hashes)
    if not row:
        return EMPTY_ROOT
    hashed = hashlib.sha256
    while len(row) > 1:  # pairs, level by level; a last one without a neighbour goes up as it is
        above = [hashed(b"\x01" + row[at] + row[at + 1]).digest() for at in range(0, len(row) - 1, 2)]
        row = above + row[len(row) & ~1 :]
    return row[0]


def inclusion_proof(index: int, size: int, leaf_hashes: Sequence[bytes]) -> tuple[bytes, ...]:
    """Return the path of leaf `index` in the tree of the first `size` leaves, sibling first.

    Raises InclusionFailed where there is no such leaf.
    """
    return prove(inclusion_ranges(index, size), _reader(leaf_hashes))


def consistency_proof(old: int, new: int, leaf_hashes: Sequence[bytes]) -> tuple[bytes, ...]:
    """Return the proof that the first `old` of the first `new` leaves are the older tree.

    Raises ConsistencyFailed where `old` is not within 0 to `new`.
    """
    return prove(consistency_ranges(old, new), _reader(leaf_hashes))


def verify_inclusion(leaf: bytes, index: int, size: int, proof: Sequence[bytes], root: bytes) -> None:
    """Check that `leaf`, a leaf hash, is leaf `index` of the tree of `size` leaves with this root.

    RFC 9162 section 2.1.3.2. Raises InclusionFailed.
    """
    if not 0 <= index < size:
        raise InclusionFailed(f"a tree of {size} leaves has no leaf {index}")
    _hashes_only((leaf, root, *proof), InclusionFailed)
    place, last, node = index, size - 1, leaf
    for one in proof:
        if last == 0:
            raise InclusionFailed(f"the proof is longer than the path of leaf {index} in a tree of {size} leaves")
        if place & 1 or place == last:
            node = node_hash(one, node)
            while place and not place & 1:
                place, last = place >> 1, last >> 1
        else:
            node = node_hash(node, one)
        place, last = place >> 1, last >> 1
    if last != 0:
        raise InclusionFailed(f"the proof is shorter than the path of leaf {index} in a tree of {size} leaves")
    if node != root:
        raise InclusionFailed(f"this is not leaf {index} of the tree with this root: leaf, place or tree is another")


def verify_consistency(old_size: int, old_root: bytes, new_size: int, new_root: bytes, proof: Sequence[bytes]) -> None:
    """Check that the newer tree begins with exactly the leaves of the older one.

    RFC 9162 section 2.1.4.2; a tree without leaves is the beginning of every other, with an empty proof.
    Raises ConsistencyFailed.
    """
    if not 0 <= old_size <= new_size:
        raise ConsistencyFailed(f"a tree of {old_size} leaves cannot be the beginning of one of {new_size}")
    _hashes_only((old_root, new_root, *proof), ConsistencyFailed)
    if old_size in (0, new_size):
        _verify_trivial(old_size, old_root, new_size, new_root, proof)
        return
    path = list(proof)
    if old_size & (old_size - 1) == 0:  # the older tree is a complete subtree: its root is where the path starts
        path.insert(0, old_root)
    if not path:
        raise ConsistencyFailed("the consistency proof is empty although the trees differ in size")
    place, last = old_size - 1, new_size - 1
    while place & 1:
        place, last = place >> 1, last >> 1
    older = newer = path[0]
    for one in path[1:]:
        if last == 0:
            raise ConsistencyFailed("the consistency proof is longer than these sizes need")
        if place & 1 or place == last:
            older, newer = node_hash(one, older), node_hash(one, newer)
            while place and not place & 1:
                place, last = place >> 1, last >> 1
        else:
            newer = node_hash(newer, one)
        place, last = place >> 1, last >> 1
    if last != 0:
        raise ConsistencyFailed("the consistency proof is shorter than these sizes need")
    if older != old_root or newer != new_root:
        raise ConsistencyFailed(
            f"the tree of {new_size} leaves does not begin with the tree of {old_size} leaves: history was changed"
        )


def _verify_trivial(old_size: int, old_root: bytes, new_size: int, new_root: bytes, proof: Sequence[bytes]) -> None:
    if proof:
        raise ConsistencyFailed(f"from {old_size} to {new_size} leaves the proof must be empty")
    if old_size == 0 and old_root != EMPTY_ROOT:
        raise ConsistencyFailed("a tree without leaves has one root only, and this is another")
    if new_size == old_size and new_root != old_root:
        raise ConsistencyFailed(f"two trees of {old_size} leaves have different roots: history was changed")


# --- for whoever stores a tree

Range = tuple[int, int]  # leaves from the first number up to, not including, the second


def inclusion_ranges(index: int, size: int) -> list[Range]:
    """Return the ranges of leaves whose roots make the inclusion proof, in order. Raises InclusionFailed."""
    if not 0 <= index < size:
        raise InclusionFailed(f"a tree of {size} leaves has no leaf {index}")
    found: list[Range] = []
    low, high = 0, size
    while high - low > 1:
        middle = low + _split(high - low)
        if index < middle:
            found.append((middle, high))
            high = middle
        else:
            found.append((low, middle))
            low = middle
    return found[::-1]


def consistency_ranges(old: int, new: int) -> list[Range]:
    """Return the ranges of leaves whose roots make the consistency proof, in order. Raises ConsistencyFailed."""
    if not 0 <= old <= new:
        raise ConsistencyFailed(f"a tree of {old} leaves cannot be the beginning of one of {new}")
    if old in (0, new):
        return []
    found: list[Range] = []
    low, high = 0, new
    while old != high:  # RFC 6962 section 2.1.2, SUBPROOF
        middle = low + _split(high - low)
        if old <= middle:
            found.append((middle, high))
            high = middle
        else:
            found.append((low, middle))
            low = middle
    if low != 0:
        found.append((low, high))
    return found[::-1]


def complete_subtrees(low: int, high: int) -> list[Subtree]:
    """Return the complete subtrees that the leaves low to high consist of, left to right.

    `low` must be a multiple of the largest power of two below `high - low`, as every range of a proof is.
    """
    found = []
    while low < high:
        level = (high - low).bit_length() - 1
        found.append(Subtree(level, low >> level))
        low += 1 << level
    return found


def fold(hashes: Sequence[bytes]) -> bytes:
    """Return the root over complete subtrees of falling size, given left to right; without any, EMPTY_ROOT."""
    if not hashes:
        return EMPTY_ROOT
    root = hashes[-1]
    for one in reversed(hashes[:-1]):
        root = node_hash(one, root)
    return root


def prove(ranges: Sequence[Range], read: Callable[[Sequence[Subtree]], Sequence[bytes]]) -> tuple[bytes, ...]:
    """Return the roots of the ranges; `read` gives the hashes of all complete subtrees needed, in order, in one go."""
    needed = [complete_subtrees(low, high) for low, high in ranges]
    hashes = read([one for group in needed for one in group])
    proof, at = [], 0
    for group in needed:
        proof.append(fold(hashes[at : at + len(group)]))
        at += len(group)
    return tuple(proof)


@dataclass(slots=True)
class Frontier:
    """The right edge of a growing tree: `peaks` are its complete subtrees, left to right, of falling size."""

    size: int = 0
    peaks: list[bytes] = field(default_factory=list)

    def append(self, leaf: bytes) -> None:
        """Add a leaf hash; on average one hash of two nodes."""
        self.peaks.append(leaf)
        full = self.size
        while full & 1:
            right = self.peaks.pop()
            self.peaks[-1] = node_hash(self.peaks[-1], right)
            full >>= 1
        self.size += 1

    def root(self) -> bytes:
        """The root of the tree so far."""
        return fold(self.peaks)


def _split(size: int) -> int:
    """The largest power of two smaller than `size`, which is at least 2 (RFC 6962 section 2.1)."""
    return 1 << (size - 1).bit_length() - 1


def _reader(leaf_hashes: Sequence[bytes]) -> Callable[[Sequence[Subtree]], list[bytes]]:
    def read(wanted: Sequence[Subtree]) -> list[bytes]:
        return [root_of(leaf_hashes[one.index << one.level : one.index + 1 << one.level]) for one in wanted]

    return read


def _hashes_only(hashes: Sequence[bytes], error: type[InclusionFailed] | type[ConsistencyFailed]) -> None:
    if len(hashes) > MAX_PROOF_HASHES + 2 or any(len(one) != HASH_BYTES for one in hashes):
        raise error(f"a proof has at most {MAX_PROOF_HASHES} hashes, each of {HASH_BYTES} bytes like the root")
