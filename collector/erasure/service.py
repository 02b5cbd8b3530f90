"""Erasing a person: what may go, what stays and why, and what the terminals are told."""

from __future__ import annotations

import secrets
from collections.abc import Iterator
from dataclasses import dataclass
from datetime import timedelta
from typing import Literal

import structlog
from sqlalchemy import delete, update
from sqlmodel import Session, col, select

from collector.commands.models import CommandAnswer, SentCommand
from collector.commands.service import Commands
from collector.database import Database
from collector.devices.models import Device
from collector.erasure.finding import is_about, may_be_about, names_as_supervisor
from collector.erasure.keepsake import Keepsake
from collector.erasure.marks import Extent, forgotten, mark
from collector.erasure.models import ErasedEvent, LegalHold, Tombstone
from collector.erasure.tombs import bury, bury_what_came_back, core, delete_securely, remember, sum_of
from collector.errors import Conflict, Invalid, NotFound
from collector.evidence_bundles.models import MadeBundle
from collector.ingest.models import DeadLetter, Equivocation, StagedEvent
from collector.ledger.models import LedgerEntry
from collector.people.models import Authorisation, Enrolment, Worker
from collector.statements.actor import acting
from collector.statements.scribe import Scribe
from collector.timestamps import parse_utc, utc_now, utc_text
from collector.transfers.models import TemplateCopy
from collector.transfers.taking import drop_of
from evidence.command import ERASE_WORKER
from evidence.statements import StatementKind

PAGE = 1000
TAKEN_UP_WITHIN = timedelta(days=90)  # a terminal may stand in a store for a season

log = structlog.get_logger()

Scope = Literal["biometric", "all"]


@dataclass(frozen=True, slots=True)
class Erasure:
    """What an erasure did, and what it left."""

    id: str
    leaf_index: int  # of the signed statement
    erased: int  # ledger entries
    kept: int  # younger than the retention period
    kept_until: str | None  # when the last of those may go
    confirmed_others: int  # records of other workers that name this one as their supervisor: those workers' own
    terminals: tuple[str, ...]  # told to erase


@dataclass(frozen=True, slots=True)
class _Found:
    leaf_index: int
    hash: str
    received_at: str


