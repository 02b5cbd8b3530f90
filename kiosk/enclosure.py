"""The seal of the terminal: an opened case is signed, the keys in memory are dropped, and nothing is verified since.

    CLOSED -> OPENED (seen) -> SIGNED, keys dropped -> cleared by a clearance for exactly this opening -> CLOSED

Which opening stands is derived from the journal, not kept here. An opening that the journal has no room for is held in
memory and signed as soon as there is room; until then it caps every verdict all the same.
"""

from __future__ import annotations

import base64
import threading
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Literal

import structlog

from evidence.clearance import Clearance, verify_clearance
from evidence.errors import EvidenceError
from evidence.events import Check, EnclosureClearedBody, EnclosureOpenedBody, Kind, Outcome
from evidence.keys import PublicKey
from evidence.status import Part
from kiosk.errors import KioskError, NotCleared
from kiosk.journal import Journal
from kiosk.policy import ENCLOSURE_CHECK
from kiosk.sensors.enclosure import TamperLoop
from kiosk.sensors.errors import LoopUnreadable

LOOK_EVERY_S = 0.5  # edges wake the watch at once; this is for a loop that is open at the start and for lost edges
CONFIRM_S = 0.03  # a level is believed when it lasts longer than a rattling contact, as edges are (BOUNCE_S)
READING_KEPT_S = 3.0  # six looks: an older one says nothing of now, the watch hangs
SIGN_AGAIN_S = 60.0  # a rattling loop signs once a minute while an opening stands; the last one is never dropped
FIRST_LOOK_S = 2.0  # a loop that hangs does not keep the terminal from starting; its punches go to review
RETRY_S = 5.0  # between two attempts to sign in a full journal

log = structlog.get_logger(__name__)


@dataclass(frozen=True, slots=True)
class Keys:
    """What an opened enclosure drops from memory, and a clear brings back."""

    drop: Callable[[], None]
    restore: Callable[[], None]


