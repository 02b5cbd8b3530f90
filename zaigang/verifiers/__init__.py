"""The two verifiers that need no Python: a page for any browser and a script for any Unix. Written out on request."""

from __future__ import annotations

import importlib.resources
from pathlib import Path

FILES = ("verify-bundle.html", "verify-bundle.sh")


def write_verifiers(folder: Path) -> list[Path]:
    """Write both into `folder` and return where they are. Raises OSError."""
    written = []
    for name in FILES:
        path = folder / name
        path.write_bytes((importlib.resources.files("zaigang.verifiers") / name).read_bytes())
        written.append(path)
    written[-1].chmod(0o755)
    return written
