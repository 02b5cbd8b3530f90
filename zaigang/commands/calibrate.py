"""`zaigang calibrate`: the match threshold for a wanted false match rate, on a site's own pictures."""

from __future__ import annotations

import json
import sys
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer
from rich.console import Console
from rich.text import Text

if TYPE_CHECKING:
    from zaigang.matching.measurement import Measurement


def command(
    source: Annotated[
        Path,
        typer.Argument(
            metavar="PAIRS|GALLERY", help="A CSV of image_a,image_b,mated, or a folder with one folder a person."
        ),
    ],
    fmr: Annotated[float, typer.Option(help="The false match rate that is wanted, such as 1e-4.")] = 1e-4,
    plot: Annotated[
        Path | None, typer.Option(metavar="NAME", help="Draw the DET curve into NAME.png and NAME.svg.")
    ] = None,
    json_file: Annotated[
        Path | None, typer.Option("--json", metavar="FILE", help="Write the result as JSON; - prints it alone.")
    ] = None,
    config: Annotated[
        Path | None, typer.Option("--config", help="A terminal's settings: its embedder is calibrated.")
    ] = None,
    as_terminal: Annotated[
        bool, typer.Option("--as-terminal", help="Leave out pictures that the terminal would refuse, and count them.")
    ] = False,
) -> None:
    """Find the match_distance at which strangers match no more often than --fmr, and say what the pairs can carry.

    Exit code 1 where they cannot carry the claim: FMR <= f needs 3/f non-mated pairs (the rule of three).
    """
    from zaigang.matching import report
    from zaigang.matching.measurement import measure
    from zaigang.matching.pairs import read
    from zaigang.matching.scores import ClaimRefused, threshold_for

    if not 0 < fmr < 1:
        raise typer.BadParameter("a rate lies between 0 and 1", param_hint="--fmr")
    report.require_folder(json_file)
    _require_drawing(plot)
    found = measure(read(source), config, Console(stderr=True), as_terminal=as_terminal, distinct=True)
    threshold, refused = None, None
    try:
        threshold = min(threshold_for(fmr, found.scores), found.limits.widest)
    except ClaimRefused as error:
        refused = str(error)
    result = _result(found, fmr, threshold, refused)
    text = json.dumps(result, ensure_ascii=False, indent=2) + "\n"
    alone = str(json_file) == "-"
    if alone:
        sys.stdout.write(text)
    elif json_file is not None:
        json_file.write_text(text)
    console = Console(stderr=alone)
    marks = [("as set", found.threshold)] if threshold is None else [("found", threshold), ("as set", found.threshold)]
    _show(console, found, result, marks)
    if plot is not None:
        _draw(console, found, plot, marks)
    if threshold is None:
        console.print(Text(f"Refused: {refused}.", "bold red"), soft_wrap=True)
        console.print(Text(_refused_zh(fmr, len(found.scores.non_mated)), "bold red"), soft_wrap=True)
        raise typer.Exit(1)
    console.print(Text(f"match_distance = {threshold:g}", "bold green"), Text("  # in the terminal's settings"))
    if threshold == found.limits.widest:
        console.print(Text(f"{threshold:g} is the widest that this model may have, whatever the pairs say."))


def _require_drawing(plot: Path | None) -> None:
    """Fail before the work rather than after it where nothing could be drawn."""
    from zaigang.matching import report

    report.require_folder(plot)
    if plot is not None:
        import matplotlib  # noqa: F401  only a plot needs it; zaigang.cli says what to install


def _result(found: Measurement, fmr: float, threshold: float | None, refused: str | None) -> dict[str, Any]:
    from zaigang.matching import report

    lost = report.lost_pictures(found.pairs, found.seen)
    return {
        "model": found.model_id,
        "wanted_fmr": fmr,
        "refused": refused,
        **report.rates_json(found.scores, threshold),
        "as_set": report.rates_json(found.scores, found.threshold),
        "people": found.pairs.people([one.vector is not None for one in found.seen]),
        "pictures": len(found.pairs.pictures),
        "non_response": len(lost),
        "non_responses": lost,
        "pairs_lost": len(found.scores.lost),
        "repeated": found.scores.repeated,
        "with_itself": found.scores.with_itself,
        "terminal_would_refuse": report.gate_codes(found.seen),
        "nearest_non_mated": report.nearest_pairs(found.pairs, found.scores),
        "warnings": report.warnings(found.pairs, found.seen, found.scores),
    }


def _show(console: Console, found: Measurement, result: dict[str, Any], marks: list[tuple[str, float]]) -> None:
    from zaigang.matching import report

    console.print(report.rates_table(f"Calibration — {found.model_id}", found.scores, marks))
    losses = [(one["image"], one["reason"]) for one in result["non_responses"]]
    report.print_losses(console, f"of {result['pictures']} pictures", losses)
    if result["nearest_non_mated"]:
        console.print("The nearest pairs of two people; look whether they are two:", highlight=False)
        for one, other in result["nearest_non_mated"]:
            console.print(Text(f"  {report.plain(one)}  {report.plain(other)}"), soft_wrap=True)
    for sentence in result["warnings"]:
        console.print(Text(sentence, "yellow"), soft_wrap=True)


def _draw(console: Console, found: Measurement, plot: Path, marks: list[tuple[str, float]]) -> None:
    from zaigang.matching.det import NothingToDraw, draw

    try:
        for path in draw(found.scores, found.model_id, plot, marks):
            console.print(Text(f"drawn: {path}"), soft_wrap=True)
    except NothingToDraw as error:
        console.print(Text(f"not drawn: {error}", "yellow"), soft_wrap=True)


def _refused_zh(fmr: float, count: int) -> str:
    from zaigang.matching.rates import needed_trials

    return (
        f"拒绝：要声称误识率不高于 {fmr:g}，至少需要 {needed_trials(fmr):,} 对不同人的照片（3/n），现有 {count:,} 对。"
    )