class Erasures:
    """The right to be forgotten, and its limits."""

    def __init__(
        self,
        database: Database,
        scribe: Scribe,
        keepsake: Keepsake,
        commands: Commands,
        retention: timedelta,
        seal_key: bytes,
    ) -> None:
        self._database, self._scribe, self._keepsake = database, scribe, keepsake
        self._commands, self._retention, self._seal_key = commands, retention, seal_key

    # --- legal holds

    def hold(self, worker: str, reason: str) -> LegalHold:
        """Let nothing of a worker be erased from now on. Raises Conflict where a hold stands."""
        with self._database.write() as session:
            if _standing_hold(session, worker) is not None:
                raise Conflict(f"a legal hold on {worker} stands already")
            row = LegalHold(worker=worker, reason=reason, since=utc_now())
            session.add(row)
        return row

    def lift(self, worker: str) -> LegalHold:
        """End a hold. Raises NotFound."""
        with self._database.write() as session:
            row = _standing_hold(session, worker)
            if row is None:
                raise NotFound(f"no legal hold on {worker} stands")
            row.lifted_at = utc_now()
        return row

    # --- erasing

    def erase(self, worker: str, scope: Scope, reason: str, *, ignore_retention: bool = False) -> Erasure:
        """Erase what lies here of a worker, and tell the terminals.

        `biometric`: the terminals alone hold such data, and they are told at once. `all`: also the ledger entries
        about the worker, once they are older than the retention period. Raises NotFound; Invalid for a reason that
        names the worker; Conflict under a legal hold.
        """
        if worker in reason:
            raise Invalid("the reason is signed for good and must not name the worker")
        with self._database.read() as session:
            _require_free(session, worker)
            known = session.get(Worker, worker) is not None
            terminals = _terminals(session, worker)
            found, others, seen = _about(session, worker, -1) if scope == "all" else ([], 0, -1)
        if not known and not found and not terminals:
            raise NotFound(f"nothing here is about {worker}")
        told = []
        for device in terminals:  # before anything goes: which terminals hold a template is itself among it
            body = {"worker": worker, "scope": "face" if scope == "biometric" else "all"}
            told.append(
                self._commands.issue(device, ERASE_WORKER, dict(body), acting(), TAKEN_UP_WITHIN).command.device
            )
        with self._database.write() as session:
            _require_free(session, worker)
            if scope == "all":
                more, further, _ = _about(session, worker, seen)
                found, others = found + more, others + further
            oldest = "9" if ignore_retention else utc_text(parse_utc(utc_now()) - self._retention)
            drop_of(session, _enrolments(session, worker))  # before anything goes: by these it is found
            due = [(one.leaf_index, one.hash) for one in found if one.received_at < oldest]
            kept = [one.received_at for one in found if one.received_at >= oldest]
            erasure = secrets.token_hex(16)
            bury(session, due, erasure, self._seal_key)
            extent: Extent = "face" if scope == "biometric" else "some" if kept else "all"
            remember(session, {mark(self._seal_key, erasure, extent, worker): erasure})
            _forget(session, worker, erasure, extent)
            body = {"erasure": erasure, "scope": scope, "reason": reason, "by": acting()} | sum_of(due)
            place = self._scribe.state(session, StatementKind.WORKER_ERASURE, body)
            hashes = list(session.exec(select(ErasedEvent.hash).where(ErasedEvent.erasure == erasure)))
        self._keepsake.add(erasure, hashes)
        self._database.scrub()
        log.warning("worker erased", erasure=erasure, entries=len(due), kept=len(kept), scope=scope)
        until = utc_text(parse_utc(max(kept)) + self._retention) if kept else None
        return Erasure(erasure, place, len(due), len(kept), until, others, tuple(told))

    def settle(self) -> int:
        """At a start: empty what a restored backup has brought back, and complete the file; return how many entries."""
        noted = dict(self._keepsake.read())
        held = self._erased()
        back, again = 0, []
        lost = {digest: erasure for digest, erasure in noted.items() if digest not in held}
        if lost:
            with self._database.write() as session:
                remember(session, lost)
                again = list(forgotten(session, self._seal_key, lost))
                for worker, extent, erasure in again:
                    drop_of(session, _enrolments(session, worker))
                    _forget(session, worker, erasure, extent)
                back = bury_what_came_back(session, self._scribe, -1, self._seal_key)
            self._database.scrub()
            held = self._erased()  # what waited is among them now
        missing: dict[str, list[str]] = {}
        for digest, erasure in held.items():
            if digest not in noted:
                missing.setdefault(erasure, []).append(digest)
        for erasure, hashes in missing.items():
            self._keepsake.add(erasure, hashes)
        self._empty_answered_orders()
        if back or again:
            told = {"entries": back, "erasures": len({erasure for _, _, erasure in again})}
            log.critical("a restored backup had brought back what was erased; it is erased again", **told)
        return back

    def _erased(self) -> dict[str, str]:
        with self._database.read() as session:
            return {row.hash: row.erasure for row in session.exec(select(ErasedEvent))}

    def _empty_answered_orders(self) -> None:
        """An order to erase names the worker until the terminal has answered it, or nobody will any more."""
        with self._database.write() as session:
            answered = select(CommandAnswer.command).where(CommandAnswer.device == SentCommand.device)
            over = (col(SentCommand.id).in_(answered)) | (col(SentCommand.expires) <= utc_now())
            mine = update(core(SentCommand)).where(col(SentCommand.action) == ERASE_WORKER, over)
            session.connection().execute(mine.values(body={}, envelope=b"", expires=SentCommand.issued))

    def tombstones(self) -> dict[int, str]:
        """Return the places that were erased: leaf index to erasure id."""
        with self._database.read() as session:
            return {row.leaf_index: row.erasure for row in session.exec(select(Tombstone))}


def _standing_hold(session: Session, worker: str) -> LegalHold | None:
    query = select(LegalHold).where(LegalHold.worker == worker, col(LegalHold.lifted_at).is_(None))
    return session.exec(query).first()


