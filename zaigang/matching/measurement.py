"""One measurement: the terminal's own models over every picture once, then every pair."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

from rich.console import Console
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeRemainingColumn

from kiosk.settings import KioskSettings
from kiosk.verify.embedder_choice import EmbedderChoice, open_embedder
from kiosk.verify.face_settings import FaceSettings
from kiosk.verify.landmarks import LandmarkDetector
from kiosk.verify.model_limits import ModelLimits, limits_of
from kiosk.verify.models import landmark_bundle
from zaigang.matching.faces import Seen, look_at
from zaigang.matching.pairs import Pairs
from zaigang.matching.scores import Scores, compare


@dataclass(frozen=True, slots=True, eq=False)
class Measurement:
    """What was compared, and under which model."""

    pairs: Pairs
    seen: list[Seen]
    scores: Scores
    model_id: str
    limits: ModelLimits
    threshold: float  # as the terminal has it: set in `config`, else the model's own


def measure(
    pairs: Pairs, config: Path | None, console: Console, *, as_terminal: bool = False, distinct: bool = False
) -> Measurement:
    """Measure all pairs with the embedder that a terminal's settings name (none: dlib's).

    `as_terminal`, `distinct`: as in `look_at` and `compare`. Raises SettingsError, VerifyError.
    """
    settings = KioskSettings.load(config) if config is not None else None
    embedder = open_embedder(settings.embedder_choice if settings else EmbedderChoice())
    chosen = FaceSettings(match_distance=settings.match_distance if settings else None)
    threshold = chosen.match_limits_for(embedder.model_id).threshold
    bundle = landmark_bundle(settings.landmark_bundle if settings else None)
    columns = (TextColumn("{task.description}"), BarColumn(), MofNCompleteColumn(), TimeRemainingColumn())
    with (
        LandmarkDetector(bundle, "image") as detector,
        Progress(*columns, console=console, transient=True, disable=not console.is_terminal) as progress,
    ):
        task = progress.add_task("pictures", total=len(pairs.pictures))
        seen = look_at(
            pairs.pictures, detector, embedder, as_terminal=as_terminal, advance=lambda: progress.advance(task)
        )
    scores = compare(pairs, seen, distinct=distinct)
    return Measurement(pairs, seen, scores, embedder.model_id, limits_of(embedder.model_id), threshold)
