"""`zaigang collector erase|hold`: erase a person, or let nothing of a person be erased while a dispute is open."""

from __future__ import annotations

from dataclasses import asdict
from enum import StrEnum
from typing import Annotated

import typer
from rich.console import Console

from zaigang.commands.collector_opened import ConfigOption, DataOption, JsonOption, opened, print_json


class ErasureScope(StrEnum):
    """What goes."""

    BIOMETRIC = "biometric"
    ALL = "all"


def erase(
    worker: Annotated[str, typer.Argument(help="Employee code.")],
    reason: Annotated[str, typer.Option(help="Why; it is signed and must not name the worker.")],
    scope: Annotated[
        ErasureScope,
        typer.Option(help="biometric: templates on terminals. all: ledger entries past retention too."),
    ] = ErasureScope.ALL,
    ignore_retention: Annotated[
        bool, typer.Option("--ignore-retention", help="Take entries within the retention period too.")
    ] = False,
    config: ConfigOption = None,
    data: DataOption = None,
    as_json: JsonOption = False,
) -> None:
    """Erase what lies here of a worker, and have the terminals do the same. It cannot be taken back."""
    with opened(config, data) as held:
        done = held.services.erasures.erase(worker, scope.value, reason, ignore_retention=ignore_retention)
        if as_json:
            print_json(asdict(done))
            return
        text = f"erasure {done.id}: {done.erased} ledger entries are tombstones now, entry {done.leaf_index} says why\n"
        if done.kept:
            text += f"{done.kept} are within the retention period and may go after {done.kept_until}; run it then\n"
        if done.confirmed_others:
            text += f"{done.confirmed_others} records of other workers name this one as supervisor; they stay\n"
        text += f"told to erase: {', '.join(done.terminals) or 'no terminal'}"
        Console().print(text, highlight=False, soft_wrap=True)


def hold(
    worker: Annotated[str, typer.Argument(help="Employee code.")],
    reason: Annotated[str, typer.Option(help="Why.")] = "",
    lift: Annotated[bool, typer.Option("--lift", help="End the hold.")] = False,
    config: ConfigOption = None,
    data: DataOption = None,
) -> None:
    """Let nothing of a worker be erased (legal hold), or end that."""
    with opened(config, data) as held:
        erasures = held.services.erasures
        row = erasures.lift(worker) if lift else erasures.hold(worker, reason)
        Console().print(f"{worker}: held since {row.since}" + (f", lifted {row.lifted_at}" if lift else ""))


def add_to(app: typer.Typer) -> None:
    """Add these commands to `zaigang collector`."""
    app.command("erase")(erase)
    app.command("hold")(hold)
