"""Which software signs: the string that stands in `device.enrolled` and in every health message."""

from __future__ import annotations

from importlib import metadata


def software() -> str:
    """Return `zaigang` and its installed version; a source tree that is not installed says so."""
    try:
        return f"zaigang {metadata.version('zaigang')}"
    except metadata.PackageNotFoundError:
        return "zaigang (not installed)"
