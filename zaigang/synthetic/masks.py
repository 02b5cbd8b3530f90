"""Prints that blink: one with holes that a living person's eyes look through, one whose eyes alone are animated."""

from __future__ import annotations

from dataclasses import replace

import cv2
import numpy as np

from kiosk.verify.landmarks import LandmarkDetector
from zaigang.synthetic.attacks import FlatPrint
from zaigang.synthetic.eyelids import LOWER_LIDS, UPPER_LIDS, Eyelids
from zaigang.synthetic.person import MESH_POINTS, LivingPerson, NoFaceInPortrait
from zaigang.synthetic.portraits import Portrait
from zaigang.synthetic.pose import Floats, Image, Pose

HOLE = 1.35  # size of a hole, of the eye's: scissors leave the lashes away
BEHIND_TURNS = 0.6  # how far the person behind a mask turns with it


class CutOutPrint(FlatPrint):
    """A print with its eyes cut out, held before a living face whose own eyes blink behind the holes."""

    def __init__(
        self, portrait: Portrait, behind: LivingPerson, detector: LandmarkDetector, bend_deg: float = 0.0
    ) -> None:
        super().__init__(portrait, detector, bend_deg)
        self.name = f"print of {portrait.name} with cut-out eyes"
        self._behind = behind
        face = _points(detector, self._paper)
        for upper, lower in zip(UPPER_LIDS, LOWER_LIDS, strict=True):
            eye = face[[*upper, *lower]]
            hole = eye.mean(axis=0) + (eye - eye.mean(axis=0)) * HOLE
            mask = np.full(self._paper.shape[:2], 255, np.uint8)
            cv2.fillConvexPoly(mask, cv2.convexHull(hole.astype(np.int32)), 0, cv2.LINE_AA)
            self._sheet.picture[:, :, 3] = np.minimum(self._sheet.picture[:, :, 3], mask)
        half = np.array(self._paper.shape[1::-1], np.float32) / 2
        middles = np.stack(
            [face[[*upper, *lower]].mean(axis=0) for upper, lower in zip(UPPER_LIDS, LOWER_LIDS, strict=True)]
        )
        self._holes = np.concatenate([middles - half, np.zeros((2, 1), np.float32)], axis=1)

    def draw(self, canvas: Image, pose: Pose, light: float = 1.0) -> None:
        """Draw the person behind first, then the print with its holes."""
        holes, _ = self._placed(self._holes, pose)
        turned = Pose(yaw_deg=pose.yaw_deg * BEHIND_TURNS, eyelids=pose.eyelids)
        eyes = self._behind.eyes(turned)
        scale = float(np.linalg.norm(holes[1] - holes[0]) / np.linalg.norm(eyes[1] - eyes[0]))
        eyes = self._behind.eyes(replace(turned, scale=scale))
        across, down = (holes.mean(axis=0) - eyes.mean(axis=0)).tolist()
        self._behind.draw(canvas, replace(turned, scale=scale, shift=(across, down)), light)
        super().draw(canvas, pose, light)


class AnimatedPhoto(FlatPrint):
    """A still photo on a device whose software shuts and opens its eyes; nothing else of it moves by itself."""

    def __init__(self, portrait: Portrait, detector: LandmarkDetector) -> None:
        super().__init__(portrait, detector)
        self.name = f"photo of {portrait.name} with animated eyes"
        picture = self._sheet.picture
        for edge in (picture[:14], picture[-14:], picture[:, :14], picture[:, -14:]):
            edge[:, :, :3] = 18  # the device's frame in place of the paper's white one
        self._eyes = Eyelids(np.ascontiguousarray(picture[:, :, :3]), _points(detector, self._paper))

    def draw(self, canvas: Image, pose: Pose, light: float = 1.0) -> None:
        """Draw the device with the photo's eyes as far shut as the pose says."""
        self._eyes.set(self._sheet.picture, pose.eyelids)
        super().draw(canvas, pose, light)


def _points(detector: LandmarkDetector, picture: Image) -> Floats:
    """Return the face's points in a picture, (468, 2) px."""
    faces = detector.detect(np.ascontiguousarray(picture), 0)
    if not faces:
        raise NoFaceInPortrait("no face was found in a synthetic picture")
    return faces[0].pixels[:MESH_POINTS]
