"""The enrolled: names, face templates and PINs in one SQLite file, every one of them encrypted.

AES-256-GCM under a key that the caller brings, with worker and model id as associated data: a changed or swapped row is
found when it is read. Only the employee code and the model id lie open. A row put back from an older copy of the
file is not found here. Erased bytes are overwritten in the file; what a flash card keeps in its own spare blocks
is out of reach and unreadable without the key.
"""

from __future__ import annotations

import secrets
import sqlite3
import threading
from collections.abc import Iterable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

from evidence.events import Ask, Check, Outcome, Role
from kiosk.verify import gallery_file, gallery_record
from kiosk.verify.attempts import WRONG_PINS_OF_ANYONE, Limit, Moment, exhausted, recent
from kiosk.verify.errors import GalleryError, GalleryTampered, GalleryUnreadable, WrongGalleryKey
from kiosk.verify.gallery_record import Agreement, Pending, Person, Received, Scope, Statement
from kiosk.verify.gallery_seal import Seal
from kiosk.verify.lineup import Lineup
from kiosk.verify.pin import CHECK_NAME, new_pin, too_many_here, try_pin

if TYPE_CHECKING:
    from numpy.typing import NDArray


@dataclass(frozen=True, slots=True)
class GalleryWorker:
    """One enrolled worker."""

    worker: str  # employee code
    name: str
    models: tuple[str, ...]  # for which there is a face template; empty: badge and PIN only
    has_pin: bool
    role: Role = "worker"
    excused: tuple[Ask, ...] = ()  # prompts that are never asked
    enrolment: str | None = None  # id of the authorisation under which this was enrolled, where it is known
    commitment: str | None = None  # of the template, as worker.enrolled named it
    consents: tuple[Agreement, ...] = ()
    received: Received | None = None  # the face came from another terminal


@dataclass(frozen=True, slots=True, eq=False)
class Template:
    """One worker's face under one model."""

    worker: str
    name: str
    model_id: str
    vectors: NDArray[np.float32]  # (frames, dimensions)
    until: str | None = None  # RFC 3339 UTC: a copy from another terminal, to be compared with nobody from then on


