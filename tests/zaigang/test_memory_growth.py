"""The terminal's memory does not grow with its punches: 12 face punches in `make test`, 2,000 with ZAIGANG_LONG=1."""

from __future__ import annotations

import os

import pytest

from benchmarks.growth import LONG_PUNCHES, WANTED, run

LONG = os.environ.get("ZAIGANG_LONG") == "1"
FEW = 12
FEW_MAY_GROW_MIB = 24.0  # in twelve punches the caches still fill; a frame (0.9 MiB) kept of each prompt would show


@pytest.mark.long
def test_memory_does_not_grow_over_punches(monkeypatch: pytest.MonkeyPatch) -> None:
    if not LONG:
        monkeypatch.setattr("benchmarks.growth.PUNCHES", FEW)
    (row,) = run()
    assert row.name == f"memory after {LONG_PUNCHES if LONG else FEW} punches"
    if LONG:
        assert row.ratio <= WANTED, row
    else:
        assert row.ours - row.limit <= FEW_MAY_GROW_MIB, row
