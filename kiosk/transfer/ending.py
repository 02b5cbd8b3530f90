"""The end of a copy on the terminal where it lies: erased at once, signed as soon as that can be.

Leases end here by the terminal's own housekeeping, whatever becomes of the exchange; where nothing is exchanged, or the
file of exchanges cannot be used, no copy stays at all: nobody could say any more that it has to go.
"""

from __future__ import annotations

import sys
from collections.abc import Callable
from contextlib import AbstractContextManager, nullcontext

import structlog

from kiosk.clock import Stamp
from kiosk.erasure import CopyGone, copy_gone
from kiosk.errors import KioskError
from kiosk.owed import Owed
from kiosk.verify.errors import GalleryError
from kiosk.verify.gallery import Gallery, GalleryWorker

LOOK_EVERY_US = 60_000_000  # a copy that is overdue is compared with nobody before that: Gallery.tell_time

log = structlog.get_logger(__name__)

NoClips = Callable[[str], AbstractContextManager[None]]  # removes a worker's clips and keeps none meanwhile


def end_copy(gallery: Gallery, owed: Owed, no_clips: NoClips, held: GalleryWorker, reason: CopyGone) -> bool:
    """Erase a copy, and keep what has to be signed for that. Say whether it was still there; another one stays.

    Raises a GalleryError or a ClipError.
    """
    assert held.received is not None
    with nullcontext() if held.has_pin else no_clips(held.worker), owed.lock:
        lying = gallery.get(held.worker)
        if lying is None or lying.received is None or lying.received.copy_id != held.received.copy_id:
            return False
        return gallery.drop_copy(held.worker, copy_gone(lying, reason))


class Leases:
    """Ends what is overdue. `exchanging`: there is an exchange, which knows the senders. One thread calls `look`."""

    def __init__(self, gallery: Gallery, owed: Owed, no_clips: NoClips, *, exchanging: bool) -> None:
        self._gallery, self._owed, self._no_clips, self._exchanging = gallery, owed, no_clips, exchanging
        self._next_us = 0

    def look(self, now: Stamp) -> None:
        """Tell the gallery what time it is; once a minute erase what is overdue. Raises GalleryUnreadable."""
        self._gallery.tell_time(now.time)
        if self._gallery.locked or now.mono_us < self._next_us:
            return
        self._next_us = now.mono_us + LOOK_EVERY_US
        over, all_read = self._over(now.time)
        if not over and all_read and not self._exchanging:
            self._next_us = sys.maxsize  # nothing lies here, and nothing can come
        for held, reason in over:
            try:
                end_copy(self._gallery, self._owed, self._no_clips, held, reason)
            except (GalleryError, KioskError) as error:  # the others must not wait for it; the next look tries again
                log.error("copy_not_ended", code=error.code, why=str(error))

    def _over(self, now: str) -> tuple[list[tuple[GalleryWorker, CopyGone]], bool]:
        """What has to go, and whether every record could be read."""
        over: list[tuple[GalleryWorker, CopyGone]] = []
        all_read = True
        for worker in self._gallery.workers():
            try:
                held = self._gallery.get(worker)
            except GalleryError as error:
                log.error("record_unreadable", why=str(error))
                all_read = False
                continue
            if held is None or held.received is None:
                continue
            if held.received.until <= now:
                over.append((held, "expired"))
            elif not self._exchanging:
                over.append((held, "peer_removed"))
        return over, all_read
