"""A spot check is signed for one terminal, sent until it is answered, and its signed answer is what HR reads."""

from __future__ import annotations

import json
import queue
from typing import Any

import paho.mqtt.client as paho
import pytest
from paho.mqtt.enums import CallbackAPIVersion, MQTTProtocolVersion

from collector.app import Collector
from collector.commands import service
from collector.commands.service import Commands
from collector.errors import Conflict, NotFound
from collector.ledger.fsck import check_ledger
from collector.people.service import NewWorker, WorkerBody
from evidence.command import Command, read_command
from evidence.events import Kind
from evidence.topics import Leaf
from tests.collector.conftest import Api, Bench
from tests.collector.process import command as zaigang
from tests.collector.terminal import Terminal
from tests.collector.test_delivery import register
from tests.support.mosquitto import Mosquitto
from tests.support.waiting import eventually


def done(command: Command, **changes: Any) -> dict[str, Any]:
    body = {
        "command": command.id,
        "counter": command.counter,
        "action": command.action,
        "outcome": "done",
        "reason": "ok: the worker showed up",
        "result": {"verdict": "verified"},
    }
    return body | changes


def order(bench: Bench, terminal: Terminal, minutes: int = 5) -> Command:
    view = bench.services.commands.spot_check("E001", terminal.device, minutes, "hr")
    return read_command(view.command.envelope, bench.keys.command.public, terminal.device, terminal.site)


def test_the_numbers_of_a_terminals_commands_rise_by_one(bench: Bench, terminal: Terminal) -> None:
    other = Terminal("gate-2")
    bench.register(other)
    assert [order(bench, one).counter for one in (terminal, other, terminal, terminal)] == [1, 1, 2, 3]


def test_the_answer_of_the_terminal_closes_a_spot_check(bench: Bench, api: Api, terminal: Terminal) -> None:
    new = {"worker": "E001", "device": terminal.device, "minutes": 3}
    made = api.client.post("/api/v1/spot-checks", json=new, headers=api.write)
    assert made.status_code == 201
    assert (made.json()["state"], made.json()["issued_by"]) == ("open", "writer")
    command = read_command(
        bench.services.commands.get(made.json()["id"]).command.envelope,
        bench.keys.command.public,
        terminal.device,
        terminal.site,
    )
    assert command.body == {"worker": "E001", "minutes": 3}
    bench.offer(terminal, terminal.enrol(), terminal.append(Kind.COMMAND_DONE, done(command)))
    found = api.client.get(f"/api/v1/spot-checks/{command.id}", headers=api.read).json()
    assert (found["state"], found["result"], found["leaf_index"]) == ("done", {"verdict": "verified"}, 1)
    page = api.client.get("/api/v1/spot-checks", headers=api.read).json()
    assert page == {"items": [found], "next": None}
    assert bench.services.commands.open() == []


def test_a_second_answer_is_kept_and_changes_nothing(bench: Bench, terminal: Terminal) -> None:
    command = order(bench, terminal)
    answers = [done(command, outcome="failed", reason="no_answer: nobody came"), done(command)]
    bench.offer(terminal, terminal.enrol(), *[terminal.append(Kind.COMMAND_DONE, one) for one in answers])
    view = bench.services.commands.get(command.id)
    assert view.answer is not None and view.answer.outcome == "failed"
    assert check_ledger(bench.database, bench.keys.seal, bench.services.checkpoints.signer.public).rows == 2


def test_another_terminal_cannot_answer(bench: Bench, terminal: Terminal) -> None:
    other = Terminal("gate-2")
    bench.register(other)
    command = order(bench, terminal)
    bench.offer(other, other.enrol(), other.append(Kind.COMMAND_DONE, done(command)))
    assert bench.services.commands.get(command.id).answer is None
    assert len(bench.services.commands.open()) == 1


def test_a_command_that_nobody_took_up_has_ended(bench: Bench, terminal: Terminal) -> None:
    command = order(bench, terminal)
    late = Commands(bench.database, bench.keys.command, now=lambda: command.expires)
    assert late.open() == []
    assert late.get(command.id).state(command.expires) == "ended"


