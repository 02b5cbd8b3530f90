"""Asks witnesses to cosign the newest checkpoint, and keeps what they answer: the client of C2SP tlog-witness."""

from __future__ import annotations

from dataclasses import dataclass, field

import httpx
import structlog

from collector.database import Database, insert_into
from collector.errors import WitnessRefused
from collector.ledger.checkpoints import newest_checkpoint
from collector.ledger.models import Cosignature, SignedCheckpoint
from collector.ledger.proofs import Proofs
from collector.timestamps import utc_from_seconds
from evidence.add_checkpoint import write_add_checkpoint
from evidence.checkpoint import parse_size
from evidence.errors import EvidenceError
from evidence.note import Note, NoteSignature, VerifierKey

log = structlog.get_logger()

TIMEOUT_S = 10.0  # a witness writes one row and signs; more than ten seconds is an outage
SIZE_TYPE = "text/x.tlog.size"


@dataclass(slots=True)
class WitnessAt:
    """A witness: who it is, where it listens, and up to where it has followed as far as is known."""

    key: VerifierKey
    url: str
    size: int = 0
    failing: str | None = field(default=None)


class Feeder:
    """Brings checkpoints to the witnesses, one after the other; a silent one holds up nobody else for long."""

    def __init__(self, database: Database, witnesses: list[WitnessAt], client: httpx.Client | None = None) -> None:
        self._database = database
        self._proofs = Proofs(database)
        self._client = client or httpx.Client(timeout=TIMEOUT_S, follow_redirects=False)
        self.witnesses = witnesses

    def feed(self) -> None:
        """Ask every witness that has not cosigned the newest checkpoint.

        Raises WitnessRefused, which names those that failed.
        """
        with self._database.read() as session:
            newest = newest_checkpoint(session)
        if newest is None:
            return
        for witness in self.witnesses:
            if self._has(newest, witness):
                continue
            try:
                self._keep(newest, witness, self._ask(newest, witness))
                witness.failing = None
            except (httpx.HTTPError, WitnessRefused, EvidenceError) as error:
                witness.failing = f"{witness.key.name}: {error or type(error).__name__}"
        failing = [one.failing for one in self.witnesses if one.failing is not None]
        if failing:
            raise WitnessRefused("; ".join(failing))

    def _ask(self, newest: SignedCheckpoint, witness: WitnessAt) -> NoteSignature:
        for _ in range(2):  # the second time with the size that the witness has named
            answer = self._client.post(
                f"{witness.url.rstrip('/')}/add-checkpoint", content=self._request(newest, witness.size)
            )
            if answer.status_code == 200:
                return _cosignature(answer.text, newest, witness)
            size = parse_size(answer.text.removesuffix("\n"))
            if answer.status_code != 409 or answer.headers.get("content-type") != SIZE_TYPE or size is None:
                break
            if size > newest.size:
                raise WitnessRefused(
                    f"it has cosigned {size} entries, this ledger shows {newest.size}: entries were cut off here, or "
                    "another collector is ahead"
                )
            witness.size = size
        raise WitnessRefused(f"it answers {answer.status_code}: {answer.text[:200].strip()}")

    def _request(self, newest: SignedCheckpoint, old: int) -> bytes:
        proof = self._proofs.growth_between(old, newest.size)
        return write_add_checkpoint(old, proof, newest.note)

    def _has(self, newest: SignedCheckpoint, witness: WitnessAt) -> bool:
        with self._database.read() as session:
            return session.get(Cosignature, (newest.size, witness.key.text())) is not None

    def _keep(self, newest: SignedCheckpoint, witness: WitnessAt, line: NoteSignature) -> None:
        seconds = witness.key.verify(Note.decode(newest.note).text, line.signature)
        assert seconds is not None
        row = {
            "size": newest.size,
            "witness": witness.key.text(),
            "line": line.line(),
            "cosigned_at": utc_from_seconds(seconds),
        }
        with self._database.write() as session:
            session.connection().execute(insert_into(session, Cosignature).on_conflict_do_nothing(), row)
        witness.size = newest.size


def _cosignature(text: str, newest: SignedCheckpoint, witness: WitnessAt) -> NoteSignature:
    """The line of this witness in an answer; lines of other keys are passed over.

    Raises WitnessRefused, EvidenceError.
    """
    for raw in text.splitlines():
        line = NoteSignature.parse(raw)
        if (line.name, line.key_id) == (witness.key.name, witness.key.id):
            Note.decode(newest.note).adding(line).verify(witness.key)
            return line
    raise WitnessRefused("it answered without a signature of the key that is configured for it")
