"""`make bench` runs to its end and measures every subject; how fast anything is belongs to the run itself."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path

import pytest

from benchmarks.ratio import Ratio
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
    assert all((row["met"] is None) == (row["wanted"] == "") for row in rows)
    for row in rows:
        assert (f"not met here: {row['name']}" in done.stdout) == (row["met"] is False)


@pytest.mark.parametrize(
    ("ours", "wanted", "met"),
    [
        (2.0, "<= 0.5", True),
        (2.1, "<= 0.5", False),
        (2.0, ">= 0.5", True),
        (1.9, ">= 0.5", False),
        (2.0, "<= 2 ms", True),
        (2.1, "<= 2 ms", False),
        (2.0, "", None),
    ],
)
def test_a_row_says_whether_it_is_as_wanted(ours: float, wanted: str, met: bool | None) -> None:
    assert Ratio("it", ours, 4.0, "ms", wanted).met is met


@pytest.mark.parametrize("wanted", ["about 1", "<= 5 s"])
def test_a_bound_that_cannot_be_read_is_an_error(wanted: str) -> None:
    with pytest.raises(ValueError, match="a bound reads"):
        _ = Ratio("it", 1.0, 1.0, "ms", wanted).met
