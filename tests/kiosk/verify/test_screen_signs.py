"""Frames, pixels and repetitions, seen by the code that looks for them: on people they must not be found."""

from __future__ import annotations

from functools import lru_cache

import cv2
import numpy as np
import pytest

from evidence.events import Ask
from kiosk.verify.landmarks import Landmarks
from kiosk.verify.liveness import ScreenLimits, screen_check
from kiosk.verify.moire import moire_peak
from kiosk.verify.recent_clips import REST_EVERY, Clip, HashSequence, RecentClips
from kiosk.verify.screen_frame import framed
from kiosk.verify.screen_signs import LOOK_EVERY_US, LOOKS, ScreenSigns
from tests.support.faces import still_detector
from zaigang.synthetic.attacks import FlatPrint
from zaigang.synthetic.devices import PHONE, TABLET, Device, DeviceKind
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


# A few looks


def test_few_frames_are_looked_at_and_two_sightings_convict() -> None:
    image = on_device("astronaut", PHONE, Pose(scale=0.85))
    face, signs = seen(image), ScreenSigns()
    for now_us in range(0, 3 * LOOKS * LOOK_EVERY_US, 40_000):
        signs.offer(now_us, image, face)
    counted = signs.seen()
    assert (counted.looks, counted.framed) == (LOOKS, LOOKS)
    check = screen_check(counted, LIMITS)
    assert (check.outcome, check.reason.partition(":")[0]) == ("failed", "framed")
