"""The enrolled: names, face templates and PINs in one SQLite file, every one of them encrypted.

AES-256-GCM under a key that the caller brings, with worker and model id as associated data: a changed or swapped row is
found when it is read. Only the employee code and the model id lie open. A row put back from an older copy of the
file is not found here. Erased bytes are overwritten in the file; what a flash card keeps in its own spare blocks
is out of reach and unreadable without the key.
"""

from __future__ import annotations

import json
import os
import sqlite3
import threading
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
from cryptography.exceptions import InvalidTag
from cryptography.hazmat.primitives.ciphers.aead import AESGCM

from evidence.events import Check, Outcome
from kiosk.verify.errors import VerifyError
from kiosk.verify.lineup import Lineup
from kiosk.verify.pin import CHECK_NAME, PinRecord, new_pin, try_pin

if TYPE_CHECKING:
    from numpy.typing import NDArray

KEY_BYTES = 32
NONCE_BYTES = 12
_VERSION = "zaigang-gallery-1"
_SCHEMA = """
create table if not exists mark (id integer primary key check (id = 1), sealed blob not null);
create table if not exists person (worker text primary key, sealed blob not null);
create table if not exists template (
  worker text not null references person (worker) on delete cascade,
  model text not null,
  sealed blob not null,
  primary key (worker, model)
);
"""


class GalleryError(VerifyError):
    """Base of what can be wrong with the gallery."""


class WrongGalleryKey(GalleryError):
    """The key does not open this file, or the file's mark was changed."""


class GalleryTampered(GalleryError):
    """A row was changed or belongs to another worker or model."""


class GalleryUnreadable(GalleryError):
    """The file is not a gallery, or the disk refuses."""


@dataclass(frozen=True, slots=True)
class GalleryWorker:
    """One enrolled worker."""

    worker: str  # employee code
    name: str
    models: tuple[str, ...]  # for which there is a face template; empty: badge and PIN only
    has_pin: bool


@dataclass(frozen=True, slots=True, eq=False)
class Template:
    """One worker's face under one model."""

    worker: str
    name: str
    model_id: str
    vectors: NDArray[np.float32]  # (frames, dimensions)


