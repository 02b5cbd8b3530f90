"""`zaigang demo` walks the whole road, and its exit code tells the truth."""

from __future__ import annotations

import json
import subprocess
import sys
import time
from io import StringIO
from pathlib import Path
from typing import Any

import psutil
import pytest
from rich.console import Console

from zaigang.demo.report import Report
from zaigang.demo.world import REFUSED_TRIES, World

STEPS = ["start", "enrol", "punch_in", "stranger", "printed_photo", "network_away", "verify", "bundle", "changed_byte"]


@pytest.mark.timeout(400)
def test_every_step_of_the_demo_comes_out_as_expected(tmp_path: Path) -> None:
    steps = tmp_path / "steps.json"
    done = subprocess.run(
        [sys.executable, "-m", "zaigang.cli", "demo", "--json", str(steps), "--data", str(tmp_path / "data")],
        capture_output=True,
        text=True,
        timeout=380,
        check=False,
    )
    told = json.loads(steps.read_text())
    assert [step["name"] for step in told] == STEPS, done.stdout + done.stderr
    assert all(step["ok"] for step in told), json.dumps(told, ensure_ascii=False, indent=1)
    assert all(step["observed"] == step["expected"] and step["ms"] >= 0 for step in told)
    assert done.returncode == 0
    assert "http://127.0.0.1:" in done.stdout


def test_a_step_that_sees_something_else_is_not_ok() -> None:
    report = Report(Console(quiet=True))
    with report.step("one", "One", "verified") as step:
        step.saw("refused")
    assert not report.ok


def test_a_step_that_breaks_off_is_not_ok_and_says_why() -> None:
    report = Report(Console(quiet=True))
    with pytest.raises(OSError, match="gone"), report.step("one", "One", "verified"):
        raise OSError("gone")
    assert not report.ok
    assert report.steps[0].observed == "OSError: gone"


def test_a_report_without_steps_is_not_ok() -> None:
    assert not Report(Console(quiet=True)).ok


def test_what_broke_stands_at_the_end_of_the_log_too() -> None:
    log = Console(record=True, width=200, quiet=False, file=StringIO())
    report = Report(log)
    with report.step("one", "One", "verified") as step:
        step.saw("refused")
    report.table()
    assert log.export_text().splitlines()[-1].strip() == "NOT OK one: expected 'verified', observed 'refused'"


class ScriptedWorld(World):
    """Its punches are written down beforehand."""

    def __init__(self, *punches: dict[str, Any]) -> None:
        self.left = list(punches)

    def attempt(self, who: str, log_type: str, **_: Any) -> dict[str, Any]:
        return {"receipt_code": "0"}

    def stored(self, receipt_code: str) -> dict[str, Any]:
        return self.left.pop(0)


def _punch(verdict: str, outcome: str) -> dict[str, Any]:
    return {"verdict": verdict, "checks": [{"name": "planarity", "outcome": outcome}]}


def test_a_photo_that_fails_the_prompt_tries_again_until_it_is_judged_as_flat() -> None:
    world = ScriptedWorld(_punch("refused", "not_run"), _punch("refused", "failed"))
    assert world.refused_for("planarity", "print") == (_punch("refused", "failed"), 2)


@pytest.mark.parametrize("verdict", ["verified", "review"])
def test_a_photo_that_is_not_refused_once_ends_the_step(verdict: str) -> None:
    world = ScriptedWorld(_punch("refused", "not_run"), _punch(verdict, "not_run"), _punch("refused", "failed"))
    punch, attempts = world.refused_for("planarity", "print")
    assert (punch["verdict"], attempts) == (verdict, 2)


def test_a_photo_that_is_never_judged_as_flat_does_not_try_for_ever() -> None:
    world = ScriptedWorld(*[_punch("refused", "not_run")] * 50)
    punch, attempts = world.refused_for("planarity", "print")
    assert (punch["checks"][0]["outcome"], attempts) == ("not_run", REFUSED_TRIES)


@pytest.mark.timeout(200)
def test_a_demo_that_is_ended_leaves_no_program_running(tmp_path: Path) -> None:
    demo = subprocess.Popen(
        [sys.executable, "-m", "zaigang.cli", "demo", "--data", str(tmp_path / "data")],
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
    )
    deadline = time.monotonic() + 120
    while not (tmp_path / "data" / "terminal.log").exists():
        assert demo.poll() is None and time.monotonic() < deadline
        time.sleep(0.1)
    children = psutil.Process(demo.pid).children(recursive=True)
    assert children
    demo.terminate()
    demo.communicate(timeout=60)
    _, alive = psutil.wait_procs(children, timeout=20)
    assert alive == []
