"""Keeps what the long suites found in a full run (ZAIGANG_LONG=1), and lets an interrupted run go on.

Each finished test of `make test-long` becomes one entry of docs/results/long.json: its outcome, its seconds, the
figures that it recorded (`record_property`: counts, seeds), the commit and the machine. A test that has passed at this
very commit is not run again; ZAIGANG_AGAIN=1 runs everything.
"""

from __future__ import annotations

import json
import os
import platform
import subprocess
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pytest

ROOT = Path(__file__).resolve().parents[2]
FILE = ROOT / "docs" / "results" / "long.json"


class LongResults:
    """A pytest plugin; registered only in a full run."""

    def __init__(self, file: Path = FILE, commit: str | None = None) -> None:
        self._file = file
        self._commit = commit or _commit()
        self._kept: dict[str, Any] = json.loads(file.read_text()) if file.exists() else {}

    def pytest_collection_modifyitems(self, config: pytest.Config, items: list[pytest.Item]) -> None:
        """Leave out what has passed at this commit."""
        if os.environ.get("ZAIGANG_AGAIN") == "1":
            return
        done = [item for item in items if self._passed(item.nodeid)]
        items[:] = [item for item in items if item not in done]
        config.hook.pytest_deselected(items=done)

    def pytest_runtest_logreport(self, report: pytest.TestReport) -> None:
        """Write a finished test down at once, so that a run that is cut off has kept it."""
        if report.when != "call" and not report.failed:
            return
        self._kept[report.nodeid] = {
            "outcome": report.outcome,
            "seconds": round(report.duration, 1),
            "figures": dict(report.user_properties),
            "commit": self._commit,
            "time": f"{datetime.now(UTC):%Y-%m-%dT%H:%M:%SZ}",
            "machine": f"{platform.machine()}, {os.cpu_count()} cores, Python {platform.python_version()}",
        }
        self._file.parent.mkdir(parents=True, exist_ok=True)
        self._file.write_text(json.dumps(self._kept, indent=1, sort_keys=True, ensure_ascii=False) + "\n")

    def _passed(self, name: str) -> bool:
        kept = self._kept.get(name, {})
        # Uncommitted changes have no name by which a result could be told from another's.
        same = kept.get("commit") == self._commit and not self._commit.endswith("+changes")
        return same and kept["outcome"] == "passed"


def _commit() -> str:
    head = _git("rev-parse", "HEAD").strip()
    # The results themselves change while they are written.
    changed = [line for line in _git("status", "--porcelain", "-uno").splitlines() if "docs/results/" not in line]
    return head + ("+changes" if changed else "")


def _git(*arguments: str) -> str:
    return subprocess.run(["git", *arguments], cwd=ROOT, capture_output=True, text=True, check=True).stdout
