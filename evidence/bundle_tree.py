"""Inclusion proofs of many leaves in one tree: each path is walked only up to where an earlier one has been.

The rule is `merkle.verify_inclusion` (RFC 9162 section 2.1.3.2); the tests hold the two against each other.
"""

from __future__ import annotations

import hashlib
from collections.abc import Sequence

from evidence.errors import InclusionFailed
from evidence.merkle import leaf_hash, node_hash, verify_inclusion


def leaf_of(salt: bytes, envelope: bytes) -> bytes:
    """Return the leaf hash of an event: its leaf data are SHA-256(salt ‖ envelope)."""
    return leaf_hash(hashlib.sha256(salt + envelope).digest())


class Tree:
    """A tree by its size and root, and which of its nodes have been proved."""

    def __init__(self, size: int, root: bytes) -> None:
        self.size, self.root = size, root
        self._proved: dict[tuple[int, int, bytes], tuple[bytes, ...]] = {}  # place, last, node: the rest of the path

    def check(self, index: int, leaf: bytes, proof: Sequence[bytes]) -> None:
        """Check that `leaf` is leaf `index`. Raises InclusionFailed."""
        path = tuple(proof)
        if not 0 <= index < self.size:
            raise InclusionFailed(f"the checkpoint covers {self.size} entries, it cannot hold entry {index}")
        place, last, node = index, self.size - 1, leaf
        walked: list[tuple[tuple[int, int, bytes], tuple[bytes, ...]]] = []
        for done, one in enumerate(path):
            state, rest = (place, last, node), path[done:]
            if self._proved.get(state) == rest:
                self._proved.update(walked)
                return
            walked.append((state, rest))
            if place & 1 or place == last:
                node = node_hash(one, node)
                while place and not place & 1:
                    place, last = place >> 1, last >> 1
            else:
                node = node_hash(node, one)
            place, last = place >> 1, last >> 1
        verify_inclusion(leaf, index, self.size, path, self.root)  # the first path, and whatever is wrong
        self._proved.update(walked)
