from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import pytest

from kiosk.verify.continuity import Continuity, overlap


@dataclass(frozen=True)
class Face:
    box: tuple[float, float, float, float]


def face(x: float = 0.4, y: float = 0.3, size: float = 0.25) -> Any:
    return Face((x, y, x + size, y + size * 1.3))


def followed(frame_us: int = 40_000, frames: int = 10) -> tuple[Continuity, int]:
    continuity, now = Continuity(), 0
    for _ in range(frames):
        now += frame_us
        continuity.frame(now)
    continuity.begin(now, face())
    return continuity, now


def see(continuity: Continuity, mono_us: int, *faces: Any) -> Any:
    continuity.frame(mono_us)
    return continuity.follow(mono_us, faces)


def test_a_face_that_stays_is_followed() -> None:
    continuity, now = followed()
    for step in range(1, 30):
        assert see(continuity, now + step * 40_000, face(0.4 + 0.005 * step)) is not None
    assert (continuity.code, continuity.frames) == ("", 30)


def test_a_face_unseen_for_150_ms_is_still_the_same_and_beyond_that_it_is_lost() -> None:
    for gap_us, code in ((120_000, ""), (150_000, ""), (160_000, "face_lost")):
        continuity, now = followed()
        see(continuity, now + 40_000)
        see(continuity, now + gap_us, face())
        assert continuity.code == code, gap_us


def test_a_slow_camera_may_miss_one_frame() -> None:
    continuity, now = followed(frame_us=125_000)
    assert see(continuity, now + 125_000) is None
    assert see(continuity, now + 250_000, face()) is not None
    assert continuity.code == ""
    see(continuity, now + 375_000)
    see(continuity, now + 500_000)
    see(continuity, now + 625_000, face())
    assert continuity.code == "face_lost"


def test_one_stalled_frame_does_not_stretch_the_allowed_gap() -> None:
    continuity, now = followed()
    see(continuity, now + 400_000, face())
    assert continuity.code == "face_lost"


@pytest.mark.parametrize("other", [face(0.05), face(0.4, 0.3, 0.1), face(0.55, 0.5)])
def test_a_face_that_jumps_or_changes_its_size_is_another(other: Any) -> None:
    continuity, now = followed()
    assert see(continuity, now + 40_000, other) is None
    assert continuity.code == "face_changed"


def test_once_another_always_another() -> None:
    continuity, now = followed()
    see(continuity, now + 40_000, face(0.05))
    assert see(continuity, now + 80_000, face()) is None
    assert continuity.code == "face_changed"


def test_the_followed_face_is_picked_among_others_whatever_their_size() -> None:
    continuity, now = followed()
    mine, larger = face(0.42), face(0.0, 0.1, 0.4)
    assert see(continuity, now + 40_000, larger, mine) is mine


def test_overlap_is_one_for_the_same_box_and_nothing_for_neighbours() -> None:
    assert overlap((0, 0, 1, 1), (0, 0, 1, 1)) == 1
    assert overlap((0, 0, 1, 1), (1, 0, 2, 1)) == 0
    assert overlap((0, 0, 2, 1), (1, 0, 3, 1)) == pytest.approx(1 / 3)
