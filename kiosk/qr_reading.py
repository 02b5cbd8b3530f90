"""Reading a QR code from a photograph, tilted and in a larger picture, with OpenCV's detectors."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

from kiosk.errors import QrUnreadable

_SIDES = (0, 1600, 1000, 700)  # pixels of the longer side to try: detectors miss what is far too large or too small


def read_qr(path: Path) -> str:
    """Return the text of the QR code in an image file. Raises QrUnreadable."""
    import cv2

    image = cv2.imread(str(path), cv2.IMREAD_GRAYSCALE)
    if image is None:
        raise QrUnreadable(f"{path} is no picture that can be read; use PNG or JPEG")
    readers = _readers()
    for side in _SIDES:
        scale = side / max(image.shape) if side else 1.0
        kind = cv2.INTER_AREA if scale < 1 else cv2.INTER_CUBIC
        tried = image if side == 0 else cv2.resize(image, None, fx=scale, fy=scale, interpolation=kind)
        for read in readers:
            try:
                text = read(tried)
            except (cv2.error, UnicodeDecodeError):  # they assert on some patterns that are no code
                continue
            if text:
                return text
    raise QrUnreadable(f"no QR code can be read in {path}; photograph it straight, near and in focus")


def _readers() -> list[Callable[[Any], str]]:
    """OpenCV's three ways to find a code; each misses some that another reads."""
    import cv2

    plain, by_markers, zxing = cv2.QRCodeDetector(), cv2.QRCodeDetectorAruco(), cv2.wechat_qrcode.WeChatQRCode()

    def first(image: Any) -> str:
        found, _ = zxing.detectAndDecode(image)
        return str(found[0]) if found else ""

    return [
        first,
        lambda image: str(plain.detectAndDecode(image)[0]),
        lambda image: str(by_markers.detectAndDecode(image)[0]),
    ]
