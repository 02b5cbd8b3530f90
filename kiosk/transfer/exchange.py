"""The terminal's exchange of faces with the site's others: one thread between gallery, journal and uplink.

What the uplink brings is queued and judged here, so that no delivery of punches waits for a face. Every minute, and at
once after a change of the gallery, what lies where is compared with what may lie there. Switched off again, it sends
nobody anything but the word to erase, and erases what it holds, until nothing is left.
"""

from __future__ import annotations

import threading
import time
from collections import Counter, deque
from collections.abc import Callable, Sequence
from contextlib import AbstractContextManager, nullcontext
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import structlog
from numpy.typing import NDArray

from evidence.envelope import TRANSFER_ANSWER_TYPE, TRANSFER_KEY_TYPE, Envelope
from evidence.errors import EvidenceError
from evidence.keys import PublicKey
from evidence.status import Part
from evidence.transfer import TransferAnswer, named_in
from kiosk.errors import KioskError
from kiosk.journal import Journal
from kiosk.owed import Owed
from kiosk.terminal_key import TerminalKey
from kiosk.tpm import Tpm
from kiosk.transfer.answering import Answering
from kiosk.transfer.copies_here import CopiesHere
from kiosk.transfer.peers import Peers
from kiosk.transfer.receiving import Comparing, Receiving
from kiosk.transfer.sending import Sending
from kiosk.transfer.staying_away import StayingAway
from kiosk.transfer.store import Store
from kiosk.transfer.transfer_key import TransferKey
from kiosk.verify.errors import GalleryTampered, VerifyError
from kiosk.verify.face import Face
from kiosk.verify.gallery import Gallery, GalleryWorker

ROUND_S = 60.0  # a lease ends within this; changes of the gallery are looked at at once
CARD_EVERY_S = 3600.0  # the card is shown again: a gate that was set up meanwhile learns of this one
CARD_UNHEARD_S = 60.0  # and more often until another's card has come: this one may have come before its registration
INBOX = 256  # messages that wait to be judged; the collector sends again what was let go
OUTBOX = 512

log = structlog.get_logger(__name__)


@dataclass(frozen=True, slots=True)
class _Compares:
    face: Face

    @property
    def model_id(self) -> str:
        return self.face.embedder.model_id

    def same_person(self, vector: NDArray[np.float32], others: Sequence[NDArray[np.float32]]) -> bool:
        return self.face.same_person(vector, others)


@dataclass(frozen=True, slots=True)
class Around:
    """The parts of the terminal that the exchange needs. `now` gives RFC 3339 UTC with milliseconds."""

    device: str
    site: str
    folder: Path
    journal: Journal
    gallery: Gallery
    owed: Owed
    key: TerminalKey
    tpm: Tpm | None
    now: Callable[[], str]
    face: Callable[[], Comparing | None]  # what compares faces here; None: nothing does
    wake: Callable[[], None]  # the uplink: there is something to send
    # Removes a worker's clips and keeps none meanwhile: kiosk.clips.Clips.erasing
    no_clips: Callable[[str], AbstractContextManager[None]] = lambda worker: nullcontext()


def comparing(face: Face | None) -> Comparing | None:
    """What of the face path a copy is held against; None where there is no face path."""
    return None if face is None else _Compares(face)


def open_exchange(around: Around, *, switched_on: bool) -> Exchange | None:
    """Return the exchange where it is switched on, or was: then what it left is brought to its end. Else None.

    A file that cannot be used costs the exchange, not the terminal: it is logged, and `transfer_part` says so.
    """
    path = around.folder / "transfers.db"
    if not switched_on and not path.exists():
        return None
    try:
        return Exchange(around, Store(path), switched_on=switched_on)
    except KioskError as error:
        log.error("transfer_unavailable", reason=str(error))
        return None


def transfer_part(exchange: Exchange | None, *, switched_on: bool) -> Part:
    """How the exchange is; absent where this terminal has none."""
    if exchange is not None:
        return exchange.part
    if switched_on:
        return Part(state="failed", reason="transfer: its file cannot be used; see the terminal's log")
    return Part(state="absent", reason="switched_off: no face leaves this terminal and none comes")


