"""`zaigang evaluate …`: how often a part errs, on recordings that you bring; one module a part."""

from __future__ import annotations

import typer

from zaigang.commands import evaluate_matching

app = typer.Typer(no_args_is_help=True, help="Measure a part on your own recordings, with its error rates.")
app.command("matching")(evaluate_matching.command)
