"""`zaigang bundle` on a collector's folder, and `zaigang verify` on what it wrote."""

from __future__ import annotations

import json
import subprocess
from pathlib import Path

import pytest
from typer.testing import CliRunner

from collector.statements.rotation import rotate
from tests.collector.conftest import Bench
from tests.collector.holes import swear
from tests.collector.terminal import Terminal
from tests.collector.test_evidence_bundles import a_day
from zaigang.cli import SUBCOMMANDS, load

BUNDLE = load(next(one for one in SUBCOMMANDS if one.name == "bundle"))
VERIFY = load(next(one for one in SUBCOMMANDS if one.name == "verify"))
PERIOD = ("--from", "2026-11-22T08:00:00+08:00", "--to", "2026-11-23T08:00:00+08:00")


def made(bench: Bench, folder: Path, *options: str) -> tuple[int, str]:
    arguments = [str(folder / "evidence.zip"), *PERIOD, "--data", str(bench.settings.data), *options]
    done = CliRunner().invoke(BUNDLE, arguments)
    assert done.exception is None or isinstance(done.exception, SystemExit), done.exception
    return done.exit_code, done.output


def test_a_bundle_is_written_with_its_verifiers_and_its_trust_file(
    bench: Bench, terminal: Terminal, tmp_path: Path
) -> None:
    a_day(bench, terminal)
    trust = tmp_path / "trust.json"
    code, output = made(bench, tmp_path, "--site", "east", "--verifiers", "--trust-out", str(trust), "--json")
    answer = json.loads(output[output.index("{") :])
    assert code == 0 and answer["problems"] == []
    assert (answer["events"], answer["tree_size"], answer["punches"]) == (8, 8, 4)
    done = CliRunner().invoke(VERIFY, [str(tmp_path / "evidence.zip"), "--trust", str(trust)])
    assert done.exit_code == 0, done.output
    script = [str(tmp_path / "verify-bundle.sh"), str(tmp_path / "evidence.zip"), str(trust)]
    shell = subprocess.run(script, capture_output=True, text=True, check=False, timeout=120)
    assert shell.returncode == 0, shell.stdout + shell.stderr
    assert "Everything holds: 8 events" in shell.stdout
    assert (tmp_path / "verify-bundle.html").stat().st_size > 10_000


def test_a_rotation_that_was_cut_short_is_finished_first(
    bench: Bench, terminal: Terminal, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    a_day(swear(bench), terminal)
    with monkeypatch.context() as cut:
        cut.setattr("collector.statements.rotation.finish", lambda *_: None)  # the power went
        rotate(bench.database, bench.keys, bench.settings.keys_path, "receipt")
    code, output = made(bench, tmp_path, "--site", "east", "--no-pdf", "--json")
    assert code == 0, output
    assert json.loads(output[output.index("{") :])["problems"] == []


def test_who_asked_is_on_record(bench: Bench, terminal: Terminal, tmp_path: Path) -> None:
    a_day(bench, terminal)
    assert made(bench, tmp_path, "--worker", "E001", "--no-pdf", "--by", "Zhao (HR)")[0] == 0
    (record,) = bench.services.evidence_bundles.made()
    assert (record.made_by, record.worker, record.site) == ("Zhao (HR)", "E001", None)


def test_a_question_without_sense_says_what_to_do(bench: Bench, terminal: Terminal, tmp_path: Path) -> None:
    a_day(bench, terminal)
    assert made(bench, tmp_path)[0] == 1
    code, output = made(bench, tmp_path, "--site", "east", "--worker", "E001")
    assert code == 1 and "one site or one worker" in output
    code, output = made(bench, tmp_path, "--site", "west")
    assert code == 1 and "no event about site west" in output
    code, output = made(bench, tmp_path, "--site", "east", "--from", "yesterday")
    assert code == 1 and "RFC 3339" in output
    assert not (tmp_path / "evidence.zip").exists()
