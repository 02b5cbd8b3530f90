"""The model's centre: two collectors on one database, which take turns, die and lose their receipts."""

from __future__ import annotations

import functools
import gc
import shutil
import tempfile
from collections.abc import Sequence
from contextlib import suppress
from datetime import timedelta
from hashlib import sha256
from pathlib import Path
from typing import NamedTuple

from sqlmodel import select

import collector
from collector.devices.service import NewDevice
from collector.errors import Conflict, NotFound
from collector.identity import load_or_create_keys
from collector.ingest.deliveries import Deliveries
from collector.ingest.gaps import Gaps
from collector.ingest.intake import Intake, Limits
from collector.ingest.message import Answer, Message
from collector.ingest.models import DeadLetter, StagedEvent
from collector.ingest.opening import Opened
from collector.ingest.staging import Staging
from collector.ledger.fsck import check_ledger
from collector.ledger.models import Chain, ChainState, LedgerEntry
from collector.services import build_services, open_database
from collector.settings import load_settings
from collector.sites.service import NewSite
from collector.statements.scribe import Scribe
from collector.timestamps import utc_now
from evidence.envelope import GAP_REQUEST_TYPE, Envelope
from evidence.gap import GapRequest, sign_gap_request
from evidence.keys import PublicKey
from evidence.receipt import read_receipt
from tests.delivery.model.killing import Killed, killed_at

DEVICE, SITE = "gate-1", "east"
TOPIC = f"zaigang/v1/{SITE}/{DEVICE}/event"
STAGED = 6  # few, so that staging overflows where several chains wait


class Entry(NamedTuple):
    """One event of the terminal in the ledger."""

    hash: str
    leaf: int
    after_revocation: bool


class Process:
    """One collector: what it has taken from the broker and not admitted is lost with it."""

    def __init__(self, centre: Centre) -> None:
        self.intake = Intake(
            centre.database,
            centre.keys.receipt,
            centre.keys.seal,
            Limits(staged_per_device=STAGED),
            scribe=Scribe(centre.keys),
        )
        at_once = timedelta(0)
        self.gaps = Gaps(centre.database, centre.keys.receipt, ask_after=at_once, show_after=at_once, ask_every_s=0)
        self.inbox: list[Opened] = []


