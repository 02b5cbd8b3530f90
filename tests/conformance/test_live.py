"""The foreign terminal at work: a real Mosquitto, a real collector, and nothing between them but docs/protocol.md."""

from __future__ import annotations

import base64
import contextlib
import json
import subprocess
import sys
import urllib.error
import urllib.request
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from paho.mqtt import publish

from tests.collector.process import ROOT, CollectorProcess
from tests.collector.process import command as zaigang
from tests.conformance.foreign import VECTORS, Abroad
from tests.conformance.foreign_process import foreign_process
from tests.support.mosquitto import Mosquitto
from tests.support.waiting import eventually

SITE, DEVICE, WORKER = "east", "foreign-1", "E001"


@dataclass(frozen=True)
class Api:
    """The collector's API over HTTP."""

    url: str
    key: str

    def get(self, path: str) -> bytes:
        request = urllib.request.Request(self.url + path, headers={"Authorization": f"Bearer {self.key}"})
        with urllib.request.urlopen(request, timeout=20) as answer:
            return bytes(answer.read())

    def json(self, path: str) -> Any:
        return json.loads(self.get(path))


@contextlib.contextmanager
def running(collector: CollectorProcess) -> Iterator[CollectorProcess]:
    collector.start()
    try:
        yield collector
    finally:
        collector.stop()


def test_a_terminal_written_from_the_document_alone_does_its_work(tmp_path: Path, mosquitto: Mosquitto) -> None:
    data = tmp_path / "data"
    zaigang("site", "add", SITE, "--title", "East", "--tz", "Asia/Shanghai", data=data)
    zaigang("worker", "add", WORKER, "--name", "Chen", data=data)
    pinned = json.loads(zaigang("keys", "--json", data=data).stdout)
    zaigang("rotate-key", "receipt", data=data)  # since the pins were written: the terminal has to follow
    receipt_key = json.loads(zaigang("keys", "--json", data=data).stdout)["receipt"]
    api_key = zaigang("apikey", "create", "--name", "hr", data=data).stdout.strip()
    abroad = Abroad.in_folder(tmp_path / "abroad")
    where = ("127.0.0.1", str(mosquitto.port), SITE, DEVICE, "Asia/Shanghai", pinned["receipt"], pinned["command"])
    with foreign_process(abroad, "terminal", "journal", *where) as terminal:
        (key,) = terminal.wait_for("key ")
        zaigang("device", "add", DEVICE, "--site", SITE, "--key", key, data=data)
        with running(CollectorProcess(data, mosquitto.port)) as collector:
            api = Api(collector.url, api_key)
            terminal.order("go")
            terminal.wait_for("online")
            terminal.order(f"punch {WORKER}")
            handed_over, qr = terminal.wait_for("handed over to ", "qr ")
            assert handed_over.split() == [receipt_key, pinned["command"]]
            older = _checkpoint(api, tmp_path / "older", terminal.wait_for_receipt(2))
            (punch,) = api.json("/api/v1/punches")["items"]
            assert (punch["employee"], punch["verdict"], punch["device_id"]) == (WORKER, "verified", DEVICE)
            eventually(lambda: api.json("/api/v1/devices")["items"][0]["state"] == "operational")

            # What strangers say on its topics lets nothing go and has nothing done.
            for leaf, said, code in _strangers_words():
                publish.single(f"zaigang/v1/{SITE}/{DEVICE}/{leaf}", said, qos=1, port=mosquitto.port)
                assert terminal.wait_for("refused ") == [code]

            # The collector lacks an event and asks; meanwhile an administrator asks for something, too.
            terminal.order(f"withhold {WORKER}")
            terminal.order(f"punch {WORKER}")
            zaigang("device", "spot-check", DEVICE, WORKER, data=data)
            assert terminal.wait_for("answered ", "asked for ") == ["1 spot_check", "3 3"]
            terminal.wait_for_receipt(5)
            (called,) = api.json("/api/v1/spot-checks")["items"]
            assert (called["state"], called["reason"].split(":")[0]) == ("refused", "unknown_action")

            # A new key, of the kind that a TPM has.
            terminal.order("rotate es256")
            terminal.order(f"punch {WORKER}")
            newer = _checkpoint(api, tmp_path / "newer", terminal.wait_for_receipt(7))
            assert len(api.json("/api/v1/punches")["items"]) == 4
            assert api.json("/api/v1/dead-letters")["counts"] == []
            _check_ledger(abroad, api, data, older, newer)
            terminal.order("stop")
            assert terminal.process.wait(20) == 0
    _verify(abroad, data, key, receipt_key, qr)


