"""Clips of synthetic people and prints, written as video files and judged as the terminal would judge them."""

from __future__ import annotations

import json
from pathlib import Path

import cv2
import pytest
from typer.testing import CliRunner

from evidence.events import Ask
from tests.support.faces import still_detector
from zaigang.cli import SUBCOMMANDS, load
from zaigang.evaluation.liveness_clips import Sidecar
from zaigang.synthetic.attacks import FlatPrint
from zaigang.synthetic.performance import STANDING, Actor, living_person, paper_holder
from zaigang.synthetic.person import LivingPerson
from zaigang.synthetic.portraits import astronaut, grace_hopper
from zaigang.synthetic.pose import Pose

FPS = 20
ASKED_MS = 800
CLIP_MS = 3000
PROMPT = {"prompts": [{"at_ms": ASKED_MS, "ask": "turn_left"}]}


def write(path: Path, actor: Actor, ask: Ask | None = Ask.TURN_LEFT) -> None:
    """Film somebody who is asked once."""
    path.parent.mkdir(parents=True, exist_ok=True)
    video = cv2.VideoWriter(str(path), cv2.VideoWriter.fourcc(*"mp4v"), FPS, (640, 480))
    assert video.isOpened()
    for frame in range(CLIP_MS * FPS // 1000):
        now_us = frame * 1_000_000 // FPS
        if ask is not None and now_us >= ASKED_MS * 1000:
            actor.hear(ask, now_us)
        video.write(actor.picture(now_us))
    video.release()


def living_head() -> LivingPerson:
    return LivingPerson(astronaut(), still_detector())


def living() -> Actor:
    return living_person(living_head(), seed=4, blink_every_s=1.5)


@pytest.fixture(scope="module")
def clips(tmp_path_factory: pytest.TempPathFactory) -> Path:
    root = tmp_path_factory.mktemp("clips")
    write(root / "live" / "answers.mp4", living())
    write(root / "live" / "silent.mp4", living(), ask=None)
    (root / "live" / "answers.json").write_text(json.dumps(PROMPT))
    write(root / "short" / "turn.mp4", Actor(living_head(), 4, lambda ask, share: Pose(yaw_deg=18.5 * share), STANDING))
    (root / "short" / "clip.json").write_text(json.dumps(PROMPT))
    write(root / "paper" / "swung.mp4", paper_holder(FlatPrint(grace_hopper(), still_detector()), seed=4))
    (root / "paper" / "clip.json").write_text(json.dumps(PROMPT))
    (root / "paper" / "torn.mp4").write_bytes(b"no film at all")
    return root


def evaluate(*options: str, code: int = 0) -> str:
    command = load(next(one for one in SUBCOMMANDS if one.name == "evaluate"))
    result = CliRunner().invoke(command, ["liveness", *options])
    assert result.exit_code == code, result.output
    return result.output


@pytest.fixture(scope="module")
def found(clips: Path) -> dict[str, object]:
    file = clips / "report.json"
    said = evaluate("--live", str(clips / "live"), "--attack", f"print={clips / 'paper'}", "--json", str(file))
    assert "1 clips without a sidecar" in said
    report: dict[str, object] = json.loads(file.read_text())
    return report


def row(found: dict[str, object], clip: str) -> dict[str, object]:
    rows = found["clips"]
    assert isinstance(rows, list)
    return next(one for one in rows if one["clip"] == clip)


def outcome(row: dict[str, object], check: str) -> str:
    checks = row["checks"]
    assert isinstance(checks, list)
    return next(f"{one['outcome']} {one['reason'].partition(':')[0]}" for one in checks if one["name"] == check)


def test_a_living_person_who_answers_the_sidecars_prompt_is_accepted(found: dict[str, object]) -> None:
    answers = row(found, "answers.mp4")
    assert answers["accepted"] is True
    assert answers["judged_by"] == "all checks"
    assert outcome(answers, "challenge") == "passed ok"
    assert outcome(answers, "planarity") == "passed ok"


def test_without_a_sidecar_only_what_needs_no_prompt_is_judged_and_it_says_so(found: dict[str, object]) -> None:
    silent = row(found, "silent.mp4")
    assert silent["judged_by"] == "signals without a prompt"
    assert outcome(silent, "challenge") == "not_run no_prompt"
    assert outcome(silent, "life") == "passed ok"
    assert silent["accepted"] is True


def test_a_print_that_a_folders_prompt_swings_is_not_accepted(found: dict[str, object]) -> None:
    swung = row(found, "swung.mp4")
    assert swung["judged_by"] == "all checks"
    assert swung["accepted"] is False
    assert found["species"] == {
        "print": {
            "n": 1,
            "accepted": 0,
            "apcer": 0.0,
            "upper95": pytest.approx(0.95),
            "reasons": found["species"]["print"]["reasons"],  # type: ignore[index]
            "non_response": 1,
        }
    }


def test_a_clip_that_cannot_be_decoded_is_a_non_response_and_stays_in_the_report(found: dict[str, object]) -> None:
    assert found["non_response"] == 1
    assert row(found, "torn.mp4")["decision"] == "non_response"
    assert row(found, "torn.mp4")["checks"] == []


def test_living_clips_are_counted_by_their_refusals(found: dict[str, object]) -> None:
    live = found["live"]
    assert isinstance(live, dict)
    assert (live["n"], live["refused"], live["bpcer"]) == (2, 0, 0.0)
    assert live["upper95"] == pytest.approx(1 - 0.05**0.5)


@pytest.mark.parametrize(
    "options",
    [
        (),
        ("--synthetic", "--live", "."),
        ("--attack", "nothing"),
        ("--live", "no/such/folder"),
        ("--synthetic", "--count", "none"),
    ],
)
def test_what_cannot_be_meant_is_said_in_one_sentence(options: tuple[str, ...]) -> None:
    assert len(evaluate(*options, code=2).strip().splitlines()) == 1


def test_an_empty_folder_is_said(tmp_path: Path) -> None:
    assert "no clips" in evaluate("--live", str(tmp_path), code=2)


def test_a_turn_that_planarity_can_judge_is_enough_where_no_screen_asked_for_more(clips: Path, tmp_path: Path) -> None:
    report = tmp_path / "report.json"
    evaluate("--live", str(clips / "short"), "--json", str(report))
    (one,) = json.loads(report.read_text())["clips"]
    assert one["decision"] == "verified"
    assert 16 <= next(check for check in one["checks"] if check["name"] == "planarity")["observed"]["turn_deg"] < 20


def test_two_blinks_may_be_called_what_the_screen_calls_them() -> None:
    told = Sidecar.model_validate_json('{"prompts": [{"at_ms": 0, "ask": "blink_twice"}]}')
    assert told.prompts[0].ask is Ask.BLINK
