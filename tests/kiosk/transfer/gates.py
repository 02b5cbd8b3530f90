"""Terminals of one site without camera or screen: real journal, gallery, keys, exchange; joined by hand or a broker."""

from __future__ import annotations

import secrets
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from evidence.envelope import Envelope
from evidence.events import Event, Kind, WorkerEnrolledBody, parse_event
from evidence.transfer import PeerCard, Transfer, named_in
from kiosk.clock import Stamp, SystemClock, format_time, parse_time
from kiosk.erasure import ErasureDesk
from kiosk.journal import Journal
from kiosk.owed import Owed
from kiosk.terminal_key import TerminalKey
from kiosk.transfer.exchange import Around, Exchange
from kiosk.transfer.store import Store
from kiosk.uplink import Uplink
from kiosk.verify.gallery import Gallery, Template
from kiosk.verify.gallery_record import Agreement, Statement
from kiosk.verify.matcher import Likeness, MatchLimits, verify

MODEL = "dlib-resnet-v1/0123456789ab/mp5.1"
SITE = "east"


class MovingClock(SystemClock):
    """The system's clock, moved by some days."""

    days = 0.0

    def stamp(self) -> Stamp:
        now = super().stamp()
        return replace(now, time=format_time(parse_time(now.time) + int(self.days * 86_400_000_000_000)))


@dataclass
class Faces:
    """Compares as the terminal's face path does, without its models."""

    model_id: str = MODEL

    def same_person(self, vector: NDArray[np.float32], others: Sequence[NDArray[np.float32]]) -> bool:
        template = Template("", "", self.model_id, np.stack(others))
        return verify(vector, template, MatchLimits()).likeness is Likeness.NEAR


def face(seed: int = 1) -> list[NDArray[np.float32]]:
    """A template of five frames, as far from another seed's as two people are."""
    random = np.random.default_rng(seed)
    middle = random.normal(size=128)
    middle /= np.linalg.norm(middle)
    return [(middle + random.normal(size=128) * 0.005).astype(np.float32) for _ in range(5)]


class Gate:
    """One terminal."""

    def __init__(self, folder: Path, device: str, *, on: bool = True) -> None:
        self.folder, self.device = folder / device, device
        self.folder.mkdir(parents=True, exist_ok=True)
        self.clock = MovingClock()
        self.faces: Faces | None = Faces()
        self.uplink: Uplink | None = None
        self.clips_erased: list[str] = []
        self.key = TerminalKey(self.folder / "terminal.pem")
        self.journal = Journal(self.folder / "journal.db", self.key, device, SITE, "UTC", self.clock)
        self.gallery = Gallery(self.folder / "gallery.db", bytes(32))
        self.owed = Owed(self.gallery, self.journal)
        self.desk = ErasureDesk(self.gallery, self.owed, self.now, "zh")
        self.open(on=on)

    def open(self, *, on: bool = True) -> None:
        """Make the exchange, as at a start of the terminal."""
        self.store = Store(self.folder / "transfers.db")
        around = Around(
            device=self.device,
            site=SITE,
            folder=self.folder,
            journal=self.journal,
            gallery=self.gallery,
            owed=self.owed,
            key=self.key,
            tpm=None,
            now=self.now,
            face=lambda: self.faces,
            wake=self.wake,
            no_clips=self._no_clips,
        )
        self.exchange = Exchange(around, self.store, switched_on=on)

    @contextmanager
    def _no_clips(self, worker: str) -> Iterator[None]:
        self.clips_erased.append(worker)
        yield

    def now(self) -> str:
        return self.clock.stamp().time

    def wake(self) -> None:
        if self.uplink is not None:
            self.uplink.wake()

    def close(self) -> None:
        self.exchange.stop()
        self.gallery.close()
        self.journal.close()

    def quietly(self, data: bytes) -> None:
        """Judge a message as the thread does: what cannot be believed is counted, and the next one comes."""
        self.exchange._guarded(lambda: self.exchange.take(data))

    @property
    def fingerprint(self) -> str:
        return self.key.public.fingerprint

    def enrol(self, worker: str = "E-17", *, seed: int = 1, transfer: bool = True, pin: str | None = "4711") -> str:
        """Enrol a face here, as EnrolmentDesk leaves it; return the id of the authorisation."""
        enrolment = secrets.token_hex(16)
        body = WorkerEnrolledBody(
            worker=worker,
            model=MODEL,
            frames=5,
            authorised_by="boss",
            authorisation=enrolment,
            template="cd" * 32,
        )
        self.gallery.enrol(
            worker,
            "Wang Fang",
            MODEL,
            face(seed),
            pin,
            enrolment=enrolment,
            commitment="cd" * 32,
            consent=Agreement("face", "v3", "zh", self.now()),
            owed=[Statement(Kind.WORKER_ENROLLED, body.model_dump(mode="json"))],
        )
        self.owed.sign()
        if transfer:
            self.desk.agree(worker, "transfer", "t1", "zh")
        self.exchange.poke()
        return enrolment

    def holds(self, worker: str = "E-17") -> bool:
        """Whether a face of this worker can be compared here."""
        return self.gallery.template(worker, MODEL) is not None

    def events(self, *kinds: str) -> list[Event]:
        """What this terminal has signed of these kinds, in order."""
        rows = [data for _, data in self.journal.range(0, 10_000, 10_000)]
        return [event for event in map(_parsed, rows) if event.kind in kinds]

    def bodies(self, kind: str) -> list[dict[str, object]]:
        return [event.body for event in self.events(kind)]


def _parsed(data: bytes) -> Event:
    return parse_event(Envelope.decode(data).payload)


@dataclass
class Wire:
    """Carries messages between gates as the collector does, and keeps what it carried: an eavesdropper's notes."""

    gates: dict[str, Gate]

    def __post_init__(self) -> None:
        self.seen: list[bytes] = []

    def carry(self, *, without: Sequence[str] = (), rounds: int = 6) -> None:
        """Let every gate look round, and bring to each what the others have for it, until nothing more moves."""
        for _ in range(rounds):
            moved = 0
            for name, gate in self.gates.items():
                if name in without:
                    continue
                gate.exchange.round()
                for data in gate.exchange.outbox(1000):
                    self.seen.append(data)
                    for other, peer in self.gates.items():
                        if other != name and other not in without and for_(data, other):
                            peer.quietly(data)
                            moved += 1
                gate.exchange._sending.again()
            if not moved:
                return

    def meet(self) -> None:
        """Every gate has a new connection: all show their cards."""
        for gate in self.gates.values():
            gate.exchange.greeted()
        self.carry()

    def introduce(self) -> None:
        """Everybody at every gate compares the fingerprints of the others, which he read off them."""
        self.meet()
        for one in self.gates.values():
            for other in self.gates.values():
                if one is not other:
                    one.exchange.confirm(other.device, other.fingerprint, "Li")


def for_(data: bytes, device: str) -> bool:
    """Whether a message is meant for this terminal."""
    named = named_in(Envelope.decode(data))
    if isinstance(named, PeerCard):
        return named.device != device
    return (named.recipient if isinstance(named, Transfer) else named.sender) == device
