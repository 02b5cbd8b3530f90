"""Only the worker is to be recognised in the picture."""

from __future__ import annotations

import cv2
import numpy as np
import pytest
import skimage.data
from numpy.typing import NDArray

from kiosk.terminal.picture import PICTURE_WIDTH_PX, Box, privacy_jpeg

WORKER: Box = (0.20, 0.30, 0.35, 0.60)


def noise(width: int = 1280, height: int = 960) -> NDArray[np.uint8]:
    return np.random.default_rng(7).integers(0, 256, (height, width, 3), dtype=np.uint8)


def shown(image: NDArray[np.uint8], box: Box | None) -> NDArray[np.uint8]:
    return np.asarray(cv2.imdecode(np.frombuffer(privacy_jpeg(image, box), np.uint8), cv2.IMREAD_COLOR))


def detail(image: NDArray[np.uint8], box: Box) -> float:
    """How much fine detail a part of the picture has: variance of the Laplacian."""
    height, width = image.shape[:2]
    x0, y0, x1, y1 = (round(v * s) for v, s in zip(box, (width, height, width, height), strict=True))
    return float(cv2.Laplacian(cv2.cvtColor(image[y0:y1, x0:x1], cv2.COLOR_BGR2GRAY), cv2.CV_64F).var())


def test_the_worker_is_clear_and_the_queue_behind_is_not() -> None:
    picture = shown(noise(), WORKER)
    assert detail(picture, WORKER) > 100 * detail(picture, (0.6, 0.1, 0.95, 0.9))


@pytest.mark.parametrize(
    "box",
    [
        None,
        (0.5, 0.5, 0.5, 0.5),
        (0.6, 0.6, 0.4, 0.4),
        (float("nan"), 0.1, 0.5, 0.5),
        (1.2, 0.1, 1.5, 0.4),
        (-9.0, -9.0, 9.0, 9.0),
        (0.0, 0.0, float("inf"), 1.0),
    ],
)
def test_without_a_box_that_makes_sense_nobody_is_clear(box: Box | None) -> None:
    assert detail(shown(noise(), box), (0.0, 0.0, 1.0, 1.0)) < 20


def test_a_bystander_face_is_beyond_a_face_detector() -> None:
    """OpenCV's own measure of likeness: nothing of the bystander's face correlates above its coarse shading."""
    portrait = cv2.cvtColor(skimage.data.astronaut(), cv2.COLOR_RGB2BGR)[0:256, 128:384]
    image = np.full((480, 960, 3), 90, dtype=np.uint8)
    image[100:356, 60:316] = image[100:356, 640:896] = portrait
    picture = shown(image, (0.12, 0.35, 0.26, 0.62))
    small = cv2.resize(image, (640, 320), interpolation=cv2.INTER_AREA)
    edges = [cv2.Canny(one[67:237, 427:597], 60, 150).mean() for one in (small, picture)]
    assert edges[1] < 0.05 * edges[0]


def test_a_picture_is_at_most_640_wide_and_keeps_its_shape() -> None:
    assert shown(noise(1280, 720), None).shape == (360, PICTURE_WIDTH_PX, 3)
    assert shown(noise(320, 240), None).shape == (240, 320, 3)


def test_the_image_given_is_not_changed() -> None:
    image = noise(640, 480)
    before = image.copy()
    privacy_jpeg(image, WORKER)
    assert np.array_equal(image, before)


@pytest.mark.parametrize("shape", [(480, 640), (480, 640, 4), (0, 640, 3)])
def test_what_is_no_picture_is_refused(shape: tuple[int, ...]) -> None:
    with pytest.raises(ValueError, match="BGR"):
        privacy_jpeg(np.zeros(shape, dtype=np.uint8), None)
