from __future__ import annotations

import json
from pathlib import Path

import cv2
import pytest

from evidence.events import Ask
from kiosk.verify.clip import ClipUnreadable, describe, main
from tests.support.faces import still_detector
from zaigang.synthetic.camera import FPS, StageCamera, VirtualClock
from zaigang.synthetic.performance import living_person
from zaigang.synthetic.person import LivingPerson
from zaigang.synthetic.portraits import grace_hopper

# When the screen asks what, in frames: a turn takes two seconds, blinks (two of them) one.
SCRIPT = {10: Ask.TURN_LEFT, 70: Ask.TURN_RIGHT, 130: Ask.BLINK}
FRAMES = 170


@pytest.fixture(scope="module")
def clip(tmp_path_factory: pytest.TempPathFactory) -> Path:
    path = tmp_path_factory.mktemp("clip") / "clip.avi"
    film = cv2.VideoWriter(str(path), cv2.VideoWriter.fourcc(*"MJPG"), FPS, (640, 480))
    camera = StageCamera(VirtualClock())
    camera.stand(living_person(LivingPerson(grace_hopper(), still_detector()), seed=1))
    for number in range(FRAMES):
        if number in SCRIPT:
            camera.show(SCRIPT[number])
        film.write(camera.read(1).image)
    film.release()
    return path


def test_every_turn_and_blink_of_a_clip_is_found_and_nothing_else(clip: Path) -> None:
    seen = describe(clip)
    assert (seen.frames, seen.frames_with_face, seen.most_faces) == (FRAMES, FRAMES, 1)
    assert [turn.side for turn in seen.turns] == ["left", "right"]
    assert len(seen.blinks) == 2
    assert all(blink.closed_us >= 130 / FPS * 1e6 for blink in seen.blinks)
    assert seen.duration_ms == FRAMES * 1000 // FPS


def test_the_command_prints_it_for_people_and_for_programs(clip: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert main([str(clip)]) == 0
    assert "turns   2: left" in capsys.readouterr().out
    assert main([str(clip), "--json"]) == 0
    assert json.loads(capsys.readouterr().out)["frames"] == FRAMES


def test_what_is_no_video_is_said_to_be_none(tmp_path: Path) -> None:
    path = tmp_path / "notes.txt"
    path.write_text("not a video")
    with pytest.raises(ClipUnreadable, match=r"notes\.txt"):
        describe(path)
    assert main([str(path)]) == 1
