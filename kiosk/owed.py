"""Signs what a change of the gallery owes to the chain, exactly once, whatever broke off in between.

The gallery keeps change and statements in one transaction; the journal keeps event and token in one. Between the two
the power may go: the next round finds the statements pending, cleans the file where that was not done, signs those
whose token the chain does not know yet, and forgets them.
"""

from __future__ import annotations

import threading
from dataclasses import dataclass, field

import structlog

from kiosk.journal import Journal
from kiosk.journal_author import Recorded
from kiosk.verify.gallery import Gallery

log = structlog.get_logger(__name__)


@dataclass(frozen=True, slots=True)
class Owed:
    """Whoever changes the gallery and wants to know what was signed holds `lock` over both."""

    gallery: Gallery
    journal: Journal
    lock: threading.RLock = field(default_factory=threading.RLock)

    def sign(self) -> list[Recorded]:
        """Sign everything pending, oldest first; return what was signed. Raises a GalleryError or a JournalError."""
        signed = []
        with self.lock:
            for one in self.gallery.pending():
                if not one.cleaned:
                    self.gallery.clean()  # nothing is called erased while a byte of it may lie in the file
                for place, statement in enumerate(one.statements):
                    recorded = self.journal.append_once(f"{one.id}:{place}", statement.kind, statement.body)
                    if recorded is not None:
                        log.info("owed_signed", kind=statement.kind, seq=recorded.seq)
                        signed.append(recorded)
                self.gallery.settle(one.id)
        return signed
