"""Frames, pixels and repetitions, seen by the code that looks for them: on people they must not be found."""

from __future__ import annotations

from collections.abc import Callable
from functools import lru_cache

import cv2
import numpy as np
import pytest

from evidence.events import Ask
from kiosk.verify.landmarks import Landmarks
from kiosk.verify.liveness import ScreenLimits, screen_check
from kiosk.verify.moire import BLOCK, moire_peak
from kiosk.verify.recent_clips import REST_EVERY, Clip, HashSequence, RecentClips
from kiosk.verify.screen_frame import framed
from kiosk.verify.screen_signs import LOOK_EVERY_US, PER_PROMPT, ScreenSigns, SignsSeen
from kiosk.verify.surroundings import wander
from tests.support.faces import still_detector
from zaigang.synthetic.attacks import FlatPrint
from zaigang.synthetic.devices import PHONE, SCREEN, TABLET, Device, DeviceKind
from zaigang.synthetic.performance import Actor, living_person
from zaigang.synthetic.person import LivingPerson
from zaigang.synthetic.portraits import astronaut, grace_hopper
from zaigang.synthetic.pose import Image, Pose
from zaigang.synthetic.scene import empty_scene

PORTRAITS = {"astronaut": astronaut, "hopper": grace_hopper}
LIMITS = ScreenLimits()


@lru_cache(maxsize=2)
def person(name: str) -> LivingPerson:
    return LivingPerson(PORTRAITS[name](), still_detector())


def grainy(image: Image, seed: int = 1) -> Image:
    noise = np.random.default_rng(seed).normal(0, 2, image.shape)
    return np.clip(image + noise, 0, 255).astype(np.uint8)


def seen(image: Image) -> Landmarks:
    return still_detector().detect(image, 0)[0]


def on_device(name: str, kind: DeviceKind, pose: Pose, grid: float = 0.0) -> Image:
    canvas = empty_scene()
    Device(kind, grid=grid).draw(canvas, person(name).render(Pose()), pose)
    return grainy(canvas)


@pytest.mark.parametrize("name", PORTRAITS)
@pytest.mark.parametrize(
    "pose", [Pose(), Pose(yaw_deg=20), Pose(scale=0.75, shift=(120, 0)), Pose(scale=1.3, shift=(-90, 20))], ids=str
)
def test_a_person_before_doors_pipes_and_notices_is_not_framed(name: str, pose: Pose) -> None:
    image = grainy(person(name).render(pose))
    assert not framed(image, seen(image))


@pytest.mark.parametrize("name", PORTRAITS)
@pytest.mark.parametrize("kind", [PHONE, TABLET], ids=["phone", "tablet"])
@pytest.mark.parametrize("pose", [Pose(scale=0.85), Pose(yaw_deg=6, pitch_deg=-4, scale=0.9, shift=(15, 10))], ids=str)
def test_a_device_frames_the_face_that_it_shows(name: str, kind: DeviceKind, pose: Pose) -> None:
    image = on_device(name, kind, pose)
    assert framed(image, seen(image))


@pytest.mark.parametrize("name", PORTRAITS)
@pytest.mark.parametrize("pose", [Pose(scale=1.12, shift=(0, -20)), Pose(scale=0.95, shift=(20, 40))], ids=str)
def test_a_phone_that_the_picture_cuts_above_and_below_or_close_to_the_chin_is_a_frame(name: str, pose: Pose) -> None:
    image = on_device(name, PHONE, pose)
    assert framed(image, seen(image))


@pytest.mark.parametrize("name", PORTRAITS)
@pytest.mark.parametrize("aside_px", [15, 40, 70])
@pytest.mark.parametrize("pose", [Pose(scale=0.9), Pose(shift=(0, 20))], ids=str)
def test_poles_behind_the_shoulders_are_no_frame(name: str, pose: Pose, aside_px: int) -> None:
    image, empty = person(name).render(pose), empty_scene()
    x0, _, x1, _ = (part * 640 for part in seen(image).box)
    poles = empty.copy()
    for x in (x0 - aside_px, x1 + aside_px):
        cv2.rectangle(poles, (round(x) - 6, 0), (round(x) + 6, 480), (40, 90, 220), -1)
    behind = (np.abs(image.astype(np.int16) - empty) < 3).all(axis=2)
    image[behind] = poles[behind]
    image = grainy(image)
    assert not framed(image, seen(image))


