"""Where a head points and how far its eyes are open, read from the 478 landmarks.

Signs are those of the unmirrored camera image: yaw is positive when the PERSON turns to their own left (towards the
image's right), pitch is positive when they look up. Angles are the mesh's and good to a few degrees; they steer a
challenge, they prove nothing (a flat photo has a mesh too).
"""

from __future__ import annotations

import math
from typing import TYPE_CHECKING

import numpy as np

if TYPE_CHECKING:
    from kiosk.verify.landmarks import Landmarks

# Points of the face that mirror each other and hardly move with expression: (image's left, image's right).
# Corners of eyes, cheekbones, temples, jaw. Averaging six pairs halves the jitter of one.
_PAIRS = ((33, 263), (133, 362), (234, 454), (127, 356), (50, 280), (116, 345))
_LEFT_IDS = np.array([left for left, _ in _PAIRS])
_RIGHT_IDS = np.array([right for _, right in _PAIRS])
_FOREHEAD_AND_CHIN = np.array([10, 152])
PITCH_AT_EYE_LEVEL_DEG = -5.0  # a chin lies behind a forehead: median of seven portraits taken at eye level

# Outer corner, two of the upper lid, inner corner, two of the lower lid (Soukupova and Cech 2016).
_EYES = np.array([263, 387, 385, 362, 380, 373, 33, 160, 158, 133, 153, 144])  # the person's left one, then the right


def yaw_deg(face: Landmarks) -> float:
    """Return the turn of the head in degrees, positive to the person's own left."""
    across = (face.scaled[_RIGHT_IDS] - face.scaled[_LEFT_IDS]).sum(axis=0).tolist()
    return math.degrees(math.atan2(across[2], math.hypot(across[0], across[1])))


def pitch_deg(face: Landmarks) -> float:
    """Return the nod of the head in degrees, positive upwards."""
    forehead, chin = face.scaled[_FOREHEAD_AND_CHIN].tolist()
    back, down = chin[2] - forehead[2], math.hypot(chin[0] - forehead[0], chin[1] - forehead[1])
    return math.degrees(math.atan2(-back, down)) - PITCH_AT_EYE_LEVEL_DEG


def eye_aspect_ratio(face: Landmarks) -> tuple[float, float]:
    """Return height over width of (the person's left eye, the right): 0.19-0.45 open, about 0.1 closed."""
    points = [(x, y) for x, y, _ in face.scaled[_EYES].tolist()]
    return _ratio(points[:6]), _ratio(points[6:])


def _ratio(eye: list[tuple[float, float]]) -> float:
    outer, upper_a, upper_b, inner, lower_b, lower_a = eye
    width = math.dist(outer, inner)
    if width <= 0:
        return 0.0
    return (math.dist(upper_a, lower_a) + math.dist(upper_b, lower_b)) / (2 * width)
