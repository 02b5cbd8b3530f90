"""Cosigns a checkpoint if its ledger has only grown since the last one: c2sp.org/tlog-witness, without HTTP."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass

from evidence.add_checkpoint import AddCheckpoint
from evidence.checkpoint import Checkpoint
from evidence.errors import BadSignature, ConsistencyFailed, UnknownKey
from evidence.merkle import EMPTY_ROOT, verify_consistency
from evidence.note import Note, NoteSigner, VerifierKey
from witness.errors import Inconsistent, NotSigned, Split, Stale, UnknownLog
from witness.memory import Memory
from witness.request import read_request


@dataclass(frozen=True, slots=True)
class KnownLog:
    """A ledger that the witness watches, and the keys that may sign its checkpoints (two while one is replaced)."""

    origin: str
    keys: tuple[VerifierKey, ...]


class Witness:
    """One witness key over any number of ledgers."""

    def __init__(self, signer: NoteSigner, logs: Sequence[KnownLog], memory: Memory, now: Callable[[], float]) -> None:
        """`now` gives seconds since 1970."""
        self.signer = signer
        self.memory = memory
        self._logs = {log.origin: log for log in logs}
        self._now = now

    @property
    def logs(self) -> list[KnownLog]:
        """The ledgers that are watched."""
        return list(self._logs.values())

    def add_checkpoint(self, data: bytes) -> str:
        """Cosign what a request asks for; return the signature line.

        Raises BadRequest, UnknownLog, NotSigned, Stale, Split, Inconsistent.
        """
        asked = read_request(data)
        log = self._logs.get(asked.checkpoint.origin)
        if log is None:
            raise UnknownLog("this witness does not watch a ledger of this origin")
        if not any(_signed(asked.note, key) for key in log.keys):
            raise NotSigned("no key that this witness trusts for the ledger has signed the checkpoint")
        with self.memory.turn():
            self._check_growth(asked)
            seconds = int(self._now())
            line = self.signer.cosign(asked.note.text, seconds).line()
            self.memory.remember(asked.checkpoint, asked.note.encode(), seconds)
        return line

    def _check_growth(self, asked: AddCheckpoint) -> None:
        wanted = asked.checkpoint
        last = self.memory.newest(wanted.origin) or Checkpoint(wanted.origin, 0, EMPTY_ROOT)
        if asked.old_size != last.size:
            raise Stale(last.size)
        if wanted.size == last.size and wanted.root != last.root:
            raise Split(last.size)
        try:
            verify_consistency(last.size, last.root, wanted.size, wanted.root, asked.proof)
        except ConsistencyFailed as error:
            raise Inconsistent(str(error)) from error


def _signed(note: Note, key: VerifierKey) -> bool:
    try:
        note.verify(key)
    except (UnknownKey, BadSignature):
        return False
    return True
