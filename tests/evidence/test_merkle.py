"""The tree: published roots and proofs come out, every place proves, every change fails."""

from __future__ import annotations

import hashlib
import os

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from evidence.errors import ConsistencyFailed, InclusionFailed
from evidence.merkle import (
    EMPTY_ROOT,
    Frontier,
    complete_subtrees,
    consistency_proof,
    fold,
    inclusion_proof,
    leaf_hash,
    node_hash,
    root_of,
    verify_consistency,
    verify_inclusion,
)

EXAMPLES = 10_000 if os.environ.get("ZAIGANG_LONG") == "1" else 150

# The vectors of the Certificate Transparency project (cpp/merkletree/merkle_tree_test.cc): leaf data, the roots of the
# trees of 1 to 8 leaves, paths of (place from 1, size), proofs of (older size, newer size).
INPUTS = ["", "00", "10", "2021", "3031", "40414243", "5051525354555657", "606162636465666768696a6b6c6d6e6f"]
ROOTS = [
    "6e340b9cffb37a989ca544e6bb780a2c78901d3fb33738768511a30617afa01d",
    "fac54203e7cc696cf0dfcb42c92a1d9dbaf70ad9e621f4bd8d98662f00e3c125",
    "aeb6bcfe274b70a14fb067a5e5578264db0fa9b51af5e0ba159158f329e06e77",
    "d37ee418976dd95753c1c73862b9398fa2a2cf9b4ff0fdfe8b30cd95209614b7",
    "4e3bbb1f7b478dcfe71fb631631519a3bca12c9aefca1612bfce4c13a86264d4",
    "76e67dadbcdf1e10e1b74ddc608abd2f98dfb16fbce75277b5232a127f2087ef",
    "ddb89be403809e325750d3d263cd78929c2942b7942a34b77e122c9594a74c8c",
    "5dc9da79a70659a9ad559cb701ded9a2ab9d823aad2f4960cfe370eff4604328",
]
PATHS = [
    (1, 1, []),
    (
        1,
        8,
        [
            "96a296d224f285c67bee93c30f8a309157f0daa35dc5b87e410b78630a09cfc7",
            "5f083f0a1a33ca076a95279832580db3e0ef4584bdff1f54c8a360f50de3031e",
            "6b47aaf29ee3c2af9af889bc1fb9254dabd31177f16232dd6aab035ca39bf6e4",
        ],
    ),
    (
        6,
        8,
        [
            "bc1a0643b12e4d2d7c77918f44e0f4f79a838b6cf9ec5b5c283e1f4d88599e6b",
            "ca854ea128ed050b41b35ffc1b87b8eb2bde461e9e3b5596ece6b9d5975a0ae0",
            "d37ee418976dd95753c1c73862b9398fa2a2cf9b4ff0fdfe8b30cd95209614b7",
        ],
    ),
    (3, 3, ["fac54203e7cc696cf0dfcb42c92a1d9dbaf70ad9e621f4bd8d98662f00e3c125"]),
    (
        2,
        5,
        [
            "6e340b9cffb37a989ca544e6bb780a2c78901d3fb33738768511a30617afa01d",
            "5f083f0a1a33ca076a95279832580db3e0ef4584bdff1f54c8a360f50de3031e",
            "bc1a0643b12e4d2d7c77918f44e0f4f79a838b6cf9ec5b5c283e1f4d88599e6b",
        ],
    ),
]
PROOFS = [
    (1, 1, []),
    (
        1,
        8,
        [
            "96a296d224f285c67bee93c30f8a309157f0daa35dc5b87e410b78630a09cfc7",
            "5f083f0a1a33ca076a95279832580db3e0ef4584bdff1f54c8a360f50de3031e",
            "6b47aaf29ee3c2af9af889bc1fb9254dabd31177f16232dd6aab035ca39bf6e4",
        ],
    ),
    (
        6,
        8,
        [
            "0ebc5d3437fbe2db158b9f126a1d118e308181031d0a949f8dededebc558ef6a",
            "ca854ea128ed050b41b35ffc1b87b8eb2bde461e9e3b5596ece6b9d5975a0ae0",
            "d37ee418976dd95753c1c73862b9398fa2a2cf9b4ff0fdfe8b30cd95209614b7",
        ],
    ),
    (
        2,
        5,
        [
            "5f083f0a1a33ca076a95279832580db3e0ef4584bdff1f54c8a360f50de3031e",
            "bc1a0643b12e4d2d7c77918f44e0f4f79a838b6cf9ec5b5c283e1f4d88599e6b",
        ],
    ),
    (
        3,
        7,
        [
            "0298d122906dcfc10892cb53a73992fc5b9f493ea4c9badb27b791b4127a7fe7",
            "07506a85fd9dd2f120eb694f86011e5bb4662e5c415a62917033d4a9624487e7",
            "fac54203e7cc696cf0dfcb42c92a1d9dbaf70ad9e621f4bd8d98662f00e3c125",
            "837dbb152e9b079010717e84e865da4ebc0fa198a806d59d31bf15accef22d0e",
        ],
    ),
]
LEAVES = [leaf_hash(bytes.fromhex(data)) for data in INPUTS]
MANY = [leaf_hash(number.to_bytes(4, "big")) for number in range(600)]


