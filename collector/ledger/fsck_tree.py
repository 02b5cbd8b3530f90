"""Derives tiles and checkpoints again, entry by entry, and names the first that is not as it must be.

A checkpoint is judged by its signature: whoever may write the database, but has no key, can neither change one nor
shorten the ledger below one.
"""

from __future__ import annotations

import hmac
from collections.abc import Callable, Sequence
from typing import NoReturn

from cryptography import x509
from sqlmodel import Session, col, select

from collector.errors import AnchorRefused
from collector.ledger.anchors import stamped_at, verified
from collector.ledger.leaves import checkpoint_seal
from collector.ledger.models import Anchor, Cosignature, LedgerTile, SignedCheckpoint
from collector.statements.handovers import log_keys_of
from collector.timestamps import utc_from_seconds
from evidence.checkpoint import Checkpoint
from evidence.errors import EvidenceError
from evidence.key_history import read_checkpoint
from evidence.merkle import HASH_BYTES, Frontier, root_of
from evidence.note import Note, NoteSignature, VerifierKey
from evidence.tiles import TILE_WIDTH

Report = Callable[[str, object, str, str], NoReturn]  # table, row, column, what is wrong
BEYOND = 2**62


class TreeCheck:
    """The tree as it grows from the leaf hashes that were derived from the entries."""

    def __init__(
        self,
        session: Session,
        log: VerifierKey,
        seal_key: bytes,
        found: Report,
        anchor_roots: Sequence[x509.Certificate] = (),
        keepsake: bytes | None = None,
    ) -> None:
        """`log` is the key that checkpoints must be signed with, or that theirs was handed over to by both keys' word;

        `found` is told the first difference.

        Without `anchor_roots` no time-stamp can be checked; `anchors_not_run` counts them. `keepsake` is the note
        that was signed last, kept outside of the database.
        """
        self._session = session
        self._log = log.name
        self._log_keys = log_keys_of(session, log)
        self._seal_key = seal_key
        self._found = found
        self._tree = Frontier()
        self._open: list[list[bytes]] = [[]]  # by level, the hashes of the tile that is not full yet
        self._filled: list[int] = [0]  # by level, the number of full tiles
        self._next = self._after(-BEYOND)
        self._anchor_roots = anchor_roots
        self._kept = None if keepsake is None else self._read_keepsake(keepsake)
        self.checkpoints = 0
        self.cosignatures = 0
        self.anchors = 0
        self.anchors_not_run = 0
        self.tiles = 0

    def feed(self, leaf: bytes) -> None:
        """Take the next leaf hash and judge what ends with it."""
        self._expect_above()
        self._tree.append(leaf)
        self._grow(0, leaf)
        if self._kept is not None and self._kept.size == self._tree.size and self._kept.root != self._tree.root():
            message = (
                f"it was signed over {self._kept.size} other entries than the ledger has: history was written again"
            )
            self._found("last-checkpoint", self._kept.size, "file", message)
        if self._next is not None and self._next.size == self._tree.size:
            self._judge(self._next)
            self._next = self._after(self._tree.size)

    def finish(self) -> None:
        """Judge what lies beyond the last entry."""
        self._expect_above()
        if self._next is not None:
            message = f"it covers {self._next.size} entries, the ledger has {self._tree.size}: entries were cut off"
            self._found("checkpoints", self._next.size, "size", message)
        if self._kept is not None and self._kept.size > self._tree.size:
            message = (
                f"it was signed over {self._kept.size} entries, the ledger has {self._tree.size}: some were cut off"
            )
            self._found("last-checkpoint", self._kept.size, "file", message)
        self._nothing_loose(Cosignature)
        self._nothing_loose(Anchor)
        query = select(LedgerTile.level, LedgerTile.number).order_by(col(LedgerTile.level), col(LedgerTile.number))
        for level, number in self._session.exec(query):
            filled = self._filled[level] if 0 <= level < len(self._filled) else 0
            if not 0 <= number < filled:
                self._found("ledger_tiles", f"{level}/{number}", "number", "the entries do not fill this tile")

    def _read_keepsake(self, note: bytes) -> Checkpoint:
        try:
            return read_checkpoint(note, self._log, self._log_keys)
        except EvidenceError as error:
            self._found("last-checkpoint", 0, "file", f"{error.code}: {error}")

    def _expect_above(self) -> None:
        """A checkpoint of a size that was passed already, or of none."""
        if self._next is not None and self._next.size <= self._tree.size:
            self._found("checkpoints", self._next.size, "size", "a checkpoint covers at least one entry")

    def _after(self, size: int) -> SignedCheckpoint | None:
        query = select(SignedCheckpoint).where(col(SignedCheckpoint.size) > size).order_by(col(SignedCheckpoint.size))
        return self._session.exec(query.limit(1)).first()

    def _judge(self, row: SignedCheckpoint) -> None:
        for column in ("root", "note", "seal"):
            if not isinstance(getattr(row, column), bytes):  # SQLite keeps whatever it is given
                self._found("checkpoints", row.size, column, "it is not even bytes")
        try:
            signed = read_checkpoint(row.note, self._log, self._log_keys)
        except EvidenceError as error:
            self._found("checkpoints", row.size, "note", f"{error.code}: {error}")
        if signed.size != row.size:
            self._found("checkpoints", row.size, "size", f"the note is signed over {signed.size} entries")
        if signed.root != self._tree.root():
            message = f"the first {row.size} entries have another root than was signed: entries were changed since"
            self._found("checkpoints", row.size, "note", message)
        if row.root != signed.root or signed != Checkpoint(signed.origin, row.size, row.root):
            self._found("checkpoints", row.size, "root", "it is not the root in the signed note")
        if not hmac.compare_digest(row.seal, checkpoint_seal(self._seal_key, row.size, row.note, row.signed_at)):
            self._found("checkpoints", row.size, "seal", "the collector's seal does not fit: signed_at was changed")
        self.checkpoints += 1
        self._judge_cosignatures(row)
        self._judge_anchors(row)

    def _judge_cosignatures(self, row: SignedCheckpoint) -> None:
        note = Note.decode(row.note)
        for one in self._session.exec(select(Cosignature).where(Cosignature.size == row.size)):
            where = f"{row.size}/{one.witness}"
            try:
                key = VerifierKey.parse(one.witness)
                line = NoteSignature.parse(one.line.removesuffix("\n"))
                seconds = note.adding(line).verify(key)
            except EvidenceError as error:
                self._found("cosignatures", where, "line", f"{error.code}: {error}")
            if seconds is None or line.line() != one.line:
                self._found("cosignatures", where, "line", "it is not the line of a witness")
            if one.cosigned_at != utc_from_seconds(seconds):
                self._found("cosignatures", where, "cosigned_at", "it is not the time that the witness signed")
            self.cosignatures += 1

    def _judge_anchors(self, row: SignedCheckpoint) -> None:
        for one in self._session.exec(select(Anchor).where(Anchor.size == row.size)):
            if not self._anchor_roots:
                self.anchors_not_run += 1
                continue
            where = f"{row.size}/{one.authority}"
            try:
                response = verified(one.token, row.note, self._anchor_roots)
            except (AnchorRefused, TypeError) as error:
                self._found("anchors", where, "token", str(error))
            if one.stamped_at != stamped_at(response):
                self._found("anchors", where, "stamped_at", "it is not the time in the token")
            self.anchors += 1

    def _nothing_loose(self, table: type[Cosignature] | type[Anchor]) -> None:
        loose = select(table.size).where(col(table.size).not_in(select(SignedCheckpoint.size))).limit(1)
        size = self._session.exec(loose).first()
        if size is not None:
            self._found(str(table.__tablename__), size, "size", "there is no checkpoint of this size")

    def _grow(self, level: int, hashed: bytes) -> None:
        tile = self._open[level]
        tile.append(hashed)
        if len(tile) < TILE_WIDTH:
            return
        number, root = self._filled[level], root_of(tile)
        self._compare(level, number, tile, root)
        self._filled[level] += 1
        self._open[level] = []
        if level + 1 == len(self._open):
            self._open.append([])
            self._filled.append(0)
        self._grow(level + 1, root)

    def _compare(self, level: int, number: int, tile: list[bytes], root: bytes) -> None:
        stored = self._session.get(LedgerTile, (level, number))
        where = f"{level}/{number}"
        if stored is None:
            self._found("ledger_tiles", where, "number", "the entries fill this tile, but it is missing")
        if stored.hashes != b"".join(tile):
            at = next(
                (n for n, one in enumerate(tile) if stored.hashes[n * HASH_BYTES : (n + 1) * HASH_BYTES] != one),
                TILE_WIDTH,
            )
            self._found("ledger_tiles", where, "hashes", f"hash {at} is not the one that the entries give")
        if stored.root != root:
            self._found("ledger_tiles", where, "root", "it is not the root of the tile's hashes")
        self._session.expunge(stored)
        self.tiles += 1
