"""What long suites found, kept under docs/results/ when they ran in full (ZAIGANG_LONG=1)."""

from __future__ import annotations

import json
import os
import platform
import subprocess
from datetime import UTC, datetime
from pathlib import Path

FOLDER = Path(__file__).resolve().parents[2] / "docs" / "results"


def keep_result(name: str, **figures: object) -> None:
    """Write `figures` with commit, date and machine kind to docs/results/NAME.json; only for a full run."""
    if os.environ.get("ZAIGANG_LONG") != "1":
        return
    commit = subprocess.run(["git", "rev-parse", "HEAD"], cwd=FOLDER.parent, capture_output=True, text=True, check=True)
    dirty = subprocess.run(
        ["git", "status", "--porcelain", "--untracked-files=no"],
        cwd=FOLDER.parent,
        capture_output=True,
        text=True,
        check=True,
    )
    record = {
        "name": name,
        "commit": commit.stdout.strip() + ("+changes" if dirty.stdout.strip() else ""),
        "time": f"{datetime.now(UTC):%Y-%m-%dT%H:%M:%SZ}",
        "machine": f"{platform.machine()}, {os.cpu_count()} cores, Python {platform.python_version()}",
        **figures,
    }
    FOLDER.mkdir(parents=True, exist_ok=True)
    (FOLDER / f"{name}.json").write_text(json.dumps(record, indent=1, ensure_ascii=False) + "\n")