def by_the_book(leaves: list[bytes]) -> bytes:
    """The root as RFC 6962 section 2.1 defines it, word for word."""
    if not leaves:
        return hashlib.sha256(b"").digest()
    if len(leaves) == 1:
        return leaves[0]
    split = 1
    while split * 2 < len(leaves):
        split *= 2
    return node_hash(by_the_book(leaves[:split]), by_the_book(leaves[split:]))


def test_the_published_roots() -> None:
    assert hashlib.sha256(b"").digest() == EMPTY_ROOT == root_of([])
    assert [root_of(LEAVES[:size]).hex() for size in range(1, 9)] == ROOTS


@pytest.mark.parametrize(("place", "size", "path"), PATHS)
def test_the_published_paths(place: int, size: int, path: list[str]) -> None:
    assert [one.hex() for one in inclusion_proof(place - 1, size, LEAVES)] == path
    verify_inclusion(
        LEAVES[place - 1], place - 1, size, [bytes.fromhex(one) for one in path], bytes.fromhex(ROOTS[size - 1])
    )


@pytest.mark.parametrize(("old", "new", "proof"), PROOFS)
def test_the_published_consistency_proofs(old: int, new: int, proof: list[str]) -> None:
    assert [one.hex() for one in consistency_proof(old, new, LEAVES)] == proof
    older, newer = (bytes.fromhex(ROOTS[size - 1]) for size in (old, new))
    verify_consistency(old, older, new, newer, [bytes.fromhex(one) for one in proof])


@pytest.mark.parametrize("size", [*range(40), 63, 64, 65, 255, 256, 257, 600])
def test_every_way_to_the_root_agrees(size: int) -> None:
    tree = Frontier()
    for one in MANY[:size]:
        tree.append(one)
    assert tree.size == size
    assert tree.root() == by_the_book(MANY[:size]) == root_of(MANY[:size])
    subtrees = complete_subtrees(0, size)
    parts = [root_of(MANY[one.index << one.level : (one.index + 1) << one.level]) for one in subtrees]
    assert fold(parts) == tree.root()
    assert parts == tree.peaks


sizes = st.integers(1, 600)


@pytest.mark.long
@settings(max_examples=EXAMPLES, deadline=None)
@given(sizes, st.data())
def test_every_leaf_proves_and_every_change_fails(size: int, data: st.DataObject) -> None:
    index = data.draw(st.integers(0, size - 1))
    proof, root = inclusion_proof(index, size, MANY), root_of(MANY[:size])
    verify_inclusion(MANY[index], index, size, proof, root)

    def fails(leaf: bytes, at: int, of: int, path: tuple[bytes, ...], top: bytes) -> None:
        with pytest.raises(InclusionFailed):
            verify_inclusion(leaf, at, of, path, top)

    fails(_flipped(MANY[index], data), index, size, proof, root)
    fails(MANY[index], index, size, proof, _flipped(root, data))
    other = data.draw(st.integers(-1, size + 1).filter(lambda at: at != index))
    fails(MANY[index], other, size, proof, root)
    # Another size may have the very same path (1 of 5 and 1 of 6 …), but then not the same root over these leaves.
    larger = data.draw(st.integers(1, 600).filter(lambda of: of != size))
    fails(MANY[index], index, larger, proof, root_of(MANY[:larger]))
    fails(MANY[index], index, size, (*proof, root), root)
    if proof:
        at = data.draw(st.integers(0, len(proof) - 1))
        fails(MANY[index], index, size, (*proof[:at], _flipped(proof[at], data), *proof[at + 1 :]), root)
        fails(MANY[index], index, size, (*proof[:at], *proof[at + 1 :]), root)
        fails(MANY[index], index, size, (*proof[:at], proof[at][:-1], *proof[at + 1 :]), root)


