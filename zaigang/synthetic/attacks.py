"""Paper that pretends to be somebody: a print on a plane or bent round a cylinder, held up by a hand. Synthetic
attacks.
"""

from __future__ import annotations

import cv2
import numpy as np

from kiosk.verify.landmarks import LandmarkDetector
from zaigang.synthetic.mesh import Sheet
from zaigang.synthetic.person import FACE_AT, NoFaceInPortrait
from zaigang.synthetic.portraits import Portrait
from zaigang.synthetic.pose import Floats, Image, Pose, rotation
from zaigang.synthetic.scene import empty_scene

EYE_DISTANCE_PX = 95.0  # at scale 1, as a living face has
PAPER = (320, 400)  # px at scale 1, without the white border
BORDER_PX = 14
COLUMNS, ROWS = 24, 20  # of the sheet's triangles: fine enough that perspective is right to a hundredth of a pixel
VIEWING_DISTANCE_PX = 600.0  # as near as a living face
SKIN = (120, 150, 200)  # BGR of the hand
SKIN_EDGE = (80, 105, 150)


class FlatPrint:
    """A colour print of a portrait; `bend_deg` > 0 bends it round an upright cylinder, edge to edge by that angle."""

    def __init__(self, portrait: Portrait, detector: LandmarkDetector, bend_deg: float = 0.0) -> None:
        self.name = f"{'bent' if bend_deg else 'flat'} print of {portrait.name}"
        paper = self._paper = _print(portrait, detector)
        height, width = paper.shape[:2]
        x, y = np.meshgrid(np.linspace(0, width - 1, COLUMNS + 1), np.linspace(0, height - 1, ROWS + 1))
        on_paper = np.stack([x.ravel(), y.ravel()], axis=1).astype(np.float32)
        opaque = np.full(paper.shape[:2], 255, np.uint8)
        self._sheet = Sheet(paper, opaque, on_paper, _grid_triangles())
        from_middle = np.asarray(on_paper - np.array([width, height]) / 2, np.float32)
        self._points = _bent(from_middle, float(np.radians(bend_deg)), width)

    def render(self, pose: Pose, light: float = 1.0) -> Image:
        """Return the print held up in front of the gate, 640x480 BGR; eyelids of paper stay as they are."""
        canvas = empty_scene(light)
        self.draw(canvas, pose, light)
        return canvas

    def draw(self, canvas: Image, pose: Pose, light: float = 1.0) -> None:
        """Draw the print, and the hand that holds it, over what is on the canvas already."""
        placed, depth = self._placed(self._points, pose)
        edge = placed[-COLUMNS - 1 :]  # the bottom edge, left to right
        grip = edge[(COLUMNS + 1) // 2]
        draw_arm(canvas, grip, pose.scale, light)
        self._sheet.draw_on(canvas, placed, depth, light)
        draw_thumb(canvas, grip, pose.scale, light)

    def _placed(self, points: Floats, pose: Pose) -> tuple[Floats, Floats]:
        """Return where points of the paper (N, 3) come to lie on the canvas, (N, 2) px, and their depth (N,)."""
        turned = np.asarray(points @ rotation(pose.yaw_deg, pose.pitch_deg).T, np.float32)
        flat = turned[:, :2] * (VIEWING_DISTANCE_PX / (VIEWING_DISTANCE_PX + turned[:, 2:])) * pose.scale
        placed = flat + np.array(FACE_AT, np.float32) + np.array(pose.shift, np.float32)
        return np.asarray(placed, np.float32), turned[:, 2]


def _print(portrait: Portrait, detector: LandmarkDetector) -> Image:
    """Return head and shoulders of the portrait on white paper, the face in the middle."""
    faces = detector.detect(portrait.image, 0)
    if not faces:
        raise NoFaceInPortrait(f"no face was found in {portrait.name}")
    enlarge = EYE_DISTANCE_PX / faces[0].eye_distance_px
    x0, y0, x1, y1 = faces[0].box
    centre_x, centre_y = (x0 + x1) / 2 * faces[0].width * enlarge, (y0 + y1) / 2 * faces[0].height * enlarge
    move = np.array([[enlarge, 0, PAPER[0] / 2 - centre_x], [0, enlarge, PAPER[1] / 2 - centre_y]], np.float32)
    picture = cv2.warpAffine(portrait.image, move, PAPER, flags=cv2.INTER_CUBIC, borderMode=cv2.BORDER_REPLICATE)
    white = (238, 240, 240)
    edge = BORDER_PX
    return np.asarray(cv2.copyMakeBorder(picture, edge, edge, edge, edge, cv2.BORDER_CONSTANT, value=white), np.uint8)


def _grid_triangles() -> np.ndarray[tuple[int, int], np.dtype[np.int32]]:
    corner = (np.arange(ROWS)[:, None] * (COLUMNS + 1) + np.arange(COLUMNS)[None, :]).ravel()
    below = corner + COLUMNS + 1
    upper = np.stack([corner, corner + 1, below], axis=1)
    lower = np.stack([corner + 1, below + 1, below], axis=1)
    return np.concatenate([upper, lower]).astype(np.int32)


def _bent(points: Floats, angle: float, width: int) -> Floats:
    """Return the points (N, 2) in space: on a plane, or on a cylinder whose edges lean away from the camera."""
    if angle == 0:
        return np.concatenate([points, np.zeros((len(points), 1), np.float32)], axis=1)
    radius = width / angle
    round_it = points[:, 0] / radius
    return np.stack(
        [radius * np.sin(round_it), points[:, 1], radius * (1 - np.cos(round_it))], axis=1, dtype=np.float32
    )


def _lit(colour: tuple[int, int, int], light: float) -> tuple[float, ...]:
    return tuple(min(255.0, part * light) for part in colour)


def draw_arm(canvas: Image, grip: Floats, scale: float, light: float) -> None:
    """Draw the fingers behind the paper and the arm below it."""
    x, y = int(grip[0]), int(grip[1])
    wide = int(34 * scale)
    arm = np.array([(x - wide, y + 20), (x + wide, y + 20), (x + 2 * wide, 480), (x - wide, 480)], np.int32)
    cv2.fillConvexPoly(canvas, arm, _lit(SKIN, light), cv2.LINE_AA)
    cv2.ellipse(canvas, (x, y + 14), (int(48 * scale), int(30 * scale)), 0, 0, 360, _lit(SKIN, light), -1, cv2.LINE_AA)


def draw_thumb(canvas: Image, grip: Floats, scale: float, light: float) -> None:
    """Draw the thumb that lies on the paper."""
    at, size = (int(grip[0]), int(grip[1] - 4)), (int(13 * scale), int(30 * scale))
    cv2.ellipse(canvas, at, size, 12, 0, 360, _lit(SKIN, light), -1, cv2.LINE_AA)
    cv2.ellipse(canvas, at, size, 12, 0, 360, _lit(SKIN_EDGE, light), 2, cv2.LINE_AA)