class Gallery:
    """Opens or makes the file. `key`: 32 bytes; None opens it locked. Safe from several threads.

    Raises ValueError for a key of another length, WrongGalleryKey, GalleryUnreadable.
    """

    def __init__(self, path: Path, key: bytes | None) -> None:
        self._sealing = Seal(key)
        self._lock = threading.Lock()
        self._supervisors: frozenset[str] | None = None  # read when first asked for
        self._lineup: tuple[tuple[str, bool, int], Lineup] | None = None  # of one model, and what it was made from
        self._now = ""  # as this object was last told
        try:
            self._database = gallery_file.connect(path)
        except OSError as error:
            raise GalleryUnreadable(f"{path} cannot be opened: {error}") from error
        try:
            gallery_file.prepare(self._database)
            self._open()
        except (sqlite3.DatabaseError, gallery_file.UnknownFormat) as error:
            self._database.close()
            raise GalleryUnreadable(f"{path} cannot be used as a gallery: {error}") from error
        except WrongGalleryKey:
            self._database.close()
            raise

    def _open(self) -> None:
        if not self._sealing.locked:
            self._check_mark()

    def _check_mark(self) -> None:
        row = self._database.execute("select sealed from mark").fetchone()
        if row is None:
            self._database.execute("insert into mark values (1, ?)", (self._sealing.seal(b"zaigang", "mark"),))
            return
        try:
            self._sealing.unseal(row[0], "mark")
        except GalleryTampered as error:
            raise WrongGalleryKey("this key does not open the gallery; restore the key that made it") from error

    def enrol(
        self,
        worker: str,
        name: str,
        model_id: str,
        vectors: Sequence[NDArray[np.float32]],
        pin: str | None = None,
        *,
        role: Role = "worker",
        excused: Sequence[Ask] = (),
        enrolment: str | None = None,
        commitment: str | None = None,
        consent: Agreement | None = None,
        further: Sequence[Agreement] = (),
        received: Received | None = None,
        owed: Sequence[Statement] = (),
    ) -> str | None:
        """Keep a worker's face; an earlier template of this worker is replaced, whatever model made it.

        Without vectors the worker has badge and PIN only. `pin` None keeps an earlier PIN. `received` says from where a
        copy came; `further` are its consents beside the face's. `owed` has to be signed because of this, and is kept
        with it in one transaction; the id under which it is pending is returned.
        Raises InvalidPin, ValueError for vectors of unequal length or not finite, GalleryError.
        """
        packed = gallery_record.pack_vectors(vectors) if vectors else None
        record = new_pin(pin) if pin is not None else None
        with self._writing():
            held = self._person(worker)
            given = tuple(further) if consent is None else (*further, consent)
            over = {"face", *(one.scope for one in given)}
            if held is not None and held.received is not None:
                over.add("transfer")  # it was given elsewhere, and for the copy
            kept = tuple(one for one in held.consents if one.scope not in over) if held else ()
            person = Person(
                name=name,
                pin=held.pin if record is None and held else record,
                role=role,
                excused=tuple(excused),
                enrolment=enrolment,
                commitment=commitment,
                consents=(*kept, *given),
                received=received,
            )
            self._keep_person(worker, person)
            self._database.execute("delete from template where worker = ?", (worker,))
            if packed is not None:
                sealed = self._sealing.seal(packed, "template", worker, model_id)
                self._database.execute("insert into template values (?, ?, ?)", (worker, model_id, sealed))
            pending = self._owe(owed)
        self._supervisors = None
        return pending

    def get(self, worker: str) -> GalleryWorker | None:
        """Return an enrolled worker. Raises GalleryTampered."""
        with self._reading():
            held = self._person(worker)
            if held is None:
                return None
            models = self._database.execute("select model from template where worker = ? order by model", (worker,))
            return GalleryWorker(
                worker=worker,
                name=held.name,
                models=tuple(row[0] for row in models),
                has_pin=held.pin is not None,
                role=held.role,
                excused=held.excused,
                enrolment=held.enrolment,
                commitment=held.commitment,
                consents=held.consents,
                received=held.received,
            )

    def tell_time(self, now: str) -> None:
        """From here on no copy whose lease ended before `now` (RFC 3339 UTC) is a face here, erased or not."""
        with self._lock:
            self._now = now
            if self._lineup is not None and any(map(self._overdue, self._lineup[1].templates)):
                self._lineup[1].forget()
                self._lineup = None

    def workers(self) -> tuple[str, ...]:
        """Employee codes of everyone enrolled, in order."""
        with self._reading():
            return tuple(row[0] for row in self._database.execute("select worker from person order by worker"))

    def supervisors(self) -> frozenset[str]:
        """Employee codes of the supervisors. A record that cannot be opened is nobody's. Raises GalleryUnreadable."""
        known = self._supervisors
        if known is None:
            with self._reading():
                codes = [row[0] for row in self._database.execute("select worker from person")]
                known = self._supervisors = frozenset(code for code in codes if self._is_supervisor(code))
        return known

    def template(self, worker: str, model_id: str) -> Template | None:
        """Return one worker's face under this model, unless it is overdue. Raises GalleryTampered."""
        found = self._templates("where worker = ? and model = ?", worker, model_id)
        return found[0] if found else None

    def templates(self, model_id: str) -> tuple[Template, ...]:
        """Return every face under this model that is not overdue. Raises GalleryTampered if any row was changed."""
        return self._templates("where model = ? order by worker", model_id)

    def lineup(self, model_id: str, *, unit_length: bool = False) -> Lineup:
        """Return every face under this model, ready for a quick search, kept in memory until the gallery changes.

        A change by this object drops it, one by another process is seen by SQLite's data version. `unit_length`: as in
        MatchLimits. Raises GalleryTampered when it is read, ValueError for templates that do not fit together.
        """
        with self._reading():
            version = self._database.execute("pragma data_version").fetchone()[0]
            wanted = (model_id, unit_length, version)
            if self._lineup is None or self._lineup[0] != wanted:
                self._lineup = None
                rows = self._database.execute(
                    "select worker, model, sealed from template where model = ? order by worker", (model_id,)
                )
                templates = self._read(rows.fetchall())
                self._lineup = (wanted, Lineup(templates, unit_length=unit_length))
            return self._lineup[1]

    def forget(self) -> None:
        """Overwrite the faces that are kept in memory; the next search reads them again."""
        with self._lock:
            if self._lineup is not None:
                self._lineup[1].forget()
            self._lineup = None

    def outdated(self, model_id: str) -> tuple[str, ...]:
        """Employee codes whose face was enrolled under another model only: they have to enrol again."""
        query = (
            "select distinct worker from template where worker not in (select worker from template where model = ?) "
            "order by worker"
        )
        with self._reading():
            return tuple(row[0] for row in self._database.execute(query, (model_id,)))

    def erase(self, worker: str, owed: Sequence[Statement] = ()) -> bool:
        """Remove a worker so that no byte of the rows stays in the file. Say whether there was one.

        `owed` as in `enrol`; it is dropped where there was nobody to erase.
        """
        with self._writing():
            self._database.execute("delete from template where worker = ?", (worker,))
            self._database.execute("delete from attempt where subject = ?", (worker,))
            erased = self._database.execute("delete from person where worker = ?", (worker,)).rowcount > 0
            if erased:
                self._owe(owed, cleaned=False)
        self._supervisors = None
        self.clean()
        return erased

    def withdraw(self, worker: str, scope: Scope, owed: Sequence[Statement] = ()) -> bool:
        """Take a consent back; with `face` goes the template, and badge and PIN stay. Say whether anything was there.

        `owed` as in `erase`.
        """
        with self._writing():
            held = self._person(worker)
            if held is None:
                return False
            consents = tuple(one for one in held.consents if one.scope != scope)
            changed = len(consents) != len(held.consents)
            person = replace(held, consents=consents)
            if scope == "face":
                gone = self._database.execute("delete from template where worker = ?", (worker,)).rowcount
                changed = changed or gone > 0
                person = replace(person, commitment=None, excused=())
            if not changed:
                return False
            self._keep_person(worker, person)
            self._owe(owed, cleaned=False)
        self.clean()
        return True

    def drop_copy(self, worker: str, owed: Sequence[Statement] = ()) -> bool:
        """Remove a face that came from another terminal, and all else of the worker unless he has a PIN here.

        `owed` as in `erase`. Say whether there was one.
        """
        with self._writing():
            held = self._person(worker)
            if held is None or held.received is None:
                return False
            self._database.execute("delete from template where worker = ?", (worker,))
            if held.pin is None:
                self._database.execute("delete from attempt where subject = ?", (worker,))
                self._database.execute("delete from person where worker = ?", (worker,))
            else:
                kept = tuple(one for one in held.consents if one.scope not in ("face", "transfer"))
                self._keep_person(worker, replace(held, consents=kept, excused=(), received=None))
            self._owe(owed, cleaned=False)
        self._supervisors = None
        self.clean()
        return True

    def agree(self, worker: str, consent: Agreement, owed: Sequence[Statement] = ()) -> bool:
        """Keep a further consent of an enrolled worker; False where nobody is enrolled under this code."""
        with self._writing():
            held = self._person(worker)
            if held is None:
                return False
            others = tuple(one for one in held.consents if one.scope != consent.scope)
            self._keep_person(worker, replace(held, consents=(*others, consent)))
            self._owe(owed)
            return True

    def clean(self) -> None:
        """Write the file anew and note it: secure_delete zeroed the rows, but SQLite may have moved cells before."""
        with self._reading():
            self._database.execute("vacuum")
            self._database.execute("update owed set cleaned = 1 where cleaned = 0")

    def pending(self) -> tuple[Pending, ...]:
        """What has to be signed because of changes that are done, oldest first. Raises GalleryTampered."""
        with self._reading():
            rows = self._database.execute("select id, sealed, cleaned from owed order by place").fetchall()
            return tuple(
                Pending(one, gallery_record.unpack_statements(self._sealing.unseal(sealed, "owed", one)), bool(cleaned))
                for one, sealed, cleaned in rows
            )

    def settle(self, pending_id: str) -> None:
        """Forget statements that are signed."""
        with self._writing(same_faces=True):
            self._database.execute("delete from owed where id = ?", (pending_id,))

    def limited(self, limit: Limit, subject: str, now: Moment) -> bool:
        """Say whether `subject` has no attempt left at `now`. Raises GalleryError."""
        with self._reading():
            return exhausted(self._moments(limit, subject), now, limit)

    def count_attempt(self, limit: Limit, subject: str, now: Moment) -> None:
        """Count one attempt; on disk when this returns. Raises GalleryError.

        A subject is an employee code, or empty for nobody in particular. Behind the code of nobody there is nothing
        to guess, and an erased worker's code does not come back this way: neither is counted.
        """
        with self._writing(same_faces=True):
            if subject and self._person(subject) is None:
                return
            kept = recent((*recent(self._moments(limit, subject), now, limit), now), now, limit)
            self._keep_moments(limit, subject, kept)

    def forgive(self, limit: Limit, subject: str, attempt: Moment | None = None) -> None:
        """Forget one counted attempt, or with None all of them. Raises GalleryError."""
        with self._writing(same_faces=True):
            left = tuple(one for one in self._moments(limit, subject) if attempt is not None and one != attempt)
            self._keep_moments(limit, subject, left)

    def check_pin(self, worker: str, pin: str, *, boot: str, mono_us: int) -> Check:
        """Try a PIN and keep the count of failures. `boot`, `mono_us`: as in clock.Stamp. A broken file is not_run.

        The counts, the badge's and the terminal's, are on disk before the outcome is known outside, so that pulling the
        plug buys no guess.
        """
        now, anyone = Moment(boot, mono_us), WRONG_PINS_OF_ANYONE
        try:
            with self._writing(same_faces=True):
                wrong, held = self._moments(anyone, ""), self._person(worker)
                supervises = held is not None and held.role == "supervisor"  # few, each with a lock; a way out for all
                if exhausted(wrong, now, anyone) and not supervises:
                    return too_many_here()
                record, check = try_pin(held.pin if held else None, pin, boot, mono_us)
                if held is not None and record is not None:
                    self._keep_person(worker, replace(held, pin=record))
                # A try at a locked PIN changes nothing and guesses nothing.
                if check.outcome is Outcome.FAILED and held is not None and record != held.pin:
                    self._keep_moments(anyone, "", recent((*recent(wrong, now, anyone), now), now, anyone))
            return check
        except GalleryError as error:
            return Check(name=CHECK_NAME, outcome=Outcome.NOT_RUN, reason=f"{error.code}: {error}"[:400])

    @property
    def locked(self) -> bool:
        """True while nothing sealed can be read or written."""
        return self._sealing.locked

    def lock(self) -> None:
        """Drop the key from memory: from now on everything sealed raises GalleryLocked."""
        self.forget()
        with self._lock:
            self._sealing.drop()

    def unlock(self, key: bytes) -> None:
        """Take the key again. Raises as the constructor; a wrong key leaves the gallery locked."""
        with self._reading():
            self._sealing.take(key)
            try:
                self._check_mark()
            except BaseException:
                self._sealing.drop()
                raise

    def close(self) -> None:
        """Close the file and forget the faces."""
        self.forget()
        with self._lock:
            self._database.close()

    def _templates(self, where: str, *values: str) -> tuple[Template, ...]:
        with self._reading():
            rows = self._database.execute(f"select worker, model, sealed from template {where}", values).fetchall()  # noqa: S608
            return tuple(self._read(rows))

    def _read(self, rows: Iterable[tuple[str, str, bytes]]) -> list[Template]:
        return [one for one in (self._template(*row) for row in rows) if not self._overdue(one)]

    def _overdue(self, template: Template) -> bool:
        return template.until is not None and template.until <= self._now

    def _template(self, worker: str, model_id: str, sealed: bytes) -> Template:
        vectors = gallery_record.unpack_vectors(self._sealing.unseal(sealed, "template", worker, model_id))
        held = self._person(worker)
        if held is None:
            raise GalleryTampered(f"the template of {worker} has lost its worker; enrol again")
        until = held.received.until if held.received is not None else None
        return Template(worker, held.name, model_id, vectors, until)

    def _person(self, worker: str) -> Person | None:
        row = self._database.execute("select sealed from person where worker = ?", (worker,)).fetchone()
        return None if row is None else Person.unpack(self._sealing.unseal(row[0], "person", worker))

    def _is_supervisor(self, worker: str) -> bool:
        try:
            held = self._person(worker)
        except GalleryTampered:
            return False
        return held is not None and held.role == "supervisor"

    def _keep_person(self, worker: str, person: Person) -> None:
        self._database.execute(
            "insert into person values (?, ?) on conflict (worker) do update set sealed = excluded.sealed",
            (worker, self._sealing.seal(person.pack(), "person", worker)),
        )

    def _owe(self, statements: Sequence[Statement], *, cleaned: bool = True) -> str | None:
        if not statements:
            return None
        pending_id = secrets.token_hex(16)
        sealed = self._sealing.seal(gallery_record.pack_statements(statements), "owed", pending_id)
        self._database.execute(
            "insert into owed (id, sealed, cleaned) values (?, ?, ?)", (pending_id, sealed, int(cleaned))
        )
        return pending_id

    def _moments(self, limit: Limit, subject: str) -> tuple[Moment, ...]:
        row = self._database.execute(
            "select sealed from attempt where kind = ? and subject = ?", (limit.kind, subject)
        ).fetchone()
        if row is None:
            return ()
        return gallery_record.unpack_moments(self._sealing.unseal(row[0], "attempt", limit.kind, subject))

    def _keep_moments(self, limit: Limit, subject: str, moments: Sequence[Moment]) -> None:
        if not moments:
            self._database.execute("delete from attempt where kind = ? and subject = ?", (limit.kind, subject))
            return
        sealed = self._sealing.seal(gallery_record.pack_moments(moments), "attempt", limit.kind, subject)
        self._database.execute("insert or replace into attempt values (?, ?, ?)", (limit.kind, subject, sealed))

    @contextmanager
    def _reading(self) -> Iterator[None]:
        with self._lock:
            try:
                yield
            except sqlite3.Error as error:
                raise GalleryUnreadable(f"the gallery cannot be read: {error}") from error

    @contextmanager
    def _writing(self, *, same_faces: bool = False) -> Iterator[None]:
        """Change the file. `same_faces`: neither template nor name changes, so the lineup stays."""
        with self._reading():
            if not same_faces:
                self._lineup = None
            self._database.execute("begin immediate")
            try:
                yield
                self._database.execute("commit")
            except BaseException:
                # A commit that failed (a reader elsewhere, a full disk) must not leave its transaction open for ever.
                if self._database.in_transaction:
                    self._database.execute("rollback")
                raise
