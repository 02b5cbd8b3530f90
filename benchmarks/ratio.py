"""A measured ratio: what we do against the limit that nobody can beat, in the same run on the same machine."""

from __future__ import annotations

import operator
from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class Ratio:
    """One row of the table that `make bench` prints."""

    name: str  # what was measured
    ours: float  # our figure, in `unit`
    limit: float  # the bare figure, in `unit`
    unit: str  # "ms/frame", "rows/s", "events/s", "MiB"
    wanted: str  # the bound from the project's promises, "<= 1.25" of the ratio or "<= 5 ms" of ours; "" where none
    note: str = ""

    @property
    def ratio(self) -> float:
        """Ours divided by the limit."""
        return self.ours / self.limit

    @property
    def met(self) -> bool | None:
        """Whether the ratio is as wanted, or ours where the bound has our unit; None where nothing is wanted.

        Raises ValueError for a bound that cannot be read.
        """
        if not self.wanted:
            return None
        sign, bound, *unit = self.wanted.split(" ")
        if sign not in _HOLDS or unit not in ([], [self.unit]):
            raise ValueError(f"a bound reads `<= 1.25` or `<= 5 {self.unit}`, this one {self.wanted!r}")
        holds: bool = _HOLDS[sign](self.ours if unit else self.ratio, float(bound))
        return holds


_HOLDS = {"<=": operator.le, ">=": operator.ge}
