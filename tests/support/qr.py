"""Reading a QR code off a screenshot as a phone would: from more than one distance."""

from __future__ import annotations

import cv2
import numpy as np
from numpy.typing import NDArray


def read_by_any(image: NDArray[np.uint8]) -> set[str]:
    """What readers see at several distances: OpenCV's misses some dense codes at one scale that it reads at another."""
    readers = (cv2.QRCodeDetector(), cv2.QRCodeDetectorAruco())
    bordered = cv2.copyMakeBorder(image, 40, 40, 40, 40, cv2.BORDER_CONSTANT, value=(255, 255, 255))
    found = set()
    for scale in (1.5, 2, 2.5, 3, 4, 5):
        for way in (cv2.INTER_NEAREST, cv2.INTER_CUBIC):
            scaled = cv2.resize(bordered, None, fx=scale, fy=scale, interpolation=way)
            found |= {reader.detectAndDecode(scaled)[0] for reader in readers}
    return found
