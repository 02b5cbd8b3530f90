"""Over a real broker: an event becomes a row, a receipt and an answer of the API."""

from __future__ import annotations

import json
import random
import sqlite3
import threading
from pathlib import Path
from typing import Any

import pytest
from fastapi.testclient import TestClient
from paho.mqtt.enums import MQTTErrorCode
from paho.mqtt.packettypes import PacketTypes
from paho.mqtt.reasoncodes import ReasonCode
from sqlalchemy.exc import OperationalError

from collector.app import Collector
from collector.auth.service import Scope
from collector.devices.service import NewDevice
from collector.ingest.batch import Batch
from collector.ingest.message import Message
from collector.ingest.pump import QUEUE_LIMIT
from collector.ingest.subscriber import Subscriber
from collector.settings import load_settings
from collector.sites.service import NewSite
from evidence.topics import Leaf
from tests.collector.process import command
from tests.collector.terminal import Terminal
from tests.collector.wire import connected
from tests.support.mosquitto import Mosquitto
from tests.support.waiting import eventually


def register(collector: Collector, terminal: Terminal) -> None:
    collector.services.sites.add(NewSite(name=terminal.site, title="East", tz="Asia/Shanghai"))
    key = terminal.key.public.text()
    collector.services.devices.add(NewDevice(name=terminal.device, site=terminal.site, key=key))


def test_a_punch_becomes_a_row_a_receipt_and_an_answer(running: Collector, mosquitto: Mosquitto) -> None:
    terminal = Terminal()
    register(running, terminal)
    eventually(lambda: running.subscriber.state.connected)
    with connected(terminal, mosquitto.port) as wire:
        wire.send(terminal.enrol(), terminal.punch())
        receipt = wire.receipt_upto(1, running.keys.receipt.public)
    assert terminal.head is not None and receipt.head == terminal.head.hash
    assert receipt.tree_size == 4
    _, key = running.services.api_keys.create("hr", Scope.READ)
    with TestClient(running.web()) as client:
        page = client.get("/api/v1/punches", headers={"Authorization": f"Bearer {key}"}).json()
    (punch,) = page["items"]
    assert (punch["employee"], punch["log_type"], punch["verdict"]) == ("E001", "IN", "verified")
    assert punch["local_time"] == "2026-11-22T08:00:01.000+08:00"


def test_garbage_and_strangers_do_not_keep_a_good_event_out(running: Collector, mosquitto: Mosquitto) -> None:
    terminal, stranger = Terminal(), Terminal("stranger")
    register(running, terminal)
    eventually(lambda: running.subscriber.state.connected)
    with connected(terminal, mosquitto.port) as wire:
        garbage = [random.Random(n).randbytes(1_000_000 if n == 0 else 200) for n in range(300)]
        wire.send(*garbage[:150], stranger.enrol(), terminal.enrol())
        wire.send(*garbage[150:], topic="zaigang/v1/east/stranger/event")
        wire.send(b"\xff", topic="zaigang/v1/east/gate-1/health")
        wire.send(terminal.punch())
        assert wire.receipt_upto(1, running.keys.receipt.public).upto == 1
    eventually(lambda: running.services.dead_letters.total() == 302)
    assert running.health().status == "ok"


def test_while_the_broker_is_away_healthz_says_so_and_afterwards_all_goes_on(
    running: Collector, mosquitto: Mosquitto
) -> None:
    terminal = Terminal()
    register(running, terminal)
    eventually(lambda: running.health().status == "ok")
    mosquitto.stop()
    eventually(lambda: running.health().broker.state == "failed")
    mosquitto.start()
    eventually(lambda: running.health().status == "ok", 60)
    with connected(terminal, mosquitto.port) as wire:
        wire.send(terminal.enrol())
        assert wire.receipt_upto(0, running.keys.receipt.public).upto == 0


def test_a_commit_that_fails_acknowledges_nothing_and_is_tried_again(
    running: Collector, mosquitto: Mosquitto, monkeypatch: pytest.MonkeyPatch
) -> None:
    terminal = Terminal()
    register(running, terminal)
    eventually(lambda: running.subscriber.state.connected)
    full = threading.Event()
    full.set()
    written = Batch.write

    def write(self: Batch) -> None:
        if full.is_set():
            raise OperationalError("INSERT", None, sqlite3.OperationalError("database or disk is full"))
        written(self)

    monkeypatch.setattr(Batch, "write", write)
    with connected(terminal, mosquitto.port) as wire:
        wire.send(terminal.enrol())
        eventually(lambda: running.health().intake.state == "failed")
        assert wire.receipts.empty() and running.services.ledger.size() == 2  # its approval
        full.clear()
        assert wire.receipt_upto(0, running.keys.receipt.public).upto == 0
    eventually(lambda: running.health().intake.state == "ok")


def test_a_message_that_breaks_every_transaction_is_set_aside_alone(
    running: Collector, mosquitto: Mosquitto, monkeypatch: pytest.MonkeyPatch
) -> None:
    terminal = Terminal()
    register(running, terminal)
    eventually(lambda: running.subscriber.state.connected)
    taken = Batch.take

    def take(self: Batch, messages: Any) -> None:
        if any(one.message.payload == b"poison" for one in messages):
            raise AssertionError("a bug")
        taken(self, messages)

    monkeypatch.setattr(Batch, "take", take)
    with connected(terminal, mosquitto.port) as wire:
        wire.send(terminal.enrol(), b"poison", terminal.punch())
        assert wire.receipt_upto(1, running.keys.receipt.public).upto == 1
    eventually(lambda: running.services.dead_letters.total() == 1)


