"""Which copies were taken here, and which of them went by a wish that was said here: those stay away, for good.

The journal forgets after its retention period, or is set aside; this does not. A consent is known by its enrolment, or
by the terminal and the moment at which it was given: what is compared are times of one clock, the sender's.
"""

from __future__ import annotations

from collections.abc import Callable, Collection

from evidence.envelope import Envelope
from evidence.events import Kind, WorkerErasedBody, parse_body, parse_event
from kiosk.journal import Journal
from kiosk.transfer.store import Store

_BY_ITSELF = ("expired", "peer_removed")  # reasons that are no worker's wish
_MOST_ERASED = 100_000  # events looked through for how a copy ended


class StayingAway:
    """`sign` signs what the gallery owes. Every method raises TransferFailed."""

    def __init__(self, store: Store, journal: Journal, sign: Callable[[], object]) -> None:
        self._store, self._journal, self._sign = store, journal, sign

    def took(self, copy_id: str, sender: str, enrolment: str, consented: str) -> None:
        """A copy lies here now, under the consent of that time; how one of the same id ended before is over."""
        head = self._journal.head
        row = (copy_id, sender, enrolment, consented, head.chain, head.seq)
        with self._store.writing() as database:
            database.execute("INSERT OR REPLACE INTO taken VALUES (?, ?, ?, ?, ?, ?)", row)
            database.execute("UPDATE withdrawn SET copy_id = NULL WHERE copy_id = ?", (copy_id,))

    def ended(self, copy_id: str) -> None:
        """It went otherwise than by a wish that was said here."""
        with self._store.writing() as database:
            database.execute("DELETE FROM taken WHERE copy_id = ?", (copy_id,))

    def settle(self, here: Collection[str]) -> None:
        """Note which copies have gone from here by a wish. `here`: ids of all that lie here. Raises a JournalError."""
        self._note([row[0] for row in self._store.rows("SELECT copy_id FROM taken") if row[0] not in here])

    def refuses(self, sender: str, enrolment: str, consented: str, lying: str | None) -> bool:
        """Say whether the worker has taken back here what he agreed to at that time at the sender's, or earlier.

        `lying`: id of the worker's copy that lies here. Raises a JournalError.
        """
        query = "SELECT copy_id FROM taken WHERE device = ? AND enrolment = ?"
        self._note([row[0] for row in self._store.rows(query, sender, enrolment) if row[0] != lying])
        query = """
            SELECT 1 FROM withdrawn
            WHERE device = ? AND ((enrolment = ? AND consented >= ?) OR consented = ?)
        """
        return bool(self._store.rows(query, sender, enrolment, consented, consented))

    def wished(self, copy_id: str) -> bool:
        """Say whether a copy last went by a wish that was said here."""
        return bool(self._store.rows("SELECT 1 FROM withdrawn WHERE copy_id = ?", copy_id))

    def agreed_anew(self, sender: str, enrolment: str, consented: str) -> bool:
        """Say whether that consent was given after the last one of this enrolment was taken back here."""
        query = "SELECT max(consented) FROM withdrawn WHERE device = ? AND enrolment = ?"
        ((last,),) = self._store.rows(query, sender, enrolment)
        return last is not None and last < consented

    def _note(self, gone: list[str]) -> None:
        if not gone:
            return
        self._sign()  # how a copy ended may be waiting for its signature
        by_itself = self._ended_by_itself(set(gone))
        with self._store.writing() as database:
            for copy_id in gone:
                if copy_id not in by_itself:
                    database.execute(
                        "INSERT OR REPLACE INTO withdrawn "
                        "SELECT copy_id, device, enrolment, consented FROM taken WHERE copy_id = ?",
                        (copy_id,),
                    )
                database.execute("DELETE FROM taken WHERE copy_id = ?", (copy_id,))

    def _ended_by_itself(self, copies: set[str]) -> set[str]:
        """Which of these copies this terminal has erased because they were over, or their sender no peer any more.

        Only the newest word since a copy was last taken counts: it may have ended before, and come back.
        """
        rows = self._store.rows("SELECT copy_id, chain, seq FROM taken")
        taken = {copy_id: (chain, seq) for copy_id, chain, seq in rows if copy_id in copies}
        found: set[str] = set()
        for data in self._journal.newest([Kind.WORKER_ERASED], _MOST_ERASED):
            event = parse_event(Envelope.decode(data).payload)
            body = parse_body(event)
            if not isinstance(body, WorkerErasedBody) or body.enrolment is None or body.enrolment not in taken:
                continue
            chain, seq = taken.pop(body.enrolment)
            if body.reason in _BY_ITSELF and (event.chain != chain or event.seq > seq):
                found.add(body.enrolment)
        return found
