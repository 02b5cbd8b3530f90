"""`zaigang evaluate matching`: false match and false non-match rate on pairs of pictures (ISO/IEC 19795-1)."""

from __future__ import annotations

import json
import math
from pathlib import Path
from typing import Annotated, Any

import typer
from rich.console import Console
from rich.text import Text

NOTHING_COMPARED = "No pair could be compared: there is no error rate.", "没有一对照片能够比较，因此没有错误率。"


def command(
    pairs: Annotated[
        Path, typer.Argument(metavar="PAIRS.csv", help="Rows image_a,image_b,mated; paths relative to this file.")
    ],
    json_file: Annotated[Path | None, typer.Option("--json", metavar="FILE", help="Write the result as JSON.")] = None,
    threshold: Annotated[
        float | None,
        typer.Option(help="Euclidean distance; otherwise the terminal's (--config), or the model's."),
    ] = None,
    config: Annotated[
        Path | None, typer.Option("--config", help="A terminal's settings: its embedder and its threshold are used.")
    ] = None,
    as_terminal: Annotated[
        bool, typer.Option("--as-terminal", help="A picture that the terminal would refuse is a non-response.")
    ] = False,
) -> None:
    """Compare pairs of pictures as the terminal compares faces, and count the errors with their intervals.

    A pair with a picture that cannot be read, or shows no face, is a non-response, counted and named.
    """
    from zaigang.matching import report
    from zaigang.matching.measurement import measure
    from zaigang.matching.pairs import read_csv

    if threshold is not None and not 0 < threshold < math.inf:
        raise typer.BadParameter("a distance is more than 0", param_hint="--threshold")
    report.require_folder(json_file)
    console = Console()
    found = measure(read_csv(pairs), config, Console(stderr=True), as_terminal=as_terminal)
    used = found.threshold if threshold is None else threshold
    lost = report.lost_rows(found.pairs, found.seen, found.scores)
    said = report.warnings(found.pairs, found.seen, found.scores)
    result: dict[str, Any] = {
        "model": found.model_id,
        **report.rates_json(found.scores, used),
        "pairs": len(found.pairs),
        "non_response": len(lost),
        "non_responses": lost,
        "repeated": found.scores.repeated,
        "with_itself": found.scores.with_itself,
        "terminal_would_refuse": report.gate_codes(found.seen),
        "warnings": said,
    }
    if json_file is not None:
        json_file.write_text(json.dumps(result, ensure_ascii=False, indent=2) + "\n")
    console.print(report.rates_table(f"Matching — {found.model_id}", found.scores, [("used", used)]))
    rows = [(f"line {row['line']}, {', '.join(row['images'])}", row["reason"]) for row in lost]
    report.print_losses(console, f"of {len(found.pairs)} pairs", rows)
    for sentence in said:
        console.print(Text(sentence, "yellow"), soft_wrap=True)
    if len(lost) == len(found.pairs):
        for sentence in NOTHING_COMPARED:
            console.print(Text(sentence, "bold red"), soft_wrap=True)
        raise typer.Exit(1)
