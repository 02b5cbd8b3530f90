"""What the ledger shows to everybody: the newest checkpoint, tiles, and proofs. All of it lies below a checkpoint."""

from __future__ import annotations

from dataclasses import dataclass

from sqlalchemy import func
from sqlmodel import Session, col, select

from collector.database import Database
from collector.errors import Invalid, NotCovered, NotFound
from collector.ledger.checkpoints import newest_checkpoint
from collector.ledger.models import Cosignature, SignedCheckpoint
from collector.ledger.tree import Tree, ledger_size
from evidence.tiles import TILE_WIDTH, TileName, hashes_at
from evidence.tlog_proof import TlogProof


@dataclass(frozen=True, slots=True)
class Growth:
    """That a smaller tree is the beginning of a larger one."""

    old_size: int
    old_root: bytes
    new_size: int
    new_root: bytes
    proof: tuple[bytes, ...]


class Proofs:
    """Reads checkpoints and what proves them.

    Shown is the newest checkpoint that at least `witnesses_needed` witnesses have cosigned, and what lies below it.
    """

    def __init__(self, database: Database, witnesses_needed: int = 0) -> None:
        self._database = database
        self._needed = witnesses_needed

    def checkpoint(self, size: int | None = None) -> bytes:
        """Return the note of the newest checkpoint, or of the one of exactly this size, with its cosignatures.

        Raises NotFound.
        """
        with self._database.read() as session:
            return _cosigned(session, self._checkpoint(session, size))

    def tile(self, name: TileName) -> bytes:
        """Return a tile or an entry bundle, raw. Raises NotFound, LedgerDamaged."""
        with self._database.read() as session:
            newest = self._shown(session)
            there = 0 if newest is None else hashes_at(newest.size, name.level or 0)
            if name.number * TILE_WIDTH + name.width > there:
                raise NotFound("no checkpoint covers this tile")
            if name.level is None:
                return Tree(session).entry_bundle(name.number, name.width)
            return Tree(session).tile(name.level, name.number, name.width)

    def entry(self, leaf_index: int, size: int | None = None) -> TlogProof:
        """Return the proof that an entry stands under the newest checkpoint, or the one of exactly this size.

        Raises NotFound, NotCovered, LedgerDamaged.
        """
        with self._database.read() as session:
            entries = ledger_size(session)
            if not 0 <= leaf_index < entries:
                raise NotFound(f"the ledger has no entry {leaf_index}")
            newest = self._checkpoint(session, size) if size is not None else self._shown(session)
            if newest is None or leaf_index >= newest.size:
                raise NotCovered(f"no checkpoint covers entry {leaf_index} yet; ask again in a few seconds")
            path = Tree(session).inclusion(leaf_index, newest.size)
            return TlogProof(leaf_index, path, _cosigned(session, newest))

    def growth(self, old: int, new: int | None = None) -> Growth:
        """Return the consistency proof between two sizes, `new` being the newest checkpoint's otherwise.

        Raises Invalid, NotFound, LedgerDamaged.
        """
        with self._database.read() as session:
            covered = self._checkpoint(session, None).size
            wanted = covered if new is None else new
            if not 0 <= old <= wanted:
                raise Invalid(f"a tree of {old} entries is not the beginning of one of {wanted}")
            if wanted > covered:
                raise NotFound(f"the newest checkpoint covers {covered} entries, not {wanted}")
            tree = Tree(session)
            return Growth(old, tree.root(old), wanted, tree.root(wanted), tree.consistency(old, wanted))

    def growth_between(self, old: int, new: int) -> tuple[bytes, ...]:
        """Return the consistency proof between two sizes, shown or not. Raises ConsistencyFailed, LedgerDamaged."""
        with self._database.read() as session:
            return Tree(session).consistency(old, new)

    def checkpoints(self, below: int | None, limit: int) -> list[SignedCheckpoint]:
        """Return checkpoints, largest first, below a size."""
        with self._database.read() as session:
            query = select(SignedCheckpoint).order_by(col(SignedCheckpoint.size).desc()).limit(limit)
            if below is not None:
                query = query.where(col(SignedCheckpoint.size) < below)
            return list(session.exec(query))

    def _checkpoint(self, session: Session, size: int | None) -> SignedCheckpoint:
        found = self._shown(session) if size is None else session.get(SignedCheckpoint, size)
        if found is None:
            raise NotFound(
                "no checkpoint is shown yet; the first comes with the first entry"
                if size is None
                else f"no checkpoint of {size} entries was signed"
            )
        return found

    def _shown(self, session: Session) -> SignedCheckpoint | None:
        if not self._needed:
            return newest_checkpoint(session)
        enough = (
            select(Cosignature.size)
            .group_by(col(Cosignature.size))
            .having(func.count() >= self._needed)
            .order_by(col(Cosignature.size).desc())
        )
        size = session.exec(enough.limit(1)).first()
        return None if size is None else session.get(SignedCheckpoint, size)


def _cosigned(session: Session, checkpoint: SignedCheckpoint) -> bytes:
    lines = select(Cosignature.line).where(Cosignature.size == checkpoint.size).order_by(col(Cosignature.witness))
    return checkpoint.note + "".join(session.exec(lines)).encode()
