"""`zaigang kiosk peers`: the terminals with which this one exchanges faces: list, confirm, remove."""

from __future__ import annotations

import getpass
import json
from typing import Annotated

import typer
from rich.console import Console
from rich.table import Table

from zaigang.commands.kiosk_asked import Config, JsonOption, ask_terminal

app = typer.Typer(help="Terminals with which this one exchanges faces (docs/transfer.md).", no_args_is_help=True)
By = Annotated[str, typer.Option(help="Who compared; your user name where not given. It is signed.")]


@app.command("list")
def list_(
    config: Config = None,
    as_json: JsonOption = False,
) -> None:
    """Show this terminal's own fingerprint, to be read out at the others, and what others have shown here."""
    held = ask_terminal(config, {"do": "peers"})
    if as_json:
        typer.echo(json.dumps(held, ensure_ascii=False))
        return
    console = Console()
    console.print(f"{held['device']}  fingerprint {held['fingerprint']}", highlight=False)
    if not held["on"]:
        console.print("switched off: what was exchanged before is still being erased", highlight=False)
    console.print(f"{held['received']} face(s) of other terminals lie here", highlight=False)
    table = Table("terminal", "state", highlight=False)
    table.add_column("fingerprint", no_wrap=True)  # it is compared aloud
    for title in ("holds", "waiting", "refused"):
        table.add_column(title)
    for one in held["peers"]:
        counts = (str(one["held"]), str(one["waiting"]), ", ".join(one["refused"]))
        table.add_row(one["device"], one["state"], one["fingerprint"], *counts)
    console.print(table)
    for one in held["peers"]:
        if one["state"] == "changed":
            console.print(f"{one['device']} now shows {one['seen']}: compare it there before you confirm it again")


@app.command()
def confirm(
    device: Annotated[str, typer.Argument(help="The other terminal's name.", metavar="TERMINAL")],
    fingerprint: Annotated[
        str, typer.Argument(help='Its fingerprint, read off that terminal itself: "3f2a 91bc 77de 0142".')
    ],
    by: By = "",
    config: Config = None,
) -> None:
    """Exchange faces with a terminal. Go there and read its fingerprint; believe no list that a server shows."""
    request = {"do": "peers", "confirm": device, "fingerprint": fingerprint, "by": by or getpass.getuser()}
    done = ask_terminal(config, request)
    say = f"{done['device']} ({done['fingerprint']}) is confirmed here; confirm this terminal there, too"
    Console(stderr=True).print(say, highlight=False)


@app.command()
def remove(
    device: Annotated[str, typer.Argument(help="The other terminal's name.", metavar="TERMINAL")],
    by: By = "",
    config: Config = None,
) -> None:
    """Exchange nothing more with a terminal; what lies at either end of the other's workers is erased."""
    ask_terminal(config, {"do": "peers", "remove": device, "by": by or getpass.getuser()})
    Console(stderr=True).print(f"{device} is removed; copies are erased here now, there when it hears of it")
