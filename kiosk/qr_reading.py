"""Reading a QR code from a photograph: OpenCV's detector, which finds it tilted and in a larger picture."""

from __future__ import annotations

from pathlib import Path

from kiosk.errors import QrUnreadable

_SIDES = (0, 1600, 1000, 700)  # pixels of the longer side to try: detectors miss what is far too large or too small


def read_qr(path: Path) -> str:
    """Return the text of the QR code in an image file. Raises QrUnreadable."""
    import cv2

    image = cv2.imread(str(path), cv2.IMREAD_GRAYSCALE)
    if image is None:
        raise QrUnreadable(f"{path} is no picture that can be read; use PNG or JPEG")
    detector = cv2.QRCodeDetector()
    for side in _SIDES:
        scale = side / max(image.shape) if side else 1.0
        kind = cv2.INTER_AREA if scale < 1 else cv2.INTER_CUBIC
        tried = image if side == 0 else cv2.resize(image, None, fx=scale, fy=scale, interpolation=kind)
        try:
            text, _, _ = detector.detectAndDecode(tried)
        except cv2.error:  # it asserts on some patterns that are no code
            continue
        if text:
            return str(text)
    raise QrUnreadable(f"no QR code can be read in {path}; photograph it straight, near and in focus")