CUT_SHORT = DeviceKind("cut short", (330, 310), 0, 1080)  # no bezel; its lower edge lies across the neck


@pytest.mark.parametrize("name", PORTRAITS)
@pytest.mark.parametrize("pose", [Pose(scale=1.1), Pose(yaw_deg=5, pitch_deg=3, shift=(12, -8))], ids=str)
def test_a_picture_that_ends_just_below_the_chin_is_a_frame(name: str, pose: Pose) -> None:
    image = on_device(name, CUT_SHORT, pose)
    assert framed(image, seen(image))


@pytest.mark.parametrize("name", PORTRAITS)
@pytest.mark.parametrize("below_chin", [0.05, 0.15, 0.25, 0.4])
def test_a_picture_that_hangs_behind_a_neck_is_no_frame(name: str, below_chin: float) -> None:
    image, empty = person(name).render(Pose()), empty_scene()
    x0, y0, x1, y1 = (part * size for part, size in zip(seen(image).box, (640, 480) * 2, strict=True))
    hung = empty.copy()
    corners = (round(x0 - 60), round(y0 - 60)), (round(x1 + 60), round(y1 + below_chin * (y1 - y0)))
    cv2.rectangle(hung, *corners, (40, 50, 60), 8)
    behind = (np.abs(image.astype(np.int16) - empty) < 3).all(axis=2)
    image[behind] = hung[behind]
    image = grainy(image)
    assert not framed(image, seen(image))


@pytest.mark.parametrize("name", PORTRAITS)
def test_a_collar_before_a_door_is_no_frame(name: str) -> None:
    """Two upright lines, a lintel and a line across the neck, which meets no corner."""
    image = person(name).render(Pose())
    x0, y0, x1, y1 = (part * size for part, size in zip(seen(image).box, (640, 480) * 2, strict=True))
    left, right, top, neck = round(x0 - 60), round(x1 + 60), round(y0 - 60), round(y1 + 0.1 * (y1 - y0))
    for x in (left, right):
        cv2.line(image, (x, top), (x, 479), (30, 30, 30), 5)
    cv2.line(image, (left, top), (right, top), (30, 30, 30), 5)
    cv2.line(image, (round(x0), neck), (round(x1), neck), (240, 240, 240), 4)
    foot = round(y1 + 0.2 * (y1 - y0))  # shoulders hide the door below
    image[foot:, :] = cv2.GaussianBlur(image[foot:, :], (0, 0), 12)
    image = grainy(image)
    assert not framed(image, seen(image))


@pytest.mark.parametrize("name", PORTRAITS)
def test_the_edge_of_a_print_is_a_frame(name: str) -> None:
    image = grainy(FlatPrint(PORTRAITS[name](), still_detector()).render(Pose(scale=0.9)))
    assert framed(image, seen(image))


@pytest.mark.parametrize("name", PORTRAITS)
def test_a_grid_of_pixels_peaks_and_a_face_does_not(name: str) -> None:
    alive = grainy(person(name).render(Pose()))
    shown = on_device(name, PHONE, Pose(scale=0.9, yaw_deg=2), grid=0.04)
    living, screen = moire_peak(alive, seen(alive)), moire_peak(shown, seen(shown))
    assert living is not None
    assert screen is not None
    assert living < LIMITS.moire < screen


def test_blocks_of_compression_are_no_grid_of_pixels() -> None:
    alive = person("astronaut").render(Pose())
    ok, packed = cv2.imencode(".jpg", alive, [cv2.IMWRITE_JPEG_QUALITY, 25])
    assert ok
    image = np.asarray(cv2.imdecode(packed, cv2.IMREAD_COLOR), np.uint8)
    peak = moire_peak(image, seen(image))
    assert peak is not None
    assert peak < LIMITS.moire


@pytest.mark.parametrize("name", PORTRAITS)
def test_seams_between_a_codecs_blocks_are_no_grid_of_pixels(name: str) -> None:
    """Strong ones: without leaving out multiples of an eighth they peak at 14 and more."""
    alive = person(name).render(Pose())
    seamed = grainy(alive).astype(np.int16)
    seamed[:, ::BLOCK] += 8
    seamed[::BLOCK] += 8
    peak = moire_peak(np.clip(seamed, 0, 255).astype(np.uint8), seen(alive))
    assert peak is not None
    assert peak < LIMITS.moire


