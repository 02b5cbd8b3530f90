"""How often a frame is found round a face: people before made-up rooms full of doors and poles; devices before them.

`python tests/manual/frames_in_rooms.py SEED [COUNT]`; the limits of kiosk/verify/screen_frame.py were looked at with
seeds 1 and 2. The rooms are harder than any real one: every one has upright lines close behind the head.
"""

from __future__ import annotations

import collections
import sys
from pathlib import Path

import cv2
import numpy as np

sys.path.insert(0, str(Path(__file__).parents[2]))

from kiosk.verify.screen_frame import framed
from tests.support.faces import still_detector
from zaigang.synthetic.devices import PHONE, TABLET, Device
from zaigang.synthetic.person import LivingPerson
from zaigang.synthetic.portraits import astronaut, grace_hopper
from zaigang.synthetic.pose import Image, Pose
from zaigang.synthetic.scene import HEIGHT, WIDTH, empty_scene


def room(random: np.random.Generator) -> Image:
    """Up to four doors, windows and pictures about the middle, and up to four poles, in any colours."""
    wall = np.full((HEIGHT, WIDTH, 3), random.integers(40, 220), np.float32) + random.normal(0, 4, (HEIGHT, WIDTH, 1))
    image = np.clip(wall, 0, 255).astype(np.uint8)
    for _ in range(random.integers(1, 5)):
        half, middle, top = random.integers(60, 210), random.integers(180, 460), random.integers(-60, 140)
        foot = HEIGHT if random.random() < 0.5 else random.integers(250, 520)
        corners = (int(middle - half), int(top)), (int(middle + half), int(foot))
        cv2.rectangle(image, *corners, random.integers(20, 240, 3).tolist(), -1)
        if rim := int(random.choice([0, 2, 3, 6, 10, 14])):
            cv2.rectangle(image, *corners, random.integers(0, 255, 3).tolist(), rim)
    for _ in range(random.integers(0, 5)):
        x, wide = int(random.integers(60, 580)), int(random.integers(4, 24))
        cv2.rectangle(image, (x, 0), (x + wide, HEIGHT), random.integers(0, 255, 3).tolist(), -1)
    return np.asarray(cv2.GaussianBlur(image, (0, 0), 0.7), np.uint8)


def grainy(image: Image, random: np.random.Generator) -> Image:
    """With a sensor's noise."""
    return np.clip(image + random.normal(0, 2, image.shape), 0, 255).astype(np.uint8)


def pose(random: np.random.Generator, down_px: tuple[float, float]) -> Pose:
    """Somewhere before the camera."""
    return Pose(
        yaw_deg=random.uniform(-8, 8),
        pitch_deg=random.uniform(-6, 6),
        scale=random.uniform(0.76, 1.14),
        shift=(random.uniform(-45, 45), random.uniform(*down_px)),
    )


def before(person: LivingPerson, background: Image, at: Pose) -> Image:
    """The person before another background than the stage's."""
    image, empty = person.render(at), empty_scene()
    behind = (np.abs(image.astype(np.int16) - empty) < 3).all(axis=2).astype(np.uint8)
    behind = cv2.morphologyEx(behind, cv2.MORPH_OPEN, np.ones((5, 5), np.uint8))
    image[behind > 0] = background[behind > 0]
    return image


def main(seed: int, count: int) -> None:
    """Print how many of each were framed."""
    random = np.random.default_rng(seed)
    people = [LivingPerson(one, still_detector()) for one in (astronaut(), grace_hopper())]
    found: collections.Counter[str] = collections.Counter()
    shown: collections.Counter[str] = collections.Counter()
    for number in range(count):
        person = people[number % 2]
        pictures = {"person": before(person, room(random), pose(random, (-25, 60)))}
        for kind in (PHONE, TABLET):
            pictures[kind.name] = room(random)
            Device(kind, grid=0.0).draw(pictures[kind.name], person.render(Pose()), pose(random, (-40, 45)))
        for name, picture in pictures.items():
            noisy = grainy(picture, random)
            for face in still_detector().detect(noisy, 0)[:1]:
                shown[name] += 1
                found[name] += framed(noisy, face)
    for name, many in shown.items():
        print(f"{name}: framed in {found[name]} of {many}")


if __name__ == "__main__":
    main(int(sys.argv[1]), int(sys.argv[2]) if len(sys.argv) > 2 else 200)
