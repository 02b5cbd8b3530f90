"""A phone or tablet held up to the camera that plays somebody's clip: frame, glass, grid of pixels, a hand below."""

from __future__ import annotations

from dataclasses import dataclass

import cv2
import numpy as np

from zaigang.synthetic.attacks import VIEWING_DISTANCE_PX, draw_arm
from zaigang.synthetic.person import FACE_AT
from zaigang.synthetic.pose import Floats, Image, Pose, rotation

FRAME_COLOUR = (24, 22, 22)  # BGR
RIM_COLOUR = (70, 66, 64)
BLACK_LEVEL = 10.0  # a screen's black gives light too


@dataclass(frozen=True, slots=True)
class DeviceKind:
    """One make of device; sizes in px of the picture it shows at scale 1."""

    name: str
    window: tuple[int, int]  # width and height of what is cut out of the clip's 640x480 round the face
    frame_px: int
    columns: int  # of the screen's own pixels


PHONE = DeviceKind("phone", (310, 450), 10, 1080)
TABLET = DeviceKind("tablet", (470, 450), 20, 1200)
SCREEN = DeviceKind("screen", (640, 480), 0, 1920)  # so near that no edge of it is in sight


class Device:
    """Draws a device in a pose with a picture on its screen.

    `grid`: how much of the grid of its pixels, finer than the camera's, lens and sensor let through; that much aliases.
    """

    def __init__(self, kind: DeviceKind, *, brightness: float = 1.0, grid: float = 0.03) -> None:
        self.name = kind.name
        self._kind, self._brightness, self._grid = kind, brightness, grid
        self._frame_px = kind.frame_px
        width, height = (side + 2 * self._frame_px for side in kind.window)
        self._size = (width, height)
        half = np.array([width, height], np.float32) / 2
        self._corners = np.array([[-1, -1], [1, -1], [1, 1], [-1, 1]], np.float32) * half

    def draw(self, canvas: Image, clip: Image, pose: Pose, light: float = 1.0) -> None:
        """Draw it over the canvas, its screen showing the part of `clip` (480x640 BGR) round the face."""
        space = np.concatenate([self._corners, np.zeros((4, 1), np.float32)], axis=1)
        turned = np.asarray(space @ rotation(pose.yaw_deg, pose.pitch_deg).T, np.float32)
        flat = turned[:, :2] * (VIEWING_DISTANCE_PX / (VIEWING_DISTANCE_PX + turned[:, 2:])) * pose.scale
        placed = np.asarray(flat + np.array(FACE_AT, np.float32) + np.array(pose.shift, np.float32), np.float32)
        draw_arm(canvas, placed[2:].mean(axis=0), pose.scale, light)
        width, height = self._size
        source = np.array([[0, 0], [width, 0], [width, height], [0, height]], np.float32)
        place = cv2.getPerspectiveTransform(source, placed)
        size = (canvas.shape[1], canvas.shape[0])
        drawn = cv2.warpPerspective(self._face_of_it(clip), place, size, flags=cv2.INTER_AREA)
        drawn = self._gridded(np.asarray(drawn, np.uint8), placed)
        mask = np.zeros(canvas.shape[:2], np.uint8)
        cv2.fillConvexPoly(mask, np.round(placed * 16).astype(np.int32), 255, cv2.LINE_AA, 4)
        share = mask.astype(np.float32) / 255
        canvas[:] = cv2.blendLinear(drawn, np.ascontiguousarray(canvas), share, 1 - share)

    def _face_of_it(self, clip: Image) -> Image:
        wide, high = self._kind.window
        x0 = min(max(int(FACE_AT[0] - wide / 2), 0), clip.shape[1] - wide)
        y0 = min(max(int(FACE_AT[1] - high / 2), 0), clip.shape[0] - high)
        screen = cv2.convertScaleAbs(clip[y0 : y0 + high, x0 : x0 + wide], alpha=self._brightness, beta=BLACK_LEVEL)
        edge = self._frame_px
        screen = cv2.copyMakeBorder(screen, edge, edge, edge, edge, cv2.BORDER_CONSTANT, value=FRAME_COLOUR)
        if edge:
            cv2.rectangle(screen, (0, 0), (screen.shape[1] - 1, screen.shape[0] - 1), RIM_COLOUR, 2)
        return np.asarray(screen, np.uint8)

    def _gridded(self, drawn: Image, corners: Floats) -> Image:
        """Lay the screen's columns of pixels over it, as the camera's own pixels sample them."""
        across = float(np.linalg.norm(corners[1] - corners[0]))
        pitch = across / self._kind.columns  # of the screen's pixels, in px of the camera
        if self._grid <= 0 or pitch <= 0:
            return drawn
        tilt = (corners[1] - corners[0]) / max(across, 1.0)
        x = np.arange(drawn.shape[1], dtype=np.float32)[None]
        y = np.arange(drawn.shape[0], dtype=np.float32)[:, None]
        grid = np.cos((x * tilt[0] + y * tilt[1]) * np.float32(2 * np.pi / pitch))
        gain = (1 + self._grid * grid).astype(np.float32)
        return np.asarray(np.clip(drawn * gain[:, :, None], 0, 255), np.uint8)
