"""The commands of an administrator, as processes, beside what they promise to programs."""

from __future__ import annotations

import base64
import json
import sqlite3
import stat
from pathlib import Path

import pytest

from evidence.authorisation import verify_authorisation
from evidence.clearance import verify_clearance
from evidence.keys import Ed25519Key, PublicKey
from evidence.note import VerifierKey
from tests.collector.conftest import Bench
from tests.collector.process import command
from tests.collector.terminal import Terminal


def test_from_nothing_to_a_signed_authorisation(tmp_path: Path) -> None:
    data = tmp_path / "data"
    keys = json.loads(command("keys", "--json", data=data).stdout)
    assert list(keys) == ["receipt", "command", "checkpoint", "statement", "ledger"]
    ledger = VerifierKey.parse(keys["ledger"])
    assert ledger.key == PublicKey.parse(keys["checkpoint"])
    assert keys["ledger"] in command("keys", data=data).stdout
    command("site", "add", "east", "--title", "东门", "--tz", "Asia/Shanghai", data=data)
    key = Ed25519Key.generate().public.text()
    added = command("device", "add", "gate-1", "--site", "east", "--key", key, "--json", data=data)
    assert json.loads(added.stdout)[0]["name"] == "gate-1"
    command("worker", "add", "E001", "--name", "王小明", data=data)
    command("worker", "authorise", "E001", "--device", "gate-1", "--out", str(tmp_path / "permit"), data=data)
    envelope = base64.b64decode((tmp_path / "permit").read_text())
    permit = verify_authorisation(
        envelope, PublicKey.parse(keys["command"]), "gate-1", "east", "2026-01-01T00:00:00.000Z"
    )
    assert (permit.worker, permit.name, permit.role) == ("E001", "王小明", "worker")
    boss = command("worker", "authorise", "E001", "--device", "gate-1", "--role", "supervisor", data=data).stdout
    line = base64.b64decode(boss.strip().splitlines()[-1])
    permit = verify_authorisation(line, PublicKey.parse(keys["command"]), "gate-1", "east", "2026-01-01T00:00:00.000Z")
    assert permit.role == "supervisor"
    again = command("device", "add", "gate-1", "--site", "east", "--key", key, data=data, check=False)
    assert again.returncode == 1 and "already" in again.stderr and "Traceback" not in again.stderr


def test_an_opening_that_arrived_is_cleared_by_a_signed_paper_and_only_once(
    bench: Bench, terminal: Terminal, tmp_path: Path
) -> None:
    data, paper = bench.settings.data, tmp_path / "clear"
    bench.offer(terminal, terminal.enrol())
    asked = ("device", "clear-enclosure", terminal.device)
    none = command(*asked, data=data, check=False)
    assert none.returncode == 1 and "no opening" in none.stderr
    for _ in range(2):  # the newest is the one that stands
        seen = {"found": "running", "seen_at": "2026-11-22T00:00:00.000Z"}
        bench.offer(terminal, terminal.append("enclosure.opened", seen))
    assert terminal.head is not None
    opening = terminal.head.seq
    command(*asked, "--by", "boss", "--out", str(paper), data=data)
    key = bench.keys.command.public
    proof = base64.b64decode(paper.read_text())
    one = verify_clearance(proof, key, terminal.device, terminal.site, terminal.chain, "2026-01-01T00:00:00.000Z")
    assert (one.opening, one.authorised_by) == (opening, "boss")
    done = {
        "opening": opening,
        "authorised_by": "boss",
        "authorisation": one.id,
        "clearance": paper.read_text().strip(),
    }
    bench.offer(terminal, terminal.append("enclosure.cleared", done))
    again = command(*asked, data=data, check=False)
    assert again.returncode == 1 and "was cleared at" in again.stderr
    late = command(*asked, "--hours", "1000", data=data, check=False)
    assert late.returncode == 1 and "at most 7 days" in late.stderr


def test_keys_and_database_are_for_the_owner_alone(bench: Bench) -> None:
    for path in [*bench.settings.keys_path.iterdir(), bench.settings.database_path]:
        assert stat.S_IMODE(path.stat().st_mode) == 0o600, path


def test_fsck_ends_with_1_and_names_the_first_difference(bench: Bench, terminal: Terminal) -> None:
    bench.offer(terminal, terminal.enrol(), terminal.punch())
    data = bench.settings.data
    assert json.loads(command("fsck", "--json", data=data).stdout)["ok"] is True
    with sqlite3.connect(bench.database.path) as connection:
        connection.execute("UPDATE punches SET worker = 'E999'")
    connection.close()
    found = command("fsck", "--json", data=data, check=False)
    assert found.returncode == 1
    assert json.loads(found.stdout)["difference"]["column"] == "worker"


def test_an_exported_chain_is_what_was_signed(bench: Bench, terminal: Terminal, tmp_path: Path) -> None:
    envelopes = [terminal.enrol(), terminal.punch(), terminal.punch()]
    bench.offer(terminal, *envelopes)
    command("export", terminal.chain, "--out", str(tmp_path / "chain.jsonl"), data=bench.settings.data)
    assert (tmp_path / "chain.jsonl").read_bytes().splitlines() == envelopes


@pytest.mark.parametrize("toml", ["port = 'x'", "no_such_setting = 1", "broker = 'http://x'", "port = ="])
def test_wrong_settings_are_one_line_and_no_traceback(tmp_path: Path, toml: str) -> None:
    config = tmp_path / "collector.toml"
    config.write_text(toml)
    done = command("keys", "--config", str(config), data=tmp_path / "data", check=False)
    assert done.returncode == 1 and done.stderr.startswith("error: ") and "Traceback" not in done.stderr
