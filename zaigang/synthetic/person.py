"""A portrait that turns its head and shuts its eyes: a sheet over the 468 points of its face, with their depth.

Hair, neck and shoulders follow smoothly. The depth is the mesh's, so this head has parallax, as a head has and a
photograph has not. It is a test subject: what it passes proves nothing about people.
"""

from __future__ import annotations

import cv2
import numpy as np

from kiosk.verify.landmarks import LandmarkDetector
from zaigang.synthetic.eyelids import UPPER_LIDS, Eyelids
from zaigang.synthetic.mesh import Sheet, delaunay
from zaigang.synthetic.portraits import Portrait
from zaigang.synthetic.pose import Floats, Image, Pose, rotation
from zaigang.synthetic.scene import empty_scene

EYE_DISTANCE_PX = 98.0  # at scale 1: close enough to enrol (90)
FACE_AT = (320.0, 255.0)  # px: where the middle of the face stands at shift (0, 0)

MESH_POINTS = 468  # the irises go where their eyes go and are left out
GRID_PX = 56  # between the points outside the face
FACE_MARGIN_PX = 12  # outside points keep this far from the face's
# The mesh is flatter than a head, most of all at the nose. Chosen so that a turn of 17-25 degrees is read as about what
# it is and leaves a plane's residual of 0.027-0.058 eye distances: among real clips (0.024-0.24) at the flat end.
DEPTH_GAIN = 1.1
NOSE_GAIN = 0.22  # face widths, at the tip
NOSE_REACH = 0.22  # face widths from the tip to where a third of that is left
VIEWING_DISTANCE = 4.5  # face widths from camera to head
HAIR_SLOPE = 0.3  # how steeply the head falls back outside the face, depth per distance
HAIR_REACH = 0.5  # face widths; further out it falls back no more

NOSE, CHIN, FOREHEAD, LEFT_CHEEK, RIGHT_CHEEK = 1, 152, 10, 234, 454


class NoFaceInPortrait(Exception):
    """A portrait without a face cannot live."""


class LivingPerson:
    """A person made of a portrait; the detector ("image" mode) is used once, to find its face."""

    def __init__(self, portrait: Portrait, detector: LandmarkDetector) -> None:
        faces = detector.detect(portrait.image, 0)
        if not faces:
            raise NoFaceInPortrait(f"no face was found in {portrait.name}")
        enlarge = EYE_DISTANCE_PX / faces[0].eye_distance_px
        picture = cv2.resize(portrait.image, None, fx=enlarge, fy=enlarge, interpolation=cv2.INTER_LANCZOS4)
        alpha = cv2.resize(portrait.alpha(), (picture.shape[1], picture.shape[0]))
        spread = np.array([portrait.image.shape[1], portrait.image.shape[0], portrait.image.shape[1]], np.float32)
        face = faces[0].points[:MESH_POINTS] * spread * enlarge

        self.name = portrait.name
        self._face_width = float(np.linalg.norm(face[RIGHT_CHEEK] - face[LEFT_CHEEK]))
        face[:, 2] *= DEPTH_GAIN
        from_nose = np.linalg.norm(face[:, :2] - face[NOSE, :2], axis=1) / (NOSE_REACH * self._face_width)
        face[:, 2] -= NOSE_GAIN * self._face_width * np.exp(-(from_nose**2))
        self._axis = np.array([face[NOSE, 0], face[NOSE, 1], face[[LEFT_CHEEK, RIGHT_CHEEK], 2].mean()], np.float32)
        self._axis[:2] = face[[FOREHEAD, CHIN], :2].mean(axis=0)
        self._eyes_depth = float(face[np.ravel(UPPER_LIDS), 2].mean() - self._axis[2])
        outside = self._outside(face, picture.shape[1], picture.shape[0])
        self._points = np.concatenate([face, outside]).astype(np.float32)
        self._turns = self._share_of_turn(self._points, face)
        self._away = VIEWING_DISTANCE * self._face_width
        self._sheet = Sheet(np.asarray(picture), np.asarray(alpha), self._points[:, :2], delaunay(self._points[:, :2]))
        self._eyes = Eyelids(np.asarray(picture), face[:, :2])

    def _outside(self, face: Floats, width: int, height: int) -> Floats:
        """Return points round the face up to the picture's edge, their depth falling back as a skull does."""
        hull = cv2.convexHull(np.ascontiguousarray(face[:, :2]))
        xs = np.append(np.arange(0, width - 1, GRID_PX), width - 1)
        ys = np.append(np.arange(0, height - 1, GRID_PX), height - 1)
        rim = face[np.unique(cv2.convexHull(np.ascontiguousarray(face[:, :2]), returnPoints=False))]
        points = []
        for y in ys:
            for x in xs:
                away = -cv2.pointPolygonTest(hull, (float(x), float(y)), measureDist=True)
                if away < FACE_MARGIN_PX:
                    continue
                weights = 1 / ((rim[:, :2] - (x, y)) ** 2).sum(axis=1)
                nearest = float((weights * rim[:, 2]).sum() / weights.sum())
                points.append((x, y, nearest + HAIR_SLOPE * min(away, HAIR_REACH * self._face_width)))
        return np.array(points, np.float32)

    def _share_of_turn(self, points: Floats, face: Floats) -> Floats:
        """Return how far each point follows the head, (N, 1): 1 down to the jaw, 0 at the shoulders."""
        tall = face[CHIN, 1] - face[FOREHEAD, 1]
        down = np.clip((points[:, 1] - face[CHIN, 1]) / (0.75 * tall), 0, 1)
        share = 1 - down * down * (3 - 2 * down)
        share[:MESH_POINTS] = 1
        return np.asarray(share[:, None], np.float32)

    def render(self, pose: Pose, light: float = 1.0) -> Image:
        """Return the person in front of the gate, 640x480 BGR. `light` multiplies the brightness of everything."""
        canvas = empty_scene(light)
        self.draw(canvas, pose, light)
        return canvas

    def draw(self, canvas: Image, pose: Pose, light: float = 1.0) -> None:
        """Draw the person over what is on the canvas already, 640x480 BGR."""
        points, depth = self._posed(pose)
        self._eyes.set(self._sheet.picture, pose.eyelids)
        self._sheet.draw_on(canvas, points, depth, light)

    def eyes(self, pose: Pose) -> Floats:
        """Return where the middle of each eye comes to lie on the canvas, (2, 2) px, the image's left one first."""
        points, _ = self._posed(pose)
        return np.stack([points[list(lid)].mean(axis=0) for lid in UPPER_LIDS])

    def _posed(self, pose: Pose) -> tuple[Floats, Floats]:
        """Return where the points come to lie on the canvas, (N, 2) px, and their depth (N,)."""
        points = self._points - self._axis
        points[:, :2] *= self._nearness(points[:, 2:])  # looking ahead, the picture is the portrait as it was taken
        turned = points @ rotation(pose.yaw_deg, pose.pitch_deg).T
        placed = points + self._turns * (turned - points)
        placed[:, :2] *= pose.scale / self._nearness(placed[:, 2:])
        centre = np.array(FACE_AT, np.float32) + np.array(pose.shift, np.float32)
        return placed[:, :2] + centre, placed[:, 2]

    def _nearness(self, depth: Floats) -> Floats:
        """Return how much smaller a thing at this depth looks than at the eyes'."""
        return (self._away + depth) / (self._away + self._eyes_depth)
