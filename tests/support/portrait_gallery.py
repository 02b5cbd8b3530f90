"""A folder of pictures for the matching commands: the two public-domain portraits rendered in several poses."""

from __future__ import annotations

from pathlib import Path

import cv2
import numpy as np

from tests.support.faces import still_detector
from zaigang.synthetic.person import LivingPerson
from zaigang.synthetic.portraits import astronaut, grace_hopper
from zaigang.synthetic.pose import Pose

POSES = ((Pose(), 1.0), (Pose(yaw_deg=12), 1.0), (Pose(yaw_deg=-12), 0.8), (Pose(scale=0.8, shift=(30, 10)), 0.9))


def draw_gallery(folder: Path, poses: int = len(POSES)) -> Path:
    """Draw `poses` pictures of each person into a folder of their own. Return `folder`."""
    for portrait in (astronaut(), grace_hopper()):
        person, place = LivingPerson(portrait, still_detector()), folder / portrait.name.replace(" ", "-")
        place.mkdir(parents=True)
        for number, (pose, light) in enumerate(POSES[:poses]):
            cv2.imwrite(str(place / f"{number}.png"), person.render(pose, light))
    return folder


def draw_landscape(path: Path) -> Path:
    """Draw a picture without a face."""
    sky = np.tile(np.linspace(255, 90, 240, dtype=np.uint8)[:, None, None], (1, 320, 3))
    cv2.imwrite(str(path), sky)
    return path