def test_a_face_at_the_edge_has_no_spectrum() -> None:
    image = person("astronaut").render(Pose())
    face = seen(image)
    aside = Landmarks(face.points + np.array([0.45, 0, 0], np.float32), face.width, face.height)
    assert moire_peak(image, aside) is None


# Clips that were here before


def movement(seed: int, *, first: int = 0) -> Clip:
    """The hashes of one turn at the gate from its frame `first` on; the same seed gives the same pictures."""
    actor: Actor = living_person(person("astronaut"), seed=seed)
    actor.begin(Ask.TURN_LEFT, 1_500_000)
    hashes = HashSequence()
    for number in range(first, 32):
        now_us = 1_000_000 + number * 66_000
        image = grainy(actor.picture(now_us), 100 * seed + number)
        faces = still_detector().detect(image, 0)
        if faces:
            hashes.add(image, faces[0], at_rest=now_us < 1_500_000)
    return hashes.clip


def test_a_clip_fed_in_again_is_known_even_from_its_middle_and_another_turn_of_the_same_person_is_not() -> None:
    recent = RecentClips()
    recent.keep(movement(1))
    assert recent.seen_before(movement(1, first=4))
    assert not recent.seen_before(movement(5))


def test_who_only_stood_there_was_not_here_before() -> None:
    image = person("astronaut").render(Pose())
    face, recent = seen(image), RecentClips()
    for _ in range(2):
        hashes = HashSequence()
        for _ in range(20):
            hashes.add(image, face)
        assert not recent.seen_before(hashes.clip)
        recent.keep(hashes.clip)


def test_at_rest_every_third_frame_is_hashed_and_from_the_prompt_on_every_one() -> None:
    image = person("astronaut").render(Pose())
    face, hashes = seen(image), HashSequence()
    for number in range(3 * REST_EVERY + 4):
        hashes.add(image, face, at_rest=number < 3 * REST_EVERY)
    assert (hashes.clip.rest, len(hashes.clip.hashes)) == (3, 3 + 4)


# What is behind the face


def film(picture: Callable[[int], Image], looks: int = 4) -> list[tuple[Image, Landmarks]]:
    images = [grainy(picture(1_000_000 + number * LOOK_EVERY_US), number) for number in range(looks)]
    return [(image, seen(image)) for image in images]


def on_a_screen(name: str, now_us: int, shift_px: float) -> Image:
    """A clip on a screen that fills the picture; the hand has wandered by so much a look."""
    canvas, looks = empty_scene(), (now_us - 1_000_000) / LOOK_EVERY_US
    clip = small(name, 2).picture(now_us)
    Device(SCREEN, grid=0.0).draw(canvas, clip, Pose(scale=1.15, shift=(shift_px * looks, 0)))
    return canvas


def small(name: str, seed: int) -> Actor:
    return Actor(person(name), seed, stance=Pose(scale=0.75))


@pytest.mark.parametrize("name", PORTRAITS)
def test_a_wall_stands_still_behind_a_person_who_sways(name: str) -> None:
    ways = wander(film(small(name, 4).picture))
    assert len(ways) == 3
    assert max(ways) < LIMITS.wander / 2


def test_all_behind_a_face_on_a_screen_wanders_with_the_hand() -> None:
    ways = wander(film(lambda now_us: on_a_screen("hopper", now_us, 1.5)))
    assert sorted(ways)[-2] >= LIMITS.wander


def test_on_a_stand_a_screen_stands_as_still_as_a_wall() -> None:
    """What nothing in software sees; the test keeps the documents honest."""
    ways = wander(film(lambda now_us: on_a_screen("hopper", now_us, 0)))
    assert ways
    assert max(ways) < LIMITS.wander


def test_somebody_who_passes_behind_does_not_move_the_wall() -> None:
    """Half of what is behind moves, half does not: no one map, or the wall's."""

    def picture(now_us: int) -> Image:
        image = small("hopper", 4).picture(now_us)
        looks = (now_us - 1_000_000) // LOOK_EVERY_US
        image[:260, 400:] = np.roll(image[:260, 400:], 12 * int(looks), axis=1)
        return image

    assert all(way < LIMITS.wander for way in wander(film(picture)))


