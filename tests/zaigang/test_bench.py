"""`make bench` runs to its end and measures every subject; how fast anything is belongs to the run itself."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path

import pytest

from zaigang.commands.bench import SUBJECTS


@pytest.mark.timeout(
    1800
)  # twelve subjects start servers and models; a busy machine needs many times a quiet one's time
def test_a_short_run_gives_a_figure_for_every_subject(tmp_path: Path) -> None:
    out = tmp_path / "bench.json"
    done = subprocess.run(
        [Path(sys.executable).with_name("zaigang"), "bench", "--smoke", "--json", str(out)],
        capture_output=True,
        text=True,
        timeout=1500,
    )
    assert done.returncode == 0, done.stdout + done.stderr
    rows = json.loads(out.read_text())["rows"]
    assert len(rows) >= len(SUBJECTS)
    assert all(row["ours"] > 0 and row["limit"] > 0 for row in rows)
