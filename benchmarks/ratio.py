"""A measured ratio: what we do against the limit that nobody can beat, in the same run on the same machine."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class Ratio:
    """One row of the table that `make bench` prints."""

    name: str  # what was measured
    ours: float  # our figure, in `unit`
    limit: float  # the bare figure, in `unit`
    unit: str  # "ms/frame", "rows/s", "events/s", "MiB"
    wanted: str  # the bound from the project's promises, e.g. "<= 1.25"; "" where none
    note: str = ""

    @property
    def ratio(self) -> float:
        """Ours divided by the limit."""
        return self.ours / self.limit