class Exchange:
    """Runs between `start` and `stop`. Every method is safe from any thread and returns soon."""

    def __init__(self, around: Around, store: Store, *, switched_on: bool) -> None:
        self.counts: Counter[str] = Counter()  # cards, answers, errors
        self.switched_on = switched_on
        self._around, self._store = around, store
        transfer_key = TransferKey(around.folder / "transfer.key", around.tpm)
        device, site, now, journal, key = around.device, around.site, around.now, around.journal, around.key
        self._peers = Peers(store, journal, key, transfer_key, device=device, site=site, now=now)
        self._sending = Sending(
            store,
            self._peers,
            journal,
            around.gallery,
            around.owed,
            key,
            device=device,
            site=site,
            now=now,
            switched_on=switched_on,
        )
        away = StayingAway(store, journal, around.owed.sign)
        answering = Answering(store, key, device=device, site=site, now=now)
        self._copies = CopiesHere(
            store,
            around.gallery,
            around.owed,
            away,
            answering,
            now=now,
            no_clips=around.no_clips,
            switched_on=switched_on,
        )
        self._receiving = Receiving(
            store,
            journal,
            around.gallery,
            around.owed,
            key,
            transfer_key,
            away,
            answering,
            self._copies,
            device=device,
            site=site,
            now=now,
            face=around.face,
            switched_on=switched_on,
        )
        self._lock = threading.Condition()
        self._inbox: deque[bytes] = deque(maxlen=INBOX)
        self._outbox: deque[bytes] = deque(maxlen=OUTBOX)
        self._poked = True
        self._card_s: float | None = None  # when the card was last shown, monotonic seconds
        self._shown = b""
        self._stopping = False
        self._trouble: str | None = None  # of the last round
        self._broker_says: str | None = None
        self._received = 0
        self._thread = threading.Thread(target=self._run, name="transfer", daemon=True)

    def start(self) -> None:
        """Begin to exchange."""
        self._thread.start()

    def stop(self) -> None:
        """Finish what is being judged and end."""
        with self._lock:
            self._stopping = True
            self._lock.notify_all()
        if self._thread.is_alive():
            self._thread.join(10)
        if not self._thread.is_alive():
            self._store.close()

    # What the uplink calls

    def receive(self, data: bytes) -> None:
        """Queue what came from another terminal."""
        with self._lock:
            self._inbox.append(data)
            self._lock.notify_all()

    def outbox(self, limit: int) -> list[bytes]:
        """Return at most `limit` envelopes to send now. Never raises."""
        with self._lock:
            ready = [self._outbox.popleft() for _ in range(min(limit, len(self._outbox)))]
        try:
            return [*ready, *self._sending.due(time.monotonic(), limit - len(ready))]
        except KioskError as error:
            self._trouble = f"{error.code}: {error}"
            return ready

    def greeted(self) -> None:
        """A connection stands: what was sent over the last one may be lost."""
        self._sending.again()
        with self._lock:
            self._card_s, self._poked, self._broker_says = None, True, None
            self._lock.notify_all()

    def refused(self, why: str) -> None:
        """The broker takes nothing for other terminals."""
        self._broker_says = f"broker_refuses: {why}; write the broker's rights again (zaigang collector broker-config)"

    # What the terminal calls

    def poke(self) -> None:
        """The gallery, a peer or a key has changed."""
        with self._lock:
            self._poked = True
            self._lock.notify_all()

    @property
    def part(self) -> Part:
        """How the exchange is."""
        trouble = self._trouble or self._broker_says
        if trouble is not None:
            return Part(state="failed", reason=trouble[:400])
        if not self.switched_on:
            return Part(state="degraded", reason="switched_off: what was exchanged before is still being erased")
        try:
            rows = self._peers.listed()
        except (KioskError, EvidenceError) as error:
            return Part(state="failed", reason=f"{error.code}: {error}"[:400])
        changed = [row["device"] for row in rows if row["state"] == "changed"]
        if changed:
            return Part(
                state="degraded",
                reason=f"key_changed: {', '.join(changed)[:200]} shows another key than was confirmed; compare the "
                "fingerprint there, then zaigang kiosk peers confirm",
            )
        if not any(row["state"] == "confirmed" for row in rows):
            return Part(state="degraded", reason="no_peers: nobody has confirmed another terminal; zaigang kiosk peers")
        return Part(state="working")

    def listed(self) -> dict[str, Any]:
        """What operators see: this terminal's own fingerprint and every other terminal that has shown its card."""
        public: PublicKey = self._around.key.public
        return {
            "device": self._around.device,
            "fingerprint": public.fingerprint,
            "on": self.switched_on,
            "received": self._received,
            "peers": self._peers.listed(),
        }

    def confirm(self, device: str, fingerprint: str, by: str) -> dict[str, Any]:
        """Exchange faces with that terminal from now on. Raises a TransferFailed, BadRequest or a JournalError."""
        key = self._peers.confirm(device, fingerprint, by)
        self.poke()
        return {"device": device, "fingerprint": key.fingerprint}

    def remove(self, device: str, by: str) -> dict[str, Any]:
        """Exchange nothing more with it, and erase. Raises a TransferFailed, BadRequest or a JournalError."""
        self._peers.remove(device, by)
        self.poke()
        return {"device": device}

    # The thread

    def _run(self) -> None:
        round_s = 0.0
        while True:
            with self._lock:
                self._lock.wait_for(
                    lambda: self._stopping or self._poked or self._inbox, max(0.0, round_s - time.monotonic())
                )
                if self._stopping:
                    return
                came = list(self._inbox)
                self._inbox.clear()
                due = self._poked or time.monotonic() >= round_s
                self._poked = False
            for data in came:
                self._guarded(lambda data=data: self.take(data))  # type: ignore[misc]  # bound now, called at once
            if due:
                self._trouble = self._guarded(self.round)
                round_s = time.monotonic() + ROUND_S
            self._around.wake()

    def round(self) -> None:
        """Show the card, compare what lies where with what may, and make what is missing.

        Raises a KioskError, VerifyError or EvidenceError; the next round tries again.
        """
        try:
            self._peers.hold_to_chain()
            self._show_card()  # first of all: a message by a key that the other has not seen is refused
        finally:  # and a card that cannot be made keeps no copy from ending
            self._compare()

    def _compare(self) -> None:
        if self._around.gallery.locked:
            self._sending.erase_removed()
            return  # nothing else can be read until a clear; the enclosure's own part says so
        people, unreadable = self._people()
        copies = [one for one in people.values() if one.received is not None]
        self._received = len(copies)
        try:
            self._copies.reconcile(copies, self._send, unreadable=unreadable)
        finally:  # what cannot be erased or signed here keeps no word to erase from going out
            self._sending.plan(people)

    def _show_card(self) -> None:
        """Show the card now and then, and at once where it is another one; tell again what peers have to know."""
        if not self.switched_on:
            return
        now_s, card = time.monotonic(), self._peers.card()
        every_s = CARD_EVERY_S if self.counts["cards"] else CARD_UNHEARD_S
        if card == self._shown and self._card_s is not None and now_s - self._card_s < every_s:
            return
        self._send(card)
        for answer in self._copies.farewells():
            self._send(answer)
        self._shown, self._card_s = card, now_s

    def _people(self) -> tuple[dict[str, GalleryWorker], bool]:
        """Everybody whose record can be read, and whether there is one that cannot."""
        found, unreadable = {}, False
        for worker in self._around.gallery.workers():
            try:
                held = self._around.gallery.get(worker)
            except GalleryTampered as error:  # whoever cannot be read is nobody: his copies elsewhere end
                log.error("record_unreadable", why=str(error))
                unreadable = True
                continue
            if held is not None:
                found[worker] = held
        return found, unreadable

    def take(self, data: bytes) -> None:
        """Judge one message now, on the thread of the exchange. Raises as `round`."""
        self._peers.hold_to_chain()
        kind = _kind(data)
        if kind == TRANSFER_KEY_TYPE:
            if self.switched_on:
                self._peers.take(data)
                self.counts["cards"] += 1
                self.poke()
            return
        if kind == TRANSFER_ANSWER_TYPE:
            answer = named_in(Envelope.decode(data))
            assert isinstance(answer, TransferAnswer)
            self.counts["answers"] += 1
            if self._sending.take_answer(data, answer.recipient):
                self.poke()
            return
        reply = self._receiving.take(data)
        if reply is not None:
            self._send(reply)

    def _send(self, data: bytes) -> None:
        with self._lock:
            self._outbox.append(data)
        self._around.wake()

    def _guarded(self, step: Callable[[], None]) -> str | None:
        """Take one step; whatever it raises is logged, and told as the trouble of a round."""
        try:
            step()
        except (KioskError, VerifyError, EvidenceError) as error:
            self.counts["errors"] += 1
            code = getattr(error, "code", "error")
            log.warning("transfer_step_failed", code=code, why=str(error))
            return f"{code}: {error}"
        except Exception as error:
            self.counts["errors"] += 1
            log.exception("transfer_step_failed")
            return f"error: {type(error).__name__} in the exchange of faces; see the terminal's log"
        return None


def _kind(data: bytes) -> str:
    try:
        return Envelope.decode(data).payload_type
    except EvidenceError:
        return ""  # refused, and signed, with what else nobody can believe