class Gallery:
    """Opens or makes the file. `key`: 32 bytes. Safe from several threads.

    Raises ValueError for a key of another length, WrongGalleryKey, GalleryUnreadable.
    """

    def __init__(self, path: Path, key: bytes) -> None:
        if len(key) != KEY_BYTES:
            raise ValueError(f"the gallery's key has {KEY_BYTES} bytes, not {len(key)}")
        self._cipher = AESGCM(key)
        self._lock = threading.Lock()
        self._lineup: tuple[tuple[str, bool, int], Lineup] | None = None  # of one model, and what it was made from
        _touch_private(path)
        self._database = sqlite3.connect(path, check_same_thread=False, isolation_level=None)
        try:
            self._open()
        except sqlite3.DatabaseError as error:
            self._database.close()
            raise GalleryUnreadable(f"{path} cannot be used as a gallery: {error}") from error
        except WrongGalleryKey:
            self._database.close()
            raise

    def _open(self) -> None:
        for pragma in ("journal_mode=delete", "synchronous=full", "secure_delete=on", "foreign_keys=on"):
            self._database.execute(f"pragma {pragma}")
        self._database.executescript(_SCHEMA)
        row = self._database.execute("select sealed from mark").fetchone()
        if row is None:
            self._database.execute("insert into mark values (1, ?)", (self._seal(b"zaigang", "mark"),))
            return
        try:
            self._unseal(row[0], "mark")
        except GalleryTampered as error:
            raise WrongGalleryKey("this key does not open the gallery; restore the key that made it") from error

    def enrol(
        self, worker: str, name: str, model_id: str, vectors: Sequence[NDArray[np.float32]], pin: str | None = None
    ) -> None:
        """Keep a worker's face; an earlier template of this worker is replaced, whatever model made it.

        Without vectors the worker has badge and PIN only. `pin` None keeps an earlier PIN. Raises InvalidPin,
        ValueError for vectors of unequal length or not finite, GalleryError.
        """
        packed = _pack(vectors) if vectors else None
        record = new_pin(pin) if pin is not None else None
        with self._writing():
            if record is None and (held := self._person(worker)) is not None:
                record = held[1]
            self._keep_person(worker, name, record)
            self._database.execute("delete from template where worker = ?", (worker,))
            if packed is not None:
                sealed = self._seal(packed, "template", worker, model_id)
                self._database.execute("insert into template values (?, ?, ?)", (worker, model_id, sealed))

    def get(self, worker: str) -> GalleryWorker | None:
        """Return an enrolled worker. Raises GalleryTampered."""
        with self._reading():
            held = self._person(worker)
            if held is None:
                return None
            models = self._database.execute("select model from template where worker = ? order by model", (worker,))
            return GalleryWorker(worker, held[0], tuple(row[0] for row in models), held[1] is not None)

    def workers(self) -> tuple[str, ...]:
        """Employee codes of everyone enrolled, in order."""
        with self._reading():
            return tuple(row[0] for row in self._database.execute("select worker from person order by worker"))

    def template(self, worker: str, model_id: str) -> Template | None:
        """Return one worker's face under this model. Raises GalleryTampered."""
        found = self._templates("where worker = ? and model = ?", worker, model_id)
        return found[0] if found else None

    def templates(self, model_id: str) -> tuple[Template, ...]:
        """Return every face under this model. Raises GalleryTampered if any row was changed."""
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
                templates = [self._template(*row) for row in rows.fetchall()]
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

    def erase(self, worker: str) -> bool:
        """Remove a worker so that no byte of the rows stays in the file. Say whether there was one."""
        with self._writing():
            self._database.execute("delete from template where worker = ?", (worker,))
            erased = self._database.execute("delete from person where worker = ?", (worker,)).rowcount > 0
        with self._reading():
            # secure_delete has zeroed the rows; SQLite may have moved cells between pages earlier: write the file anew.
            self._database.execute("vacuum")
        return erased

    def check_pin(self, worker: str, pin: str, *, boot: str, mono_us: int) -> Check:
        """Try a PIN and keep the count of failures. `boot`, `mono_us`: as in clock.Stamp. A broken file is not_run.

        The count is on disk before the outcome is known outside, so that pulling the plug buys no guess.
        """
        try:
            with self._writing(same_faces=True):
                held = self._person(worker)
                record, check = try_pin(held[1] if held else None, pin, boot, mono_us)
                if held is not None and record is not None:
                    self._keep_person(worker, held[0], record)
            return check
        except GalleryError as error:
            return Check(name=CHECK_NAME, outcome=Outcome.NOT_RUN, reason=f"error: {error}"[:400])

    def close(self) -> None:
        """Close the file and forget the faces."""
        self.forget()
        with self._lock:
            self._database.close()

    def _templates(self, where: str, *values: str) -> tuple[Template, ...]:
        with self._reading():
            rows = self._database.execute(f"select worker, model, sealed from template {where}", values).fetchall()  # noqa: S608
            return tuple(self._template(*row) for row in rows)

    def _template(self, worker: str, model_id: str, sealed: bytes) -> Template:
        vectors = _unpack(self._unseal(sealed, "template", worker, model_id))
        held = self._person(worker)
        if held is None:
            raise GalleryTampered(f"the template of {worker} has lost its worker; enrol again")
        return Template(worker, held[0], model_id, vectors)

    def _person(self, worker: str) -> tuple[str, PinRecord | None] | None:
        row = self._database.execute("select sealed from person where worker = ?", (worker,)).fetchone()
        if row is None:
            return None
        held = json.loads(self._unseal(row[0], "person", worker))
        return held["name"], PinRecord(**held["pin"]) if held["pin"] else None

    def _keep_person(self, worker: str, name: str, record: PinRecord | None) -> None:
        plain = json.dumps({"name": name, "pin": asdict(record) if record else None}).encode()
        self._database.execute(
            "insert into person values (?, ?) on conflict (worker) do update set sealed = excluded.sealed",
            (worker, self._seal(plain, "person", worker)),
        )

    def _seal(self, plain: bytes, *bound_to: str) -> bytes:
        nonce = os.urandom(NONCE_BYTES)
        return nonce + self._cipher.encrypt(nonce, plain, _associated(bound_to))

    def _unseal(self, sealed: bytes, *bound_to: str) -> bytes:
        try:
            return self._cipher.decrypt(sealed[:NONCE_BYTES], sealed[NONCE_BYTES:], _associated(bound_to))
        except (InvalidTag, ValueError, TypeError) as error:
            raise GalleryTampered(f"the row {'/'.join(bound_to)} was changed; erase it and enrol again") from error

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


def _associated(parts: tuple[str, ...]) -> bytes:
    return json.dumps([_VERSION, *parts]).encode()  # a list, so that no two sets of parts read alike


def _pack(vectors: Sequence[NDArray[np.float32]]) -> bytes:
    stacked = np.stack(vectors).astype("<f4")
    if stacked.ndim != 2 or not np.isfinite(stacked).all():
        raise ValueError("templates are vectors of finite numbers")
    return bytes(stacked.shape[1].to_bytes(4, "little") + stacked.tobytes())


def _unpack(packed: bytes) -> NDArray[np.float32]:
    return np.frombuffer(packed[4:], "<f4").reshape(-1, int.from_bytes(packed[:4], "little"))


def _touch_private(path: Path) -> None:
    """Make the file readable by its owner only before anything is in it."""
    try:
        os.close(os.open(path, os.O_CREAT | os.O_RDWR, 0o600))
    except OSError as error:
        raise GalleryUnreadable(f"{path} cannot be opened: {error}") from error