def test_people_who_pass_each_other_behind_are_no_hand() -> None:
    """All of what is behind moves, in three rows: right, left, right. No one plane does that."""

    def picture(now_us: int) -> Image:
        image = small("hopper", 4).picture(now_us)
        step = 4 * int((now_us - 1_000_000) // LOOK_EVERY_US)
        for side in (slice(0, 180), slice(460, 640)):
            for top, way in ((0, step), (100, -step), (200, step)):
                image[top : top + 100, side] = np.roll(image[top : top + 100, side], way, axis=1)
        return image

    assert all(way < LIMITS.wander for way in wander(film(picture)))


def test_a_face_that_fills_the_picture_leaves_nothing_to_say() -> None:
    assert wander(film(Actor(person("astronaut"), 4, stance=Pose(scale=1.5)).picture)) == []
    assert wander([]) == []


@pytest.mark.parametrize("bolted", [True, False])
def test_what_is_behind_counts_only_where_the_camera_is_bolted_down(bolted: bool) -> None:
    signs = ScreenSigns(bolted=bolted, per_prompt=6)
    signs.prompted()
    for number, (image, face) in enumerate(film(lambda now_us: on_a_screen("hopper", now_us, 1.5))):
        signs.offer(number * LOOK_EVERY_US, image, face)
    check = screen_check(signs.seen(), LIMITS)
    assert (check.outcome == "failed") == bolted, check.reason


# A few looks


def test_few_frames_are_looked_at_and_two_sightings_convict() -> None:
    image = on_device("astronaut", PHONE, Pose(scale=0.85))
    face, signs = seen(image), ScreenSigns()
    signs.prompted()
    for now_us in range(0, 3 * PER_PROMPT * LOOK_EVERY_US, 40_000):
        signs.offer(now_us, image, face)
    counted = signs.seen()
    assert (counted.looks, counted.framed) == (PER_PROMPT, PER_PROMPT)
    check = screen_check(counted, LIMITS)
    assert (check.outcome, check.reason.partition(":")[0]) == ("failed", "framed")


def looks(*shown: tuple[str, Image]) -> SignsSeen:
    """What is counted of pictures a quarter of a second apart, each `at rest`, `asked` (with a prompt) or `then`."""
    signs = ScreenSigns()
    for number, (when, image) in enumerate(shown):
        if when == "asked":
            signs.prompted()
        signs.offer(number * LOOK_EVERY_US, image, seen(image), at_rest=when == "at rest")
    return signs.seen()


def test_whoever_answers_is_looked_at_however_long_somebody_stood_there_before() -> None:
    alive, phone = grainy(person("hopper").render(Pose())), on_device("astronaut", PHONE, Pose(scale=0.85))
    counted = looks(*[("at rest", alive)] * 12, ("asked", phone), ("then", phone))
    assert (counted.looks, counted.framed) == (2, 2)


def test_looks_at_rest_alone_say_nothing() -> None:
    alive = grainy(person("hopper").render(Pose()))
    assert screen_check(looks(*[("at rest", alive)] * 12, ("asked", alive)), LIMITS).outcome == "not_run"
    assert screen_check(looks(("asked", alive), ("then", alive)), LIMITS).outcome == "passed"


def test_each_prompt_has_its_own_looks() -> None:
    alive, phone = grainy(person("hopper").render(Pose())), on_device("astronaut", PHONE, Pose(scale=0.85))
    counted = looks(("asked", alive), *[("then", alive)] * 8, ("asked", phone), ("then", phone))
    assert (counted.looks, counted.framed) == (PER_PROMPT + 2, 2)


def test_a_face_that_went_away_at_rest_counts_for_nothing() -> None:
    phone, signs = on_device("astronaut", PHONE, Pose(scale=0.85)), ScreenSigns()
    for number in range(3):
        signs.offer(number * LOOK_EVERY_US, phone, seen(phone), at_rest=True)
    signs.forget_rest()
    assert signs.seen().framed == 0


def test_signs_that_could_not_be_measured_are_named() -> None:
    """Before a bare wall nothing behind a face can be followed, and nobody shall read that as seen to stand still."""
    near = grainy(person("astronaut").render(Pose(scale=1.5)))
    signs = ScreenSigns(bolted=True)
    signs.prompted()
    for number in range(3):
        signs.offer(number * LOOK_EVERY_US, near, seen(near))
    check = screen_check(signs.seen(), LIMITS)
    assert check.outcome == "passed"
    assert isinstance(check.observed, dict)
    assert check.observed["unmeasured"] == ["held"]
