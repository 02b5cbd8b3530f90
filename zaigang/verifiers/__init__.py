"""The two verifiers that need no Python: a page for any browser and a script for any Unix. Written out on request."""

from __future__ import annotations

import importlib.resources
from pathlib import Path

FILES = ("verify-bundle.html", "verify-bundle.sh")


def verifier_files() -> dict[str, bytes]:
    """Return both by name."""
    return {name: (importlib.resources.files("zaigang.verifiers") / name).read_bytes() for name in FILES}


def write_verifiers(folder: Path) -> list[Path]:
    """Write both into `folder` and return where they are. Raises OSError."""
    written = []
    for name, content in verifier_files().items():
        path = folder / name
        path.write_bytes(content)
        written.append(path)
    written[-1].chmod(0o755)
    return written