class Centre:
    """Two collectors and what an administrator does; `folder` is theirs."""

    def __init__(self, folder: Path, key: PublicKey) -> None:
        shutil.copytree(_template().name, folder)
        settings = load_settings(data=folder)
        self.keys = load_or_create_keys(settings.keys_path)
        self.database = open_database(settings)
        self.scribe = Scribe(self.keys)
        self.services = build_services(settings, self.database, self.keys, self.scribe)
        self.services.devices.add(NewDevice(name=DEVICE, site=SITE, key=key.text()))
        self.processes = [Process(self), Process(self)]
        self.approved: set[str] = set()
        self.revoked_from: int | None = None
        self.declared: set[tuple[str, int]] = set()

    # --- the way in

    def take(self, which: int, messages: Sequence[bytes]) -> None:
        """A collector gets messages from the broker and opens them; admitting comes later."""
        process = self.processes[which]
        process.inbox += process.intake.open([Message(TOPIC, one, utc_now()) for one in messages])

    def admit(self, which: int, count: int) -> list[bytes]:
        """A collector admits the first of what it has; return the receipts."""
        process = self.processes[which]
        batch = process.inbox[:count]
        answers = process.intake.admit_opened(batch)
        del process.inbox[:count]
        answers += process.intake.admit_ready()
        with self.database.read() as session:
            assert not Staging(session, STAGED).ready(), "something waits although its turn has come"
        self._require_evidence(batch)
        return self._believed(answers)

    def die(self, which: int, line: int) -> list[bytes]:
        """A collector is killed at a line of what it does with a batch; return what the broker deals out again."""
        with suppress(Killed), killed_at(line, collector):
            self.admit(which, 1000)
        if self.database._one_writer.locked():  # killed on the way out of a `with`: what is open dies with the process
            gc.collect()
        left = [one.message.payload for one in self.processes[which].inbox]
        self.processes[which] = Process(self)
        return left

    def deliver(self, which: int, lines: Sequence[bytes]) -> list[bytes]:
        """A file from a stick, or a batch over HTTPS; return the receipts."""
        done = Deliveries(self.processes[which].intake).take(lines, "stick")
        return self._believed(list(done.receipts.values()))

    def questions(self, which: int) -> list[bytes]:
        """Return the gap requests of a collector."""
        return [one.payload for one in self.processes[which].gaps.due()]

    def question(self, chain: str, first: int, last: int) -> bytes:
        """Ask for any events."""
        request = GapRequest(device=DEVICE, chain=chain, first=first, last=last, time=utc_now())
        return sign_gap_request(request, self.keys.receipt)

    # --- the administrator

    def approve(self) -> bool:
        """Let every waiting chain in."""
        try:
            self.approved |= set(self.services.devices.approve(DEVICE, None, "model"))
        except (NotFound, Conflict):
            return False
        return True

    def revoke(self) -> None:
        """The terminal is trusted no more."""
        if self.revoked_from is None:
            self.revoked_from = self.services.ledger.size()
            self.services.devices.revoke(DEVICE)

    def declare(self, lost: set[tuple[str, int]]) -> bool:
        """Give up the gaps that consist of lost events."""
        done = False
        for gap in self.processes[0].gaps.shown():
            places = {(gap.chain, seq) for seq in range(gap.first, gap.last + 1)}
            if places <= lost:
                with suppress(NotFound, Conflict):
                    self.services.statements.declare_gap(DEVICE, gap.chain, gap.last, "lost", None)
                    self.declared |= places
                    done = True
        return done

    # --- what is there

    def ledger(self) -> dict[tuple[str, int], Entry]:
        """Return the terminal's entries by place."""
        columns = (LedgerEntry.chain, LedgerEntry.seq, LedgerEntry.hash)
        more = (LedgerEntry.leaf_index, LedgerEntry.after_revocation)
        with self.database.read() as session:
            rows = session.exec(select(*columns, *more).where(LedgerEntry.device == DEVICE)).all()  # type: ignore[call-overload]
        held = {(chain, seq): Entry(digest, leaf, after) for chain, seq, digest, leaf, after in rows}
        assert len(held) == len({one.hash for one in held.values()}) == len(rows), "something is there twice"
        return held

    def evidence(self) -> dict[str, tuple[str, int]]:
        """Return what was kept as contradicting: hash to place."""
        return {one.offered_hash: (one.chain, one.seq) for one in self.services.ledger.equivocations(DEVICE)}

    def states(self) -> dict[str, ChainState]:
        """Return the state of every chain that has begun."""
        with self.database.read() as session:
            return {one.chain: ChainState(one.state) for one in session.exec(select(Chain))}

    def staging_is_full(self) -> bool:
        """Whether what comes early is refused by now."""
        with self.database.read() as session:
            return len(session.exec(select(StagedEvent.seq)).all()) >= STAGED

    def is_open(self, chain: str) -> bool:
        """Whether a chain takes events in."""
        return self.states().get(chain) == ChainState.OPEN

    def difference(self) -> object:
        """Return what fsck finds."""
        return check_ledger(self.database, self.keys.seal, self.services.checkpoints.signer.public).difference

    def close(self) -> None:
        """Close the database."""
        self.database.close()

    def _require_evidence(self, batch: Sequence[Opened]) -> None:
        """What came for a place that another event has is kept as evidence, or at least as a dead letter."""
        held, kept = self.ledger(), self.evidence()
        with self.database.read() as session:
            letters = set(session.exec(select(DeadLetter.sha256)).all())
        for one in batch:
            there = None if one.event is None else held.get((one.event.chain, one.event.seq))
            if there is not None and there.hash != one.hash:
                assert one.hash in kept or sha256(one.message.payload).hexdigest() in letters, (
                    f"{one.hash} left no trace"
                )

    def _believed(self, answers: Sequence[Answer]) -> list[bytes]:
        """Hold every receipt against the ledger before it leaves."""
        if answers:
            held = self.ledger()
            for one in answers:
                require_covered(one.payload, self.keys.receipt.public, held, self.declared)
        return [one.payload for one in answers]


def require_covered(
    payload: bytes, key: PublicKey, held: dict[tuple[str, int], Entry], declared: set[tuple[str, int]]
) -> None:
    """A receipt covers only what the ledger has, or what was given up."""
    if Envelope.decode(payload).payload_type == GAP_REQUEST_TYPE:
        return
    one = read_receipt(payload, key, DEVICE)
    places = {(one.chain, seq) for seq in range(one.upto + 1)} - declared
    assert places <= set(held), f"a receipt up to {one.upto} covers {sorted(places - set(held))}"
    assert (one.chain, one.upto) in declared or held[one.chain, one.upto].hash == one.head


@functools.cache
def _template() -> tempfile.TemporaryDirectory[str]:
    """A collector's folder with keys, tables and a site, made once and removed at the end of the process."""
    folder = tempfile.TemporaryDirectory(prefix="zaigang-model-template-")
    settings = load_settings(data=Path(folder.name))
    keys = load_or_create_keys(settings.keys_path)
    database = open_database(settings)
    services = build_services(settings, database, keys, Scribe(keys))
    services.sites.add(NewSite(name=SITE, title="East", tz="UTC"))
    database.close()
    return folder
