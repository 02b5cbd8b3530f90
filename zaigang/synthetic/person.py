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
DEPTH_GAIN = 1.3  # the mesh is flatter than a head: nose to ear 0.7 of the face's width where heads have about 0.9
VIEWING_DISTANCE = 5.0  # face widths from camera to face
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
        self._axis = np.array([face[NOSE, 0], face[NOSE, 1], face[[LEFT_CHEEK, RIGHT_CHEEK], 2].mean()], np.float32)
        self._axis[:2] = face[[FOREHEAD, CHIN], :2].mean(axis=0)
        self._eyes_depth = float(face[np.ravel(UPPER_LIDS), 2].mean() - self._axis[2])
        outside = self._outside(face, picture.shape[1], picture.shape[0])
        self._points = np.concatenate([face, outside]).astype(np.float32)
        self._turns = self._share_of_turn(self._points, face)
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
        points, depth = self._posed(pose)
        self._eyes.set(self._sheet.picture, pose.eyelids)
        self._sheet.draw_on(canvas, points, depth, light)
        return canvas

    def _posed(self, pose: Pose) -> tuple[Floats, Floats]:
        """Return where the points come to lie on the canvas, (N, 2) px, and their depth (N,)."""
        points = self._points - self._axis
        turned = points @ rotation(pose.yaw_deg, pose.pitch_deg).T
        placed = points + self._turns * (turned - points)
        away = VIEWING_DISTANCE * self._face_width
        placed[:, :2] *= (away + self._eyes_depth) / (away + placed[:, 2:]) * pose.scale
        centre = np.array(FACE_AT, np.float32) + np.array(pose.shift, np.float32)
        return placed[:, :2] + centre, placed[:, 2]