@pytest.mark.long
@settings(max_examples=EXAMPLES, deadline=None)
@given(sizes, st.data())
def test_every_growth_proves_and_every_change_fails(new: int, data: st.DataObject) -> None:
    old = data.draw(st.integers(0, new))
    proof = consistency_proof(old, new, MANY)
    older, newer = root_of(MANY[:old]), root_of(MANY[:new])
    verify_consistency(old, older, new, newer, proof)

    def fails(first: int, top: bytes, second: int, peak: bytes, path: tuple[bytes, ...]) -> None:
        with pytest.raises(ConsistencyFailed):
            verify_consistency(first, top, second, peak, path)

    fails(old, _flipped(older, data), new, newer, proof)
    fails(new + 1, older, new, newer, proof)
    fails(-1, older, new, newer, proof)
    fails(old, older, new, newer, (*proof, newer))
    if old:
        fails(old, older, new, _flipped(newer, data), proof)
        changed = data.draw(st.integers(0, old - 1))
        rewritten = [*MANY[:changed], leaf_hash(b"rewritten"), *MANY[changed + 1 : new]]
        fails(old, older, new, root_of(rewritten), consistency_proof(old, new, rewritten))
    if proof:
        at = data.draw(st.integers(0, len(proof) - 1))
        fails(old, older, new, newer, (*proof[:at], _flipped(proof[at], data), *proof[at + 1 :]))
        fails(old, older, new, newer, (*proof[:at], *proof[at + 1 :]))


def test_a_size_is_bound_by_root_and_proof_together() -> None:
    # The sizes alone are no part of a hash: what a verifier knows is the checkpoint's size beside its root.
    for new in range(2, 40):
        for old in range(1, new):
            proof = consistency_proof(old, new, MANY)
            for other in range(1, new):
                if other != old:
                    with pytest.raises(ConsistencyFailed):
                        verify_consistency(other, root_of(MANY[:other]), new, root_of(MANY[:new]), proof)


def test_a_root_is_not_shown_as_that_of_a_larger_tree() -> None:
    root, path = root_of(MANY[:8]), inclusion_proof(3, 8, MANY)
    growth, older = consistency_proof(3, 8, MANY), root_of(MANY[:3])
    for size in (9, 16, 17, 1000):
        with pytest.raises(InclusionFailed, match="shorter"):
            verify_inclusion(MANY[3], 3, size, path, root)
        with pytest.raises(ConsistencyFailed, match="shorter"):
            verify_consistency(3, older, size, root, growth)


def test_nothing_is_proved_of_what_is_not_there() -> None:
    for index, size in ((0, 0), (3, 3), (-1, 3)):
        with pytest.raises(InclusionFailed):
            inclusion_proof(index, size, MANY)
        with pytest.raises(InclusionFailed):
            verify_inclusion(MANY[0], index, size, (), MANY[0])
    for old, new in ((4, 3), (-1, 3)):
        with pytest.raises(ConsistencyFailed):
            consistency_proof(old, new, MANY)


def test_a_leaf_is_no_node() -> None:
    # RFC 6962 section 2.1: the prefixes keep a subtree from being shown as a leaf.
    assert leaf_hash(LEAVES[0] + LEAVES[1]) != node_hash(LEAVES[0], LEAVES[1])


def _flipped(value: bytes, data: st.DataObject) -> bytes:
    bit = data.draw(st.integers(0, len(value) * 8 - 1))
    return bytes(byte ^ (1 << bit % 8 if at == bit // 8 else 0) for at, byte in enumerate(value))
