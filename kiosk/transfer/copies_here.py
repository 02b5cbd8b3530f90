"""The copies of other terminals' templates that lie on this one: what is over goes, and its sender learns of that."""

from __future__ import annotations

from collections.abc import Callable, Sequence

import structlog

from kiosk.erasure import CopyGone
from kiosk.errors import JournalError, KioskError
from kiosk.owed import Owed
from kiosk.transfer.answering import Answering
from kiosk.transfer.ending import NoClips, end_copy
from kiosk.transfer.staying_away import StayingAway
from kiosk.transfer.store import Store
from kiosk.verify.errors import GalleryError
from kiosk.verify.gallery import Gallery, GalleryWorker
from kiosk.verify.gallery_record import Received

_LEFT = "withdrawn: the copy was erased or replaced on this terminal"
_SENT_AWAY = "not_confirmed: nobody here exchanges faces with that terminal any more"

log = structlog.get_logger(__name__)


class CopiesHere:
    """One thread calls it. `no_clips(worker)` removes a worker's clips, and keeps none while the context lasts."""

    def __init__(
        self,
        store: Store,
        gallery: Gallery,
        owed: Owed,
        away: StayingAway,
        answering: Answering,
        *,
        now: Callable[[], str],
        no_clips: NoClips,
        switched_on: bool,
    ) -> None:
        self._store, self._gallery, self._owed = store, gallery, owed
        self._away, self._answering = away, answering
        self._now, self._no_clips, self._switched_on = now, no_clips, switched_on

    def reconcile(
        self, copies: Sequence[GalleryWorker], tell: Callable[[bytes], None], *, unreadable: bool = False
    ) -> None:
        """End what is over: leases, copies of terminals that are no peers. `copies`: what lies here of others.

        `unreadable`: a record is among those here that cannot be read, and may be a copy; nothing is called gone then.
        `tell` is given answers for senders whose copies went without their wish, erased or replaced here. Raises a
        GalleryError, JournalError, IdentityError or TransferFailed, after everything that could be done.
        """
        now = self._now()
        here = set()
        trouble: GalleryError | KioskError | None = None
        for held in copies:
            assert held.received is not None
            reason = self._why_over(held.received, now)
            if reason is not None:
                try:
                    self.drop(held, reason)
                    continue
                except (GalleryError, KioskError) as error:  # the others must not wait for it
                    log.error("copy_not_ended", code=error.code, why=str(error))
                    trouble = error
            here.add(held.received.copy_id)
        self._store.prune(now)
        self._owed.sign()  # nobody is told of an erasure before it is signed
        if not unreadable:
            self._away.settle(here)
            for one in self._store.answered("held"):
                if one.copy_id not in here:
                    reason_told = _LEFT if self._away.wished(one.copy_id) else _SENT_AWAY
                    tell(self._answering.gone_unasked(one, reason_told))
        if trouble is not None:
            raise trouble

    def farewells(self) -> list[bytes]:
        """Answers by which senders learn that a copy is gone without their wish; sent again with every connection."""
        return [one.envelope for one in self._store.answered("left")]

    def drop(self, held: GalleryWorker, reason: CopyGone) -> None:
        """Erase a copy first, then sign that, now or as soon as the journal takes it. Raises a GalleryError."""
        assert held.received is not None
        if end_copy(self._gallery, self._owed, self._no_clips, held, reason):
            self._away.ended(held.received.copy_id)
        try:
            self._owed.sign()
        except JournalError as error:
            log.warning("erasure_not_signed_yet", code=error.code, why=str(error))

    def _why_over(self, received: Received, now: str) -> CopyGone | None:
        peer = self._store.peer(received.sender)
        if not self._switched_on or peer is None or peer.state != "confirmed":
            return "peer_removed"
        return "expired" if received.until <= now else None
