"""What a recorded clip shows: faces, blinks, turns. For calibration and for seeing what the terminal's eyes see.

`python -m kiosk.verify.clip FILE [--json]` prints it. Every frame goes through the detector and the detectors of
blinks and poses that a terminal uses; nothing is asked, so nothing is said of liveness.
"""

from __future__ import annotations

import argparse
import json
import sys
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING

import cv2
import numpy as np

from kiosk.verify.blink import Blink, BlinkDetector
from kiosk.verify.errors import VerifyError
from kiosk.verify.landmarks import LandmarkDetector
from kiosk.verify.models import landmark_bundle
from kiosk.verify.pose import eye_aspect_ratio, yaw_deg

if TYPE_CHECKING:
    from kiosk.verify.landmarks import Landmarks

TURN_DEG = 15.0  # from straight ahead: smaller ones are looks, not turns
BACK_DEG = 8.0  # a turn is over when the head is this near to straight ahead
DEFAULT_FPS = 25.0  # where the file does not say


class ClipUnreadable(VerifyError):
    """The file is no video that OpenCV reads, or has no frames."""


@dataclass(slots=True)
class Turn:
    """One turn of the head to one side."""

    side: str  # the person's own "left" or "right"
    start_ms: int
    widest_deg: float


@dataclass(slots=True)
class Description:
    """What was seen in a clip."""

    frames: int = 0
    frames_with_face: int = 0
    most_faces: int = 0
    duration_ms: int = 0
    blinks: list[Blink] = field(default_factory=list)
    turns: list[Turn] = field(default_factory=list)


def describe(path: Path, detector: LandmarkDetector | None = None) -> Description:
    """Run every frame of a video file through the detectors. `detector`: in video mode, unused before; None makes one.

    Raises ClipUnreadable and what LandmarkDetector raises.
    """
    if detector is None:
        with LandmarkDetector(landmark_bundle(), mode="video") as own:
            return describe(path, own)
    video = cv2.VideoCapture(str(path))
    try:
        fps = video.get(cv2.CAP_PROP_FPS) or DEFAULT_FPS
        seen = Description()
        blinks, turning = BlinkDetector(), _Turns(seen.turns)
        while True:
            more, image = video.read()
            if not more:
                break
            mono_us = round(seen.frames * 1_000_000 / fps)
            _take(seen, detector.detect(np.asarray(image, np.uint8), mono_us), mono_us, blinks, turning)
        if seen.frames == 0:
            raise ClipUnreadable(f"{path} is no video that can be read here")
        seen.duration_ms = round(seen.frames * 1000 / fps)
        return seen
    finally:
        video.release()


def _take(
    seen: Description, faces: tuple[Landmarks, ...], mono_us: int, blinks: BlinkDetector, turning: _Turns
) -> None:
    seen.frames += 1
    seen.most_faces = max(seen.most_faces, len(faces))
    if not faces:
        return
    seen.frames_with_face += 1
    blink = blinks.feed(mono_us, eye_aspect_ratio(faces[0]))
    if blink:
        seen.blinks.append(blink)
    turning.feed(mono_us, yaw_deg(faces[0]))


class _Turns:
    """Counts excursions of the yaw, with hysteresis."""

    def __init__(self, turns: list[Turn]) -> None:
        self._turns = turns
        self._now: Turn | None = None

    def feed(self, mono_us: int, yaw: float) -> None:
        side = "left" if yaw > 0 else "right"
        if self._now is not None and (abs(yaw) < BACK_DEG or side != self._now.side):
            self._now = None
        if self._now is not None:
            self._now.widest_deg = round(max(self._now.widest_deg, abs(yaw)), 1)
        elif abs(yaw) >= TURN_DEG:
            self._now = Turn(side, mono_us // 1000, round(abs(yaw), 1))
            self._turns.append(self._now)


def main(arguments: list[str] | None = None) -> int:
    """Describe one clip on the terminal; 0, or 1 where it cannot be read."""
    parser = argparse.ArgumentParser(prog="python -m kiosk.verify.clip", description="Say what a clip shows.")
    parser.add_argument("file", type=Path)
    parser.add_argument("--json", action="store_true", help="print one JSON object")
    chosen = parser.parse_args(arguments)
    try:
        seen = describe(chosen.file)
    except VerifyError as error:
        sys.stderr.write(f"{error}\n")
        return 1
    sys.stdout.write((json.dumps(asdict(seen)) if chosen.json else _text(seen)) + "\n")
    return 0


def _text(seen: Description) -> str:
    blinks = ", ".join(f"{blink.closed_us / 1e6:.2f} s" for blink in seen.blinks) or "none"
    turns = ", ".join(f"{turn.side} {turn.widest_deg:.0f}° at {turn.start_ms / 1000:.2f} s" for turn in seen.turns)
    return (
        f"frames  {seen.frames} ({seen.duration_ms / 1000:.1f} s), a face in {seen.frames_with_face}\n"
        f"blinks  {len(seen.blinks)}: {blinks}\n"
        f"turns   {len(seen.turns)}: {turns or 'none'}"
    )


if __name__ == "__main__":
    raise SystemExit(main())
