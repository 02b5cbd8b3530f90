"""Of several collectors one takes events in: it leads while it can use that, and another takes over."""

from __future__ import annotations

import socket
import time
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path

import psycopg
import pytest

from collector.app import Collector
from collector.errors import LeaderUnknown
from collector.ingest.leader_election import GIVE_UP_S, STALLED_S, TOLD_AFTER_S, LeaderElection
from collector.ingest.message import Message
from collector.ingest.pump import PumpState
from collector.ingest.subscriber import BrokerState, Subscriber
from collector.postgresql import AdvisoryLeaderLock, PostgresqlDatabase
from collector.settings import load_settings
from tests.collector.conftest import Bench
from tests.collector.process import CollectorProcess, sharing_environment
from tests.collector.terminal import Terminal
from tests.collector.wire import Wire, connected
from tests.support.mosquitto import Mosquitto
from tests.support.waiting import eventually

on_postgresql = pytest.mark.parametrize("bench", ["postgresql"], indirect=True)


@dataclass
class Around:
    """Stands for lock, broker and pump."""

    answer: bool | None = True  # None: it cannot be told
    stalled_s: float = 0.0
    released: int = 0
    connected: bool = True
    failing: str | None = None
    asked: list[bool] = field(default_factory=list)
    now_s: float = 0.0

    def take(self) -> bool:
        if self.answer is None:
            raise LeaderUnknown("too many connections")
        return self.answer

    def release(self) -> None:
        self.released += 1

    @property
    def state(self) -> BrokerState:
        return BrokerState(alive=True, connected=self.connected, reason="", received=0)

    def take_events(self, *, wanted: bool) -> None:
        self.asked.append(wanted)

    def pump(self) -> PumpState:
        return PumpState(alive=True, failing=self.failing, waiting=0, stalled_s=self.stalled_s, admitted=0)

    def election(self) -> LeaderElection:
        return LeaderElection(self, self, self.pump, lambda: self.now_s)


def test_who_leads_subscribes_and_who_does_not_lead_does_not() -> None:
    around = Around()
    election = around.election()
    election.round()
    around.answer = False
    election.round()
    assert (around.asked, election.leads, around.released) == ([True, False], False, 0)


def test_while_nobody_can_tell_everybody_goes_on_as_before() -> None:
    around = Around()
    election = around.election()
    election.round()
    around.answer = None
    election.round()
    assert (around.asked, election.leads, election.trouble) == ([True], True, None)
    around.now_s = TOLD_AFTER_S
    assert election.trouble == "too many connections"
    around.answer = True
    election.round()
    assert (around.asked, election.trouble) == ([True, True], None)


def test_an_intake_that_hangs_steps_down() -> None:
    around = Around()
    election = around.election()
    election.round()
    around.stalled_s = STALLED_S
    election.round()
    assert (around.asked, election.leads, around.released) == ([True, False], False, 1)


def test_who_has_ended_takes_nothing_whatever_a_slow_lock_says() -> None:
    around = Around()
    election = around.election()
    taken = around.take

    def slow() -> bool:
        election.end()
        return taken()

    around.take = slow  # type: ignore[method-assign]
    election.round()
    election.round()
    assert (around.asked, election.leads) == ([False, False], False)
    assert around.released == 3


def test_without_a_broker_it_steps_down_at_once() -> None:
    around = Around()
    election = around.election()
    election.round()
    around.connected = False
    election.round()
    assert (around.asked, election.leads, around.released) == ([True, False], False, 1)


def test_an_intake_that_goes_on_failing_steps_down_and_one_that_recovers_does_not() -> None:
    around = Around()
    election = around.election()
    around.failing = "the database restarts"
    election.round()
    around.now_s = GIVE_UP_S - 0.1
    election.round()
    around.failing = None
    election.round()
    assert (around.asked, around.released) == ([True] * 3, 0)
    around.failing = "a key was handed over"
    election.round()
    around.now_s += GIVE_UP_S
    election.round()
    election.round()
    assert (around.asked[3:], around.released) == ([True, False, False], 2)


@on_postgresql
def test_one_lock_has_one_holder_and_its_death_opens_it(bench: Bench) -> None:
    assert isinstance(bench.database, PostgresqlDatabase)
    one, two = bench.database.leader_lock(), bench.database.leader_lock()
    assert (one.take(), two.take(), one.take(), two.take()) == (True, False, True, False)
    one.release()
    eventually(two.take)  # the server notices a connection that ends in its own time
    assert not one.take()
    _end_connection(two)
    with pytest.raises(LeaderUnknown):  # it learns that it has it no more
        two.take()
    eventually(one.take)
    assert not two.take()
    one.release()
    two.release()


@on_postgresql
def test_a_server_that_is_away_says_nothing(bench: Bench) -> None:
    lock = AdvisoryLeaderLock("postgresql://nobody@127.0.0.1:9/none")
    with pytest.raises(LeaderUnknown, match="cannot be asked"):
        lock.take()
    lock.release()


def _end_connection(lock: AdvisoryLeaderLock) -> None:
    held = lock._connection
    assert held is not None
    with psycopg.connect(lock._conninfo, autocommit=True) as other:
        other.execute("SELECT pg_terminate_backend(%s)", (held.info.backend_pid,))
        alive = "SELECT count(*) FROM pg_stat_activity WHERE pid = %s"
        eventually(lambda: other.execute(alive, (held.info.backend_pid,)).fetchone() == (0,))


