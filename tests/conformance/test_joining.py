"""The foreign terminal joins by a one-time code over HTTPS, and delivers over TLS under the certificate that it got."""

from __future__ import annotations

import base64
import contextlib
import hashlib
import json
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest

from tests.collector.process import CollectorProcess
from tests.collector.process import command as zaigang
from tests.conformance.foreign import Abroad
from tests.conformance.foreign_process import foreign_process
from tests.support.mosquitto_tls import TlsMosquitto
from tests.support.ports import free_port
from tests.support.waiting import eventually

SITE, DEVICE, WORKER = "east", "foreign-1", "E001"


@dataclass(frozen=True)
class Place:
    """A collector that serves HTTPS, and a broker that lets in nobody without its certificate."""

    data: Path
    abroad: Abroad

    def code(self) -> str:
        said = zaigang("device", "claim", SITE, DEVICE, "--json", data=self.data).stdout
        return str(json.loads(said)["code"])

    def asking(self) -> list[dict[str, Any]]:
        requests = json.loads(zaigang("device", "joins", "--json", data=self.data).stdout)
        return [one for one in requests if one["state"] == "waiting"]


@pytest.fixture
def place(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Place]:
    data, https, mqtts = tmp_path / "data", free_port(), free_port()
    settings = {
        "HTTPS": "true",
        "PUBLIC_URL": f"https://localhost:{https}",
        "PUBLIC_BROKERS": json.dumps([f"mqtts://localhost:{mqtts}"]),
    }
    for name, value in settings.items():
        monkeypatch.setenv(f"ZAIGANG_COLLECTOR_{name}", value)
    zaigang("site", "add", SITE, "--title", "East", "--tz", "Asia/Shanghai", data=data)
    folder = tmp_path / "broker"
    where = ("--host", "localhost", "--address", "127.0.0.1", "--port", str(mqtts))
    zaigang("broker-config", str(folder), *where, data=data)
    own = {"MQTT_CA": "authority.pem", "MQTT_CERTIFICATE": "collector-1.pem", "MQTT_KEY": "collector-1.key"}
    for name, value in own.items():
        monkeypatch.setenv(f"ZAIGANG_COLLECTOR_{name}", str(folder / value))
    with contextlib.ExitStack() as stack:
        broker = TlsMosquitto(folder, mqtts).start()
        stack.callback(broker.stop)
        collector = CollectorProcess(data, mqtts, https, broker=f"mqtts://localhost:{mqtts}").start()
        stack.callback(collector.stop)
        yield Place(data, Abroad.in_folder(tmp_path / "abroad"))


def test_a_terminal_joins_by_its_code_and_delivers_over_tls(place: Place) -> None:
    code = place.code()
    with foreign_process(place.abroad, "join", "journal", code) as joining:
        (fingerprint,) = joining.wait_for("asks ")
        assert [(one["device"], one["fingerprint"]) for one in place.asking()] == [(DEVICE, fingerprint)]
        zaigang("device", "approve", DEVICE, data=place.data)
        (said,) = joining.wait_for("joined ")
        assert joining.process.wait(20) == 0
    host, port, site, device, tz, *keys = said.split()
    pinned = json.loads(zaigang("keys", "--json", data=place.data).stdout)
    assert (site, device, tz, keys) == (SITE, DEVICE, "Asia/Shanghai", [pinned["receipt"], pinned["command"]])
    with foreign_process(place.abroad, "terminal", "journal", host, port, site, device, tz, *keys) as terminal:
        terminal.order("go")
        terminal.wait_for("online")
        terminal.order(f"punch {WORKER}")
        terminal.wait_for_receipt(2)
        terminal.order("stop")
        assert terminal.process.wait(20) == 0


def test_who_is_denied_or_not_at_the_pinned_collector_gets_nothing(place: Place) -> None:
    code = place.code()
    with foreign_process(place.abroad, "join", "denied", code) as joining:
        joining.wait_for("asks ")
        eventually(lambda: len(place.asking()) == 1)
        zaigang("device", "deny", DEVICE, data=place.data)
        joining.wait_for("denied")
    again = place.abroad.run("join", "another", code)
    assert "this code was used by another terminal" in again.stderr
    assert again.stdout == ""
    parts = code.split("/")
    parts[3] = _base64url(hashlib.sha256(b"another authority").digest())
    other = _checked("/".join(parts))  # as somebody would write it whose collector is another
    elsewhere = place.abroad.run("join", "elsewhere", other)
    assert (elsewhere.stdout, elsewhere.returncode) == ("refused wrong_pin\n", 1)
    assert not list(place.abroad.folder.glob("*/transport.pem"))


def _checked(code: str) -> str:
    said = code.rpartition("/")[0]
    return f"{said}/{_base64url(hashlib.sha256(said.encode()).digest()[:3])}"


def _base64url(data: bytes) -> str:
    return base64.urlsafe_b64encode(data).rstrip(b"=").decode()
