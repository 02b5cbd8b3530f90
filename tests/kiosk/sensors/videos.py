"""Small videos made for the tests, whose frames tell their own number."""

from __future__ import annotations

from pathlib import Path

import cv2
import numpy as np

FPS = 20
FRAMES = 12


def write_video(path: Path, frames: int = FRAMES, fps: float = FPS) -> Path:
    """An MJPEG video whose frame n is a grey of 10 + 15 n, so that a frame tells its own number."""
    writer = cv2.VideoWriter(str(path), cv2.VideoWriter.fourcc(*"MJPG"), fps, (64, 48))
    assert writer.isOpened()
    for number in range(frames):
        writer.write(np.full((48, 64, 3), 10 + 15 * number, np.uint8))
    writer.release()
    return path
