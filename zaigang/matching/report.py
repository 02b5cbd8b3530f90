"""What was found, as a table for people and as JSON for programs; an error rate never stands without its count."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import Any

from rich.console import Console
from rich.table import Table
from rich.text import Text

from zaigang.matching.faces import Seen
from zaigang.matching.pairs import MatchingError, Pairs
from zaigang.matching.rates import RULE_OF_THREE, Rate
from zaigang.matching.scores import Scores


class NoFolder(MatchingError):
    """A file is to be written where no folder is."""


MOST_SHOWN = 20  # lines about single pictures on the screen; the JSON has them all


def lost_rows(pairs: Pairs, seen: Sequence[Seen], scores: Scores) -> list[dict[str, Any]]:
    """Return each pair that has no distance, with its line and the picture and reason that it has none."""
    rows = []
    for number in scores.lost.tolist():
        sides = (int(pairs.first[number]), int(pairs.second[number]))
        bad = [side for side in sides if seen[side].vector is None]
        line = None if pairs.lines is None else int(pairs.lines[number])
        names = [pairs.pictures[side].name for side in bad]
        rows.append({"line": line, "images": names, "reason": "; ".join(seen[side].reason for side in bad)})
    return rows


def lost_pictures(pairs: Pairs, seen: Sequence[Seen]) -> list[dict[str, str]]:
    """Return each picture that gave no face, with its reason."""
    both = zip(pairs.pictures, seen, strict=True)
    return [{"image": picture.name, "reason": one.reason} for picture, one in both if one.vector is None]


def nearest_pairs(pairs: Pairs, scores: Scores) -> list[list[str]]:
    """Return the names of the nearest non-mated pairs, the nearest first."""
    return [[pairs.pictures[side[number]].name for side in (pairs.first, pairs.second)] for number in scores.nearest]


def gate_codes(seen: Iterable[Seen]) -> dict[str, int]:
    """Count the pictures that were compared although the terminal's quality gate would refuse them, by its code."""
    counts: dict[str, int] = {}
    for one in seen:
        if one.vector is not None and one.terminal != "ok":
            counts[one.terminal] = counts.get(one.terminal, 0) + 1
    return dict(sorted(counts.items()))


def require_folder(file: Path | None) -> None:
    """Raise NoFolder before the work rather than after it, where a file could not be written."""
    if file is not None and not file.parent.is_dir():
        raise NoFolder(f"{file} cannot be written: there is no folder {file.parent}")


def rates_json(scores: Scores, threshold: float | None) -> dict[str, Any]:
    """Return both rates at a threshold with their counts and 95 % intervals; null without a pair or a threshold."""
    if threshold is None:
        rates = ("threshold", "fmr", "fmr_interval95", "false_matches", "fnmr", "fnmr_interval95", "false_non_matches")
        return {"mated": len(scores.mated), "non_mated": len(scores.non_mated), **dict.fromkeys(rates)}
    fmr, fnmr = scores.fmr(threshold), scores.fnmr(threshold)
    return {
        "threshold": threshold,
        "mated": fnmr.trials,
        "non_mated": fmr.trials,
        "fmr": fmr.value,
        "fmr_interval95": _interval(fmr),
        "false_matches": fmr.errors,
        "fnmr": fnmr.value,
        "fnmr_interval95": _interval(fnmr),
        "false_non_matches": fnmr.errors,
    }


def rates_table(title: str, scores: Scores, thresholds: Sequence[tuple[str, float]]) -> Table:
    """Return a table with two rows, FMR and FNMR, for each named threshold."""
    table = Table(title=title, title_justify="left")
    for name in ("threshold", "rate", "value", "errors", "pairs", "95 % interval", "by"):
        table.add_column(name, justify="right" if name in ("value", "errors", "pairs") else "left", overflow="fold")
    for name, threshold in thresholds:
        for what, rate in (("FMR", scores.fmr(threshold)), ("FNMR", scores.fnmr(threshold))):
            cells = (f"{threshold:g} ({name})", what, *_cells(rate))
            table.add_row(*(Text(cell) for cell in cells))
    return table


def print_losses(console: Console, what: str, losses: Sequence[tuple[str, str]]) -> None:
    """Name what gave no answer and why: the first lines of it on the screen."""
    if not losses:
        return
    console.print(Text(f"{len(losses)} {what} without an answer (non-response):", "yellow"))
    for name, reason in losses[:MOST_SHOWN]:
        console.print(Text(f"  {plain(name)}: {plain(reason)}"), soft_wrap=True)
    if len(losses) > MOST_SHOWN:
        console.print(Text(f"  … and {len(losses) - MOST_SHOWN} more, all in the file of --json"))


def warnings(pairs: Pairs, seen: Sequence[Seen], scores: Scores) -> list[str]:
    """Say in sentences what makes the figures weaker than they look."""
    said = []
    if scores.repeated:
        said.append(f"{scores.repeated:,} pairs repeat a pair of the same pictures: repeating adds no certainty.")
    if scores.with_itself:
        said.append(f"{scores.with_itself:,} pairs compare a picture with itself, which no camera ever does.")
    if codes := gate_codes(seen):
        named = ", ".join(f"{code} {count}" for code, count in codes.items())
        said.append(f"The terminal would have refused {sum(codes.values())} of the pictures ({named}): --as-terminal.")
    used = [one.vector is not None for one in seen]
    if len(scores.mated) + len(scores.non_mated) > sum(used) / 2:
        people = pairs.people(used)
        who = f"{people:,} people and " if people is not None else ""
        said.append(
            f"The pairs come from {who}{sum(used):,} pictures and share them: they are not independent, and the true "
            "intervals are wider."
        )
        if people is not None and 0 < (once := people * (people - 1) // 2) < len(scores.non_mated):
            bound = min(1.0, RULE_OF_THREE / once)
            said.append(
                f"Counted once for each two people, {once:,} non-mated pairs could show no more than FMR < 3/n = "
                f"{bound:.2g}; more people make a claim stronger, more pictures of the same ones hardly."
            )
    return said


def plain(text: str) -> str:
    """Write what is not printable as a code: names come from files and must not steer the reader's terminal."""
    return "".join(one if one.isprintable() else f"\\u{ord(one):04x}" for one in text)


def _cells(rate: Rate) -> tuple[str, str, str, str, str]:
    interval = rate.interval95
    if rate.value is None or interval is None:
        return "—", "0", "0", "—", "no pair"
    how = "rule of three" if rate.errors in (0, rate.trials) else "Clopper-Pearson"
    low, high = interval
    return f"{rate.value:.3g}", f"{rate.errors:,}", f"{rate.trials:,}", f"{low:.2g} – {high:.2g}", how


def _interval(rate: Rate) -> list[float] | None:
    interval = rate.interval95
    return None if interval is None else list(interval)