class Enclosure:
    """Watches `loop` (None: this terminal has none) and answers whether the seal holds. Safe from any thread.

    `now` returns RFC 3339 UTC with milliseconds, `signed` is told of each event that was written.
    """

    def __init__(
        self,
        loop: TamperLoop | None,
        journal: Journal,
        keys: Keys,
        *,
        now: Callable[[], str],
        signed: Callable[[], None],
    ) -> None:
        self._loop, self._journal, self._keys = loop, journal, keys
        self._now, self._signed = now, signed
        self._lock = threading.RLock()  # an opening and a verdict are written one after the other, never at once
        self._seen: EnclosureOpenedBody | None = None  # an opening that is not in the journal yet
        self._looked = threading.Event()  # once at least since the start
        self._closed: bool | None = None  # the last level; None: nobody could say
        self._read_s: float | None = None  # when it was read, by time.monotonic
        self._trouble: str | None = None
        self._signed_s: float | None = None
        self._retry_s = 0.0
        self._listening = False  # the sensor's library has the pin
        self._edge = threading.Event()  # the loop opened, and the watch has not taken note yet
        self._wake = threading.Event()
        self._stopping = threading.Event()
        self._thread = threading.Thread(target=self._run, name="enclosure", daemon=True)
        if journal.opening is not None:
            keys.drop()

    def start(self) -> None:
        """Watch; return after the first look, so that the first punch finds an answer."""
        if self._loop is not None:
            self._thread.start()
            self._looked.wait(FIRST_LOOK_S)

    def stop(self) -> None:
        """End; an opening that waits to be signed is tried once more."""
        self._stopping.set()
        self._wake.set()
        if self._thread.is_alive():
            self._thread.join(5)
        with self._lock:
            self._take_edge()
            self._retry_s, self._signed_s = 0.0, None
            self._sign_if_due()
        if self._loop is not None:
            self._loop.close()

    # What the terminal asks

    @contextmanager
    def judging(self) -> Iterator[Sequence[Check]]:
        """Give the check of this moment, and let no opening be signed until the verdict that uses it is written.

        No check where there is no loop and nothing stands.
        """
        with self._lock:
            check = self._check()
            yield () if check is None else (check,)

    @property
    def state(self) -> Part:
        """How the seal is."""
        if self._journal.opening is not None or self._seen is not None or self._edge.is_set():
            return Part(state="failed", reason="enclosure_opened: look at the case and the camera, then sign a clear")
        if self._loop is None:
            return Part(state="absent")
        trouble = self._unread()
        if trouble is not None:
            return Part(state="failed", reason=trouble)
        return Part(state="working")

    def _check(self) -> Check | None:
        opening = self._journal.opening
        if opening is not None or self._seen is not None or self._edge.is_set():
            return Check(
                name=ENCLOSURE_CHECK,
                outcome=Outcome.FAILED,
                observed={"opening": opening},
                expected={"opening": None},
                reason="enclosure_opened: the case was opened and no administrator has cleared it",
            )
        if self._loop is None:
            return None
        trouble = self._unread()
        if trouble is not None:
            return Check(name=ENCLOSURE_CHECK, outcome=Outcome.NOT_RUN, reason=trouble)
        return Check(name=ENCLOSURE_CHECK, outcome=Outcome.PASSED, reason="ok: the tamper loop is closed")

    def _unread(self) -> str | None:
        """Why nobody can say how the loop is; None where it was read as closed a moment ago."""
        if self._trouble is not None:
            return self._trouble
        if self._closed and self._read_s is not None and time.monotonic() - self._read_s <= READING_KEPT_S:
            return None
        return "enclosure_unreadable: the tamper loop has not been read for some seconds"

    # The watch

    def _run(self) -> None:
        while not self._stopping.is_set():
            try:
                self._look()
            except Exception:
                log.exception("enclosure_failed")  # the last reading grows old meanwhile, and says so
            self._wake.wait(LOOK_EVERY_S)
            self._wake.clear()

    def _heard(self) -> None:
        """The loop opened: called by the sensor's library, which must not wait for a disk."""
        self._edge.set()
        self._wake.set()

    def _look(self) -> None:
        """Read the loop, without the lock: a read that hangs must not hang the punches."""
        with self._lock:
            self._take_edge()
            self._sign_if_due()
        try:
            closed, trouble = self._read(), None
        except Exception as error:  # whatever a library raises: nobody knows how the loop is
            closed, trouble = None, f"{LoopUnreadable.code}: {error}"[:400]
        with self._lock:
            if trouble is not None and trouble != self._trouble:
                log.error("enclosure_unreadable", why=trouble)
            self._take_edge()
            if closed is False and self._closed is not False and not self._is_known():
                self._take("running" if self._looked.is_set() else "start")
            self._closed, self._trouble, self._read_s = closed, trouble, time.monotonic()
            self._sign_if_due()
        self._looked.set()

    def _is_known(self) -> bool:
        """A loop that is open at the start while an opening stands is that opening, unless it moved since."""
        return not self._looked.is_set() and self._journal.opening is not None

    def _read(self) -> bool:
        assert self._loop is not None
        if not self._listening:
            self._loop.open(self._heard)
            self._listening = True
        try:
            closed = self._loop.closed()
            if not closed:
                self._stopping.wait(CONFIRM_S)
                closed = self._loop.closed()
        except Exception:
            self._listening = False  # a fresh handle next time
            raise
        return closed

    def _take_edge(self) -> None:
        if self._edge.is_set():
            self._take("running")
            self._edge.clear()  # not before: what cannot be taken is tried again
            self._closed = False  # as it was: what the next reading finds open is this opening, not another

    def _take(self, found: Literal["running", "start"]) -> None:
        if self._seen is None:
            self._seen = EnclosureOpenedBody(found=found, seen_at=self._now())
            log.warning("enclosure_opened", found=found)

    def _sign_if_due(self) -> None:
        """Sign the opening, then drop the keys: in this order, so that the statement is the last that they make."""
        seen, now_s = self._seen, time.monotonic()
        if seen is None or now_s < self._retry_s:
            return
        if self._journal.opening is not None and self._signed_s is not None and now_s < self._signed_s + SIGN_AGAIN_S:
            return
        try:
            recorded = self._journal.append(Kind.ENCLOSURE_OPENED, seen)
            self._seen, self._signed_s = None, now_s
            log.warning("enclosure_opened_signed", seq=recorded.seq)
            self._signed()
        except KioskError as error:
            self._retry_s = now_s + RETRY_S
            log.error("enclosure_opening_not_signed", why=str(error))
        finally:
            self._keys.drop()

    # The clear

    def clear(self, text: str, *, keys: Sequence[PublicKey], site: str) -> int:
        """Clear the opening that stands with a collector's clearance (base64 of its envelope); return the event's seq.

        Raises NotCleared, which says what to do, or a JournalError.
        """
        data = _decoded(text)
        with self._lock:
            self._require_closed()
            opening = self._journal.opening
            if opening is None:
                raise NotCleared("no opening waits for a clear")
            clearance = self._verified(data, keys, site)
            if clearance.opening != opening:
                raise NotCleared(
                    f"this clearance is for opening {clearance.opening}, the one that stands is {opening}; "
                    "ask for a new one"
                )
            if not self._journal.spend(clearance.id):
                raise NotCleared("this clearance was used before; ask for a new one")
            recorded = self._journal.append(
                Kind.ENCLOSURE_CLEARED,
                EnclosureClearedBody(
                    opening=opening,
                    authorised_by=clearance.authorised_by,
                    authorisation=clearance.id,
                    clearance=base64.b64encode(data).decode(),
                ),
            )
            self._keys.restore()
            self._signed()
            return recorded.seq

    def _require_closed(self) -> None:
        if self._loop is None:
            return
        if not self._thread.is_alive():
            self._look()
        if self._seen is not None or self._edge.is_set():
            raise NotCleared("the case was opened again just now; run this once more and ask for a new clearance")
        if self._closed is False:
            raise NotCleared("the case is open; close it first")
        trouble = self._unread()
        if trouble is not None:
            raise NotCleared(f"nobody can say whether the case is closed: {trouble}")

    def _verified(self, data: bytes, keys: Sequence[PublicKey], site: str) -> Clearance:
        problems = []
        for key in keys:
            try:
                return verify_clearance(data, key, self._journal.device, site, self._journal.head.chain, self._now())
            except EvidenceError as error:
                problems.append(str(error))
        raise NotCleared(problems[-1] if problems else "no collector key is pinned in the settings")


def _decoded(text: str) -> bytes:
    try:
        return base64.b64decode(text.strip(), validate=True)
    except ValueError as error:
        raise NotCleared("a clearance is one line of base64; copy it whole") from error
