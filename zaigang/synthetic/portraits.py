"""The two public-domain portraits that installed packages carry, with the outline of the person in each."""

from __future__ import annotations

import importlib.util
from dataclasses import dataclass
from pathlib import Path

import cv2
import numpy as np
from numpy.typing import NDArray

Image = NDArray[np.uint8]

# Drawn by hand round head and shoulders, px of the portrait: what lies outside is not the person.
# fmt: off
ASTRONAUT_OUTLINE = (
    (18, 512), (20, 420), (25, 380), (28, 320), (42, 275), (60, 245), (112, 208), (117, 195), (122, 175), (140, 155),
    (165, 150), (183, 150), (183, 134), (172, 124), (159, 108), (155, 88), (154, 66), (161, 53), (180, 43), (192, 33),
    (205, 21), (230, 16), (255, 21), (275, 34), (290, 52), (299, 75), (300, 95), (292, 118), (279, 131), (268, 136),
    (262, 152), (256, 175), (275, 185), (290, 200), (300, 220), (305, 235), (320, 245), (340, 260), (350, 290),
    (358, 320), (363, 347), (400, 343), (450, 360), (485, 400), (498, 450), (504, 512),
)
GRACE_HOPPER_OUTLINE = (
    (12, 600), (24, 457), (32, 422), (45, 392), (68, 376), (147, 349), (192, 331), (200, 315), (196, 297), (175, 287),
    (163, 274), (158, 244), (153, 213), (153, 193), (159, 175), (153, 150), (153, 107), (158, 95), (174, 85),
    (179, 71), (196, 52), (217, 41), (224, 31), (254, 24), (284, 27), (302, 39), (330, 54), (345, 67), (354, 86),
    (363, 86), (370, 99), (371, 132), (371, 157), (366, 178), (375, 188), (376, 203), (370, 224), (362, 249),
    (361, 269), (352, 299), (335, 307), (331, 318), (356, 336), (417, 367), (488, 391), (499, 408), (506, 445),
    (508, 600),
)
# fmt: on


class PortraitMissing(Exception):
    """A package that carries a portrait is not installed."""


@dataclass(frozen=True, slots=True, eq=False)
class Portrait:
    """A person looking at the camera: a BGR picture and a polygon round the person, px."""

    name: str
    image: Image
    outline: tuple[tuple[int, int], ...]

    def alpha(self, feather_px: float = 1.5) -> Image:
        """Return how much of each pixel is the person, 0..255, soft at the edge."""
        mask = np.zeros(self.image.shape[:2], np.uint8)
        cv2.fillPoly(mask, [np.array(self.outline, np.int32)], 255)
        mask = np.asarray(
            cv2.erode(mask, np.ones((3, 3), np.uint8)), np.uint8
        )  # a rim of the old background would glow
        return np.asarray(cv2.GaussianBlur(mask, (0, 0), feather_px), np.uint8)


def astronaut() -> Portrait:
    """Return Eileen Collins by NASA, public domain, out of scikit-image. Raises PortraitMissing."""
    return Portrait("astronaut", _picture("skimage", "data/astronaut.png"), ASTRONAUT_OUTLINE)


def grace_hopper() -> Portrait:
    """Return Grace Hopper by the U.S. Navy, public domain, out of matplotlib. Raises PortraitMissing."""
    return Portrait(
        "grace hopper", _picture("matplotlib", "mpl-data/sample_data/grace_hopper.jpg"), GRACE_HOPPER_OUTLINE
    )


def _picture(package: str, name: str) -> Image:
    spec = importlib.util.find_spec(package)  # finds it without importing it
    if spec is None or not spec.submodule_search_locations:
        raise PortraitMissing(f"{package} is not installed: pip install 'zaigang[demo]'")
    picture = cv2.imread(str(Path(spec.submodule_search_locations[0], name)))
    if picture is None:
        raise PortraitMissing(f"{package} came without {name}; install another version of it")
    return np.asarray(picture, np.uint8)
