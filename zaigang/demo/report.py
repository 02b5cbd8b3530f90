"""What the demo prints and writes: each step as it happens, a table at the end, JSON for machines."""

from __future__ import annotations

import json
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import asdict, dataclass
from pathlib import Path

from rich.console import Console
from rich.table import Table


@dataclass(slots=True)
class StepResult:
    """One step: what should have happened and what did."""

    name: str
    title: str
    expected: str
    observed: str = "did not run"
    ok: bool = False
    ms: int = 0
    attempts: int = 1  # how often the person had to try

    def saw(self, observed: str) -> None:
        """The step is ok exactly if what was observed is what was expected."""
        self.observed = observed
        self.ok = observed == self.expected


class Report:
    """The steps of one run."""

    def __init__(self, console: Console) -> None:
        self.console = console
        self.steps: list[StepResult] = []

    @property
    def ok(self) -> bool:
        """True if at least one step ran and every step came out as expected."""
        return bool(self.steps) and all(step.ok for step in self.steps)

    @contextmanager
    def step(self, name: str, title: str, expected: str) -> Iterator[StepResult]:
        """Run one step; an exception inside it is the step's observation, and ends the demo."""
        result = StepResult(name, title, expected)
        self.steps.append(result)
        start = time.monotonic()
        try:
            with self.console.status(title):
                yield result
        except Exception as error:
            result.observed, result.ok = f"{type(error).__name__}: {error}", False
            raise
        finally:
            result.ms = round((time.monotonic() - start) * 1000)
            self._print(result)

    def table(self) -> None:
        """Print all steps."""
        table = Table(title="在岗 Zaigang — demo", title_justify="left")
        for heading in ("step", "expected", "observed", "ms"):
            table.add_column(heading, justify="right" if heading == "ms" else "left", overflow="fold")
        table.add_column("")
        for step in self.steps:
            mark = "[green]ok[/]" if step.ok else "[bold red]NOT OK[/]"
            table.add_row(step.title, step.expected, step.observed, f"{step.ms}", mark)
        self.console.print(table)
        for step in self.steps:  # once more in a line each: whoever sees the end of a log alone sees what broke
            if not step.ok:
                line = f"NOT OK {step.name}: expected {step.expected!r}, observed {step.observed!r}"
                self.console.print(line, style="bold red", markup=False, highlight=False)

    def write(self, path: Path) -> None:
        """Write the steps as JSON: name, expected, observed, ok, ms."""
        path.write_text(json.dumps([asdict(step) for step in self.steps], ensure_ascii=False, indent=1) + "\n")

    def _print(self, step: StepResult) -> None:
        mark = "[green]✓[/]" if step.ok else "[bold red]✗[/]"
        again = f", attempt {step.attempts}" if step.attempts > 1 else ""
        line = f"{mark} {step.title}  [dim]{step.ms} ms{again}[/]\n    {step.observed}"
        if not step.ok:
            line += f"\n    [red]expected: {step.expected}[/]"
        self.console.print(line)
