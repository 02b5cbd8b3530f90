"""Has this attempt been seen before? Each leaves a sequence of perceptual hashes of its face, to find replays by.

A hash is 64 bits of which neighbour is brighter (difference hash) in the aligned face: nobody is recognised by it, no
face can be made of it, and it stays in memory only. Two attempts of one worker are alike at rest; no two turns run
alike to a tenth of a second, so only what moved is compared.
"""

from __future__ import annotations

from collections import deque
from typing import TYPE_CHECKING

import cv2
import numpy as np

from kiosk.verify.quality import aligned_crop

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from kiosk.verify.landmarks import Landmarks

EVERY_US = 100_000  # between two hashes: ten a second
KEPT = 200  # attempts: a morning's queue and an evening's; 1.6 KB each
MOVED_BITS = 10  # of 64, from where the sequence was at rest: a turn, not a sway
LEAST_MOVED = 5  # hashes of a movement in common: half a second
SAME_BITS = 2.5  # of 64, mean over what moved. Replays, noisier and compressed anew: 1.7-4.0; other turns: 4.1 and more
LONGEST = 120  # hashes of one attempt: longer ones are cut


class HashSequence:
    """The hashes of one attempt, on a grid of EVERY_US."""

    def __init__(self) -> None:
        self._next_us: int | None = None
        self._bits: list[NDArray[np.bool_]] = []

    def add(self, mono_us: int, image_bgr: NDArray[np.uint8], face: Landmarks) -> None:
        """Take the face of a frame if its turn has come; a gap in the frames is filled with what came after it."""
        if self._next_us is None:
            self._next_us = mono_us
        if mono_us < self._next_us:
            return
        bits = face_hash(image_bgr, face)
        while self._next_us <= mono_us and len(self._bits) < LONGEST:
            self._bits.append(bits)
            self._next_us += EVERY_US
        self._next_us = max(self._next_us, mono_us)

    @property
    def bits(self) -> NDArray[np.bool_]:
        """All hashes, (N, 64)."""
        return np.array(self._bits, bool).reshape(-1, 64)


class RecentClips:
    """The sequences of this terminal's last attempts."""

    def __init__(self, kept: int = KEPT) -> None:
        self._clips: deque[NDArray[np.bool_]] = deque(maxlen=kept)

    def seen_before(self, sequence: HashSequence) -> bool:
        """Whether the movement of this attempt is that of an earlier one, shifted in time at most."""
        bits = sequence.bits
        return any(likeness(bits, earlier) <= SAME_BITS for earlier in self._clips)

    def keep(self, sequence: HashSequence) -> None:
        """Remember an attempt."""
        if len(sequence.bits):
            self._clips.append(sequence.bits)


def likeness(one: NDArray[np.bool_], other: NDArray[np.bool_]) -> float:
    """Return the mean number of differing bits over what moved, at the best shift; 64 where too little moved."""
    if min(len(one), len(other)) < LEAST_MOVED:
        return 64.0
    apart = np.count_nonzero(one[:, None] != other[None], axis=2)
    moved_one, moved_other = _moved(one), _moved(other)
    best = 64.0
    for shift in range(-len(other) + LEAST_MOVED, len(one) - LEAST_MOVED + 1):
        rows = np.arange(max(0, shift), min(len(one), len(other) + shift))
        columns = rows - shift
        moving = moved_one[rows] | moved_other[columns]
        if np.count_nonzero(moved_one[rows] & moved_other[columns]) >= LEAST_MOVED:
            best = min(best, float(apart[rows, columns][moving].mean()))
    return best


def face_hash(image_bgr: NDArray[np.uint8], face: Landmarks) -> NDArray[np.bool_]:
    """Return the 64 bits of one face."""
    crop = cv2.resize(aligned_crop(image_bgr, face), (9, 8), interpolation=cv2.INTER_AREA)
    return np.asarray(crop[:, 1:] > crop[:, :-1]).ravel()


def _moved(bits: NDArray[np.bool_]) -> NDArray[np.bool_]:
    at_rest = bits[: max(len(bits) // 4, 1)].mean(axis=0) > 0.5
    return np.asarray(np.count_nonzero(bits != at_rest, axis=1) >= MOVED_BITS)
