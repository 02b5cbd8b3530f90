"""`zaigang evaluate liveness`: attacks and living people before the terminal's own face path, and the rates of it."""

from __future__ import annotations

import json
import time
from pathlib import Path
from typing import Annotated, Any, NoReturn

import typer
from rich.console import Console
from rich.progress import Progress
from rich.table import Table

from zaigang.evaluation import liveness_suite
from zaigang.evaluation.liveness_clips import ClipFolder, judge_folders
from zaigang.evaluation.liveness_report import LIVING, NON_RESPONSE, Judged, report


def command(
    live: Annotated[list[Path] | None, typer.Option("--live", help="A folder of clips of living people.")] = None,
    attack: Annotated[list[str] | None, typer.Option("--attack", help="SPECIES=DIR, clips of one attack.")] = None,
    synthetic: Annotated[bool, typer.Option("--synthetic", help="Film the synthetic suite.")] = False,
    seed: Annotated[int, typer.Option("--seed", help="Of the synthetic suite: the same seed, the same attempts.")] = 1,
    count: Annotated[str, typer.Option("--count", help=f"{', '.join(liveness_suite.COUNTS)}.")] = "full",
    beyond: Annotated[
        bool, typer.Option("--beyond", help="Of the synthetic suite: fitting replays without edge or grid instead.")
    ] = False,
    flash: Annotated[bool, typer.Option("--flash", help="Of the synthetic suite: light all with a screen.")] = False,
    json_file: Annotated[Path | None, typer.Option("--json", help="Write the whole report as JSON.")] = None,
) -> None:
    """Measure APCER by attack species and BPCER (ISO/IEC 30107-3), of recorded clips or of the synthetic suite."""
    console = Console()
    folders = [ClipFolder(LIVING, folder) for folder in live or []] + [_attack(one) for one in attack or []]
    if synthetic == bool(folders):
        _stop("say either --synthetic, or folders of clips with --live DIR and --attack SPECIES=DIR")
    found = _synthetic(console, seed, count, beyond=beyond, flash=flash) if synthetic else _clips(console, folders)
    _print(console, found)
    if json_file is not None:
        json_file.write_text(json.dumps(found, indent=1, ensure_ascii=False) + "\n")


def _attack(option: str) -> ClipFolder:
    species, given, folder = option.partition("=")
    if not given or not species or species == LIVING:
        _stop(f"--attack wants SPECIES=DIR, not {option!r}")
    return ClipFolder(species, Path(folder))


def _clips(console: Console, folders: list[ClipFolder]) -> dict[str, Any]:
    for one in folders:
        if not one.folder.is_dir():
            _stop(f"{one.folder} is no folder")
        if not one.clips():
            _stop(f"there are no clips in {one.folder}")
    total = sum(len(one.clips()) for one in folders)
    with Progress(console=console, transient=True) as bar:
        task = bar.add_task("clips", total=total)
        rows = []
        for row in judge_folders(folders):
            rows.append(row)
            bar.advance(task)
    unprompted = sum(row.policy is None and row.decision != NON_RESPONSE for row in rows)
    return report(rows, kind="clips", judged_without_a_prompt=unprompted)


def _stop(message: str) -> NoReturn:
    typer.echo(message, err=True)
    raise typer.Exit(2)


def _synthetic(console: Console, seed: int, count: str, *, beyond: bool, flash: bool) -> dict[str, Any]:
    if count not in liveness_suite.COUNTS:
        _stop(f"--count is one of {', '.join(liveness_suite.COUNTS)}")
    wanted = liveness_suite.attempts(seed, count, beyond=beyond, flash=flash)
    started = time.monotonic()
    with Progress(console=console, transient=True) as bar:
        task = bar.add_task("synthetic attempts", total=len(wanted))

        def progress(_: Judged) -> None:
            bar.advance(task)

        rows = liveness_suite.run(wanted, progress)
    took_s = round(time.monotonic() - started)
    about = {"beyond": beyond, "flash": flash, "took_s": took_s, "processes": liveness_suite.PROCESSES}
    return report(rows, kind="synthetic", seed=seed, count=count, **about)


def _print(console: Console, found: dict[str, Any]) -> None:
    table = Table(title=f"Liveness, {found['kind']} ({found['standard']})", title_justify="left")
    for heading in ("", "n", "wrong", "rate", "95 % bound", "why not accepted"):
        table.add_column(heading, justify="right" if heading in ("n", "wrong", "rate", "95 % bound") else "left")
    live = found["live"]
    table.add_row("living (BPCER)", *_cells(live, live["refused"], live["bpcer"]))
    for name, entry in found["species"].items():
        table.add_row(f"{name} (APCER)", *_cells(entry, entry["accepted"], entry["apcer"]))
    console.print(table)
    console.print(f"worst species: {found['worst_species']}; non-responses: {found['non_response']}")
    if found.get("judged_without_a_prompt"):
        number = found["judged_without_a_prompt"]
        console.print(f"{number} clips without a sidecar: only the signals that need no prompt were judged")
    _print_ablation(console, found["ablation"])


def _cells(entry: dict[str, Any], wrong: int, rate: float | None) -> tuple[str, ...]:
    why = ", ".join(f"{reason} {number}" for reason, number in list(entry["reasons"].items())[:4])
    return (str(entry["n"]), str(wrong), "-" if rate is None else f"{rate:.1%}", f"{entry['upper95']:.1%}", why)


def _print_ablation(console: Console, ablation: dict[str, Any]) -> None:
    if not ablation:
        return
    names = list(next(iter(ablation.values()))["off"])
    table = Table(title="Accepted with one check alone / with it off", title_justify="left")
    table.add_column("")
    for name in (*names, "border/flash only"):
        table.add_column(name, justify="right")
    for species, entry in ablation.items():
        cells = [f"{entry['alone'][name]} / {entry['off'][name]}" for name in names]
        mark = entry["only_border_or_flash"]
        table.add_row(f"{species} ({entry['n']})", *cells, f"[bold]{mark}[/bold]" if mark else "-")
    console.print(table)
