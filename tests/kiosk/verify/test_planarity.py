from __future__ import annotations

from collections.abc import Callable

import cv2
import numpy as np
import pytest
from numpy.typing import NDArray

from kiosk.verify.landmarks import Landmarks
from kiosk.verify.liveness import PlanarityLimits, planarity_check
from kiosk.verify.planarity import MIN_POINTS, PlaneFit, PlaneTracker
from kiosk.verify.pose import yaw_deg
from tests.support.faces import still_detector
from zaigang.synthetic.attacks import FlatPrint
from zaigang.synthetic.person import LivingPerson
from zaigang.synthetic.portraits import Portrait, astronaut, grace_hopper
from zaigang.synthetic.pose import Pose, Rendered

LIMITS = PlanarityLimits()
FRAMES = 12
EYE_CORNERS = [33, 133, 362, 263]


@pytest.fixture(scope="module", params=[astronaut, grace_hopper], ids=["astronaut", "hopper"])
def portrait(request: pytest.FixtureRequest) -> Portrait:
    one: Portrait = request.param()
    return one


def grainy(image: NDArray[np.uint8], seed: int) -> NDArray[np.uint8]:
    noise = np.random.default_rng(seed).normal(0, 2, image.shape)
    return np.clip(image + noise, 0, 255).astype(np.uint8)


def turned(subject: Rendered, to_deg: float, frames: int = FRAMES, scale: float = 1.0) -> PlaneFit:
    """What a tracker measures while the subject turns from straight ahead to `to_deg`."""
    poses = [Pose(yaw_deg=to_deg * step / frames, scale=scale, shift=(step * 0.8, 0)) for step in range(frames + 1)]
    pictures = [grainy(subject.render(pose), number) for number, pose in enumerate(poses)]
    first, last = (still_detector().detect(picture, 0)[0] for picture in (pictures[0], pictures[-1]))
    tracker = PlaneTracker(pictures[0], first, yaw_deg(first))
    for picture in pictures[1:]:
        tracker.feed(picture, yaw_deg(last))
    return tracker.fit()


@pytest.mark.parametrize("to_deg", [-24, 24])
@pytest.mark.parametrize("frames", [6, 14])
def test_a_turning_head_is_no_plane(portrait: Portrait, to_deg: float, frames: int) -> None:
    fit = turned(LivingPerson(portrait, still_detector()), to_deg, frames)
    assert planarity_check(fit, LIMITS).outcome == "passed", fit


@pytest.mark.parametrize("to_deg", [-38, 38])
@pytest.mark.parametrize("bend_deg", [0, 45])
def test_a_swung_print_is_flat_whether_bent_or_not(portrait: Portrait, to_deg: float, bend_deg: float) -> None:
    fit = turned(FlatPrint(portrait, still_detector(), bend_deg), to_deg)
    check = planarity_check(fit, LIMITS)
    assert (check.outcome, check.reason.split(":")[0]) == ("failed", "flat"), fit


def test_paper_far_away_and_swung_fast_is_still_flat(portrait: Portrait) -> None:
    check = planarity_check(turned(FlatPrint(portrait, still_detector()), 38, frames=4, scale=0.7), LIMITS)
    assert check.outcome == "failed"


def test_paper_turned_as_far_as_a_head_is_convicted_by_its_movement_alone(portrait: Portrait) -> None:
    measured = turned(FlatPrint(portrait, still_detector(), 45), 24)
    as_if = PlaneFit(measured.residual, measured.outliers, measured.points, turn_deg=25)
    assert planarity_check(as_if, LIMITS).outcome == "failed"


def test_a_head_that_stands_still_has_turned_too_little_and_is_not_called_flat(portrait: Portrait) -> None:
    check = planarity_check(turned(LivingPerson(portrait, still_detector()), 2), LIMITS)
    assert (check.outcome, check.reason.split(":")[0]) == ("not_run", "too_little_turn")


def test_without_a_turn_there_is_no_verdict() -> None:
    check = planarity_check(None, LIMITS)
    assert (check.outcome, check.reason.split(":")[0]) == ("not_run", "too_little_turn")


def test_too_few_points_are_no_verdict() -> None:
    check = planarity_check(PlaneFit(0.2, 0.9, MIN_POINTS - 1, 25), LIMITS)
    assert (check.outcome, check.reason.split(":")[0]) == ("not_run", "points_lost")


def test_a_face_without_texture_is_no_verdict() -> None:
    picture = np.full((480, 640, 3), 128, np.uint8)
    face = still_detector().detect(LivingPerson(astronaut(), still_detector()).render(Pose()), 0)[0]
    tracker = PlaneTracker(picture, face, 0)
    tracker.feed(picture, 25)
    assert planarity_check(tracker.fit(), LIMITS).reason.startswith("points_lost: ")


