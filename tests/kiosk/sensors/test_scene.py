"""A scene is known again by its points, through people, light and noise; covered, moved and foreign are told apart."""

from __future__ import annotations

import io
from functools import lru_cache

import cv2
import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from kiosk.sensors.scene import MOVED_SHARE, WIDTH_PX, Image, Scene, SceneState, SceneUnusable, describe, look
from tests.support.faces import still_detector
from zaigang.synthetic.person import LivingPerson
from zaigang.synthetic.portraits import astronaut
from zaigang.synthetic.pose import Pose
from zaigang.synthetic.scene import empty_scene


@lru_cache(maxsize=1)
def person() -> LivingPerson:
    return LivingPerson(astronaut(), still_detector())


@lru_cache(maxsize=1)
def known() -> Scene:
    return describe(empty_scene())


def grainy(image: Image, seed: int = 1) -> Image:
    noise = np.random.default_rng(seed).normal(0, 2, image.shape)
    return np.asarray(np.clip(image + noise, 0, 255), np.uint8)


def turned(image: Image, right_px: float = 0, deg: float = 0) -> Image:
    matrix = cv2.getRotationMatrix2D((320, 240), deg, 1)
    matrix[0, 2] += right_px
    return np.asarray(cv2.warpAffine(image, matrix, (640, 480), borderMode=cv2.BORDER_REFLECT), np.uint8)


def palm() -> Image:
    return grainy(np.full((480, 640, 3), (90, 110, 160), np.uint8))


@pytest.mark.parametrize("light", [0.15, 0.3, 0.7, 1.0, 1.4])
def test_the_scene_is_the_same_by_day_and_at_dusk(light: float) -> None:
    assert look(known(), grainy(empty_scene(light))).state is SceneState.SAME


def test_somebody_who_stands_before_it_does_not_change_the_scene() -> None:
    assert look(known(), grainy(person().render(Pose()))).state is SceneState.SAME


@pytest.mark.parametrize("picture", [turned(empty_scene(), right_px=40), turned(empty_scene(), deg=4)])
def test_a_camera_that_was_turned_is_moved(picture: Image) -> None:
    found = look(known(), grainy(picture))
    assert found.state is SceneState.MOVED
    assert found.shift_share > MOVED_SHARE or abs(found.turn_deg) > 3


def test_a_camera_that_was_turned_is_found_behind_somebody_too() -> None:
    assert look(known(), grainy(turned(person().render(Pose()), right_px=60))).state is SceneState.MOVED


@pytest.mark.parametrize(
    "picture", [np.zeros((480, 640, 3), np.uint8), grainy(np.zeros((480, 640, 3), np.uint8)), palm()]
)
def test_a_covered_lens_is_covered_and_not_moved(picture: Image) -> None:
    assert look(known(), picture).state is SceneState.COVERED


@pytest.mark.parametrize("picture", [astronaut().image, np.ascontiguousarray(empty_scene()[:, ::-1])])
def test_another_place_is_not_recognised(picture: Image) -> None:
    assert look(known(), picture).state is SceneState.UNRECOGNISED


def test_a_bare_or_covered_scene_is_not_learnt() -> None:
    for picture in (palm(), np.zeros((480, 640, 3), np.uint8)):
        with pytest.raises(SceneUnusable):
            describe(picture)


def test_the_file_holds_points_and_no_picture() -> None:
    data = known().encode()
    back = Scene.decode(data)
    assert np.array_equal(back.points, known().points)
    assert np.array_equal(back.descriptors, known().descriptors)
    with np.load(io.BytesIO(data)) as stored:
        assert set(stored) == {"format", "points", "descriptors"}
    assert back.points.max() < WIDTH_PX


@given(st.binary(max_size=300))
def test_any_bytes_are_a_scene_or_refused(data: bytes) -> None:
    with pytest.raises(SceneUnusable):
        Scene.decode(data)


def test_a_file_cut_in_half_is_refused() -> None:
    data = known().encode()
    with pytest.raises(SceneUnusable):
        Scene.decode(data[: len(data) // 2])
