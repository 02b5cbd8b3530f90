"""Fuzz one target with atheris: `python -m fuzz.fuzz TARGET SECONDS`; a crash is kept in fuzz/cases/TARGET/.

Needs atheris (CPython 3.11 to 3.13, x86-64 and aarch64): `pip install atheris`.
"""

from __future__ import annotations

import sys
from pathlib import Path

CASES = Path(__file__).parent / "cases"


def main(target: str, seconds: int) -> None:
    """Run for so long. Ends the process; exit status 0 where nothing was found."""
    import atheris

    with atheris.instrument_imports(include=["evidence"]):
        from fuzz.targets import TARGETS, run
    if target not in TARGETS:
        raise SystemExit(f"targets: {', '.join(TARGETS)}")
    folder = CASES / target
    folder.mkdir(parents=True, exist_ok=True)
    options = [f"-max_total_time={seconds}", "-timeout=5", "-max_len=8192", f"-artifact_prefix={folder}/"]
    atheris.Setup([sys.argv[0], *options, str(folder)], lambda data: run(target, data))
    atheris.Fuzz()


if __name__ == "__main__":
    main(sys.argv[1], int(sys.argv[2]))
