from __future__ import annotations

import cv2
import numpy as np
import pytest
from numpy.typing import NDArray

from kiosk.verify.quality import ENROLMENT, VERIFICATION, QualityLimits, assess, quality_check
from tests.support.faces import still_detector
from zaigang.synthetic.person import LivingPerson
from zaigang.synthetic.portraits import Portrait, astronaut, grace_hopper
from zaigang.synthetic.pose import Pose

Image = NDArray[np.uint8]
WIDTH, HEIGHT = 640, 480
PORTRAITS = [astronaut, grace_hopper]


@pytest.fixture(scope="module", params=PORTRAITS, ids=["astronaut", "hopper"])
def portrait(request: pytest.FixtureRequest) -> Portrait:
    one: Portrait = request.param()
    return one


def at(portrait: Portrait, eye_distance_px: float, centre: tuple[float, float] = (320, 240)) -> Image:
    """The portrait's face in a 640x480 picture, that size, there."""
    face = still_detector().detect(portrait.image, 0)[0]
    scale = eye_distance_px / face.eye_distance_px
    x0, y0, x1, y1 = face.box
    middle = ((x0 + x1) / 2 * face.width * scale, (y0 + y1) / 2 * face.height * scale)
    move = np.array([[scale, 0, centre[0] - middle[0]], [0, scale, centre[1] - middle[1]]], np.float32)
    mode = cv2.INTER_AREA if scale < 1 else cv2.INTER_CUBIC
    grey = (90, 90, 90)
    return np.asarray(cv2.warpAffine(portrait.image, move, (WIDTH, HEIGHT), flags=mode, borderValue=grey), np.uint8)


def judged(image: Image, limits: QualityLimits = VERIFICATION) -> str:
    return assess(still_detector().detect(image, 0), image, limits).code


def test_a_portrait_at_arms_length_is_good_enough_to_verify_and_to_enrol(portrait: Portrait) -> None:
    assert judged(at(portrait, 70)) == "ok"
    assert judged(at(portrait, 100), ENROLMENT) == "ok"


def test_an_empty_picture_has_no_face() -> None:
    assert judged(np.full((HEIGHT, WIDTH, 3), 90, np.uint8)) == "no_face"


def test_a_small_face_is_too_far(portrait: Portrait) -> None:
    assert judged(at(portrait, 50)) == "too_far"


def test_enrolment_wants_a_larger_face_than_verification(portrait: Portrait) -> None:
    picture = at(portrait, 78)
    assert (judged(picture), judged(picture, ENROLMENT)) == ("ok", "too_far")


@pytest.mark.parametrize("light", [0.25, 0.15])
def test_a_face_in_the_dark_is_too_dark(portrait: Portrait, light: float) -> None:
    assert judged((at(portrait, 90) * light).astype(np.uint8)) == "too_dark"


def test_a_burnt_out_face_is_too_bright(portrait: Portrait) -> None:
    picture = np.clip(at(portrait, 90).astype(np.int32) * 2 + 60, 0, 255).astype(np.uint8)
    assert judged(picture) == "too_bright"


@pytest.mark.parametrize("sigma", [3.5, 5])
def test_a_face_out_of_focus_is_blurred(portrait: Portrait, sigma: float) -> None:
    assert judged(np.asarray(cv2.GaussianBlur(at(portrait, 90), (0, 0), sigma), np.uint8)) == "blurred"


def test_a_slight_softness_is_not_held_against_the_worker(portrait: Portrait) -> None:
    assert judged(np.asarray(cv2.GaussianBlur(at(portrait, 90), (0, 0), 1.2), np.uint8)) == "ok"


@pytest.mark.parametrize("yaw", [-33, 33])
def test_a_face_turned_away_is_turned_away(portrait: Portrait, yaw: float) -> None:
    assert judged(LivingPerson(portrait, still_detector()).render(Pose(yaw_deg=yaw))) == "turned_away"


def test_enrolment_wants_a_straighter_face_than_verification(portrait: Portrait) -> None:
    picture = LivingPerson(portrait, still_detector()).render(Pose(yaw_deg=17))
    assert (judged(picture), judged(picture, ENROLMENT)) == ("ok", "turned_away")


def test_a_face_cut_by_the_edge_is_out_of_frame(portrait: Portrait) -> None:
    assert judged(at(portrait, 100, centre=(320, 80))) == "out_of_frame"


def two(large_px: float, small_px: float) -> Image:
    picture = at(astronaut(), large_px, (170, 240))
    picture[:, 330:] = at(grace_hopper(), small_px, (480, 240))[:, 330:]
    return picture


def test_two_faces_of_comparable_size_are_asked_to_become_one() -> None:
    assert len(still_detector().detect(two(80, 75), 0)) == 2
    assert judged(two(80, 75)) == "two_faces"
    assert judged(two(80, 62)) == "two_faces"


def test_a_bystander_behind_is_ignored_and_the_dominant_face_is_judged() -> None:
    picture = two(90, 36)
    faces = still_detector().detect(picture, 0)
    found = assess(faces, picture, VERIFICATION)
    assert len(faces) == 2
    assert found.code == "ok"
    assert found.face is faces[0]


def test_the_check_says_what_was_seen_and_what_was_wanted() -> None:
    picture = at(astronaut(), 50)
    check = quality_check(assess(still_detector().detect(picture, 0), picture, VERIFICATION), VERIFICATION)
    assert check.outcome == "failed"
    assert check.reason.startswith("too_far: ")
    assert isinstance(check.observed, dict)
    assert check.observed["eye_distance_px"] == pytest.approx(50, abs=3)
    assert check.expected == {"eye_distance_px": 60, "yaw_deg": 25, "pitch_deg": 25}


def test_dark_glasses_are_asked_to_come_off_and_clear_ones_and_shut_eyes_are_not(portrait: Portrait) -> None:
    image = at(portrait, 90)
    face = still_detector().detect(image, 0)[0]
    for corners in ((33, 133), (362, 263)):
        across, down = face.pixels[list(corners)].mean(axis=0).tolist()
        cv2.ellipse(image, (int(across), int(down) + 4), (34, 25), 0, 0, 360, (30, 28, 28), -1, cv2.LINE_AA)
    assert judged(image) == "sunglasses"
    asleep = LivingPerson(portrait, still_detector()).render(Pose(eyelids=1))  # one of the two wears clear glasses
    assert judged(asleep) == "ok"
