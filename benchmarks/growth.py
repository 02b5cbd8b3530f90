"""Does the terminal's memory grow with the punches? A whole terminal, real face attempts, its own resident set.

Pictures come when the attempt asks for them (tests/kiosk/lockstep), so that a punch costs what it computes. The first
part is warm-up: caches, SQLite's pages and the 200 attempts that are remembered against replays fill up.
"""

from __future__ import annotations

import importlib
import json
import os
import subprocess
import sys
import tempfile
import time
from pathlib import Path

from benchmarks.ratio import Ratio
from benchmarks.resident import resident_mib

ROOT = Path(__file__).resolve().parents[1]
PUNCHES, SMOKE_PUNCHES, LONG_PUNCHES = 40, 4, 2_000
TOLD_EVERY = 50  # punches
FPS = 12.5  # half of a camera's: the pictures are what a punch costs here
WANTED = 1.05  # of the resident set after the warm-up


def run(smoke: bool = False) -> list[Ratio]:
    """Measure in a process of its own; ZAIGANG_LONG=1 makes 2,000 punches."""
    long = os.environ.get("ZAIGANG_LONG") == "1"
    punches = SMOKE_PUNCHES if smoke else LONG_PUNCHES if long else PUNCHES
    command = [sys.executable, "-m", "benchmarks.growth", str(punches)]
    done = subprocess.run(command, capture_output=True, text=True, check=True, cwd=ROOT, timeout=punches * 30 + 300)
    told = json.loads(done.stdout.splitlines()[-1])
    note = f"resident after {told['punches']} punches against after {told['warm']}; {told['verified']} verified"
    return [Ratio(f"memory after {punches} punches", told["end_mib"], told["warm_mib"], "MiB", f"<= {WANTED}", note)]


def measure(punches: int) -> dict[str, float]:
    """Make the punches; return the resident set after a quarter of them and after all, in MiB."""
    import pytest

    from evidence.events import LogType, Verdict

    lockstep = importlib.import_module("tests.kiosk.lockstep")  # by name: the tests are not under mypy's strictness
    warm, verified, warm_mib = max(1, punches // 4), 0, 0.0
    with (
        tempfile.TemporaryDirectory() as folder,
        pytest.MonkeyPatch.context() as patch,
        lockstep.lockstep_terminal(Path(folder), lockstep.Stage(FPS), patch) as kiosk,
    ):
        for number in range(punches):
            kiosk.attendant.dismiss()
            kiosk.attendant.tap(LogType.IN, "W-1")
            while (result := kiosk.attendant.view().result) is None:
                time.sleep(0.01)
            verified += result.verdict is Verdict.VERIFIED
            if number + 1 == warm:
                warm_mib = resident_mib()
            if (number + 1) % TOLD_EVERY == 0:
                print(f"{number + 1} of {punches} punches: {resident_mib():.1f} MiB", file=sys.stderr, flush=True)
        end_mib = resident_mib()
    return {"punches": punches, "warm": warm, "verified": verified, "warm_mib": warm_mib, "end_mib": end_mib}


if __name__ == "__main__":
    print(json.dumps(measure(int(sys.argv[1]))))
