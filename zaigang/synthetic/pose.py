"""How something stands in front of the camera: the one value that person and paper, actor and camera share."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Protocol

import numpy as np
from numpy.typing import NDArray

Floats = NDArray[np.float32]
Image = NDArray[np.uint8]


@dataclass(frozen=True, slots=True)
class Pose:
    """Degrees, yaw > 0 to the PERSON's own left (the image's right), pitch > 0 up; eyelids 0 open to 1 shut.

    At scale 1 a face has about 95 px between its eyes; `shift` is in px of the 640x480 picture.
    """

    yaw_deg: float = 0.0
    pitch_deg: float = 0.0
    eyelids: float = 0.0
    scale: float = 1.0
    shift: tuple[float, float] = (0.0, 0.0)


class Rendered(Protocol):
    """What can be drawn in a pose: a living person, a print."""

    name: str

    def render(self, pose: Pose, light: float = 1.0) -> Image:
        """Return the scene with it, 640x480 BGR; `light` multiplies the brightness of everything."""

    def draw(self, canvas: Image, pose: Pose, light: float = 1.0) -> None:
        """Draw it over what is on the canvas already."""


def rotation(yaw_deg: float, pitch_deg: float) -> Floats:
    """Return the 3x3 matrix for x right, y down, z away from the camera.

    yaw > 0 takes a nose (z < 0) to +x, pitch > 0 takes it to -y.
    """
    yaw, pitch = np.radians(yaw_deg), np.radians(pitch_deg)
    turn = np.array([[np.cos(yaw), 0, -np.sin(yaw)], [0, 1, 0], [np.sin(yaw), 0, np.cos(yaw)]])
    nod = np.array([[1, 0, 0], [0, np.cos(pitch), np.sin(pitch)], [0, -np.sin(pitch), np.cos(pitch)]])
    return np.asarray(turn @ nod, np.float32)
