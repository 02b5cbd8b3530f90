"""Bad networks: a proxy that misbehaves, brokers that are killed and forget, a month without any; real programs all.

300 events through chaos and 2,000 of a month in `make test`; 5,000 and 50,000 with ZAIGANG_LONG=1.
"""

from __future__ import annotations

import os
import random
import time
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Literal

import psutil
import pytest

from evidence.keys import Ed25519Key
from kiosk.clock import Stamp, SystemClock, format_time
from kiosk.flow import Backoff, Window
from kiosk.journal import Journal
from kiosk.settings import KioskSettings
from kiosk.uplink import Uplink
from tests.delivery.chaos_proxy import MISDEEDS, ChaosProxy
from tests.delivery.test_terminal_crashes import require_everything, started_collector
from tests.support.mosquitto import Mosquitto
from tests.support.waiting import eventually

LONG = os.environ.get("ZAIGANG_LONG") == "1"
EVENTS = 5000 if LONG else 300
MONTH = 50_000 if LONG else 2000
SEED = int(os.environ.get("ZAIGANG_SEED", "20261124"))


def open_journal(folder: Path, key: Ed25519Key, clock: object = None) -> Journal:
    return Journal(
        folder / "journal.db",
        key,
        "gate-1",
        "east",
        "Asia/Shanghai",
        clock or SystemClock(),  # type: ignore[arg-type]
    )


def start_uplink(journal: Journal, ports: list[int], collector_key: str, mqtt: Literal[5, 3] = 5) -> Uplink:
    settings = KioskSettings.model_validate(
        {
            "device": "gate-1",
            "site": "east",
            "broker": [f"mqtt://127.0.0.1:{port}" for port in ports],
            "collector_keys": [collector_key],
            "mqtt_version": mqtt,
        }
    )
    one = Uplink(
        journal,
        settings,
        SystemClock(),
        backoff=Backoff(0.05, 0.3),
        window=Window(64, resend_after_s=0.5, longest_resend_s=2),
        keepalive_s=2,
    )
    one.start()
    return one


@pytest.mark.long
@pytest.mark.timeout(1800)
@pytest.mark.parametrize("mqtt", [5, 3])
def test_a_network_that_drops_doubles_delays_reorders_and_resets_loses_nothing(
    tmp_path: Path, mosquitto: Mosquitto, mqtt: Literal[5, 3], record_property: Callable[[str, object], None]
) -> None:
    key, dice = Ed25519Key.generate(), random.Random(SEED)
    collector = started_collector(tmp_path / "collector", mosquitto.port, key)
    proxy = ChaosProxy(mosquitto.port, SEED)
    journal = open_journal(tmp_path, key)
    uplink = start_uplink(journal, [proxy.port], collector.keys.receipt.public.text(), mqtt)
    promised = {}
    for number in range(EVENTS):
        done = journal.append("test.noted", {"number": number, "filler": "x" * dice.randrange(2000)})
        promised[done.event.chain, done.seq] = done.hash
        uplink.wake()
        if number % 50 == 0:
            time.sleep(dice.uniform(0, 0.1))
    eventually(lambda: journal.depth == 0, 900 if LONG else 120)
    misdeeds = dict(proxy.done)
    uplink.stop()
    proxy.stop()
    journal.close()
    events = require_everything(collector, key, promised)
    collector.stop()
    for name, figure in {"seed": SEED, "events": events, "misdeeds": misdeeds, "sent": dict(uplink.counts)}.items():
        record_property(name, figure)
    assert set(MISDEEDS) <= set(misdeeds), f"not every kind of trouble happened: {misdeeds}"


@pytest.mark.long
@pytest.mark.timeout(900)
def test_brokers_that_are_killed_and_forget_everything_lose_nothing(
    tmp_path: Path, mosquitto: Mosquitto, record_property: Callable[[str, object], None]
) -> None:
    key, dice, kills = Ed25519Key.generate(), random.Random(SEED), 60 if LONG else 5
    collector = started_collector(tmp_path / "collector", mosquitto.port, key)
    journal = open_journal(tmp_path, key)
    uplink = start_uplink(journal, [1, mosquitto.port], collector.keys.receipt.public.text())
    promised = {}
    for _ in range(kills):
        for _ in range(30):
            done = journal.append("test.noted", {"filler": "x" * dice.randrange(3000)})
            promised[done.event.chain, done.seq] = done.hash
            uplink.wake()
        time.sleep(dice.uniform(0, 0.3))
        assert mosquitto.process is not None
        mosquitto.process.kill()  # without persistence: what it acknowledged is gone
        mosquitto.process.wait(10)
        mosquitto.start()
    eventually(lambda: journal.depth == 0, 180)
    uplink.stop()
    journal.close()
    events = require_everything(collector, key, promised)
    collector.stop()
    record_property("kills", kills)
    record_property("events", events)


class MonthClock:
    """The system's clock, with a month passing at one event a step."""

    def __init__(self, events: int) -> None:
        self._real, self._count = SystemClock(), 0
        self._step_ns = 30 * 86_400 * 1_000_000_000 // events
        self._start = time.time_ns() - 30 * 86_400 * 1_000_000_000

    def stamp(self) -> Stamp:
        self._count += 1
        return replace(self._real.stamp(), time=format_time(self._start + self._count * self._step_ns))


@pytest.mark.long
@pytest.mark.timeout(1800)
def test_a_terminal_that_was_offline_for_a_month_delivers_all_of_it(
    tmp_path: Path, mosquitto: Mosquitto, record_property: Callable[[str, object], None]
) -> None:
    key = Ed25519Key.generate()
    collector = started_collector(tmp_path / "collector", mosquitto.port, key)
    journal = open_journal(tmp_path, key, MonthClock(MONTH))
    promised = {}
    for number in range(MONTH):
        done = journal.append("test.noted", {"number": number})
        promised[done.event.chain, done.seq] = done.hash
    journal.close()
    journal = open_journal(tmp_path, key, MonthClock(MONTH))
    assert journal.depth == MONTH + 1
    memory = psutil.Process()
    uplink = start_uplink(journal, [mosquitto.port], collector.keys.receipt.public.text())
    began = time.monotonic()
    eventually(lambda: journal.depth < MONTH * 0.9, 300)
    at_start = memory.memory_info().rss
    eventually(lambda: journal.depth == 0, 900)
    took_s = time.monotonic() - began
    grown = memory.memory_info().rss - at_start
    uplink.stop()
    journal.close()
    events = require_everything(collector, key, promised)
    collector.stop()
    figures = {"events": events, "seconds": round(took_s, 1), "per second": round(events / took_s), "grown": grown}
    for name, figure in figures.items():
        record_property(name, figure)
    assert grown < 150 << 20  # both ends and the queue between them; the backlog itself is not held in memory
