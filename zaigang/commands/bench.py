"""`zaigang bench`: the benchmarks of this checkout, each a ratio to a limit measured in the same run."""

from __future__ import annotations

import importlib
import json
import os
import platform
import subprocess
import sys
from dataclasses import asdict
from datetime import UTC, datetime
from pathlib import Path
from typing import Annotated

import typer
from rich.console import Console
from rich.table import Table

SUBJECTS = (
    "frames",
    "verdict",
    "journal",
    "intake",
    "delivery",
    "backlog",
    "bundle",
    "search",
    "proofs",
    "memory",
    "morning",
    "growth",
)


def command(
    only: Annotated[list[str] | None, typer.Argument(help=f"Some of: {', '.join(SUBJECTS)}.")] = None,
    smoke: Annotated[bool, typer.Option("--smoke", help="Few repetitions: does it run at all?")] = False,
    json_file: Annotated[Path | None, typer.Option("--json", help="Write the rows as JSON.")] = None,
) -> None:
    """Measure what we cost against what nobody can beat on this machine."""
    root = Path(__file__).resolve().parents[2]
    if not (root / "benchmarks").is_dir():
        typer.echo("the benchmarks lie in the source tree; run `make bench` in a checkout", err=True)
        raise typer.Exit(2)
    sys.path.insert(0, str(root))
    subjects = only or list(SUBJECTS)
    if unknown := set(subjects) - set(SUBJECTS):
        typer.echo(f"no such benchmark: {', '.join(sorted(unknown))}; there are {', '.join(SUBJECTS)}", err=True)
        raise typer.Exit(2)
    console = Console()
    rows = []
    for subject in subjects:
        console.print(f"measuring {subject} …")  # a line and no spinner: its thread would be measured too
        rows += importlib.import_module(f"benchmarks.{subject}").run(smoke)
    table = Table(title="Zaigang — ratios measured in this run", title_justify="left")
    for heading in ("what", "ours", "limit", "unit", "ratio", "wanted", "note"):
        table.add_column(heading, justify="right" if heading in ("ours", "limit", "ratio") else "left", overflow="fold")
    for row in rows:
        ratio = f"{row.ratio:.2f}" if row.met is None else f"[{'green' if row.met else 'red'}]{row.ratio:.2f}[/]"
        table.add_row(row.name, f"{row.ours:,.2f}", f"{row.limit:,.2f}", row.unit, ratio, row.wanted, row.note)
    console.print(table)
    for row in rows:
        if row.met is False:
            console.print(f"[red]not met here:[/] {row.name}: {row.ratio:.3f}, wanted {row.wanted}")
    if json_file is not None:
        figures = [{**asdict(row), "ratio": row.ratio, "met": row.met} for row in rows]
        json_file.write_text(json.dumps({**_circumstances(root), "rows": figures}, indent=1) + "\n")


def _circumstances(root: Path) -> dict[str, object]:
    """Return what a reader of the figures has to know: when, at which commit, on what."""
    command = ["git", "describe", "--always", "--dirty"]
    asked = subprocess.run(command, cwd=root, capture_output=True, text=True, check=False)  # noqa: S603
    return {
        "measured": datetime.now(UTC).isoformat(timespec="seconds"),
        "commit": asked.stdout.strip() or None,
        "machine": platform.machine(),
        "cores": os.cpu_count(),
        "load": round(os.getloadavg()[0], 1),  # at the end, our own included
        "python": platform.python_version(),
    }
