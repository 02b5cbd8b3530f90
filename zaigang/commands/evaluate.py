"""`zaigang evaluate`: how often we are wrong, measured with the code that runs at the gate."""

from __future__ import annotations

import typer

from zaigang.commands import evaluate_liveness

app = typer.Typer(no_args_is_help=True)
app.command("liveness")(evaluate_liveness.command)
