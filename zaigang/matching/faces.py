"""Every picture's face as a vector, each picture once, through the detector and embedder of the terminal.

A picture that gives no vector is a non-response with its reason (ISO/IEC 19795-1: failure to acquire); it is never
left out in silence.
"""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

import cv2
import numpy as np

from kiosk.verify.errors import VerifyError
from kiosk.verify.quality import VERIFICATION, assess

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from kiosk.verify.embedder import Embedder
    from kiosk.verify.landmarks import LandmarkDetector
    from zaigang.matching.pairs import Picture

MOST_BYTES = 64 << 20  # of a file: no camera's picture is larger


@dataclass(frozen=True, slots=True, eq=False)
class Seen:
    """What a picture gave."""

    digest: bytes  # SHA-256 of the file: the same picture under two names is one picture; b"" where it was not read
    vector: NDArray[np.float32] | None  # (D,)
    reason: str  # why there is none: a code and a sentence; "" where there is one
    terminal: str  # what the terminal's quality gate says of it, a code of `quality`; "" where it saw no face


def look_at(
    pictures: Sequence[Picture],
    detector: LandmarkDetector,
    embedder: Embedder,
    *,
    as_terminal: bool = False,
    advance: Callable[[], None] = lambda: None,
) -> list[Seen]:
    """Return what each picture gives. `as_terminal`: a picture that the terminal would refuse gives nothing.

    Without it the largest face of each picture counts, however small. `advance` is told of each picture. A detector or
    an embedder that cannot work at all raises a VerifyError where it is made, not here.
    """
    known: dict[bytes, Seen] = {}
    found = []
    for picture in pictures:
        data = _read(picture)
        if isinstance(data, str):
            found.append(Seen(b"", None, data, ""))
        else:
            digest = hashlib.sha256(data).digest()
            if digest not in known:
                known[digest] = _look(digest, data, detector, embedder, as_terminal)
            found.append(known[digest])
        advance()
    return found


def _read(picture: Picture) -> bytes | str:
    try:
        if not picture.path.is_file():
            return "missing: there is no such file"
        if picture.path.stat().st_size > MOST_BYTES:
            return f"too_large: the file has more than {MOST_BYTES >> 20} MiB"
        return picture.path.read_bytes()
    except (OSError, ValueError) as error:
        return f"unreadable: {getattr(error, 'strerror', None) or error}"


def _look(digest: bytes, data: bytes, detector: LandmarkDetector, embedder: Embedder, as_terminal: bool) -> Seen:
    try:
        image = cv2.imdecode(np.frombuffer(data, np.uint8), cv2.IMREAD_COLOR) if data else None
    except cv2.error as error:
        return Seen(digest, None, f"no_picture: OpenCV does not take it: {error.err}", "")
    if image is None:
        return Seen(digest, None, "no_picture: the file is no picture that OpenCV can read", "")
    image = np.asarray(image, np.uint8)
    try:
        quality = assess(detector.detect(image, 0), image, VERIFICATION)
        if quality.face is None or (as_terminal and not quality.ok):
            return Seen(digest, None, quality.reason, quality.code)
        return Seen(digest, embedder.embed(image, quality.face), "", quality.code)
    except (VerifyError, cv2.error) as error:
        return Seen(digest, None, f"failed: {error}", "")
