"""Marks of whom an erasure was about: keyed hashes, by which a restored backup shows who is to be forgotten again.

A mark stands among the hashes of the erased events, in `erased_events` and in `erasures.jsonl`. A code is short, so
whoever has the collector's seal key beside a mark can try codes; without that key a mark confirms no guess.
"""

from __future__ import annotations

import hashlib
from collections.abc import Iterable, Iterator, Mapping
from typing import Any, Literal

from sqlmodel import Session, col, select

from collector.commands.models import SentCommand
from collector.erasure.finding import workers_in
from collector.erasure.models import ErasedEvent, LegalHold
from collector.evidence_bundles.models import MadeBundle
from collector.ingest.models import DeadLetter, Equivocation, StagedEvent
from collector.ledger.models import LedgerEntry
from collector.people.models import Authorisation, Enrolment, Worker
from collector.presence.models import PresenceInterval
from collector.punches.models import Punch
from collector.statements.models import AuditEntry
from collector.transfers.models import TemplateCopy

Extent = Literal["face", "some", "all"]  # some: entries within the retention period stayed, and so did the record
EXTENTS: tuple[Extent, ...] = ("face", "some", "all")
_COLUMNS: tuple[Any, ...] = (
    Worker.code,
    Authorisation.worker,
    LegalHold.worker,
    Enrolment.worker,
    Punch.worker,
    PresenceInterval.worker,
    AuditEntry.worker,
    TemplateCopy.worker,
    MadeBundle.worker,
)


def mark(key: bytes, erasure: str, extent: Extent, worker: str) -> str:
    """Return the mark of an erasure; its id salts the hash, so that two about one worker have nothing in common."""
    text = f"{erasure}\n{extent}\n{worker}"
    digest = hashlib.blake2b(text.encode(), key=key, digest_size=32, person=b"zaigang-erased").hexdigest()
    return f"worker:{extent}:{digest}"


def forgotten(session: Session, key: bytes, marks: Mapping[str, str]) -> Iterator[tuple[str, Extent, str]]:
    """Yield who of those that are here is meant by these marks (to erasure ids): the code, how far, the erasure."""
    wanted = {noted: erasure for noted, erasure in marks.items() if noted.startswith("worker:")}
    if not wanted:
        return
    codes = sorted(_codes(session))
    for noted, erasure in wanted.items():
        for extent in EXTENTS:
            yield from ((code, extent, erasure) for code in codes if mark(key, erasure, extent, code) == noted)


def _codes(session: Session) -> set[str]:
    """Every worker code that stands anywhere outside of the ledger, and in entries that were erased before."""
    found = {str(code) for column in _COLUMNS for code in session.exec(select(column).distinct()) if code is not None}
    found |= {str(sent.body["worker"]) for sent in session.exec(select(SentCommand)) if sent.body.get("worker")}
    for envelope in _envelopes(session):
        found |= workers_in(envelope)
    return found


def _envelopes(session: Session) -> Iterable[bytes]:
    yield from session.exec(select(StagedEvent.envelope))
    yield from session.exec(select(Equivocation.envelope))
    yield from session.exec(select(DeadLetter.content))
    yield from session.exec(
        select(LedgerEntry.envelope).join(ErasedEvent, col(ErasedEvent.hash) == col(LedgerEntry.hash))
    )