def test_an_approval_on_the_command_line_takes_effect_while_the_collector_runs(
    running: Collector, mosquitto: Mosquitto
) -> None:
    terminal = Terminal()
    register(running, terminal)
    eventually(lambda: running.subscriber.state.connected)
    with connected(terminal, mosquitto.port) as wire:
        wire.send(terminal.enrol())
        wire.receipt_upto(0, running.keys.receipt.public)
        wire.terminal = again = terminal.again()
        wire.send(again.enrol(), again.punch())
        eventually(lambda: len(running.services.devices.get(again.device).chains) == 2)
        command("device", "approve", again.device, data=running.settings.data)
        assert wire.receipt_upto(1, running.keys.receipt.public).upto == 1


def test_status_and_health_become_the_live_state(running: Collector, mosquitto: Mosquitto) -> None:
    terminal = Terminal()
    register(running, terminal)
    eventually(lambda: running.subscriber.state.connected)

    def state() -> str:
        return running.services.devices.get(terminal.device).state

    assert state() == "inactive"
    with connected(terminal, mosquitto.port) as wire:
        for said, then in (("online", "operational"), ("offline", "disconnected")):
            report = {"device": terminal.device, "site": terminal.site, "state": said, "time": terminal.now()}
            wire.send(json.dumps(report).encode(), topic=terminal.topic(Leaf.STATUS))
            eventually(lambda then=then: state() == then)  # type: ignore[misc]
    view = running.services.devices.get(terminal.device)
    assert view.last_connect is not None and view.last_disconnect is not None
    assert view.last_connect <= view.last_disconnect


def test_a_flood_of_reports_is_let_go_but_no_event_is(running: Collector, mosquitto: Mosquitto) -> None:
    running.subscriber.stop()
    running.pump.stop()
    report = Message("zaigang/v1/east/gate-1/health", b"{}", "2026-11-22T00:00:00.000Z", qos=0)
    for _ in range(QUEUE_LIMIT + 500):
        running.pump.offer(report)
    assert running.pump.state.waiting == QUEUE_LIMIT
    running.pump.offer(report._replace(topic="zaigang/v1/east/gate-1/event", qos=1))
    assert running.pump.state.waiting == QUEUE_LIMIT + 1


def test_a_collector_that_is_stopped_while_it_connects_hangs_up(
    mosquitto: Mosquitto, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    settings = load_settings(data=tmp_path / "c", broker=f"mqtt://127.0.0.1:{mosquitto.port}")
    subscriber = Subscriber(settings, lambda _message: None)
    reconnect = subscriber._client.reconnect

    def told_to_stop_meanwhile() -> MQTTErrorCode:
        subscriber._stopping.set()  # and paho finds nothing yet to hang up
        return reconnect()

    monkeypatch.setattr(subscriber._client, "reconnect", told_to_stop_meanwhile)
    subscriber.start()
    eventually(lambda: not subscriber.state.alive)


def test_what_came_over_a_connection_that_broke_is_not_acknowledged(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    subscriber = Subscriber(load_settings(data=tmp_path), lambda _message: None)
    acknowledged: list[list[int]] = []
    monkeypatch.setattr(subscriber._client, "acknowledge", acknowledged.append)
    subscriber._connection = 7
    message = Message("t", b"", "", mid=5, connection=7, qos=1)
    subscriber.acknowledge([message])
    subscriber._on_disconnect(subscriber._client, None, None, "gone", None)
    subscriber.acknowledge([message])  # else it would be the next connection's first packet
    assert acknowledged == [[5], []]


def test_a_refused_subscription_is_tried_again_on_a_new_connection(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    subscriber = Subscriber(load_settings(data=tmp_path), lambda _message: None)
    hung_up: list[bool] = []
    monkeypatch.setattr(subscriber._client, "disconnect", lambda: hung_up.append(True))
    granted, refused = (ReasonCode(PacketTypes.SUBACK, identifier=one) for one in (1, 0x87))
    subscriber._on_subscribe(subscriber._client, None, 1, [granted], None)
    assert subscriber.state.connected and hung_up == []
    subscriber._on_subscribe(subscriber._client, None, 1, [granted, refused], None)
    subscriber._on_disconnect(subscriber._client, None, None, "Normal disconnection", None)
    assert hung_up == [True]
    assert not subscriber.state.connected and subscriber.state.reason.startswith("subscription refused")


def test_a_broker_that_speaks_only_mqtt_3_1_1_is_enough(mosquitto: Mosquitto, tmp_path: Path) -> None:
    broker = f"mqtt://127.0.0.1:{mosquitto.port}"
    collector = Collector(load_settings(data=tmp_path / "old", broker=broker, mqtt_version="3.1.1"))
    collector.start()
    terminal = Terminal()
    register(collector, terminal)
    eventually(lambda: collector.health().status == "ok")
    with connected(terminal, mosquitto.port) as wire:
        wire.send(terminal.enrol(), terminal.punch())
        assert wire.receipt_upto(1, collector.keys.receipt.public).upto == 1
    collector.stop()
