"""`zaigang evaluate …`: recordings through the same code as the terminal, and how often a part errs on them."""

from __future__ import annotations

import typer

from zaigang.commands import evaluate_gps, evaluate_liveness, evaluate_matching

app = typer.Typer(no_args_is_help=True, help="Measure a part on your own recordings, with its error rates.")
app.command("gps")(evaluate_gps.command)
app.command("liveness")(evaluate_liveness.command)
app.command("matching")(evaluate_matching.command)
