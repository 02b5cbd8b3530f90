"""Fuzz one target with atheris: `python -m fuzz.fuzz TARGET SECONDS SEED`; a crash is kept in fuzz/cases/TARGET/.

Needs atheris (CPython 3.11 to 3.13, x86-64 and aarch64): `pip install atheris`.
"""

from __future__ import annotations

import sys
from pathlib import Path

CASES = Path(__file__).parent / "cases"
FOUND = Path(__file__).parents[1] / "var" / "fuzz"  # inputs that reach further; they need not be kept
LONGEST = 32_768  # bytes; a whole bundle of the corpus fits


def main(target: str, seconds: int, seed: int) -> None:
    """Run for so long. Ends the process; exit status 0 where nothing was found."""
    import atheris

    with atheris.instrument_imports(include=["evidence"]):
        from fuzz.targets import TARGETS, run
    if target not in TARGETS:
        raise SystemExit(f"targets: {', '.join(TARGETS)}")
    folders = (FOUND / target, CASES / target)  # what is new is written into the first
    for folder in folders:
        folder.mkdir(parents=True, exist_ok=True)
    options = [
        f"-max_total_time={seconds}",
        f"-seed={seed}",
        "-timeout=5",
        f"-max_len={LONGEST}",
        f"-artifact_prefix={CASES / target}/",
        "-print_final_stats=1",
    ]
    atheris.Setup([sys.argv[0], *options, *map(str, folders)], lambda data: run(target, data))
    atheris.Fuzz()


if __name__ == "__main__":
    main(sys.argv[1], int(sys.argv[2]), int(sys.argv[3]))