def test_a_head_leaving_the_picture_breaks_nothing() -> None:
    person = LivingPerson(astronaut(), still_detector())
    pictures = [person.render(Pose(shift=(shift, 0))) for shift in (200, 300, 420)]
    face = still_detector().detect(pictures[0], 0)[0]
    tracker = PlaneTracker(pictures[0], face, 0)
    for picture in pictures[1:]:
        tracker.feed(picture, 25)
    assert planarity_check(tracker.fit(), LIMITS).outcome != "passed"


def test_residuals_count_in_eye_distances_whatever_the_size_of_the_picture() -> None:
    person = LivingPerson(grace_hopper(), still_detector())
    near = turned(person, 24)
    poses = [Pose(yaw_deg=24 * step / FRAMES, shift=(step * 0.8, 0)) for step in range(FRAMES + 1)]
    large = [cv2.resize(grainy(person.render(pose), n), (1280, 960)) for n, pose in enumerate(poses)]
    first, last = (still_detector().detect(np.asarray(one, np.uint8), 0)[0] for one in (large[0], large[-1]))
    tracker = PlaneTracker(np.asarray(large[0], np.uint8), first, yaw_deg(first))
    for picture in large[1:]:
        tracker.feed(np.asarray(picture, np.uint8), yaw_deg(last))
    assert tracker.fit().residual == pytest.approx(near.residual, rel=0.6)


# A photo held up until the prompt, then another person in its place


@pytest.mark.parametrize(("held", "stranger"), [(astronaut, grace_hopper), (grace_hopper, astronaut)])
@pytest.mark.parametrize("aside_px", [0, 20, 40])
@pytest.mark.parametrize("swapped_at_deg", [0, 12, 21])
def test_a_face_swapped_for_another_is_not_followed_as_one_head(
    held: Callable[[], Portrait], stranger: Callable[[], Portrait], aside_px: float, swapped_at_deg: float
) -> None:
    paper, living = (LivingPerson(one(), still_detector()) for one in (held, stranger))
    shown, face, other = (paper.render(Pose()), *(_face(one) for one in (paper, living)))
    off = face.pixels[EYE_CORNERS].mean(axis=0) - other.pixels[EYE_CORNERS].mean(axis=0)
    tracker = PlaneTracker(grainy(shown, 0), face, 0)
    for number in range(1, 3):
        tracker.feed(grainy(shown, number), 0)
    for number, yaw in enumerate(np.linspace(swapped_at_deg, 25, 7), start=3):
        turning = living.render(Pose(yaw_deg=yaw, shift=(off[0] + aside_px, off[1])))
        tracker.feed(grainy(turning, number), yaw)
    check = planarity_check(tracker.fit(), LIMITS)
    assert (check.outcome, check.reason.split(":")[0]) == ("failed", "face_changed"), tracker.fit()


@pytest.mark.parametrize("to_deg", [-28, 28])
def test_a_head_unseen_for_150_ms_amid_a_fast_turn_is_still_the_same(portrait: Portrait, to_deg: float) -> None:
    person = LivingPerson(portrait, still_detector())
    tracker = PlaneTracker(grainy(person.render(Pose()), 0), _face(person), 0)
    for number, share in enumerate((0.05, 0.2, 0.8, 0.95, 1), start=1):  # 60 % of the way unseen: 28 degrees in 250 ms
        tracker.feed(grainy(person.render(Pose(yaw_deg=share * to_deg)), number), share * to_deg)
    assert planarity_check(tracker.fit(), LIMITS).outcome == "passed", tracker.fit()


def test_points_that_something_else_carried_off_count_as_lost() -> None:
    """A paper pulled away from the top down tears a part of the points at a time."""
    above, below = LivingPerson(astronaut(), still_detector()), LivingPerson(grace_hopper(), still_detector())
    before, after = below.render(Pose()), above.render(Pose())
    tracker = PlaneTracker(before, _face(below), 0)
    for edge in range(150, 420, 45):
        tracker.feed(np.vstack([after[:edge], before[edge:]]), 0)
    for yaw in (5, 10, 15, 20, 25):
        tracker.feed(above.render(Pose(yaw_deg=yaw)), yaw)
    fit = tracker.fit()
    assert fit.kept < LIMITS.kept or fit.tear >= LIMITS.tear
    assert planarity_check(fit, LIMITS).outcome != "passed"


def test_a_frame_that_is_passed_over_is_said_to_be() -> None:
    picture = LivingPerson(astronaut(), still_detector()).render(Pose())
    tracker = PlaneTracker(picture, still_detector().detect(picture, 0)[0], 0)
    assert tracker.offer(0, picture, 0)
    assert not tracker.offer(33_000, picture, 0)
    assert tracker.offer(66_000, picture, 3)


def _face(person: LivingPerson) -> Landmarks:
    return still_detector().detect(person.render(Pose()), 0)[0]
