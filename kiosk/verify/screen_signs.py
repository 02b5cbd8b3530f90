"""Signs that the face is shown by a thing: a frame round it, pixels in it, a hand that moves it, a clip seen before.

A few frames of an attempt are kept and looked at when it is over: a look costs as much as the landmarks of a frame.
Measures and counts; what the counts mean is decided in `liveness`.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from kiosk.verify.moire import moire_peak
from kiosk.verify.recent_clips import HashSequence, RecentClips
from kiosk.verify.screen_frame import framed
from kiosk.verify.surroundings import wander

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

    from kiosk.verify.landmarks import Landmarks

LOOK_EVERY_US = 250_000  # a hand has moved by then, so that two looks are two
LOOKS = 6  # of one attempt


@dataclass(frozen=True, slots=True)
class SignsSeen:
    """What was counted over the looks of one attempt."""

    looks: int
    framed: int  # looks with a rectangle round the face
    moire: float  # the second highest peak of the looks, as `moire_peak` gives it; 0 with fewer than two
    replayed: bool  # the movement is that of an earlier attempt at this terminal
    wander: float = 0.0  # of what is behind the face: the second longest way of the looks, as `wander` gives it


class ScreenSigns:
    """Offer every frame with a face; then `seen`. Holds up to LOOKS frames meanwhile."""

    def __init__(self, recent: RecentClips | None = None, *, bolted: bool = False) -> None:
        """`bolted`: nothing moves the camera, so that what is behind the face stands still."""
        self._recent, self._bolted = recent, bolted
        self._next_us: int | None = None
        self._kept: list[tuple[NDArray[np.uint8], Landmarks]] = []
        self._hashes = HashSequence()

    def offer(self, mono_us: int, image_bgr: NDArray[np.uint8], face: Landmarks, *, at_rest: bool = False) -> None:
        """Keep this frame if it is time to; `at_rest`: nothing has been asked yet."""
        if self._recent is not None:
            self._hashes.add(image_bgr, face, at_rest=at_rest)
        if len(self._kept) >= LOOKS or (self._next_us is not None and mono_us < self._next_us):
            return
        self._next_us = mono_us + LOOK_EVERY_US
        self._kept.append((image_bgr.copy(), face))

    def seen(self) -> SignsSeen:
        """Look, count, let the frames go; call it once, at the end: the attempt is remembered as one that was here."""
        replayed = False
        if self._recent is not None:
            clip = self._hashes.clip
            replayed = self._recent.seen_before(clip)
            self._recent.keep(clip)
        kept, self._kept = self._kept, []
        rectangles = sum(framed(image, face) for image, face in kept)
        peaks = sorted(peak for image, face in kept if (peak := moire_peak(image, face)) is not None)
        ways = sorted(wander(kept)) if self._bolted else []
        return SignsSeen(len(kept), rectangles, _second(peaks), replayed, _second(ways))


def _second(measured: list[float]) -> float:
    """Return the second highest, which one odd look cannot make; 0 with fewer than two. `measured` rises."""
    return measured[-2] if len(measured) > 1 else 0.0
