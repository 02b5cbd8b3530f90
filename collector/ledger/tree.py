"""The Merkle tree over the entries, kept as C2SP tiles: a full tile is written once, in the transaction that fills it.

What is not in a full tile yet is read from the entries, or from the roots of the full tiles one level below; so a
root or a proof at any size takes a few rows for each level, of which a tree of ten million leaves has three.
"""

from __future__ import annotations

from collections.abc import Sequence

from sqlalchemy import func, insert
from sqlmodel import Session, col, select

from collector.errors import LedgerDamaged
from collector.ledger.models import LedgerEntry, LedgerTile
from evidence.merkle import (
    HASH_BYTES,
    Subtree,
    complete_subtrees,
    consistency_ranges,
    fold,
    inclusion_ranges,
    prove,
    root_of,
)
from evidence.tiles import TILE_HEIGHT, TILE_WIDTH, hashes_at


def ledger_size(session: Session) -> int:
    """Return the number of entries."""
    last: int | None = session.exec(select(func.max(LedgerEntry.leaf_index))).one()
    return 0 if last is None else last + 1


def write_full_tiles(session: Session, size: int) -> None:
    """Write every tile that `size` entries fill and that is not there yet. Raises LedgerDamaged."""
    level = 0
    while full := hashes_at(size, level) // TILE_WIDTH:
        last: int | None = session.exec(select(func.max(LedgerTile.number)).where(LedgerTile.level == level)).one()
        rows = []
        for number in range(0 if last is None else last + 1, full):
            hashes = _hashes(session, level, number * TILE_WIDTH, TILE_WIDTH)
            rows.append({"level": level, "number": number, "hashes": b"".join(hashes), "root": root_of(hashes)})
        if rows:
            session.connection().execute(insert(LedgerTile), rows)
        level += 1


class Tree:
    """The tree as one transaction sees it; keeps the tiles it has read."""

    def __init__(self, session: Session) -> None:
        self._session = session
        self._tiles: dict[tuple[int, int], list[bytes]] = {}

    def root(self, size: int) -> bytes:
        """Return the root of the first `size` entries. Raises LedgerDamaged."""
        return fold(self._read(complete_subtrees(0, size)))

    def inclusion(self, index: int, size: int) -> tuple[bytes, ...]:
        """Return the path of entry `index` among the first `size`. Raises InclusionFailed, LedgerDamaged."""
        return prove(inclusion_ranges(index, size), self._read)

    def consistency(self, old: int, new: int) -> tuple[bytes, ...]:
        """Return the proof between two sizes. Raises ConsistencyFailed, LedgerDamaged."""
        return prove(consistency_ranges(old, new), self._read)

    def tile(self, level: int, number: int, width: int) -> bytes:
        """Return the first `width` hashes of a tile, one after the other. Raises LedgerDamaged."""
        return b"".join(self._tile(level, number)[:width])

    def entry_bundle(self, number: int, width: int) -> bytes:
        """Return the leaf data of `width` entries, each after its length. Raises LedgerDamaged."""
        first = number * TILE_WIDTH
        query = select(LedgerEntry.leaf_data).where(
            col(LedgerEntry.leaf_index) >= first, col(LedgerEntry.leaf_index) < first + width
        )
        found = list(self._session.exec(query.order_by(col(LedgerEntry.leaf_index))))
        _all_there(found, width, f"the entries from {first} on")
        return b"".join(len(one).to_bytes(2, "big") + one for one in found)

    def _read(self, wanted: Sequence[Subtree]) -> list[bytes]:
        return [self._subtree(one) for one in wanted]

    def _subtree(self, one: Subtree) -> bytes:
        level, inside = divmod(one.level, TILE_HEIGHT)
        number, first = divmod(one.index << inside, TILE_WIDTH)
        hashes = self._tile(level, number)[first : first + (1 << inside)]
        _all_there(hashes, 1 << inside, f"tile {number} of level {level}")
        return root_of(hashes)

    def _tile(self, level: int, number: int) -> list[bytes]:
        if (level, number) not in self._tiles:
            query = select(LedgerTile.hashes).where(LedgerTile.level == level, LedgerTile.number == number)
            full = self._session.exec(query).first()
            if full is None:
                found = _hashes_from(self._session, level, number * TILE_WIDTH, TILE_WIDTH)
            else:
                found = [full[at : at + HASH_BYTES] for at in range(0, len(full), HASH_BYTES)]
            self._tiles[level, number] = found
        return self._tiles[level, number]


def _hashes(session: Session, level: int, first: int, count: int) -> list[bytes]:
    found = _hashes_from(session, level, first, count)
    _all_there(found, count, f"the hashes of level {level} from {first} on")
    return found


def _hashes_from(session: Session, level: int, first: int, count: int) -> list[bytes]:
    """Read a level's hashes where they come from: the entries, or the roots of the tiles below."""
    if level == 0:
        leaves = select(LedgerEntry.leaf_hash).where(
            col(LedgerEntry.leaf_index) >= first, col(LedgerEntry.leaf_index) < first + count
        )
        return list(session.exec(leaves.order_by(col(LedgerEntry.leaf_index))))
    below = select(LedgerTile.root).where(
        LedgerTile.level == level - 1, col(LedgerTile.number) >= first, col(LedgerTile.number) < first + count
    )
    return list(session.exec(below.order_by(col(LedgerTile.number))))


def _all_there(found: Sequence[bytes], wanted: int, what: str) -> None:
    if len(found) != wanted:
        raise LedgerDamaged(f"{what}: {len(found)} of {wanted} are there; run `zaigang collector fsck`")
