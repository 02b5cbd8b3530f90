"""Signs checkpoints: what the collector commits itself to, so that nothing below it can be changed unseen.

Rule: a checkpoint is signed and stored in one write transaction, and is shown only after that has committed. Before
each, the tree must still have the root that the newest checkpoint was signed over; else nothing is signed any more.
"""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import structlog
from sqlalchemy import func
from sqlmodel import Session, col, select

from collector.database import Database
from collector.errors import LedgerRewritten, SettingsError
from collector.ledger.keepsake import read_keepsake, write_keepsake
from collector.ledger.leaves import checkpoint_seal
from collector.ledger.models import SignedCheckpoint
from collector.ledger.tree import Tree, ledger_size, write_full_tiles
from collector.statements.current_keys import require_current
from collector.statements.handovers import log_keys_of
from collector.timestamps import utc_now
from evidence.checkpoint import Checkpoint, sign_checkpoint
from evidence.errors import EvidenceError
from evidence.key_history import read_checkpoint
from evidence.keys import SigningKey
from evidence.note import Note, NoteSigner, SignatureType

log = structlog.get_logger()


def log_signer(database: Database, key: SigningKey, origin: str | None) -> NoteSigner:
    """Return the key under the ledger's name: the one that its checkpoints have, else `origin`, else one made up.

    Raises SettingsError where `origin` is another than that of the checkpoints signed so far.
    """
    with database.read() as session:
        newest = newest_checkpoint(session)
    held = None if newest is None else Note.decode(newest.note).text.partition("\n")[0]
    if origin is not None and held not in (None, origin):
        raise SettingsError(f"this ledger has signed as {held!r} and cannot become {origin!r}; set ledger_origin back")
    name = held or origin or f"zaigang-ledger/{key.public.id[:16]}"
    try:
        signer = NoteSigner(name, SignatureType.ED25519, key)
        _ = signer.public
    except EvidenceError as error:
        raise SettingsError(f"ledger_origin {name!r} cannot be used: {error}") from error
    return signer


def newest_checkpoint(session: Session) -> SignedCheckpoint | None:
    """Return the checkpoint of the largest size."""
    return session.exec(select(SignedCheckpoint).order_by(col(SignedCheckpoint.size).desc()).limit(1)).first()


class Checkpoints:
    """Signs and reads checkpoints."""

    def __init__(
        self,
        database: Database,
        signer: NoteSigner,
        seal_key: bytes,
        keepsake: Path,
        now: Callable[[], str] = utc_now,
    ) -> None:
        """`keepsake` is a file outside of the database that remembers the last checkpoint.

        Checkpoints of keys that `signer`'s was handed over from count, too, up to where that happened.
        """
        self._database = database
        self._seal_key = seal_key
        self._keepsake = keepsake
        self._now = now
        self.signer = signer
        with database.read() as session:
            self.keys = log_keys_of(session, signer.public)  # a key is replaced only while nobody signs

    def sign(self) -> SignedCheckpoint | None:
        """Sign the ledger as it stands; None where it has not grown since the last time.

        Raises KeyHandedOver, LedgerRewritten, LedgerDamaged, SQLAlchemyError.
        """
        own = {"checkpoint": self.signer.public.key}
        with self._database.read() as session:
            require_current(session, own)  # before the keepsake is read: the successor's is no rewritten ledger
            newest: int | None = session.exec(select(func.max(SignedCheckpoint.size))).one()
            size = ledger_size(session)
        if size == (newest or 0) and newest == self._kept_size():
            return None
        with self._database.write() as session:
            require_current(session, own)
            size = ledger_size(session)
            last = newest_checkpoint(session)
            write_full_tiles(session, size)  # of a database from before there were tiles
            tree = Tree(session)
            for older in (self._believed(last), self._kept()):
                _check_kept(older, tree, size)
            signed = last if last is not None and last.size == size else self._signed(tree, size)
            if signed is not last:
                session.add(signed)
        write_keepsake(self._keepsake, signed.note)
        return None if signed is last else signed

    def newest(self) -> SignedCheckpoint | None:
        """Return the checkpoint of the largest size, if any."""
        with self._database.read() as session:
            return newest_checkpoint(session)

    def _signed(self, tree: Tree, size: int) -> SignedCheckpoint:
        root = tree.root(size)
        note = sign_checkpoint(Checkpoint(self.signer.name, size, root), self.signer).encode()
        signed_at = self._now()
        seal = checkpoint_seal(self._seal_key, size, note, signed_at)
        return SignedCheckpoint(size=size, root=root, note=note, signed_at=signed_at, seal=seal)

    def _believed(self, last: SignedCheckpoint | None) -> Checkpoint | None:
        """The newest checkpoint as its signature says it, not as a column does."""
        return None if last is None else self._verified(last.note, "the newest checkpoint in the database")

    def _kept(self) -> Checkpoint | None:
        note = read_keepsake(self._keepsake)
        return None if note is None else self._verified(note, str(self._keepsake))

    def _kept_size(self) -> int | None:
        kept = self._kept()
        return None if kept is None else kept.size

    def _verified(self, note: bytes, where: str) -> Checkpoint:
        try:
            return read_checkpoint(bytes(note), self.signer.name, self.keys)
        except (EvidenceError, TypeError) as error:  # SQLite keeps whatever it is given, text too
            raise LedgerRewritten(f"{where} is not ours ({error}); run `zaigang collector fsck`") from error


def _check_kept(older: Checkpoint | None, tree: Tree, size: int) -> None:
    if older is None:
        return
    if older.size > size:
        raise LedgerRewritten(
            f"a checkpoint over {older.size} entries is signed, but the ledger has {size}: entries were cut off, or an "
            "older backup was restored; nothing more is signed until they are back"
        )
    if tree.root(older.size) != older.root:
        raise LedgerRewritten(
            f"the first {older.size} entries are not those that a checkpoint was signed over; nothing more is signed: "
            "run `zaigang collector fsck`"
        )
