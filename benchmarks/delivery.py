"""From the terminal's signature to the collector's receipt, over a real Mosquitto and a real PostgreSQL.

Thirty-two terminals send what they have signed beforehand; the collectors are the program `zaigang collector run`. The
limit is bare Ed25519 verification of the same events by `cryptography` on one core, in turns with them.
"""

from __future__ import annotations

import os
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
from tests.support.waiting import eventually

TERMINALS = 32
EVENTS, SMOKE_EVENTS = 32_000, 320  # of all terminals, with each number of collectors
ROUNDS, SMOKE_ROUNDS = 4, 2
SUBSCRIBING_S = 0.5  # what is published before, nobody hears, and these terminals do not send again
WARM_UP = 100  # events of each terminal before the clock runs, in which the process for opening starts
WANTED = ">= 0.5"
NO_LESS = ">= 0.97"  # two runs of the same differ by as much


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
        with ExitStack() as stack:
            running = []
            for place in range(number):
                one = CollectorProcess.sharing(self.settings, self.mosquitto.port, place)
                stack.callback(one.stop)  # before it starts: one that starts too slowly must not stay behind
                running.append(one.start())
            eventually(lambda: any(one.takes_events for one in running), 60)
            time.sleep(SUBSCRIBING_S)
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


@dataclass(slots=True)
class Spent:
    """Seconds that so many events took: by the clock, and of processors (ours: the collectors' alone)."""

    events: int = 0
    ours_s: float = 0.0
    bare_s: float = 0.0
    ours_cpu_s: float = 0.0
    bare_cpu_s: float = 0.0

    def turn(self, senders: Sequence[Sender], first: int, last: int, collectors: Sequence[CollectorProcess]) -> float:
        """Verify a part of every terminal's events bare, then have it delivered; return the seconds of the latter."""
        self.events += len(senders) * (last - first)
        for sender in senders:
            key = sender.terminal.key.private.public_key()
            decoded = [Envelope.decode(one) for one in sender.envelopes[first:last]]
            signed = [(one.signatures[0].sig, one.signed_bytes) for one in decoded]
            began, cpu_began = time.perf_counter(), time.process_time()
            for signature, message in signed:
                key.verify(signature, message)
            self.bare_s += time.perf_counter() - began
            self.bare_cpu_s += time.process_time() - cpu_began
        cpu_began = sum(map(_cpu_s, collectors))
        took_s = deliver(senders, last)
        self.ours_s += took_s
        self.ours_cpu_s += sum(map(_cpu_s, collectors)) - cpu_began
        return took_s

    def ratios(self, name: str, who: str, note: str) -> list[Ratio]:
        """Return the rates, and the processor time of an event, which a busy machine changes less."""
        ours, bare = self.events / self.ours_s, self.events / self.bare_s
        each, limit = (1e6 * spent / self.events for spent in (self.ours_cpu_s, self.bare_cpu_s))
        return [
            Ratio(f"{name}, {who}", ours, bare, "events/s", WANTED, note),
            Ratio(f"processor time an event, {who}", each, limit, "µs", "", "of the collectors; limit: a bare check"),
        ]


def run(smoke: bool = False) -> list[Ratio]:
    """Measure with one collector, then with two. `smoke`: only see that it runs."""
    events, rounds = (SMOKE_EVENTS, SMOKE_ROUNDS) if smoke else (EVENTS, ROUNDS)
    note = f"{events} events of {TERMINALS} terminals, Mosquitto and PostgreSQL, in {rounds} turns with the limit"
    found = []
    with a_site() as site:
        for number, who in ((1, "one collector"), (2, "two collectors")):
            found.append(_measure(site, number, events // TERMINALS, rounds).ratios("signature to receipt", who, note))
        site.require_whole(2 * TERMINALS * (events // TERMINALS + WARM_UP))
    one, two = found[0][0], found[1][0]
    note = "of what each took against bare checks beside it; the standby works, too"
    more = Ratio("two collectors / one collector", two.ratio, one.ratio, "of bare checks", NO_LESS, note)
    return [*found[0], *found[1], more]


def _measure(site: Site, number: int, each: int, rounds: int) -> Spent:
    """Have every terminal send `each` events after its warm-up to so many collectors."""
    total, spent = each + WARM_UP, Spent()
    with bar(f"signing for {number}", TERMINALS * total) as told:
        senders = site.fleet(f"fleet{number}", total, told)
    with site.collectors(number) as collectors, bar(f"delivering to {number}", rounds) as told:
        deliver(senders, WARM_UP)
        for turn in range(rounds):
            first, last = (WARM_UP + each * one // rounds for one in (turn, turn + 1))
            spent.turn(senders, first, last, collectors)
            told(1)
    verify_receipts(senders, site.keys.receipt.public)
    for one in senders:
        one.close()
    return spent


def _cpu_s(collector: CollectorProcess) -> float:
    """Return the processor time of a collector so far, user's and system's."""
    assert collector.process is not None
    fields = Path(f"/proc/{collector.process.pid}/stat").read_text().rsplit(")", 1)[1].split()
    return (int(fields[11]) + int(fields[12])) / os.sysconf("SC_CLK_TCK")


if __name__ == "__main__":
    for row in run():
        print(f"{row.name}: {row.ours:.0f} / {row.limit:.0f} {row.unit} = {row.ratio:.3f} (wanted {row.wanted})")
