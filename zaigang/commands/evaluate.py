"""`zaigang evaluate`: recordings through the same code as the terminal, with what it would have said of them."""

from __future__ import annotations

import typer

from zaigang.commands import evaluate_gps

app = typer.Typer(help="Judge recordings by the terminal's own code.", no_args_is_help=True)
app.command("gps")(evaluate_gps.command)
