"""A full run of the long suites writes down what it found, and goes on where it was cut off."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from tests.support.results import LongResults

pytest_plugins = ["pytester"]

SUITE = """
def test_good(record_property):
    record_property("seed", 7)
def test_bad():
    assert False
"""


def run(pytester: pytest.Pytester, file: Path, commit: str) -> dict[str, int]:
    result = pytester.inline_run("-p", "no:cacheprovider", plugins=[LongResults(file, commit)])
    passed, skipped, failed = result.countoutcomes()
    return {"passed": passed, "failed": failed, "skipped": skipped}


def test_each_test_is_kept_with_its_figures_and_its_commit(pytester: pytest.Pytester, tmp_path: Path) -> None:
    pytester.makepyfile(SUITE)
    run(pytester, tmp_path / "long.json", "abc")
    kept = json.loads((tmp_path / "long.json").read_text())
    good = next(entry for name, entry in kept.items() if name.endswith("test_good"))
    bad = next(entry for name, entry in kept.items() if name.endswith("test_bad"))
    assert (good["outcome"], good["figures"], good["commit"]) == ("passed", {"seed": 7}, "abc")
    assert bad["outcome"] == "failed"


def test_what_passed_at_this_commit_is_not_run_again_and_what_failed_is(
    pytester: pytest.Pytester, tmp_path: Path
) -> None:
    pytester.makepyfile(SUITE)
    file = tmp_path / "long.json"
    assert run(pytester, file, "abc") == {"passed": 1, "failed": 1, "skipped": 0}
    assert run(pytester, file, "abc") == {"passed": 0, "failed": 1, "skipped": 0}
    assert run(pytester, file, "another") == {"passed": 1, "failed": 1, "skipped": 0}


def test_uncommitted_changes_are_never_taken_for_done(pytester: pytest.Pytester, tmp_path: Path) -> None:
    pytester.makepyfile(SUITE)
    file = tmp_path / "long.json"
    run(pytester, file, "abc+changes")
    assert run(pytester, file, "abc+changes")["passed"] == 1
