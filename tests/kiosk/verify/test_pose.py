from __future__ import annotations

import pytest

from kiosk.verify.pose import eye_aspect_ratio, pitch_deg, yaw_deg
from tests.support.faces import still_detector
from zaigang.synthetic.person import LivingPerson
from zaigang.synthetic.portraits import astronaut, grace_hopper
from zaigang.synthetic.pose import Pose


@pytest.fixture(scope="module", params=[astronaut, grace_hopper], ids=["astronaut", "hopper"])
def person(request: pytest.FixtureRequest) -> LivingPerson:
    return LivingPerson(request.param(), still_detector())


@pytest.mark.parametrize("asked", [-25, -15, 0, 15, 25])
def test_yaw_is_positive_to_the_persons_own_left_and_good_to_eight_degrees(person: LivingPerson, asked: float) -> None:
    face = still_detector().detect(person.render(Pose(yaw_deg=asked)), 0)[0]
    assert yaw_deg(face) == pytest.approx(asked, abs=8)


def test_a_turn_to_the_persons_left_moves_the_nose_to_the_images_right(person: LivingPerson) -> None:
    straight, left = (still_detector().detect(person.render(Pose(yaw_deg=yaw)), 0)[0] for yaw in (0, 20))
    nose, cheeks = 1, [234, 454]
    offset = [one.pixels[nose, 0] - one.pixels[cheeks, 0].mean() for one in (straight, left)]
    assert offset[1] > offset[0] + 10
    assert yaw_deg(left) > yaw_deg(straight)


def test_pitch_is_positive_upwards_and_small_at_eye_level(person: LivingPerson) -> None:
    down, level, up = (pitch_deg(still_detector().detect(person.render(Pose(pitch_deg=p)), 0)[0]) for p in (-15, 0, 15))
    assert down < level - 8
    assert up > level + 8
    assert abs(level) < 10


def test_closed_eyes_fall_below_six_tenths_of_open_ones(person: LivingPerson) -> None:
    opened, closed = (
        eye_aspect_ratio(still_detector().detect(person.render(Pose(eyelids=lids)), 0)[0]) for lids in (0, 1)
    )
    assert all(0.15 < eye < 0.5 for eye in opened)
    assert sum(closed) < 0.6 * sum(opened)
