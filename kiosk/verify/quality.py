"""Is there one face, near, sharp, lit and turned to the camera well enough to judge? A code says what is wrong.

The limits differ: enrolment wants more than verification, since a template is kept for years.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, TypeAlias

import cv2
import numpy as np

from evidence.events import Check, Outcome
from kiosk.verify.pose import pitch_deg, yaw_deg

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from kiosk.verify.landmarks import Landmarks


@dataclass(frozen=True, slots=True)
class QualityLimits:
    """What a frame must hold."""

    eye_distance_px: float
    yaw_deg: float  # at most, either side
    pitch_deg: float  # at most, up or down
    # Variance of the Laplacian over the variance of the aligned crop, so that neither size nor contrast counts. Seven
    # portraits: 0.19-1.0; the same blurred with a sigma of 3 % of the eye distance: 0.017-0.054.
    sharpness: float = 0.05
    # 9th decile of the crop's grey levels: forehead and cheekbones. Not the mean, which punishes dark skin and beards.
    bright_part: float = 55.0
    burnt_share: float = 0.25  # of the crop at 250 or more; the portraits have 0.00-0.01
    second_face: float = 0.65  # height over the dominant face's: the next in the queue, a metre behind, has 0.3-0.5


VERIFICATION = QualityLimits(eye_distance_px=60, yaw_deg=25, pitch_deg=25)
ENROLMENT = QualityLimits(eye_distance_px=90, yaw_deg=15, pitch_deg=15)

CROP_PX = 96  # side of the aligned crop
EYES_APART = 0.40  # of the crop's side
EYES_DOWN = 0.38  # of the crop's side from its top
BURNT_LEVEL = 250
# The brighter quarter round an eye is lid and skin: 0.74-1.10 of the cheek on seven portraits and a clip, shut eyes and
# clear glasses included; behind painted dark lenses 0.08-0.33. Nobody has stood before it in real sunglasses.
DARK_EYES = 0.5
EYES_AND_CHEEKS = tuple(  # rows and columns of the crop: where an eye is, and the cheek below it
    (np.s_[31:43, eye : eye + 19], np.s_[53:63, cheek : cheek + 13]) for eye, cheek in ((19, 21), (58, 61))
)
_EYE_CORNERS = np.array([33, 133, 362, 263])
EDGE = 0.01  # of the image's side: nearer than this the face is cut

SENTENCES = {
    "ok": "the face is good enough",
    "no_face": "no face is in the picture; come in front of the camera",
    "two_faces": "two faces of comparable size are in the picture; only one person at a time",
    "too_far": "the face is too small; come closer",
    "out_of_frame": "the face is cut by the edge of the picture; stand in the middle",
    "turned_away": "the face is turned away; look at the camera",
    "too_dark": "the face is too dark; turn to the light",
    "too_bright": "the face is burnt out; keep the light out of the face",
    "sunglasses": "the eyes are behind dark glass; take off the sunglasses",
    "blurred": "the face is blurred; hold still",
}


Box: TypeAlias = tuple[float, float, float, float]


@dataclass(frozen=True, slots=True)
class Quality:
    """What one frame holds. Figures are None where there is no face, and the crop's where it was not reached."""

    code: str  # a key of SENTENCES; "ok": good enough
    face: Landmarks | None  # the dominant one
    box: Box | None = None  # its, normalised
    eye_distance_px: float | None = None
    yaw_deg: float | None = None
    pitch_deg: float | None = None
    sharpness: float | None = None

    @property
    def ok(self) -> bool:
        """True if the frame may be judged."""
        return self.code == "ok"

    @property
    def reason(self) -> str:
        """The code and a plain sentence, for a Check."""
        return f"{self.code}: {SENTENCES[self.code]}"


def assess(
    faces: Sequence[Landmarks], image_bgr: NDArray[np.uint8], limits: QualityLimits, *, place_alone: bool = False
) -> Quality:
    """Judge the dominant face (`faces`: largest first) of an image (H, W, 3). The first thing wrong is named.

    `place_alone`: where it is and how it is turned, not its light and sharpness, which cost three times as much.
    """
    if not faces:
        return Quality("no_face", None)
    face = faces[0]
    if len(faces) > 1 and _height(faces[1]) >= limits.second_face * _height(face):
        return Quality("two_faces", face, face.box)
    return assess_face(face, image_bgr, limits, place_alone=place_alone)


