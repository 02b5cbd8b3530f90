"""The DET curve: false match against false non-match rate over all thresholds (ISO/IEC 19795-1), as PNG and SVG.

Both axes are logarithmic, so nothing at 0 can be drawn on it: a rate of 0 of n stands at 1/(2n), left of the line at
3/n, beyond which this number of pairs says nothing.
"""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

from zaigang.matching.pairs import MatchingError
from zaigang.matching.rates import RULE_OF_THREE

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from zaigang.matching.scores import Scores

POINTS = 1_000  # of each axis: about a column of the screen each
INCHES, DOTS_PER_INCH = (6.4, 6.0), 150


class NothingToDraw(MatchingError):
    """A curve needs mated and non-mated pairs."""


def draw(scores: Scores, model_id: str, name: Path, marks: Sequence[tuple[str, float]]) -> tuple[Path, Path]:
    """Write `name`.png and `name`.svg, with up to three named thresholds marked. Raises NothingToDraw, OSError."""
    fmr, fnmr = curve(scores)
    from matplotlib.backends.backend_agg import FigureCanvasAgg
    from matplotlib.figure import Figure

    non_mated, mated = len(scores.non_mated), len(scores.mated)
    figure = Figure(figsize=INCHES, layout="constrained")
    FigureCanvasAgg(figure)
    axes = figure.add_subplot()
    axes.plot(np.maximum(fmr, 0.5 / non_mated), np.maximum(fnmr, 0.5 / mated), drawstyle="steps-post", color="#0b4f8a")
    lowest = (0.4 / non_mated, 0.4 / mated)
    axes.set(xscale="log", yscale="log", xlim=(lowest[0], 1.1), ylim=(lowest[1], 1.1))
    limits = [min(1.0, RULE_OF_THREE / count) for count in (non_mated, mated)]
    axes.axvspan(lowest[0], limits[0], color="#888888", alpha=0.15, lw=0)
    axes.axhspan(lowest[1], limits[1], color="#888888", alpha=0.15, lw=0)
    for (what, threshold), shape in zip(marks, "os^", strict=False):
        at = (scores.fmr(threshold).value or 0.5 / non_mated, scores.fnmr(threshold).value or 0.5 / mated)
        axes.plot(*at, shape, color="#b3261e", fillstyle="none", label=f"{what}: {threshold:g}")
    axes.legend(loc="upper right", title="threshold")
    axes.set_xlabel(f"false match rate (of {non_mated:,} non-mated pairs)")
    axes.set_ylabel(f"false non-match rate (of {mated:,} mated pairs)")
    axes.set_title(f"DET, {model_id}\ngrey: below 3/n, more than these pairs can show", fontsize=9)
    axes.grid(visible=True, which="both", lw=0.3)
    paths = (name.with_name(f"{name.name}.png"), name.with_name(f"{name.name}.svg"))
    figure.savefig(paths[0], dpi=DOTS_PER_INCH)
    figure.savefig(paths[1])
    return paths


def curve(scores: Scores) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    """Return FMR and FNMR, (n,) each, at ascending thresholds. Raises NothingToDraw."""
    if not len(scores.mated) or not len(scores.non_mated):
        raise NothingToDraw("a DET curve needs mated and non-mated pairs")
    corners = np.concatenate([_telling(scores.non_mated), _telling(scores.mated[::-1])])
    thresholds = np.unique(np.concatenate([[0.0], corners, np.nextafter(corners, 0)]))
    fmr = np.searchsorted(scores.non_mated, thresholds, side="right") / len(scores.non_mated)
    fnmr = 1 - np.searchsorted(scores.mated, thresholds, side="right") / len(scores.mated)
    return fmr, fnmr


def _telling(distances: NDArray[np.float32]) -> NDArray[np.float64]:
    """Thin out distances so that the rates at them lie evenly on a logarithmic axis; the first ones all stay."""
    ranks = np.unique(np.geomspace(1, len(distances), POINTS).astype(int)) - 1
    return np.asarray(distances[ranks], np.float64)