def test_who_has_left_or_is_unknown_is_not_called(bench: Bench, terminal: Terminal) -> None:
    bench.services.people.add(NewWorker(code="E002", name="李雷"))
    bench.services.people.change("E002", WorkerBody(name="李雷", active=False))
    with pytest.raises(Conflict):
        bench.services.commands.spot_check("E002", terminal.device, 5, "hr")
    for worker, device in (("E999", terminal.device), ("E001", "gate-9")):
        with pytest.raises(NotFound):
            bench.services.commands.spot_check(worker, device, 5, "hr")
    bench.services.devices.revoke(terminal.device)
    with pytest.raises(Conflict):
        bench.services.commands.spot_check("E001", terminal.device, 5, "hr")


@pytest.mark.parametrize("change", [{"minutes": 0}, {"minutes": 61}, {"minutes": "5"}, {"worker": ""}, {"device": "Ä"}])
def test_an_odd_order_is_refused_with_its_reason(api: Api, terminal: Terminal, change: dict[str, Any]) -> None:
    new = {"worker": "E001", "device": terminal.device, "minutes": 5} | change
    answer = api.client.post("/api/v1/spot-checks", json=new, headers=api.write)
    assert answer.status_code == 422
    assert next(iter(change)) in answer.json()["error"]["message"]


def test_a_key_that_may_only_read_calls_nobody(api: Api, terminal: Terminal) -> None:
    new = {"worker": "E001", "device": terminal.device, "minutes": 5}
    assert api.client.post("/api/v1/spot-checks", json=new, headers=api.read).status_code == 403


def test_pages_of_spot_checks_come_newest_first_and_whole(bench: Bench, api: Api, terminal: Terminal) -> None:
    ids = [order(bench, terminal).id for _ in range(5)]
    seen: list[str] = []
    cursor: dict[str, str] = {}
    while True:
        page = api.client.get("/api/v1/spot-checks", params={"limit": 2} | cursor, headers=api.read).json()
        seen += [one["id"] for one in page["items"]]
        if page["next"] is None:
            break
        cursor = {"cursor": page["next"]}
    assert sorted(seen) == sorted(ids)
    assert len(seen) == 5


def test_an_open_command_is_sent_again_and_an_answered_one_is_not(
    bench: Bench, terminal: Terminal, monkeypatch: pytest.MonkeyPatch
) -> None:
    commands = bench.services.commands
    command = order(bench, terminal)
    assert [one.topic for one in commands.due()] == [terminal.topic(Leaf.COMMAND)]
    assert commands.due() == [], "not at every round"
    monkeypatch.setattr(service, "AGAIN_AFTER_S", 0.0)
    assert len(commands.due()) == 1
    bench.offer(terminal, terminal.enrol(), terminal.append(Kind.COMMAND_DONE, done(command)))
    assert commands.due() == []


def test_a_command_given_on_the_command_line_reaches_the_terminal(running: Collector, mosquitto: Mosquitto) -> None:
    terminal = Terminal()
    register(running, terminal)
    running.services.people.add(NewWorker(code="E001", name="王小明"))
    heard: queue.Queue[bytes] = queue.Queue()
    client = paho.Client(CallbackAPIVersion.VERSION2, protocol=MQTTProtocolVersion.MQTTv5)
    client.on_message = lambda _c, _d, message: heard.put(message.payload)
    client.connect("127.0.0.1", mosquitto.port)
    client.subscribe(terminal.topic(Leaf.COMMAND), qos=1)
    client.loop_start()
    try:
        eventually(lambda: running.subscriber.state.connected)
        arguments = ("device", "spot-check", terminal.device, "E001", "--minutes", "7", "--json")
        made = json.loads(zaigang(*arguments, data=running.settings.data).stdout)
        command = read_command(heard.get(timeout=20), running.keys.command.public, terminal.device, terminal.site)
    finally:
        client.disconnect()
        client.loop_stop()
    assert (command.id, command.body) == (made["id"], {"worker": "E001", "minutes": 7})
