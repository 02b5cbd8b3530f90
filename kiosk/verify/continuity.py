"""The face that answers is the face that is matched: follow one box from the first prompt to the last answer.

A hand that lifts a photo in between makes a gap or a jump. Times are passed in; gaps are measured against the camera's
own pace, so that a slow camera is not taken for a vanished face.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Sequence
from statistics import median
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from kiosk.verify.landmarks import Landmarks

Box = tuple[float, float, float, float]

LONGEST_GAP_US = 150_000  # unseen longer than this, another face could have come
GAP_INTERVALS = 2  # but at least this many frames of the camera at its own pace: one lost frame is no gap
MIN_OVERLAP = 0.35  # intersection over union from frame to frame: a head leaning quickly at 10 fps keeps 0.4
PACE_FRAMES = 15


class Continuity:
    """Follows one face. `code` is "" while it is the same, else face_lost or face_changed for good."""

    def __init__(self) -> None:
        self._intervals: deque[int] = deque(maxlen=PACE_FRAMES)
        self._frame_us: int | None = None
        self._seen_us: int | None = None
        self._box: Box | None = None
        self.code = ""
        self.frames = 0  # with the face, since `begin`
        self.longest_gap_us = 0

    def frame(self, mono_us: int) -> None:
        """Note a frame's time, with or without a face, also before `begin`: the camera's pace."""
        if self._frame_us is not None:
            self._intervals.append(mono_us - self._frame_us)
        self._frame_us = mono_us

    def begin(self, mono_us: int, face: Landmarks) -> None:
        """Start to follow this face."""
        self._seen_us, self._box, self.frames = mono_us, face.box, 1

    def follow(self, mono_us: int, faces: Sequence[Landmarks]) -> Landmarks | None:
        """Return the followed face among `faces`; None when it is not there, or `code` says that it is another."""
        if self._box is None or self._seen_us is None or self.code:
            return None
        gap_us = mono_us - self._seen_us
        if gap_us > self.allowed_gap_us:
            self.code = "face_lost"
            return None
        if not faces:
            return None
        before = self._box
        boxes = [face.box for face in faces]  # once: a box is a search through 478 points
        shared, place = max((overlap(box, before), place) for place, box in enumerate(boxes))
        if shared < MIN_OVERLAP:
            self.code = "face_changed"
            return None
        self.longest_gap_us = max(self.longest_gap_us, gap_us)
        self._seen_us, self._box = mono_us, boxes[place]
        self.frames += 1
        return faces[place]

    @property
    def box(self) -> Box | None:
        """Where the followed face was seen last, normalised."""
        return self._box

    @property
    def allowed_gap_us(self) -> int:
        """The longest time the face may be unseen at this camera's pace."""
        pace = median(self._intervals) if self._intervals else 0
        return max(LONGEST_GAP_US, int(GAP_INTERVALS * pace))


def overlap(a: Box, b: Box) -> float:
    """Intersection over union of two boxes x0, y0, x1, y1; 0 to 1."""
    across = min(a[2], b[2]) - max(a[0], b[0])
    down = min(a[3], b[3]) - max(a[1], b[1])
    if across <= 0 or down <= 0:
        return 0.0
    shared = across * down
    return shared / ((a[2] - a[0]) * (a[3] - a[1]) + (b[2] - b[0]) * (b[3] - b[1]) - shared)
