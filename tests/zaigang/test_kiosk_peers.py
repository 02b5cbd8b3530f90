"""`zaigang kiosk peers`, on a terminal whose service does not run: its data is opened, and nothing is sent."""

from __future__ import annotations

import json
import secrets
import subprocess
import sys
from pathlib import Path

import pytest

from kiosk.transfer.store import Store
from tests.kiosk.transfer.gates import Gate

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
profile = "badge-only"
transfer = {{}}
"""
    )
    return path


def zaigang(config: Path, *arguments: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [*ZAIGANG, *arguments, "--config", str(config)], capture_output=True, text=True, timeout=120, check=False
    )


def peers(config: Path) -> dict[str, str]:
    shown = json.loads(zaigang(config, "peers", "list", "--json").stdout)
    assert shown["on"] and shown["device"] == "gate-1" and len(shown["fingerprint"].split()) == 4
    return {row["device"]: row["state"] for row in shown["peers"]}


def test_a_terminal_is_listed_confirmed_by_its_fingerprint_and_removed(config: Path, tmp_path: Path) -> None:
    other = Gate(tmp_path, "gate-2")
    assert peers(config) == {}
    store = Store(tmp_path / "data" / "transfers.db")
    store.keep_stranger("gate-2", other.exchange._peers.card(), 9)
    store.close()
    assert peers(config) == {"gate-2": "unconfirmed"}
    wrong = zaigang(config, "peers", "confirm", "gate-2", secrets.token_hex(8))
    assert wrong.returncode == 1 and other.fingerprint in wrong.stderr + wrong.stdout
    assert peers(config) == {"gate-2": "unconfirmed"}
    done = zaigang(config, "peers", "confirm", "gate-2", other.fingerprint, "--by", "Li")
    assert done.returncode == 0 and other.fingerprint in done.stderr
    assert peers(config) == {"gate-2": "confirmed"}
    assert other.fingerprint in zaigang(config, "peers", "list").stdout
    assert zaigang(config, "peers", "remove", "gate-2").returncode == 0
    assert peers(config) == {"gate-2": "removed"}
    other.close()


def test_where_it_is_not_switched_on_the_command_says_what_to_do(config: Path) -> None:
    config.write_text(config.read_text().replace("transfer = {}", ""))
    refused = zaigang(config, "peers", "list")
    assert refused.returncode == 1 and "[transfer]" in refused.stderr + refused.stdout
