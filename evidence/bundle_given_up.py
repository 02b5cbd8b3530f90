"""The events of a chain that were let go, run by run, with the collector's statement that let them go. Pure."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Literal

from evidence.bundle_index import Erased, Line, Missing
from evidence.events import Event


@dataclass(frozen=True, slots=True)
class GivenUp:
    """One run of events that are not there any more."""

    kind: Literal["erased", "missing"]
    first: int
    last: int
    by: int  # the ledger entry that authorises it
    stated_at: str | None  # None: the bundle does not have that entry, which its check names
    stated_by: str
    reason: str

    @property
    def zh(self) -> str:
        """The run in Chinese."""
        what = "已依法删除，留有墓碑记录" if self.kind == "erased" else "考勤中心声明永久缺失"
        return f"序号 {self._seqs('至')}：{what}（账本第 {self.by} 条，{self._word('；')}）"

    @property
    def en(self) -> str:
        """The run in English."""
        what = "erased, a tombstone stands" if self.kind == "erased" else "declared missing for good"
        return f"seq {self._seqs('to')}: {what} (ledger entry {self.by}, {self._word('; ')})"

    def _seqs(self, to: str) -> str:
        return str(self.first) if self.first == self.last else f"{self.first} {to} {self.last}"

    def _word(self, between: str) -> str:
        if self.stated_at is None:
            return "不在包内 not in the bundle"
        return between.join([self.stated_at, self.stated_by, " ".join(self.reason.split())])


def given_up(lines: Sequence[Line], statements: Mapping[int, Event]) -> tuple[GivenUp, ...]:
    """Return what of a chain was let go; neighbours that one statement covers are one run."""
    runs: list[GivenUp] = []
    for line in lines:
        if not isinstance(line, Erased | Missing):
            continue
        kind: Literal["erased", "missing"] = "erased" if isinstance(line, Erased) else "missing"
        if runs and (runs[-1].kind, runs[-1].by, runs[-1].last) == (kind, line.by, line.seq - 1):
            runs[-1] = replace(runs[-1], last=line.last)
            continue
        event = statements.get(line.by)
        body = {} if event is None else event.body
        at = None if event is None else event.time
        runs.append(GivenUp(kind, line.seq, line.last, line.by, at, str(body.get("by")), str(body.get("reason"))))
    return tuple(runs)
