"""`zaigang collector gap|statements|audit`: what the collector states itself, and the gaps that are given up."""

from __future__ import annotations

import json
import sys
from enum import StrEnum
from pathlib import Path
from typing import Annotated

import typer
from rich.console import Console

from collector.statements.rotation import rotate
from zaigang.commands.collector_opened import ConfigOption, DataOption, JsonOption, opened, print_json, print_table

gap = typer.Typer(no_args_is_help=True, help="Events that are missing for good.")


@gap.command("declare")
def gap_declare(
    device: str,
    chain: Annotated[str, typer.Option(help="The chain's id.")],
    last: Annotated[int, typer.Option(help="The last missing seq; the event behind it waits.")],
    reason: Annotated[str, typer.Option(help="Why they are given up; it is signed.")],
    dead_letter: Annotated[int | None, typer.Option(help="What came in their place and cannot be read.")] = None,
    config: ConfigOption = None,
    data: DataOption = None,
    as_json: JsonOption = False,
) -> None:
    """Give missing events up, so that what waits behind them enters. It is signed and cannot be taken back."""
    with opened(config, data) as held:
        declared = held.services.statements.declare_gap(device, chain, last, reason, dead_letter)
        if as_json:
            print_json(declared.model_dump(mode="json"))
        else:
            text = f"{device}: seq {declared.first} to {declared.last} given up, ledger entry {declared.leaf_index}"
            Console().print(text, highlight=False, soft_wrap=True)


@gap.command("list")
def gap_list(config: ConfigOption = None, data: DataOption = None, as_json: JsonOption = False) -> None:
    """List what was given up."""
    with opened(config, data) as held:
        gaps = held.services.statements.gaps()
        if as_json:
            print_json([one.model_dump(mode="json") for one in gaps])
        else:
            columns = ["device", "chain", "first", "last", "time", "by", "reason"]
            rows: list[list[str | int | None]] = [
                [g.device, g.chain, g.first, g.last, g.time, g.declared_by, g.reason] for g in gaps
            ]
            print_table(columns, rows)


def statements(
    out: Annotated[Path | None, typer.Option(help="File for the signed envelopes, one a line.")] = None,
    config: ConfigOption = None,
    data: DataOption = None,
    as_json: JsonOption = False,
) -> None:
    """List what the collector has stated itself, or write its whole signed chain."""
    with opened(config, data) as held:
        if out is not None:
            with out.open("wb") as file:
                file.writelines(envelope + b"\n" for envelope in held.services.statements.envelopes())
            return
        found = held.services.statements.page(None, None, 500)
        if as_json:
            fields = {"leaf_index", "seq", "kind", "time", "hash"}
            sys.stdout.write(json.dumps([one.model_dump(include=fields) for one in found], indent=2) + "\n")
        else:
            print_table(["entry", "seq", "time", "kind"], [[o.leaf_index, o.seq, o.time, o.kind] for o in found])


def audit(config: ConfigOption = None, data: DataOption = None, as_json: JsonOption = False) -> None:
    """List who changed what, newest first."""
    with opened(config, data) as held:
        found = held.services.statements.audit(None, 500)
        if as_json:
            print_json([one.model_dump(mode="json") for one in found])
        else:
            rows = [[o.time, o.who, o.action, o.target or o.worker, o.columns] for o in found]
            print_table(["time", "who", "action", "what", "columns"], rows)


class RotatedKey(StrEnum):
    """Which key; terminals, witnesses and readers pin these."""

    RECEIPT = "receipt"
    COMMAND = "command"
    CHECKPOINT = "checkpoint"
    STATEMENT = "statement"


def rotate_key(
    purpose: RotatedKey, config: ConfigOption = None, data: DataOption = None, as_json: JsonOption = False
) -> None:
    """Replace a key: the old one signs the new one in. Stop every collector first; copy the new file to each.

    One that runs on takes and signs nothing more until it is restarted.
    """
    with opened(config, data) as held:
        new = rotate(held.database, held.keys, held.settings.keys_path, purpose.value)
        if as_json:
            print_json({purpose.value: new.public.text()})
        else:
            text = f"{purpose}: {new.public.text()}\nfingerprint {new.public.fingerprint}; terminals hear of it"
            Console().print(text, highlight=False, soft_wrap=True)


def add_to(app: typer.Typer) -> None:
    """Add these commands to `zaigang collector`."""
    app.add_typer(gap, name="gap")
    app.command("statements")(statements)
    app.command("audit")(audit)
    app.command("rotate-key")(rotate_key)
