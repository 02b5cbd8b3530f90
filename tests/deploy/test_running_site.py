"""What the playbook installed runs: the programs that the units name, as the users that they name, on a real broker."""

from __future__ import annotations

import json
import queue
import shlex
import socket
import subprocess
import tempfile
import time
import urllib.request
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any

import paho.mqtt.client as paho
import pytest

from tests.deploy.playbook import Site
from tests.deploy.rootfs import RootFs

pytestmark = [pytest.mark.root, pytest.mark.timeout(1500)]


@dataclass(frozen=True, slots=True)
class Unit:
    """What a unit starts, as whom, and with what in its environment."""

    argv: list[str]
    user: str
    environment: list[str]

    @classmethod
    def read(cls, root: RootFs, name: str) -> Unit:
        lines = root.path(f"/etc/systemd/system/{name}.service").read_text().splitlines()
        values = dict(line.split("=", 1) for line in lines if "=" in line and not line.startswith("#"))
        return cls(shlex.split(values["ExecStart"]), values["User"], shlex.split(values["Environment"]))


@pytest.fixture(scope="module")
def broker(site: Site) -> Iterator[Site]:
    # Debian's unit makes this folder; so does the test.
    site.root.run("install", "-d", "-o", "mosquitto", "/run/mosquitto", "/var/log/mosquitto")
    with started(site.root.command("/usr/sbin/mosquitto", "-c", "/etc/mosquitto/mosquitto.conf"), site.broker_port):
        yield site


@contextmanager
def started(command: list[str], port: int) -> Iterator[None]:
    """Run a server until the end of the block; the process started is the server itself."""
    with tempfile.TemporaryFile() as log:
        process = subprocess.Popen(command, stdout=log, stderr=log)
        try:
            deadline = time.monotonic() + 60
            while process.poll() is None and time.monotonic() < deadline and not answers(port):
                time.sleep(0.05)
            if process.poll() is not None or not answers(port):
                log.seek(0)
                pytest.fail(f"{command[-1]} does not answer (exit {process.poll()}):\n{log.read().decode()[-3000:]}")
            yield
        finally:
            process.terminate()
            process.wait(30)


def answers(port: int) -> bool:
    """Say whether something accepts connections there."""
    with socket.socket() as one:
        one.settimeout(0.5)
        return one.connect_ex(("127.0.0.1", port)) == 0


def connection(site: Site, user: str | None, password: str | None) -> tuple[paho.Client, queue.Queue[paho.MQTTMessage]]:
    """Return a client and what it hears; its network thread runs. Raises ConnectionRefusedError."""
    client = paho.Client(paho.CallbackAPIVersion.VERSION2, protocol=paho.MQTTv5)
    answers: queue.Queue[bool] = queue.Queue()
    heard: queue.Queue[paho.MQTTMessage] = queue.Queue()
    client.on_connect = lambda _c, _u, _f, reason, _p: answers.put(not reason.is_failure)
    client.on_message = lambda _c, _u, message: heard.put(message)
    if user is not None:
        client.username_pw_set(user, password)
    client.connect("127.0.0.1", site.broker_port)
    client.loop_start()
    if not answers.get(timeout=10):
        client.disconnect()
        client.loop_stop()
        raise ConnectionRefusedError(user)
    return client, heard


def password(site: Site, user: str) -> str:
    return (site.secrets / f"broker-{user}").read_text().strip()


@pytest.mark.parametrize("credentials", [(None, None), ("gate-1", "wrong"), ("stranger", "wrong")])
def test_the_broker_lets_no_stranger_in(broker: Site, credentials: tuple[str | None, str | None]) -> None:
    with pytest.raises(ConnectionRefusedError):
        connection(broker, *credentials)


def test_a_terminal_speaks_under_its_own_name_only(broker: Site) -> None:
    collector, heard = connection(broker, "collector", password(broker, "collector"))
    gate, _ = connection(broker, "gate-1", password(broker, "gate-1"))
    try:
        subscribed: queue.Queue[None] = queue.Queue()
        collector.on_subscribe = lambda *_: subscribed.put(None)
        collector.subscribe("zaigang/v1/+/+/health", qos=1)
        subscribed.get(timeout=10)

        for topic in ("riverside/gate-2", "elsewhere/gate-1", "riverside/gate-1"):
            gate.publish(f"zaigang/v1/{topic}/health", topic, qos=1).wait_for_publish(10)

        # The allowed one was published last, so whatever was let through before it has arrived before it.
        assert heard.get(timeout=10).payload == b"riverside/gate-1"
    finally:
        for client in (collector, gate):
            client.disconnect()
            client.loop_stop()


def test_the_installed_kiosk_reaches_the_installed_collector(broker: Site) -> None:
    centre, terminal = (Unit.read(broker.root, name) for name in ("zaigang-collector", "zaigang-kiosk"))
    cli = [*centre.argv[:2], "apikey", "create", "--name", "test", "--json", "--config", "/etc/zaigang/collector.toml"]
    answer = broker.root.run("env", *centre.environment, *cli, user=centre.user)
    key = json.loads(answer[answer.index("{") : answer.rindex("}") + 1])["key"]

    with (
        started(broker.root.command("env", *centre.environment, *centre.argv, user=centre.user), broker.collector_port),
        started(
            broker.root.command("env", *terminal.environment, *terminal.argv, user=terminal.user), broker.screen_port
        ),
    ):
        # The first event of a terminal's chain is its enrolment: it is in the ledger once terminal, broker and
        # collector all use the right keys, names and passwords.
        gate = asked_until(
            f"http://127.0.0.1:{broker.collector_port}/api/v1/devices/gate-1",
            key,
            lambda device: bool(device["chains"]),
        )
        assert gate["site"] == "riverside"
        with urllib.request.urlopen(f"http://127.0.0.1:{broker.screen_port}/", timeout=30) as screen:
            assert screen.status == 200


def asked_until(url: str, key: str, true: Callable[[dict[str, Any]], bool], timeout_s: float = 60) -> dict[str, Any]:
    """Ask the API until the answer is as wanted. Raises AssertionError with the last answer."""
    deadline = time.monotonic() + timeout_s
    while True:
        request = urllib.request.Request(url, headers={"Authorization": f"Bearer {key}"})
        with urllib.request.urlopen(request, timeout=30) as response:
            answer: dict[str, Any] = json.load(response)
        if true(answer):
            return answer
        assert time.monotonic() < deadline, answer
        time.sleep(0.2)
