from __future__ import annotations

from pathlib import Path

import cv2
import numpy as np
import pytest

from zaigang.matching.det import NothingToDraw, curve, draw
from zaigang.matching.scores import Scores


def scores(mated: list[float], non_mated: list[float]) -> Scores:
    return Scores(np.array(mated, np.float32), np.array(non_mated, np.float32), np.zeros(0, np.int64), 0, 0)


def test_the_curve_runs_from_all_mates_refused_to_all_strangers_matched() -> None:
    fmr, fnmr = curve(scores([0.2, 0.3, 0.7], [0.5, 0.8]))
    assert (fmr[0], fnmr[0]) == (0, 1)
    assert (fmr[-1], fnmr[-1]) == (1, 0)
    assert np.all(np.diff(fmr) >= 0)
    assert np.all(np.diff(fnmr) <= 0)
    assert (0.5, pytest.approx(1 / 3)) in list(zip(fmr, fnmr, strict=True))


def test_of_many_pairs_the_curve_still_passes_through_every_rate_that_few_errors_give() -> None:
    random = np.random.default_rng(2)
    found = scores(sorted(random.normal(0.4, 0.1, 30_000)), sorted(random.normal(0.9, 0.1, 30_000)))
    fmr, fnmr = curve(found)
    points = np.stack([fmr, fnmr], axis=1)
    for threshold in found.non_mated[:20].tolist() + found.mated[-20:].tolist():
        assert np.isclose(points, [found.fmr(threshold).value, found.fnmr(threshold).value]).all(axis=1).any()
    assert len(points) < 5_000


def test_it_is_drawn_as_png_and_as_svg(tmp_path: Path) -> None:
    random = np.random.default_rng(1)
    found = scores(sorted(random.normal(0.4, 0.1, 300)), sorted(random.normal(0.8, 0.1, 3000)))
    png, svg = draw(found, "dlib-resnet-v1/0123456789ab/mp5.1", tmp_path / "det.v1", [("found", 0.55)])
    assert (png.name, svg.name) == ("det.v1.png", "det.v1.svg")
    picture = cv2.imread(str(png))
    assert picture is not None
    assert len(np.unique(picture)) > 10
    assert "<svg" in svg.read_text()


@pytest.mark.parametrize(("mated", "non_mated"), [([], [0.5]), ([0.5], [])])
def test_without_both_kinds_of_pairs_nothing_is_drawn(
    tmp_path: Path, mated: list[float], non_mated: list[float]
) -> None:
    with pytest.raises(NothingToDraw):
        draw(scores(mated, non_mated), "m", tmp_path / "det", [])
    assert list(tmp_path.iterdir()) == []
