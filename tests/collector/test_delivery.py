"""Over a real broker: an event becomes a row, a receipt and an answer of the API."""

from __future__ import annotations

from fastapi.testclient import TestClient

from collector.app import Collector
from collector.auth.service import Scope
from collector.devices.service import NewDevice
from collector.sites.service import NewSite
from tests.collector.terminal import Terminal
from tests.collector.wire import connected, eventually
from tests.support.mosquitto import Mosquitto


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
    assert receipt.tree_size == 2
    _, key = running.services.api_keys.create("hr", Scope.READ)
    with TestClient(running.web()) as client:
        page = client.get("/api/v1/punches", headers={"Authorization": f"Bearer {key}"}).json()
    (punch,) = page["items"]
    assert (punch["employee"], punch["log_type"], punch["verdict"]) == ("E001", "IN", "verified")
    assert punch["local_time"] == "2026-11-22T08:00:01.000+08:00"
