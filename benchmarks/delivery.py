"""From the terminal's signature to the collector's receipt, over a real Mosquitto and a real PostgreSQL.

Sixteen terminals send what they have signed beforehand; the collectors are the program `zaigang collector run`. The
limit is bare Ed25519 verification of the same events by `cryptography` on one core, in turns with them.
"""

from __future__ import annotations

import tempfile
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from datetime import timedelta
from pathlib import Path

from structlog.testing import capture_logs

from benchmarks.fleet import Sender, deliver, verify_receipts
from benchmarks.progress import bar
from benchmarks.ratio import Ratio
from collector.database import Database
from collector.devices.service import Devices, NewDevice
from collector.identity import CollectorKeys, load_or_create_keys
from collector.ledger.fsck import check_ledger
from collector.ledger.service import Ledger
from collector.services import build_services, open_database
from collector.settings import Settings, load_settings
from collector.sites.service import NewSite, Sites
from evidence.envelope import Envelope
from tests.collector.process import CollectorProcess
from tests.collector.terminal import Terminal
from tests.support.mosquitto import Mosquitto
from tests.support.postgresql import Postgresql

TERMINALS = 16
EVENTS, SMOKE_EVENTS = 8_000, 320  # of all terminals, with each number of collectors
ROUNDS, SMOKE_ROUNDS = 4, 2
WARM_UP = 20  # events of each terminal before the clock runs
WANTED = ">= 0.5"


@dataclass(slots=True)
class Site:
    """Servers, a collector's folder, and terminals that are registered there."""

    postgresql: Postgresql
    mosquitto: Mosquitto
    settings: Settings
    keys: CollectorKeys
    database: Database

    def fleet(self, prefix: str, events: int, told: Callable[[int], None]) -> list[Sender]:
        """Register terminals and have each sign this many events; `told` hears after each how many were signed."""
        Sites(self.database).add(NewSite(name=prefix, title="Bench", tz="Asia/Shanghai"))
        senders = []
        for number in range(TERMINALS):
            terminal = Terminal(f"{prefix}-{number}", prefix)
            new = NewDevice(name=terminal.device, site=prefix, key=terminal.key.public.text())
            with capture_logs():
                Devices(self.database, timedelta(minutes=10)).add(new)
            signed = [terminal.enrol(), *(terminal.punch(f"E{n % 200:03d}") for n in range(events - 1))]
            senders.append(Sender(terminal, signed))
            senders[-1].connect(self.mosquitto.port)
            told(events)
        return senders

    @contextmanager
    def collectors(self, number: int) -> Iterator[list[CollectorProcess]]:
        """Run this many collectors on the one database."""
        assert self.settings.database is not None
        with ExitStack() as stack:
            running = []
            for place in range(number):
                environment = {
                    "ZAIGANG_COLLECTOR_DATABASE": self.settings.database.get_secret_value(),
                    "ZAIGANG_COLLECTOR_MQTT_SHARE": "zaigang",
                    "ZAIGANG_COLLECTOR_MQTT_CLIENT_ID": f"collector-{place}",
                    "ZAIGANG_COLLECTOR_CONSOLE": "false",
                }
                one = CollectorProcess(self.settings.data, self.mosquitto.port, environment=environment).start()
                stack.callback(one.stop)
                running.append(one)
            yield running

    def require_whole(self, events: int) -> None:
        """Raise RuntimeError unless the ledger holds exactly these many events and stands up to `fsck`."""
        held = Ledger(self.database).size()
        signer = build_services(self.settings, self.database, self.keys).checkpoints.signer
        difference = check_ledger(self.database, self.keys.seal, signer.public).difference
        if held != events or difference is not None:
            raise RuntimeError(f"the ledger holds {held} of {events} events; fsck says: {difference}")


@contextmanager
def a_site() -> Iterator[Site]:
    """Start Mosquitto and PostgreSQL and make a collector's folder."""
    with tempfile.TemporaryDirectory() as name, ExitStack() as stack:
        folder = Path(name)
        postgresql = Postgresql().create()
        stack.callback(postgresql.remove)
        postgresql.start()
        mosquitto = Mosquitto(folder).start()
        stack.callback(mosquitto.stop)
        settings = load_settings(data=folder / "collector", database=postgresql.new_database())
        database = open_database(settings)
        stack.callback(database.close)
        yield Site(postgresql, mosquitto, settings, load_or_create_keys(settings.keys_path), database)


def run(smoke: bool = False) -> list[Ratio]:
    """Measure with one collector, then with two. `smoke`: only see that it runs."""
    events, rounds = (SMOKE_EVENTS, SMOKE_ROUNDS) if smoke else (EVENTS, ROUNDS)
    found = []
    with a_site() as site:
        for collectors in (1, 2):
            ours, bare = _measure(site, collectors, events // TERMINALS, rounds)
            word = "one collector" if collectors == 1 else f"{collectors} collectors"
            note = (
                f"{events} events of {TERMINALS} terminals, Mosquitto and PostgreSQL, in {rounds} turns with the limit"
            )
            found.append(Ratio(f"signature to receipt, {word}", ours, bare, "events/s", WANTED, note))
        site.require_whole(2 * TERMINALS * (events // TERMINALS + WARM_UP))
    one, two = found
    more = Ratio("two collectors / one collector", two.ours, one.ours, "events/s", ">= 1.0", "the same run")
    return [one, two, more]


def _measure(site: Site, collectors: int, each: int, rounds: int) -> tuple[float, float]:
    """Return our and the bare events a second; every terminal sends `each` events after its warm-up."""
    total = each + WARM_UP
    with bar(f"signing for {collectors}", TERMINALS * total) as told:
        senders = site.fleet(f"fleet{collectors}", total, told)
    ours_s = bare_s = 0.0
    with site.collectors(collectors), bar(f"delivering to {collectors}", rounds) as told:
        deliver(senders, WARM_UP)
        for number in range(rounds):
            first, last = (WARM_UP + each * one // rounds for one in (number, number + 1))
            bare_s += bare_verification([one.envelopes[first:last] for one in senders], senders)
            ours_s += deliver(senders, last)
            told(1)
    verify_receipts(senders, site.keys.receipt.public)
    for one in senders:
        one.close()
    count = TERMINALS * each
    return count / ours_s, count / bare_s


def bare_verification(parts: Sequence[Sequence[bytes]], senders: Sequence[Sender]) -> float:
    """Return the seconds that `cryptography` takes for the signatures of these envelopes and nothing else."""
    took_s = 0.0
    for envelopes, sender in zip(parts, senders, strict=True):
        key = sender.terminal.key.private.public_key()
        decoded = [Envelope.decode(one) for one in envelopes]
        signed = [(one.signatures[0].sig, one.signed_bytes) for one in decoded]
        began = time.perf_counter()
        for signature, message in signed:
            key.verify(signature, message)
        took_s += time.perf_counter() - began
    return took_s


if __name__ == "__main__":
    for row in run():
        print(f"{row.name}: {row.ours:.0f} / {row.limit:.0f} {row.unit} = {row.ratio:.3f} (wanted {row.wanted})")
