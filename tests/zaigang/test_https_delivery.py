"""A joined terminal without a broker: real journal, real HTTPS, a real collector; what arrives, and what is believed."""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

import pytest

from collector.app import Collector
from collector.ingest.terminal_deliveries import Brought, TerminalDeliveries
from collector.ledger.fsck import check_ledger
from collector.settings import load_settings
from evidence.chain import verify_chain
from evidence.delivery import write_batch
from evidence.keys import Ed25519Key
from evidence.receipt import Receipt, sign_receipt
from kiosk.clock import SystemClock
from kiosk.errors import CollectorRefused
from kiosk.flow import Backoff, OtherWay
from kiosk.https_delivery import PATH, HttpsDelivery
from kiosk.joined import joined_of
from kiosk.journal import Journal
from kiosk.pinned_https import PinnedServer
from kiosk.settings import KioskSettings
from kiosk.terminal_key import TerminalKey
from kiosk.uplink import Uplink
from tests.support.mosquitto import Mosquitto
from tests.support.ports import free_port
from tests.support.waiting import until
from tests.zaigang.joining import Centre
from tests.zaigang.test_joining import joined

CLOCK = SystemClock()


@pytest.fixture
def centre(tmp_path: Path) -> Iterator[Centre]:
    one = Centre(tmp_path / "collector", broker_port=free_port())
    yield one
    one.close()


@dataclass
class Gate:
    """A terminal that has joined; `start` and `stop` as often as one likes."""

    folder: Path
    broker: tuple[str, ...] = ()
    after_s: float = 0.0
    uplink: Uplink | None = None
    commands: list[bytes] = field(default_factory=list)

    def __post_init__(self) -> None:
        (self.folder / "kiosk.toml").write_text(f'data_dir = "{self.folder}"\n')
        found = KioskSettings.load(self.folder / "kiosk.toml")
        self.settings = KioskSettings.model_validate(found.model_dump() | {"broker": self.broker})
        self.key = TerminalKey(self.settings.key_file)
        self.journal = self._open()

    def _open(self) -> Journal:
        return Journal(self.settings.journal_file, self.key, self.settings.device, self.settings.site, "UTC", CLOCK)

    def reopen(self) -> None:
        """As after a restart."""
        self.stop()
        self.journal.close()
        self.journal = self._open()

    def append(self, count: int, body: dict[str, Any] | None = None) -> None:
        for _ in range(count):
            self.journal.append("test.noted", body or {})
        if self.uplink is not None:
            self.uplink.wake()

    @property
    def delivery(self) -> HttpsDelivery:
        member = joined_of(self.settings)
        assert member is not None
        return HttpsDelivery(member, self.folder, self.key, self.journal, clock_known=lambda: True)

    def start(self) -> Uplink:
        self.uplink = Uplink(
            self.journal,
            self.settings,
            CLOCK,
            backoff=Backoff(0.05, 0.2),
            on_command=self.commands.append,
            https=self.delivery,
            other_way=OtherWay(self.after_s, Backoff(0.05, 0.2), ask_every_s=0.2),
        )
        self.uplink.start()
        return self.uplink

    def stop(self) -> None:
        if self.uplink is not None:
            self.uplink.stop(30)
            self.uplink = None

    def reason(self) -> str:
        return self.uplink.state.reason if self.uplink is not None else ""


@pytest.fixture
def gate(centre: Centre, tmp_path: Path) -> Iterator[Callable[..., Gate]]:
    made: list[Gate] = []

    def make(**changes: Any) -> Gate:
        if not (tmp_path / "terminal" / "joined.toml").exists():
            with centre.serving():
                joined(centre, tmp_path / "terminal")
        made.append(Gate(tmp_path / "terminal", **changes))
        return made[-1]

    yield make
    for one in made:
        one.stop()
        one.journal.close()


def nobody() -> str:
    """A broker's address at which nobody listens."""
    return f"mqtt://127.0.0.1:{free_port()}"


def held(centre: Centre, gate: Gate) -> list[bytes]:
    """The chain as the collector holds it, whole and without a difference."""
    envelopes = list(centre.services.ledger.envelopes("gate-1", gate.journal.head.chain))
    if envelopes:
        assert verify_chain(envelopes, {"gate-1": gate.key.public}).ok
    assert check_ledger(centre.database, centre.keys.seal, centre.services.checkpoints.signer.public).difference is None
    return envelopes


def all_of(gate: Gate) -> list[bytes]:
    return [envelope for _, envelope in gate.journal.range(0, gate.journal.head.seq, 10_000)]


@dataclass
class Between:
    """Stands before the collector's own service and changes what it is told to."""

    real: TerminalDeliveries
    change: Callable[[Brought], Brought] = lambda brought: brought
    taken: list[bytes] = field(default_factory=list)

    @classmethod
    def of(cls, centre: Centre, change: Callable[[Brought], Brought] = lambda brought: brought) -> Between:
        one = cls(centre.services.terminal_deliveries, change)
        object.__setattr__(centre.services, "terminal_deliveries", one)
        return one

    def take(self, data: bytes) -> Brought:
        self.taken.append(data)
        return self.change(self.real.take(data))


# --- the way


@pytest.mark.parametrize("broker", [(), ("nobody",)], ids=["no broker is set", "no broker answers"])
def test_without_a_broker_every_event_arrives_once_and_is_let_go_by_a_receipt(
    centre: Centre, gate: Callable[..., Gate], broker: tuple[str, ...]
) -> None:
    one = gate(broker=tuple(nobody() for _ in broker))
    one.append(450)
    with centre.serving():
        uplink = one.start()
        until(lambda: one.journal.depth == 0, "receipts for a backlog")
        one.append(1)
        until(lambda: one.journal.depth == 0, "a receipt for one more")
        assert uplink.over_https and not uplink.online
        assert uplink.state.state == ("degraded" if broker else "working")
        assert uplink.state.reason.startswith("https: ")
    assert held(centre, one) == all_of(one)
    assert len(held(centre, one)) == 452