def _require_free(session: Session, worker: str) -> None:
    hold = _standing_hold(session, worker)
    if hold is not None:
        raise Conflict(f"a legal hold on {worker} stands since {hold.since} ({hold.reason}); lift it first")


def _terminals(session: Session, worker: str) -> list[str]:
    """Terminals that may hold something of the worker and can still be told."""
    query = select(Enrolment.device).where(Enrolment.worker == worker).distinct()
    held = set(session.exec(query)) | set(
        session.exec(select(Authorisation.device).where(Authorisation.worker == worker))
    )
    held |= set(session.exec(select(TemplateCopy.device).where(TemplateCopy.worker == worker).distinct()))
    counting = select(Device.name).where(col(Device.name).in_(held), col(Device.revoked_at).is_(None))
    return sorted(session.exec(counting))


def _enrolments(session: Session, worker: str) -> list[str]:
    return list(session.exec(select(Enrolment.authorisation).where(Enrolment.worker == worker).distinct()))


def _about(session: Session, worker: str, after: int) -> tuple[list[_Found], int, int]:
    """Read every entry beyond a place; return those about the worker, how many confirm others, and the last place."""
    found, others = [], 0
    for page in _pages(session, after):
        for place, digest, received_at, envelope in page:
            after = place
            if is_about(envelope, worker):
                found.append(_Found(place, digest, received_at))
            elif names_as_supervisor(envelope, worker):
                others += 1
    return found, others, after


def _pages(session: Session, after: int) -> Iterator[list[tuple[int, str, str, bytes]]]:
    columns = select(LedgerEntry.leaf_index, LedgerEntry.hash, LedgerEntry.received_at, LedgerEntry.envelope)
    while True:
        query = columns.where(col(LedgerEntry.leaf_index) > after).order_by(col(LedgerEntry.leaf_index)).limit(PAGE)
        page = [(a, b, c, d) for a, b, c, d in session.exec(query)]
        yield page
        if len(page) < PAGE:
            return
        after = page[-1][0]


def _forget(session: Session, worker: str, erasure: str, extent: Extent) -> None:
    """Erase what is not in the ledger: what waits, evidence and dead letters about the worker, commands, the record."""
    if extent == "face":
        return  # no more of it lies here
    connection = delete_securely(session)
    for staged in session.exec(select(StagedEvent)):
        if is_about(staged.envelope, worker):  # the terminal sends it again; then only its tombstone enters
            remember(session, {staged.hash: erasure})
            place = (col(StagedEvent.device) == staged.device, col(StagedEvent.chain) == staged.chain)
            connection.execute(delete(core(StagedEvent)).where(*place, col(StagedEvent.seq) == staged.seq))
    for kept in session.exec(select(Equivocation)):
        if is_about(kept.envelope, worker):
            connection.execute(update(core(Equivocation)).where(col(Equivocation.id) == kept.id).values(envelope=b""))
    for letter in session.exec(select(DeadLetter)):
        if may_be_about(letter.content, worker, cut=letter.size > len(letter.content)):
            why = "" if worker in letter.message else letter.message
            mine = update(core(DeadLetter)).where(col(DeadLetter.id) == letter.id)
            connection.execute(mine.values(content=b"", message=why))
    for sent in session.exec(select(SentCommand).where(SentCommand.action != ERASE_WORKER)):
        if sent.body.get("worker") == worker:  # its number stays taken
            emptied = update(core(SentCommand)).where(col(SentCommand.id) == sent.id)
            connection.execute(emptied.values(body={}, envelope=b"", expires=sent.issued))
    if extent == "all":
        connection.execute(update(core(MadeBundle)).where(col(MadeBundle.worker) == worker).values(worker=None))
        connection.execute(delete(core(Authorisation)).where(col(Authorisation.worker) == worker))
        connection.execute(delete(core(Worker)).where(col(Worker.code) == worker))
        connection.execute(delete(core(LegalHold)).where(col(LegalHold.worker) == worker))
    session.expunge_all()
