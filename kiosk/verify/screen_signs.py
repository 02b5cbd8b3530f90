"""Signs that the face is shown by a thing: a frame round it, pixels in it, a hand that moves it, a clip seen before.

A few frames of an attempt are kept and looked at when it is over: a look costs as much as the landmarks of a frame.
Measures and counts; what the counts mean is decided in `liveness`.
"""

from __future__ import annotations

from collections import deque
from dataclasses import dataclass
from typing import TYPE_CHECKING

from kiosk.verify.moire import moire_peak
from kiosk.verify.recent_clips import HashSequence, RecentClips
from kiosk.verify.screen_frame import framed
from kiosk.verify.surroundings import wander

if TYPE_CHECKING:
    from collections.abc import Sequence

    import numpy as np
    from numpy.typing import NDArray

    from kiosk.verify.landmarks import Landmarks

LOOK_EVERY_US = 250_000  # a hand has moved by then, so that two looks are two
AT_REST = 3  # looks before the first prompt, the newest of them
PER_PROMPT = 5  # looks from each prompt on: whoever answers is looked at, whatever stood there before


@dataclass(frozen=True, slots=True)
class SignsSeen:
    """What was counted over the looks of one attempt."""

    looks: int  # from the first prompt on
    framed: int  # looks with a rectangle round the face, those at rest included
    moire: float  # the second highest peak of the looks, as `moire_peak` gives it; 0 with fewer than two
    replayed: bool  # the movement is that of an earlier attempt at this terminal
    wander: float = 0.0  # of what is behind the face: the second longest way of the looks, as `wander` gives it
    unmeasured: tuple[str, ...] = ()  # signs that nothing could be measured of, and that nobody shall think absent


@dataclass(frozen=True, slots=True)
class _Look:
    image: NDArray[np.uint8]
    face: Landmarks
    lit: bool


class ScreenSigns:
    """Offer every frame with a face, say when something is asked; then `seen`. Holds the frames looked at meanwhile."""

    def __init__(
        self, recent: RecentClips | None = None, *, bolted: bool = False, per_prompt: int = PER_PROMPT
    ) -> None:
        """`bolted`: nothing moves the camera, so that what is behind the face stands still; `per_prompt`: looks."""
        self._recent, self._bolted, self._per_prompt = recent, bolted, per_prompt
        self._next_us: int | None = None
        self._at_rest: deque[_Look] = deque(maxlen=AT_REST)
        self._asked: list[_Look] = []
        self._left = 0  # looks of the prompt that is being answered
        self._hashes = HashSequence()

    def forget_rest(self) -> None:
        """The face was away or not good: what was seen so far may have been somebody else's."""
        self._at_rest.clear()

    def prompted(self) -> None:
        """Something is asked: look from the next frame on."""
        self._next_us, self._left = None, self._per_prompt

    def offer(
        self, mono_us: int, image_bgr: NDArray[np.uint8], face: Landmarks, *, at_rest: bool = False, lit: bool = False
    ) -> None:
        """Keep this frame if it is time to; `at_rest`: nothing has been asked yet; `lit`: by the screen's colours."""
        if self._recent is not None:
            self._hashes.add(image_bgr, face, at_rest=at_rest)
        if (self._next_us is not None and mono_us < self._next_us) or not (at_rest or self._left):
            return
        self._next_us = mono_us + LOOK_EVERY_US
        look = _Look(image_bgr.copy(), face, lit)
        if at_rest:
            self._at_rest.append(look)
        else:
            self._asked.append(look)
            self._left -= 1

    def seen(self) -> SignsSeen:
        """Look, count, let the frames go; call it once, at the end: the attempt is remembered as one that was here."""
        replayed = False
        if self._recent is not None:
            clip = self._hashes.clip
            replayed = self._recent.seen_before(clip)
            self._recent.keep(clip)
        asked, kept = self._asked, [*self._at_rest, *self._asked]
        self._asked = []
        self._at_rest.clear()
        rectangles = sum(framed(one.image, one.face) for one in kept)
        peaks = sorted(peak for one in kept if (peak := moire_peak(one.image, one.face)) is not None)
        # Also from the prompt alone: behind whoever stood there before was another wall.
        ways = [_ways(kept), _ways(asked)] if self._bolted else []
        missing = {"moire": len(peaks) < 2, "held": self._bolted and max(map(len, ways)) < 2}
        unmeasured = tuple(sign for sign, so in missing.items() if so)
        way = max(map(_second, ways), default=0.0)
        return SignsSeen(len(asked), rectangles, _second(peaks), replayed, way, unmeasured)


def _ways(looks: Sequence[_Look]) -> list[float]:
    """Return how far what is behind has wandered, rising. Under changing light a wall's shadows seem to move."""
    return sorted(wander([(one.image, one.face) for one in looks if not one.lit]))


def _second(measured: Sequence[float]) -> float:
    """Return the second highest, which one odd look cannot make; 0 with fewer than two. `measured` rises."""
    return measured[-2] if len(measured) > 1 else 0.0
