"""A terminal that has joined a collector, without a screen: keys, journal and uplink, started and stopped at will."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from collector.identity import load_or_create_keys
from collector.ingest.terminal_deliveries import Brought, TerminalDeliveries
from collector.ledger.fsck import check_ledger
from collector.statements.rotation import Rotated, rotate
from collector.statements.scribe import Scribe
from evidence.chain import verify_chain
from kiosk.clock import SystemClock
from kiosk.flow import Backoff, OtherWay
from kiosk.https_delivery import HttpsDelivery
from kiosk.joined import joined_of
from kiosk.journal import Journal
from kiosk.pinned_https import PinnedServer
from kiosk.settings import KioskSettings
from kiosk.terminal_key import TerminalKey
from kiosk.uplink import Uplink
from tests.kiosk.small_terminal import small_terminal
from tests.support.ports import free_port
from tests.zaigang.joining import Centre
from tests.zaigang.test_joining import joined
from tests.zaigang.test_membership import WRITTEN

CLOCK = SystemClock()


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


@contextmanager
def gates(centre: Centre, folder: Path) -> Iterator[Callable[..., Gate]]:
    """Make gate-1 of this collector, joined; whatever was started is stopped at the end."""
    made: list[Gate] = []

    def make(**changes: Any) -> Gate:
        if not (folder / "joined.toml").exists():
            with centre.serving():
                joined(centre, folder)
        made.append(Gate(folder, **changes))
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


def server(centre: Centre) -> PinnedServer:
    return PinnedServer(f"https://localhost:{centre.port}", centre.joining.authority.pin)


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


def replace_keys(centre: Centre, *purposes: Rotated) -> None:
    """Hand keys of the collector's over, and have it start again with the new ones."""
    with centre.database.write() as session:  # the first statement names the keys
        Scribe(centre.keys)(session, "device.revoked", {"device": "gate-9", "from_index": 0, "by": "x"})
    for purpose in purposes:
        keys = load_or_create_keys(centre.settings.keys_path)
        rotate(centre.database, keys, centre.settings.keys_path, purpose)
    centre.database.close()
    centre.__post_init__()


def whole(gate: Gate, **changes: Any) -> Any:
    gate.stop()
    gate.journal.close()
    given = gate.settings.model_dump(include=WRITTEN) | changes
    return small_terminal(gate.folder.parent, **given)
