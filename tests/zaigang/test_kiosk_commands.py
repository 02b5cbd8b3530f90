"""An operator's commands on a terminal whose service runs, and on one whose service does not."""

from __future__ import annotations

import hashlib
import json
import os
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from kiosk.clip_recording import Video
from kiosk.clip_store import ClipStore
from kiosk.control import SOCKET_NAME
from kiosk.gallery_key import gallery_key
from tests.support.permissions import COLLECTOR, permission
from tests.support.ports import free_port

PATIENCE_S = 60.0
ZAIGANG = [sys.executable, "-m", "zaigang.cli", "kiosk"]


@pytest.fixture
def config(tmp_path: Path) -> Path:
    path = tmp_path / "kiosk.toml"
    path.write_text(
        f"""
device = "gate-1"
site = "east"
data_dir = "{tmp_path / "data"}"
broker = "mqtt://127.0.0.1:9"
collector_keys = ["{COLLECTOR.public.text()}"]
profile = "badge-only"
screen_port = {free_port()}
"""
    )
    return path


@pytest.fixture
def service(config: Path, tmp_path: Path) -> Iterator[None]:
    with (tmp_path / "service.log").open("w") as log:
        one = subprocess.Popen([*ZAIGANG, "run", "--config", str(config)], stdout=log, stderr=log)
    deadline = time.monotonic() + PATIENCE_S
    while not (tmp_path / "data" / SOCKET_NAME).exists():
        assert one.poll() is None and time.monotonic() < deadline, (tmp_path / "service.log").read_text()
        time.sleep(0.05)
    yield
    one.send_signal(signal.SIGTERM)
    assert one.wait(PATIENCE_S) == 0


def zaigang(config: Path, *arguments: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [*ZAIGANG, *arguments, "--config", str(config)],
        capture_output=True,
        text=True,
        timeout=PATIENCE_S,
        env={**os.environ, "NO_COLOR": "1", "TERM": "dumb", "COLUMNS": "200"},
    )


def status(config: Path) -> dict[str, object]:
    done = zaigang(config, "status", "--json")
    assert done.returncode == 0, done.stderr
    held: dict[str, object] = json.loads(done.stdout)
    return held


def enrol_and_erase(config: Path, tmp_path: Path) -> None:
    (tmp_path / "boss.txt").write_text(permission("B-1", "赵强", "supervisor"))
    done = zaigang(config, "enrol", "--no-face", "--authorisation", str(tmp_path / "boss.txt"), "--pin", "135790")
    assert done.returncode == 0, done.stderr
    assert "enrolled B-1 (赵强) with badge and PIN only" in done.stderr
    again = zaigang(config, "enrol", "--no-face", "--authorisation", str(tmp_path / "boss.txt"), "--pin", "135790")
    assert again.returncode != 0
    assert again.stderr.strip().splitlines()[-1].startswith("zaigang: this authorisation was used before")
    held = status(config)
    assert (held["enrolled"], held["supervisors"]) == (1, 1)
    erased = zaigang(config, "erase", "B-1")
    assert erased.returncode == 0, erased.stderr
    assert "B-1 is erased here; signed as seq" in erased.stderr
    assert status(config)["enrolled"] == 0


def test_while_the_service_runs_it_does_what_the_commands_ask(config: Path, tmp_path: Path, service: None) -> None:
    assert status(config)["running"] is True
    enrol_and_erase(config, tmp_path)
    told = zaigang(config, "status")
    assert "keys_unprotected: no TPM holds the keys" in told.stdout


def test_without_a_service_the_commands_open_the_data_themselves(config: Path, tmp_path: Path) -> None:
    assert status(config)["running"] is False
    enrol_and_erase(config, tmp_path)


def test_a_clip_is_listed_exported_with_its_proof_and_erased(config: Path, tmp_path: Path, service: None) -> None:
    call, out = "ab" * 16, tmp_path / "dispute.mjpeg"
    store = ClipStore(tmp_path / "data" / "clips", gallery_key(tmp_path / "data" / "clip.key").load)
    held = store.put(call, "W-1", "2026-03-01T08:00:00.000Z", Video(b"pictures", 1, 0))
    listed = zaigang(config, "clip", "list", "--json")
    assert [one["commitment"] for one in json.loads(listed.stdout)] == [held.commitment], listed.stderr
    assert "W-1" in zaigang(config, "clip", "list").stdout

    done = zaigang(config, "clip", "export", call, str(out), "--reason", "dispute 12")
    assert done.returncode == 0, done.stderr
    proof = json.loads((tmp_path / "dispute.mjpeg.json").read_text())
    assert hashlib.sha256(bytes.fromhex(proof["salt"]) + out.read_bytes()).hexdigest() == held.commitment
    assert out.stat().st_mode & 0o077 == 0
    again = zaigang(config, "clip", "export", call, str(out), "--reason", "dispute 12")
    assert again.returncode == 2 and "nothing is overwritten" in again.stderr

    assert zaigang(config, "clip", "erase", call, "--reason", "settled").returncode == 0
    gone = zaigang(config, "clip", "erase", call, "--reason", "settled")
    assert gone.returncode != 0 and "no clip of this call is kept here" in gone.stderr


def test_a_supervisor_and_a_file_are_not_both_asked_for(config: Path) -> None:
    done = zaigang(config, "enrol", "--no-face", "--pin", "135790")
    assert done.returncode == 2
    assert "--authorisation" in done.stderr
