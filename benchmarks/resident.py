"""How much memory a process holds now, as the kernel counts it."""

from __future__ import annotations

from pathlib import Path


def resident_mib(pid: int | str = "self") -> float:
    """Return the resident set in MiB. Raises OSError for a process that has ended."""
    lines = Path(f"/proc/{pid}/status").read_text().splitlines()
    return int(next(line for line in lines if line.startswith("VmRSS:")).split()[1]) / 1024