@dataclass
class Site:
    bench: Bench
    mosquitto: Mosquitto
    wire: Wire

    def settles(self, envelopes: list[bytes]) -> None:
        """Send and send again, as a terminal does, until a receipt covers all."""

        def covered() -> bool:
            self.wire.send(*envelopes)
            try:
                self.wire.receipt_upto(len(envelopes) - 1, self.bench.keys.receipt.public, 2)
            except Exception:
                return False
            return True

        eventually(covered, 60)

    def takes_all(self, sent: list[bytes]) -> None:
        """Send twenty punches once: had anybody else drawn one of them, no receipt would cover the last."""
        new = [self.wire.terminal.punch() for _ in range(20)]
        sent += new
        self.wire.send(*new)
        self.wire.receipt_upto(len(sent) - 1, self.bench.keys.receipt.public, 10)


@pytest.fixture
def site(bench: Bench, mosquitto: Mosquitto) -> Iterator[Site]:
    terminal = Terminal()
    bench.register(terminal)
    with connected(terminal, mosquitto.port) as wire:
        yield Site(bench, mosquitto, wire)


@on_postgresql
def test_of_two_that_run_one_takes_events_in_and_the_other_takes_over(site: Site) -> None:
    sent = [site.wire.terminal.enrol()]
    first, second = (CollectorProcess.sharing(site.bench.settings, site.mosquitto.port, number) for number in range(2))
    first.start()
    site.settles(sent)
    second.start()
    sent += [site.wire.terminal.punch() for _ in range(20)]
    site.settles(sent)
    assert site.bench.seqs(site.wire.terminal) == 21
    first.kill()
    eventually(lambda: second.takes_events, 10)
    site.takes_all(sent)  # the dead one's session draws nothing
    first.start()
    site.takes_all(sent)  # and neither does one that came back and stands by
    assert not first.takes_events
    assert (first.stop(), second.stop()) == (0, 0)
    assert site.bench.seqs(site.wire.terminal) == 61


@on_postgresql
def test_what_comes_in_order_waits_in_no_staging_with_two_collectors(
    site: Site, monkeypatch: pytest.MonkeyPatch
) -> None:
    from collector.ingest.staging import Staging

    staged: list[object] = []
    monkeypatch.setattr(Staging, "add", lambda _self, event: staged.append(event))
    collectors = []
    for number in range(2):
        changes = {
            name.removeprefix("ZAIGANG_COLLECTOR_").lower(): value
            for name, value in sharing_environment(site.bench.settings, number).items()
        }
        broker = f"mqtt://127.0.0.1:{site.mosquitto.port}"
        collectors.append(
            Collector(load_settings(data=site.bench.settings.data, broker=broker, **changes | {"console": False}))
        )
    for one in collectors:
        one.start()
    eventually(lambda: sum(one.election is not None and one.election.leads for one in collectors) == 1)
    eventually(lambda: all(one.health().status == "ok" for one in collectors))
    terminal = site.wire.terminal
    site.settles([terminal.enrol(), *(terminal.punch() for _ in range(60))])
    (leader,) = [one for one in collectors if one.election is not None and one.election.leads]
    other = next(one for one in collectors if one is not leader)
    assert (staged, other.pump.state.admitted) == ([], 0)
    assert (leader.health().takes_events, other.health().takes_events) == (True, False)
    leader.stop()  # steps down: nobody waits for a lock to time out
    eventually(lambda: other.election is not None and other.election.leads, 5)
    site.wire.send(terminal.punch())
    assert site.wire.receipt_upto(61, site.bench.keys.receipt.public).upto == 61
    other.stop()


def test_who_left_off_while_it_was_away_draws_nothing_when_it_is_back(mosquitto: Mosquitto, tmp_path: Path) -> None:
    broker = f"mqtt://127.0.0.1:{mosquitto.port}"
    heard: dict[str, list[Message]] = {"gave up": [], "holds": []}
    subscribers = {}
    for name, messages in heard.items():
        settings = load_settings(data=tmp_path, broker=broker, mqtt_share="zaigang", mqtt_client_id=name)
        subscribers[name] = Subscriber(settings, messages.append, takes_events=False)
        subscribers[name].start()
    eventually(lambda: all(one.state.connected for one in subscribers.values()))
    gone = subscribers["gave up"]
    gone.take_events(wanted=True)
    time.sleep(0.3)
    gone._takes_events = False  # its word did not reach the broker
    connection = gone._connection
    gone._client.socket().shutdown(socket.SHUT_RDWR)  # type: ignore[union-attr]
    eventually(lambda: gone._connection > connection + 1 and gone.state.connected, 20)
    subscribers["holds"].take_events(wanted=True)
    time.sleep(0.3)
    with connected(Terminal(), mosquitto.port) as wire:
        wire.send(*(wire.terminal.enrol() if not n else wire.terminal.punch() for n in range(20)))
        eventually(lambda: len(heard["holds"]) == 20)
    assert heard["gave up"] == []
    for one in subscribers.values():
        one.stop()


def test_one_collector_on_sqlite_takes_events_in_though_a_share_is_named(tmp_path: Path, mosquitto: Mosquitto) -> None:
    broker = f"mqtt://127.0.0.1:{mosquitto.port}"
    collector = Collector(load_settings(data=tmp_path / "c", broker=broker, mqtt_share="zaigang"))
    assert collector.election is None
    collector.start()
    with connected(Terminal(), mosquitto.port) as wire:
        eventually(lambda: collector.health().status == "ok")
        wire.send(wire.terminal.enrol())
        eventually(lambda: collector.pump.state.admitted == 1)
    collector.stop()
