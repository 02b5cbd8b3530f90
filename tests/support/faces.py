"""The landmark bundle of this machine, and the other mediapipe that `make test` puts beside the first."""

from __future__ import annotations

import subprocess
from functools import lru_cache
from pathlib import Path

from kiosk.verify.landmarks import LandmarkDetector
from kiosk.verify.models import landmark_bundle

ROOT = Path(__file__).parents[2]
OTHER_VENV = ROOT / ".venv-mediapipe-0.10.18"


@lru_cache(maxsize=1)
def bundle() -> Path:
    """Return the landmark bundle, built if this machine has none."""
    return landmark_bundle(fetch=True)


@lru_cache(maxsize=1)
def still_detector() -> LandmarkDetector:
    """Return one detector of single images for a whole test run: memory is not returned when one is closed."""
    return LandmarkDetector(bundle(), "image")


def other_python() -> str:
    """Return the Python that has mediapipe 0.10.18. A missing one fails the test: it is part of the promise."""
    python = OTHER_VENV / "bin" / "python"
    assert python.exists(), "run tools/other-mediapipe first, as make test does"
    return str(python)


def run_with_other_mediapipe(*arguments: str, **variables: str) -> subprocess.CompletedProcess[str]:
    """Run this tree's code under mediapipe 0.10.18."""
    environment = {"PATH": "/usr/bin:/bin", "PYTHONPATH": str(ROOT), "HOME": "/nonexistent", **variables}
    return subprocess.run(
        [other_python(), *arguments], capture_output=True, text=True, env=environment, timeout=120, cwd=ROOT
    )


def pinned_models() -> dict[str, bytes]:
    """Return the .tflite files out of the other mediapipe, by the names the recipe gives them."""
    from kiosk.verify.models import TFLITE_SHA256

    other_python()
    package = next(OTHER_VENV.glob("lib/python3.*/site-packages/mediapipe"))
    return {name: (package / name).read_bytes() for name in TFLITE_SHA256}
