"""The stored tree: whatever its size, roots and proofs are those of RFC 6962 over the entries."""

from __future__ import annotations

import random

import pytest
from sqlalchemy import insert
from sqlmodel import col, delete, select

from collector.database import Database
from collector.errors import LedgerDamaged
from collector.ledger.models import LedgerEntry, LedgerTile
from collector.ledger.tree import Tree, ledger_size, write_full_tiles
from evidence.merkle import consistency_proof, inclusion_proof, leaf_hash, root_of
from tests.collector.conftest import Bench
from tests.collector.terminal import Terminal

pytestmark = pytest.mark.both_databases
SIZES = [1, 2, 255, 256, 257, 511, 512, 1000]
COLUMNS = {
    "device": "gate-1",
    "chain": "c0" * 16,
    "prev": None,
    "kind": "coverage",
    "event_id": "x",
    "time": "t",
    "tz": "UTC",
    "site": "east",
    "boot": "b",
    "mono_us": 1,
    "key_id": "k",
    "received_at": "t",
    "after_revocation": False,
    "envelope": b"",
    "salt": b"",
    "seal": b"",
}


def leaves_to(size: int) -> list[bytes]:
    return [leaf_hash(n.to_bytes(8, "big")) for n in range(size)]


def grow(database: Database, start: int, size: int) -> None:
    """Bare leaves in the place of entries: only the tree is looked at here."""
    rows = [
        COLUMNS | {"leaf_index": n, "seq": n, "hash": str(n), "leaf_data": n.to_bytes(8, "big"), "leaf_hash": leaf}
        for n, leaf in enumerate(leaves_to(size)[start:], start)
    ]
    with database.write() as session:
        session.connection().execute(insert(LedgerEntry), rows)
        write_full_tiles(session, size)


@pytest.mark.parametrize("size", SIZES)
def test_roots_and_proofs_are_those_of_the_leaves(bench: Bench, size: int) -> None:
    leaves, rng = leaves_to(size), random.Random(size)
    start = 0
    while start < size:  # in batches of odd sizes, as they come
        end = min(size, start + rng.randint(1, 300))
        grow(bench.database, start, end)
        start = end
    with bench.database.read() as session:
        tree = Tree(session)
        assert ledger_size(session) == size and tree.root(size) == root_of(leaves)
        for _ in range(30):
            new = rng.randint(1, size)
            old, index = rng.randint(0, new), rng.randrange(new)
            assert tree.root(old) == root_of(leaves[:old])
            assert tree.inclusion(index, new) == inclusion_proof(index, new, leaves)
            assert tree.consistency(old, new) == consistency_proof(old, new, leaves)
        kept = [(one.level, one.number) for one in session.exec(select(LedgerTile))]
    assert kept == [(0, n) for n in range(size // 256)]


def test_a_tree_of_seventy_thousand_has_tiles_of_two_levels(bench: Bench) -> None:
    grow(bench.database, 0, 70_000)
    leaves = leaves_to(70_000)
    with bench.database.read() as session:
        tree = Tree(session)
        assert tree.root(70_000) == root_of(leaves)
        assert tree.inclusion(65_535, 70_000) == inclusion_proof(65_535, 70_000, leaves)
        assert tree.consistency(65_537, 70_000) == consistency_proof(65_537, 70_000, leaves)
        counts = [
            len(session.exec(select(LedgerTile.number).where(LedgerTile.level == level)).all()) for level in (0, 1)
        ]
        assert counts == [273, 1]
        assert tree.tile(2, 0, 1) == root_of(leaves[:65_536])
        assert tree.tile(1, 1, 17) == b"".join(root_of(leaves[n * 256 : (n + 1) * 256]) for n in range(256, 273))


def test_tiles_that_are_missing_are_made_up_for(bench: Bench) -> None:
    grow(bench.database, 0, 700)
    with bench.database.write() as session:
        session.exec(delete(LedgerTile))  # a database from before there were tiles
    with bench.database.write() as session:
        write_full_tiles(session, 700)
    with bench.database.read() as session:
        assert Tree(session).root(700) == root_of(leaves_to(700))
        assert len(session.exec(select(LedgerTile)).all()) == 2


def test_a_hole_is_an_error_and_no_root(bench: Bench) -> None:
    grow(bench.database, 0, 300)
    with bench.database.write() as session:
        session.exec(delete(LedgerEntry).where(col(LedgerEntry.leaf_index) == 290))
    with bench.database.read() as session, pytest.raises(LedgerDamaged):
        Tree(session).root(300)


def test_the_intake_keeps_the_tree(bench: Bench, terminal: Terminal) -> None:
    bench.offer(terminal, terminal.enrol(), *(terminal.punch() for _ in range(200)))
    (receipt,) = bench.offer(terminal, *(terminal.punch() for _ in range(100)))
    with bench.database.read() as session:
        leaves = list(session.exec(select(LedgerEntry.leaf_hash).order_by(col(LedgerEntry.leaf_index))))
        assert receipt.tree_size == 301 == len(leaves)
        assert Tree(session).root(301) == root_of(leaves)
        assert session.get(LedgerTile, (0, 0)) is not None
