"""`zaigang kiosk export` and `import-receipts`: the journal on a USB stick, and the collector's answer back."""

from __future__ import annotations

import base64
import json
from datetime import UTC, datetime
from pathlib import Path
from typing import Annotated, Any

import typer
from rich.console import Console

from zaigang.commands.kiosk_asked import Config, JsonOption, ask_terminal


def add_to(app: typer.Typer) -> None:
    """Hang both commands into `zaigang kiosk`."""
    app.command("export")(export)
    app.command("import-receipts")(import_receipts)


def export(
    target: Annotated[Path, typer.Argument(help="A file, or a folder such as the stick's.", metavar="FILE|DIR")],
    config: Config = None,
    everything: Annotated[bool, typer.Option("--all", help="Also what the collector has receipted.")] = False,
    as_json: JsonOption = False,
) -> None:
    """Write the signed events that still wait for a receipt; reads only, also while the terminal runs."""
    from kiosk.settings import KioskSettings
    from kiosk.stick import export as write

    settings = KioskSettings.load(config)
    name = f"{settings.device}-{datetime.now(UTC):%Y%m%dT%H%M%SZ}.jsonl"
    done = write(settings.journal_file, target, name, everything=everything)
    if as_json:
        typer.echo(json.dumps({"file": str(done.file), "events": done.events, "bytes": done.size}))
        return
    Console().print(f"{done.events} event(s) in {done.file}", highlight=False, soft_wrap=True)


def import_receipts(
    files: Annotated[list[Path], typer.Argument(help="What `zaigang collector import` wrote back.")],
    config: Config = None,
    as_json: JsonOption = False,
) -> None:
    """Take the collector's receipts from a stick, and what it says of its next keys; the terminal then lets go what the
    receipts cover, in its time.
    """
    lines = [line for file in files for line in file.read_bytes().split(b"\n") if line]
    receipts = [base64.b64encode(line).decode() for line in lines]
    done: dict[str, Any] = ask_terminal(config, {"do": "take_receipts", "receipts": receipts})
    if as_json:
        typer.echo(json.dumps(done, ensure_ascii=False))
    else:
        if done["handovers"]:
            Console().print(f"{done['handovers']} handover(s) of the collector's keys read", highlight=False)
        Console().print(f"{done['receipts']} receipt(s) taken, {done['unsent']} event(s) still wait", highlight=False)
        for why in done["refused"]:
            Console(stderr=True).print(f"refused  {why}", highlight=False, soft_wrap=True)
    raise typer.Exit(1 if done["refused"] else 0)
