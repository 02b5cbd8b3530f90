"""Batches of events over HTTPS to the collector itself, for a time without a broker.

What is posted is signed by the terminal's own key; whoever answers is known by the pin from joining. What comes back is
what the broker would bring, and nothing of it is believed here: receipts, questions, handovers and commands are judged
where those from the broker are.
"""

from __future__ import annotations

import functools
import secrets
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path

from pydantic import BaseModel, ConfigDict, ValidationError

from evidence.delivery import MAX_ROTATIONS, write_batch
from evidence.envelope import Envelope
from evidence.errors import EvidenceError
from evidence.events import Kind, parse_event
from evidence.gap import GapRequest
from evidence.keys import SigningKey
from evidence.status import Health
from kiosk.errors import CollectorRefused
from kiosk.joined import Joined
from kiosk.journal import Journal
from kiosk.pinned_https import PinnedServer

PATH = "/api/v1/terminals/events"
BATCH_EVENTS = 200
BATCH_BYTES = 512 << 10  # half of what the collector takes, and of what a reverse proxy lets through by default
MAX_ANSWER_BYTES = 4 << 20  # sixteen commands and a checkpoint at their largest


class Answer(BaseModel):
    """The collector's answer as it came, unsigned as a whole: only what each message is signed for counts."""

    model_config = ConfigDict(frozen=True, extra="ignore")

    outcomes: dict[str, int] = {}
    refusals: dict[str, int] = {}
    messages: tuple[str, ...] = ()  # as on …/receipt
    commands: tuple[str, ...] = ()  # as on …/command


@dataclass(frozen=True, slots=True)
class Outgoing:
    """Events to send now, and how far they go: the highest seq by earlier chain."""

    events: tuple[bytes, ...]
    old: dict[str, int]


class HttpsDelivery:
    """Posts one terminal's batches. One thread calls it."""

    def __init__(
        self, joined: Joined, folder: Path, key: SigningKey, journal: Journal, *, clock_known: Callable[[], bool]
    ) -> None:
        """`folder`: the data folder. `clock_known`: whether this machine knows what day it is."""
        self._joined, self._folder, self._key, self._journal = joined, folder, key, journal
        self._clock_known = clock_known
        self._earlier: dict[str, tuple[bytes, ...]] = {}  # rotations by earlier chain

    def gather(self, asked: Sequence[GapRequest]) -> Outgoing:
        """Put the next batch together: what was asked for, then earlier chains, then this one, from the first without
        a receipt. Raises a JournalError.

        All that is old gets half the room, in equal parts: an earlier chain may never have a receipt again, and must
        not keep the others and this one waiting.
        """
        journal, room = self._journal, _Room()
        wanted = [one for one in asked if one.chain == journal.head.chain]
        chains = journal.leftover_chains()
        share = 1 / (2 * max(1, len(wanted) + len(chains)))
        for one in wanted:
            room.fill(functools.partial(_range, journal, one), one.first - 1, share)
        old = {}
        for chain in chains:
            last = room.fill(functools.partial(journal.leftovers, chain), -1, share)
            if last >= 0:
                old[chain] = last
        room.fill(journal.unsent, -1)
        return Outgoing(tuple(room.taken), old)

    def post(self, events: Sequence[bytes], health: Health | None) -> Answer:
        """Post a batch, an empty one to ask what there is to hear. Raises a ProvisioningError, an IdentityError or a
        JournalError.
        """
        joined = self._joined
        server = PinnedServer(
            joined.collector_url,
            joined.collector_pin,
            authority=joined.authority(self._folder),
            check_dates=self._clock_known(),
        )
        nonce = secrets.token_hex(16)
        data = write_batch(
            joined.device, joined.site, nonce, events, self._key, rotations=self._rotations(), health=health
        )
        body = server.post(PATH, data, content_type="text/plain", at_most=MAX_ANSWER_BYTES)
        try:
            return Answer.model_validate_json(body)
        except ValidationError as error:
            raise CollectorRefused("the collector's answer cannot be read; is it of another version?") from error

    def _rotations(self) -> list[bytes]:
        """Return the rotations that the collector may not have, oldest first: it knows no key since."""
        found = []
        for data in self._journal.newest((Kind.DEVICE_KEY_ROTATED,), MAX_ROTATIONS):
            if parse_event(Envelope.decode(data).payload).seq <= self._journal.released:
                break
            found.append(data)
        return [*self._rotations_before(), *found[::-1]][:MAX_ROTATIONS]

    def _rotations_before(self) -> list[bytes]:
        """Return those of earlier chains that wait. Each is read through once: what was set aside only shrinks."""
        chains = self._journal.leftover_chains()
        known = self._earlier
        self._earlier = {chain: known[chain] if chain in known else self._rotations_of(chain) for chain in chains}
        return [data for chain in chains for data in self._earlier[chain]]

    def _rotations_of(self, chain: str) -> tuple[bytes, ...]:
        found: list[bytes] = []
        rows = self._journal.leftovers(chain, -1, BATCH_EVENTS)
        while rows:
            found += [data for _, data in rows if data.count(b'"keyid"') == 2 and _rotates(data)]
            rows = self._journal.leftovers(chain, rows[-1][0], BATCH_EVENTS)
        return tuple(found)


class _Room:
    """What a batch has room for."""

    def __init__(self) -> None:
        self.taken: list[bytes] = []
        self._bytes = 0

    def fill(self, rows_after: Callable[[int, int], list[tuple[int, bytes]]], after: int, share: float = 1.0) -> int:
        """Take rows beyond seq `after` in order, as many as there is room for; return the last one's seq, or -1.

        `share`: of the whole room, for these rows; one is taken however large it is, where the batch has room.
        """
        last = -1
        most = min(BATCH_EVENTS, len(self.taken) + max(1, int(share * BATCH_EVENTS)))
        most_bytes = min(BATCH_BYTES, self._bytes + int(share * BATCH_BYTES))
        while len(self.taken) < most:
            rows = rows_after(after, min(16, most - len(self.taken)))
            for seq, envelope in rows:
                bound = BATCH_BYTES if last < 0 else most_bytes
                if self.taken and self._bytes + len(envelope) > bound:
                    return last
                self.taken.append(envelope)
                self._bytes += len(envelope)
                last = after = seq
            if not rows:
                break
        return last


def _rotates(data: bytes) -> bool:
    try:
        return parse_event(Envelope.decode(data).payload).kind == Kind.DEVICE_KEY_ROTATED
    except EvidenceError:
        return False


def _range(journal: Journal, asked: GapRequest, after: int, limit: int) -> list[tuple[int, bytes]]:
    return journal.range(after + 1, asked.last, limit)
