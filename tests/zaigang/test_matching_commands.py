"""`zaigang evaluate matching` and `zaigang calibrate` on pictures of the two public-domain portraits."""

from __future__ import annotations

import csv
import itertools
import json
import shutil
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
from typer.testing import CliRunner

from kiosk.verify.embedder import DlibEmbedder
from tests.support.faces import bundle
from tests.support.portrait_gallery import POSES, draw_gallery, draw_landscape
from zaigang.cli import SUBCOMMANDS, load
from zaigang.matching.pairs import PairsError

ROOT = Path(__file__).parents[2]


@pytest.fixture(scope="module", autouse=True)
def _models() -> None:
    bundle()


@pytest.fixture(scope="module")
def portraits(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return draw_gallery(tmp_path_factory.mktemp("portraits"))


@pytest.fixture
def gallery(portraits: Path, tmp_path: Path) -> Path:
    return Path(shutil.copytree(portraits, tmp_path / "gallery"))


def write_pairs(path: Path, rows: list[tuple[str, str, object]]) -> Path:
    with path.open("w", newline="") as file:
        writer = csv.writer(file)
        writer.writerow(("image_a", "image_b", "mated"))
        writer.writerows(rows)
    return path


def everyone(gallery: Path) -> list[tuple[str, str, object]]:
    names = sorted(str(path.relative_to(gallery)) for path in gallery.rglob("*.png"))
    return [(a, b, int(Path(a).parent == Path(b).parent)) for a, b in itertools.combinations(names, 2)]


def run(*arguments: str) -> tuple[int, str]:
    """Run a subcommand in this process; an error of ours is raised, as zaigang.cli shows it in one line."""
    app = load(next(one for one in SUBCOMMANDS if one.name == arguments[0]))
    done = CliRunner().invoke(app, list(arguments[1:]), env={"COLUMNS": "160", "NO_COLOR": "1"})
    if done.exception is not None and not isinstance(done.exception, SystemExit):
        raise done.exception
    return done.exit_code, done.output


def evaluate(pairs: Path, *options: str) -> tuple[int, str, dict[str, Any]]:
    file = pairs.with_suffix(".json")
    code, output = run("evaluate", "matching", str(pairs), "--json", str(file), *options)
    return code, output, json.loads(file.read_text())


def calibrate(source: Path, *options: str) -> tuple[int, str, dict[str, Any]]:
    file = source.parent / "calibration.json"
    code, output = run("calibrate", str(source), "--json", str(file), *options)
    return code, output, json.loads(file.read_text())


def test_both_error_rates_are_counted_with_their_intervals(gallery: Path) -> None:
    code, output, result = evaluate(write_pairs(gallery / "pairs.csv", everyone(gallery)))
    each = len(POSES) * (len(POSES) - 1) // 2
    assert code == 0
    assert (result["mated"], result["non_mated"], result["non_response"]) == (2 * each, len(POSES) ** 2, 0)
    assert (result["fmr"], result["fnmr"], result["threshold"]) == (0, 0, 0.54)
    assert result["fmr_interval95"] == [0, 3 / len(POSES) ** 2]
    assert result["model"].startswith("dlib-resnet-v1/")
    assert "FNMR" in output
    assert "not independent" in output


def test_a_threshold_from_outside_moves_the_errors(gallery: Path) -> None:
    pairs = write_pairs(gallery / "pairs.csv", everyone(gallery))
    assert evaluate(pairs, "--threshold", "2")[2]["fmr"] == 1
    strict = evaluate(pairs, "--threshold", "0.001")[2]
    assert (strict["fmr"], strict["fnmr"], strict["false_non_matches"]) == (0, 1, strict["mated"])
    for nonsense in ("nan", "-1", "inf"):
        assert run("evaluate", "matching", str(pairs), "--threshold", nonsense)[0] == 2


def test_rows_without_two_faces_are_non_responses_with_their_reasons(gallery: Path) -> None:
    draw_landscape(gallery / "sky.png")
    (gallery / "broken.jpg").write_bytes(b"\xff\xd8\xff\xe0 no more than that")
    (gallery / "empty.jpg").write_bytes(b"")
    (gallery / "folder.jpg").mkdir()
    good = "astronaut/0.png"
    bad = ["nowhere.png", "sky.png", "broken.jpg", "empty.jpg", "folder.jpg", "pairs.csv"]
    rows: list[tuple[str, str, object]] = [(good, "astronaut/1.png", "true"), *((good, one, 0) for one in bad)]
    code, output, result = evaluate(write_pairs(gallery / "pairs.csv", rows))
    assert code == 0
    assert (result["mated"], result["non_mated"], result["non_response"], result["fmr"]) == (1, 0, len(bad), None)
    reasons = {row["images"][0]: (row["line"], row["reason"].split(":")[0]) for row in result["non_responses"]}
    assert reasons == {
        "nowhere.png": (3, "missing"),
        "sky.png": (4, "no_face"),
        "broken.jpg": (5, "no_picture"),
        "empty.jpg": (6, "no_picture"),
        "folder.jpg": (7, "missing"),
        "pairs.csv": (8, "no_picture"),
    }
    assert "line 4, sky.png: no_face" in output


def test_where_no_pair_could_be_compared_there_is_no_rate_and_no_success(tmp_path: Path) -> None:
    code, output, result = evaluate(write_pairs(tmp_path / "pairs.csv", [("a.jpg", "b.jpg", 1)]))
    assert code == 1
    assert (result["fmr"], result["fnmr"], result["non_response"]) == (None, None, 1)
    assert "没有错误率" in output


def test_each_picture_is_embedded_once(gallery: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    shutil.copy(gallery / "astronaut/0.png", gallery / "astronaut/again.png")
    asked = []
    embed = DlibEmbedder.embed
    monkeypatch.setattr(DlibEmbedder, "embed", lambda self, *face: (asked.append(1), embed(self, *face))[1])
    result = evaluate(write_pairs(gallery / "pairs.csv", everyone(gallery)))[2]
    assert len(asked) == 2 * len(POSES)
    assert result["mated"] + result["non_mated"] == (2 * len(POSES) + 1) * 2 * len(POSES) // 2


def test_a_picture_that_the_terminal_would_refuse_is_counted_or_left_out(gallery: Path) -> None:
    import cv2

    small = cv2.resize(cv2.imread(str(gallery / "astronaut/0.png")), None, fx=0.4, fy=0.4)
    cv2.imwrite(str(gallery / "astronaut/small.png"), small)
    pairs = write_pairs(gallery / "pairs.csv", [("astronaut/1.png", "astronaut/small.png", 1)])
    assert evaluate(pairs)[2]["terminal_would_refuse"] == {"too_far": 1}
    code, output, result = evaluate(pairs, "--as-terminal")
    assert (code, result["non_response"]) == (1, 1)
    assert "too_far" in output


def test_a_wrong_csv_is_one_line_that_names_the_line(tmp_path: Path) -> None:
    pairs = write_pairs(tmp_path / "pairs.csv", [("a.jpg", "b.jpg", "perhaps")])
    with pytest.raises(PairsError, match="line 2: mated is 'perhaps'"):
        run("evaluate", "matching", str(pairs))
    done = subprocess.run(
        [sys.executable, "-m", "zaigang.cli", "evaluate", "matching", str(pairs)],
        capture_output=True,
        text=True,
        cwd=ROOT,
        timeout=120,
    )
    assert (done.returncode, len(done.stderr.splitlines())) == (1, 1)
    assert "line 2" in done.stderr


def test_a_result_that_could_not_be_written_is_refused_before_the_work(
    gallery: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(DlibEmbedder, "embed", lambda *_: pytest.fail("the work had begun"))
    with pytest.raises(Exception, match="there is no folder"):
        run("calibrate", str(gallery), "--json", str(gallery / "nowhere" / "x.json"))


def test_without_a_plot_nothing_is_needed_to_draw_and_with_one_it_is_asked_for_before_the_work(
    gallery: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    for name in [one for one in sys.modules if one.partition(".")[0] == "matplotlib"]:
        monkeypatch.delitem(sys.modules, name)
    monkeypatch.setitem(sys.modules, "matplotlib", None)
    assert calibrate(gallery, "--fmr", "0.2")[0] == 0
    monkeypatch.setattr(DlibEmbedder, "embed", lambda *_: pytest.fail("the work had begun"))
    with pytest.raises(ModuleNotFoundError, match="matplotlib"):
        run("calibrate", str(gallery), "--plot", str(gallery / "det"))


def test_two_people_cannot_carry_a_claim_and_the_refusal_says_what_would(gallery: Path) -> None:
    code, output, result = calibrate(gallery)
    assert code == 1
    assert "cannot carry a claim of FMR <= 0.0001" in output
    assert "30,000" in output
    assert "拒绝" in output
    assert "match_distance =" not in output
    assert (result["threshold"], result["fmr"], result["non_mated"]) == (None, None, len(POSES) ** 2)
    assert result["as_set"]["fmr"] == 0
    assert "3/n" in result["refused"]


def test_a_claim_that_the_pairs_carry_gives_a_threshold_and_a_curve(gallery: Path, tmp_path: Path) -> None:
    code, output, result = calibrate(gallery, "--fmr", "0.2", "--plot", str(tmp_path / "det"))
    assert code == 0
    assert 0.5 < result["threshold"] <= 0.6
    assert f"match_distance = {result['threshold']:g}" in output
    (one, other), *_ = result["nearest_non_mated"]
    assert {Path(one).parent.name, Path(other).parent.name} == {"astronaut", "grace-hopper"}
    assert f"{one}  {other}" in output
    assert (result["people"], result["fmr"], result["fmr_interval95"][1]) == (2, 0, 3 / len(POSES) ** 2)
    assert "Counted once for each two people, 1 non-mated pairs" in output
    assert (tmp_path / "det.png").stat().st_size > 1000
    assert (tmp_path / "det.svg").read_text().count("<svg") == 1


def test_pictures_without_a_face_are_counted_and_named(gallery: Path) -> None:
    draw_landscape(gallery / "astronaut" / "sky.png")
    (gallery / "astronaut" / "notes.txt").write_text("hat")
    _, output, result = calibrate(gallery, "--fmr", "0.2")
    assert (result["pictures"], result["non_response"]) == (2 * len(POSES) + 2, 2)
    assert [one["image"] for one in result["non_responses"]] == ["astronaut/notes.txt", "astronaut/sky.png"]
    assert "astronaut/sky.png: no_face" in output


def test_repeating_pairs_does_not_buy_a_claim(gallery: Path) -> None:
    pairs = write_pairs(gallery / "pairs.csv", [("astronaut/0.png", "grace-hopper/0.png", 0)] * 40_000)
    code, output, result = calibrate(pairs)
    assert code == 1
    assert (result["non_mated"], result["repeated"]) == (1, 39_999)
    assert "repeat a pair" in output


def test_json_alone_goes_to_standard_output(gallery: Path) -> None:
    done = subprocess.run(
        [sys.executable, "-m", "zaigang.cli", "calibrate", str(gallery), "--fmr", "0.2", "--json", "-"],
        capture_output=True,
        text=True,
        cwd=ROOT,
        timeout=120,
    )
    assert done.returncode == 0, done.stderr
    assert json.loads(done.stdout)["threshold"]
    assert "match_distance" in done.stderr


@pytest.mark.parametrize("rate", ["0", "1", "-1", "nan"])
def test_a_rate_that_is_none_is_wrong_usage(gallery: Path, rate: str) -> None:
    assert run("calibrate", str(gallery), "--fmr", rate)[0] == 2