def _strangers_words() -> list[tuple[str, bytes, str]]:
    """(topic, message, the code with which it is refused): words of the vectors' collector, and noise."""
    receipts, gaps, commands = (
        json.loads((VECTORS / f"{name}.json").read_text())["good"][0]["envelope"].encode()
        for name in ("receipts", "gap_requests", "commands")
    )
    return [
        ("receipt", receipts, "unknown_key"),
        ("receipt", gaps, "unknown_key"),
        ("receipt", commands, "wrong_payload_type"),
        ("receipt", b"\xff" * 100, "not_json"),
        ("command", commands, "unknown_key"),
        ("command", receipts, "wrong_payload_type"),
        ("command", b"", "not_json"),
    ]


def _checkpoint(api: Api, path: Path, size: int) -> Path:
    """Keep the first checkpoint that has at least so many entries."""

    def stored() -> bool:
        with contextlib.suppress(urllib.error.HTTPError):  # 404 until the first is signed
            path.write_bytes(api.get("/checkpoint"))
        return path.exists() and int(path.read_text().splitlines()[1]) >= size

    eventually(stored)
    return path


def _check_ledger(abroad: Abroad, api: Api, data: Path, older: Path, newer: Path) -> None:
    """The foreign reader finds the newest entry under the newer checkpoint, and the older one grown into it."""
    sizes = [int(path.read_text().splitlines()[1]) for path in (older, newer)]
    origin = newer.read_text().splitlines()[0]
    vkey = json.loads(zaigang("checkpoint", "--json", data=data).stdout)["log"]
    entries, leaves = api.get(f"/tile/entries/000.p/{sizes[1]}"), []
    while entries:  # c2sp.org/tlog-tiles: a length of two bytes before each
        size = int.from_bytes(entries[:2], "big")
        leaves.append(entries[2 : 2 + size].hex())
        entries = entries[2 + size :]
    proof = abroad.folder / "entry.tlog-proof"
    proof.write_bytes(api.get(f"/api/v1/ledger/entries/{sizes[1] - 1}/proof?size={sizes[1]}"))
    shown = abroad.run("check-proof", "inclusion", origin, vkey, str(proof), leaves[-1])
    assert (shown.stdout, shown.returncode) == (f"{sizes[1] - 1}\n", 0)
    shown = abroad.run("check-proof", "inclusion", origin, vkey, str(proof), leaves[0])
    assert (shown.stdout, shown.returncode) == ("inclusion_failed\n", 1)
    hashes = api.json(f"/api/v1/ledger/consistency?from={sizes[0]}&to={sizes[1]}")["proof"]
    assert sizes[0] < sizes[1]
    grown = abroad.run("check-proof", "growth", origin, vkey, str(older), str(newer), *hashes)
    assert (grown.stdout, grown.returncode) == (f"{sizes[0]} {sizes[1]}\n", 0)
    grown = abroad.run("check-proof", "growth", origin, vkey, str(older), str(newer), *hashes[1:])
    assert (grown.stdout, grown.returncode) == ("consistency_failed\n", 1)


def _verify(abroad: Abroad, data: Path, key: str, receipt_key: str, qr: str) -> None:
    """The project's own verifier believes the foreign terminal's file, its QR code and the receipt that it kept."""
    journal = abroad.folder / "journal" / "journal.jsonl"
    receipt = abroad.folder / "receipt.json"
    receipt.write_text((abroad.folder / "journal" / "receipts.jsonl").read_text().splitlines()[-1])
    trust = abroad.folder / "trust.json"
    trust.write_text(json.dumps({"devices": {DEVICE: [key]}, "collector": {"receipt": receipt_key}}))
    program = [sys.executable, "-c", "from zaigang.cli import main; main()", "verify"]
    options = ["--trust", str(trust), "--punch-receipt", qr, "--receipt", str(receipt)]
    done = subprocess.run([*program, str(journal), *options], cwd=ROOT, capture_output=True, text=True, timeout=120)
    assert done.returncode == 0, done.stdout + done.stderr
    exported = zaigang("export", json.loads(_payload(journal))["chain"], data=data).stdout
    assert exported == journal.read_text()


def _payload(journal: Path) -> bytes:
    return base64.b64decode(json.loads(journal.read_text().splitlines()[0])["payload"])