def assess_face(
    face: Landmarks, image_bgr: NDArray[np.uint8], limits: QualityLimits, *, place_alone: bool = False
) -> Quality:
    """Judge one face, whoever else is in the picture; `place_alone` as in `assess`."""
    distance, yaw, pitch = face.eye_distance_px, yaw_deg(face), pitch_deg(face)
    box = face.box
    code, sharpness = _where(box, distance, yaw, pitch, limits), None
    if code == "ok" and not place_alone:
        crop = aligned_crop(image_bgr, face)
        code, sharpness = _light(crop, limits), _sharpness(crop)
        if code == "ok" and sharpness < limits.sharpness:
            code = "blurred"
        if code == "ok" and _eyes_dark(crop):
            code = "sunglasses"
    return Quality(code, face, box, distance, yaw, pitch, sharpness)


def quality_check(found: Quality, limits: QualityLimits) -> Check:
    """Put it in words for the record."""
    seen = {"eye_distance_px": found.eye_distance_px, "yaw_deg": found.yaw_deg, "pitch_deg": found.pitch_deg}
    return Check(
        name="face_quality",
        outcome=Outcome.PASSED if found.ok else Outcome.FAILED,
        observed={key: round(value) for key, value in seen.items() if value is not None} or None,
        expected={
            "eye_distance_px": round(limits.eye_distance_px),
            "yaw_deg": round(limits.yaw_deg),
            "pitch_deg": round(limits.pitch_deg),
        },
        reason=found.reason,
    )


def aligned_crop(image_bgr: NDArray[np.uint8], face: Landmarks) -> NDArray[np.uint8]:
    """Return the face upright and scaled, grey, (CROP_PX, CROP_PX)."""
    corners = face.points[_EYE_CORNERS, :2].tolist()
    (left_x, left_y), (right_x, right_y) = (
        ((ax + bx) / 2 * face.width, (ay + by) / 2 * face.height) for (ax, ay), (bx, by) in (corners[:2], corners[2:])
    )
    across, down = right_x - left_x, right_y - left_y
    # Rotation and scale that take the line between the eyes to the crop's, as one complex factor.
    scale = CROP_PX * EYES_APART / max(across * across + down * down, 1.0)
    cos, sin = across * scale, down * scale
    middle_x, middle_y = (left_x + right_x) / 2, (left_y + right_y) / 2
    place = np.array(
        [
            [cos, sin, CROP_PX / 2 - cos * middle_x - sin * middle_y],
            [-sin, cos, CROP_PX * EYES_DOWN + sin * middle_x - cos * middle_y],
        ]
    )
    crop = cv2.warpAffine(image_bgr, place, (CROP_PX, CROP_PX), borderMode=cv2.BORDER_REPLICATE)
    return np.asarray(cv2.cvtColor(crop, cv2.COLOR_BGR2GRAY), np.uint8)


def _where(box: Box, distance: float, yaw: float, pitch: float, limits: QualityLimits) -> str:
    x0, y0, x1, y1 = box
    if min(x0, y0) < EDGE or max(x1, y1) > 1 - EDGE:
        return "out_of_frame"
    if abs(yaw) > limits.yaw_deg or abs(pitch) > limits.pitch_deg:
        return "turned_away"
    if distance < limits.eye_distance_px:
        return "too_far"
    return "ok"


def _light(crop: NDArray[np.uint8], limits: QualityLimits) -> str:
    levels = np.cumsum(np.bincount(crop.ravel(), minlength=256)) / crop.size  # a tenth of np.percentile's time
    if int(np.searchsorted(levels, 0.9)) < limits.bright_part:
        return "too_dark"
    if 1 - levels[BURNT_LEVEL - 1] > limits.burnt_share:
        return "too_bright"
    return "ok"


def _eyes_dark(crop: NDArray[np.uint8]) -> bool:
    """Whether both eyes with the skin round them are much darker than the cheeks below."""
    for eye, cheek in EYES_AND_CHEEKS:
        bright_part = np.sort(crop[eye], axis=None)[-(crop[eye].size // 4)]
        if float(bright_part) >= DARK_EYES * float(np.median(crop[cheek])):
            return False
    return True


def _sharpness(crop: NDArray[np.uint8]) -> float:
    _, edges = cv2.meanStdDev(cv2.Laplacian(crop, cv2.CV_16S))
    _, spread = cv2.meanStdDev(crop)
    return float(edges[0, 0]) ** 2 / max(float(spread[0, 0]) ** 2, 1.0)


def _height(face: Landmarks) -> float:
    _, y0, _, y1 = face.box
    return y1 - y0
