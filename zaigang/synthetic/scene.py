"""A gate behind the person: a wall with a notice, a door, a pipe. Nothing in it moves when a head does."""

from __future__ import annotations

from functools import lru_cache

import cv2
import numpy as np
from numpy.typing import NDArray

Image = NDArray[np.uint8]

WIDTH, HEIGHT = 640, 480  # px
SEED = 20  # of the plaster's grain


@lru_cache(maxsize=1)
def _wall() -> Image:
    random = np.random.default_rng(SEED)
    wall = np.full((HEIGHT, WIDTH, 3), (168, 176, 178), np.float32)
    for size, strength in ((40, 9), (8, 6), (1, 4)):  # stains, plaster, grain
        grain = random.normal(0, strength, (HEIGHT // size + 1, WIDTH // size + 1)).astype(np.float32)
        wall += cv2.resize(grain, (WIDTH, HEIGHT), interpolation=cv2.INTER_CUBIC)[:, :, None]
    shade = np.linspace(1.08, 0.85, WIDTH, dtype=np.float32)[None, :, None]  # the light comes from the left
    image = np.clip(wall * shade, 0, 255).astype(np.uint8)
    cv2.rectangle(image, (0, 380), (WIDTH, HEIGHT), (92, 104, 108), -1)  # the painted lower part
    cv2.line(image, (0, 380), (WIDTH, 380), (60, 66, 70), 3)
    cv2.rectangle(image, (520, 60), (632, 480), (88, 96, 74), -1)  # a door
    cv2.rectangle(image, (520, 60), (632, 480), (46, 52, 40), 3)
    cv2.rectangle(image, (540, 90), (612, 200), (150, 142, 128), -1)
    cv2.circle(image, (534, 290), 6, (190, 200, 205), -1)
    cv2.rectangle(image, (24, 70), (118, 190), (225, 232, 236), -1)  # a notice
    for line in range(9):
        cv2.line(image, (34, 86 + 11 * line), (104 - 9 * (line % 3), 86 + 11 * line), (70, 70, 80), 2)
    cv2.rectangle(image, (160, 0), (170, 380), (110, 118, 122), -1)  # a pipe
    for clamp in (40, 180, 320):
        cv2.rectangle(image, (156, clamp), (174, clamp + 8), (80, 86, 90), -1)
    return np.asarray(cv2.GaussianBlur(image, (0, 0), 0.7), np.uint8)


def empty_scene(light: float = 1.0) -> Image:
    """Return the gate with nobody there, 640x480 BGR, freshly made; `light` multiplies its brightness."""
    wall = _wall()
    return wall.copy() if light == 1 else np.asarray(cv2.convertScaleAbs(wall, alpha=light), np.uint8)
