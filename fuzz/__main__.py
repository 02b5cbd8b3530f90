"""Fuzz every parser, as many at once as there are cores: `python -m fuzz [TARGET…] [--seconds N]`.

What crashes or hangs is kept in fuzz/cases/TARGET/, what is interesting in var/fuzz/, the counts of a run of at least
600 seconds in docs/results/fuzz.json.
"""

from __future__ import annotations

import argparse
import json
import os
import random
import re
import subprocess
import sys
from concurrent.futures import ThreadPoolExecutor
from datetime import UTC, datetime
from pathlib import Path

from rich.progress import Progress

from fuzz.fuzz import CASES, FOUND
from fuzz.targets import TARGETS

ROOT = Path(__file__).parents[1]
RESULTS = ROOT / "docs" / "results" / "fuzz.json"
IN_FULL = 600
_STAT = re.compile(r"^stat::number_of_executed_units:\s*(\d+)", re.MULTILINE)
_COVERED = re.compile(r"cov: (\d+)")


def fuzz(target: str, seconds: int, seed: int) -> dict[str, object]:
    """Run one target in a process of its own; return what it says of itself."""
    (CASES / target).mkdir(parents=True, exist_ok=True)
    before = set((CASES / target).iterdir())
    command = [sys.executable, "-m", "fuzz.fuzz", target, str(seconds), str(seed)]
    ended = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, errors="replace", check=False)
    runs, covered = _STAT.search(ended.stderr), _COVERED.findall(ended.stderr)
    found = sorted(one.name for one in set((CASES / target).iterdir()) - before)
    if ended.returncode:
        FOUND.mkdir(parents=True, exist_ok=True)
        (FOUND / f"{target}.log").write_text(ended.stdout + ended.stderr)
    return {
        "exit": ended.returncode,
        "runs": int(runs[1]) if runs else None,
        "edges": int(covered[-1]) if covered else None,
        "seconds": seconds,
        "seed": seed,
        "found": found,
        "time": f"{datetime.now(UTC):%Y-%m-%dT%H:%M:%SZ}",
    }


def main() -> int:
    """Fuzz, and print a line a target. Exit status 1 where something was found."""
    said = argparse.ArgumentParser(prog="python -m fuzz", description=__doc__)
    said.add_argument("targets", nargs="*", metavar="TARGET", help=f"of {', '.join(TARGETS)}; default: every one")
    said.add_argument("--seconds", type=int, default=IN_FULL, help="for each target (600)")
    said.add_argument("--seed", type=int, default=random.randrange(1, 2**31), help="default: another every time")
    asked = said.parse_args()
    unknown = set(asked.targets) - set(TARGETS)
    if unknown:
        said.error(f"no such target: {', '.join(sorted(unknown))}; there are {', '.join(TARGETS)}")
    targets, failed, commit = asked.targets or list(TARGETS), 0, _commit()
    with Progress() as progress, ThreadPoolExecutor(os.cpu_count()) as pool:
        bar = progress.add_task("fuzzing", total=len(targets))
        runs = pool.map(lambda target: (target, fuzz(target, asked.seconds, asked.seed)), targets)
        for target, result in runs:
            failed += bool(result["exit"])
            words = "nothing found" if not result["exit"] else f"ended with {result['exit']}, see var/fuzz/{target}.log"
            words += f"; kept: {result['found']}" if result["found"] else ""
            progress.console.print(f"{target}: {result['runs']} inputs in {asked.seconds} s, {words}")
            progress.advance(bar)
            if asked.seconds >= IN_FULL:
                _keep(target, {**result, "commit": commit})
    return min(failed, 1)


def _keep(target: str, result: dict[str, object]) -> None:
    kept = json.loads(RESULTS.read_text()) if RESULTS.exists() else {}
    RESULTS.write_text(json.dumps({**kept, target: result}, indent=1, sort_keys=True) + "\n")


def _commit() -> str:
    # The results themselves change while they are written.
    changed = [line for line in _git("status", "--porcelain", "-uno").splitlines() if "docs/results/" not in line]
    return _git("rev-parse", "HEAD") + ("+changes" if changed else "")


def _git(*arguments: str) -> str:
    return subprocess.run(["git", *arguments], cwd=ROOT, capture_output=True, text=True, check=True).stdout.strip()


if __name__ == "__main__":
    sys.exit(main())
