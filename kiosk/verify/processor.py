"""Whether this machine can load mediapipe's library at all. Asked before loading: afterwards it is a crash without a
word.

The aarch64 library of mediapipe >= 1.0 is compiled with LSE and RCPC instructions. A Pi 5 (Cortex-A76) has them; a Pi
4, CM4 or Pi 3 (Cortex-A72, A53) dies of an illegal instruction while loading it, and runs 0.10.18.
"""

from __future__ import annotations

import platform
from pathlib import Path

from kiosk.verify.errors import LibraryMissing, WrongProcessor

CPUINFO = Path("/proc/cpuinfo")
NEEDED_FEATURES = ("atomics", "lrcpc")  # the kernel's words for LSE and RCPC
FIRST_NEEDING_THEM = 1  # mediapipe's major version

# What a minimal Debian lacks, by the name the loader complains of.
DEBIAN_PACKAGES = "libgl1 libglib2.0-0 libgles2 libegl1"
SYSTEM_LIBRARIES = ("libGL.so", "libEGL.so", "libGLESv2.so", "libglib-2.0.so", "libgthread-2.0.so")


def check_processor(mediapipe_version: str, machine: str | None = None, cpuinfo: Path = CPUINFO) -> None:
    """Raise WrongProcessor when the installed mediapipe would crash here. Only a 64-bit ARM can fail."""
    if (machine or platform.machine()) not in ("aarch64", "arm64"):
        return
    if int(mediapipe_version.split(".", maxsplit=1)[0]) < FIRST_NEEDING_THEM:
        return
    features = _features(cpuinfo)
    missing = [one for one in NEEDED_FEATURES if one not in features]
    if features and missing:
        raise WrongProcessor(
            f"this processor lacks {' and '.join(missing)}, which mediapipe {mediapipe_version} needs "
            "(a Pi 4 or older); install requirements/mediapipe-0.10.18.txt instead"
        )


def _features(cpuinfo: Path) -> set[str]:
    """Return what every core has; empty when the kernel does not say."""
    try:
        lines = cpuinfo.read_text().splitlines()
    except OSError:
        return set()
    cores = [set(line.partition(":")[2].split()) for line in lines if line.startswith("Features")]
    return set.intersection(*cores) if cores else set()


def explain_import_failure(error: BaseException) -> LibraryMissing:
    """Return what to do about a failed import of mediapipe: the Debian packages, or the Python package."""
    text = str(error)
    if any(library in text for library in SYSTEM_LIBRARIES):
        return LibraryMissing(f"mediapipe cannot load ({text}): apt install {DEBIAN_PACKAGES}")
    if isinstance(error, ModuleNotFoundError) and error.name == "mediapipe":
        return LibraryMissing("mediapipe is not installed: pip install 'zaigang[kiosk]'")
    return LibraryMissing(f"mediapipe cannot be imported: {type(error).__name__}: {text}")
