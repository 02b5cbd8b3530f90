"""Has this attempt been seen before? Each leaves a sequence of perceptual hashes of its face, to find replays by.

A hash is 64 bits of which neighbour is brighter (difference hash) in the aligned face: nobody is recognised by it, no
face can be made of it, and it stays in memory only. Found is a clip that comes again picture for picture, as one that
is fed into the camera's cable; one that was filmed off a screen is no nearer than the same person's next turn.
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

KEPT = 200  # attempts: a morning's queue and an evening's; 2 KB each
LONGEST = 250  # frames of one attempt, ten seconds at 25 a second: later ones are left out
MOVED_BITS = 10  # of 64, from how the face was at rest: a turn, not a sway
LEAST_MOVED = 5  # frames of a movement in common
# Of 64, mean over the frames that moved. Measured on synthetic turns: the same pictures again 0; compressed anew 0.5;
# the very same movement by another seed 0.6-2.1, which two real turns never come near (the real clip's stretches: 14).
SAME_BITS = 0.3
_BITS_OF = np.array([bin(byte).count("1") for byte in range(256)], np.uint8)


class HashSequence:
    """The hashes of one attempt, a frame each."""

    def __init__(self) -> None:
        self._bytes: list[NDArray[np.uint8]] = []

    def add(self, image_bgr: NDArray[np.uint8], face: Landmarks) -> None:
        """Take the face of a frame."""
        if len(self._bytes) < LONGEST:
            self._bytes.append(face_hash(image_bgr, face))

    @property
    def hashes(self) -> NDArray[np.uint8]:
        """All hashes, (N, 8) bytes."""
        return np.array(self._bytes, np.uint8).reshape(-1, 8)


class RecentClips:
    """The sequences of this terminal's last attempts."""

    def __init__(self, kept: int = KEPT) -> None:
        self._clips: deque[NDArray[np.uint8]] = deque(maxlen=kept)

    def seen_before(self, sequence: HashSequence) -> bool:
        """Whether the movement of this attempt is that of an earlier one, shifted in time at most."""
        hashes = sequence.hashes
        return any(likeness(hashes, earlier) <= SAME_BITS for earlier in self._clips)

    def keep(self, sequence: HashSequence) -> None:
        """Remember an attempt."""
        if len(sequence.hashes):
            self._clips.append(sequence.hashes)


def likeness(one: NDArray[np.uint8], other: NDArray[np.uint8]) -> float:
    """Return the mean number of differing bits over what moved in `one` at the best shift; 64: too little did."""
    moved = np.flatnonzero(_from_rest(one) >= MOVED_BITS)
    if len(moved) < LEAST_MOVED or len(other) < LEAST_MOVED:
        return 64.0
    # The frame that moved most says which shifts are worth a look: those that show it again.
    anchor = int(moved[np.argmax(_from_rest(one)[moved])])
    shifts = np.flatnonzero(_apart(one[anchor], other) <= 1) - anchor
    best = 64.0
    for shift in shifts.tolist():
        places = moved[(moved + shift >= 0) & (moved + shift < len(other))]
        if len(places) >= LEAST_MOVED:
            best = min(best, float(_apart(one[places], other[places + shift]).mean()))
    return best


def face_hash(image_bgr: NDArray[np.uint8], face: Landmarks) -> NDArray[np.uint8]:
    """Return the 64 bits of one face, (8,) bytes."""
    crop = cv2.resize(aligned_crop(image_bgr, face), (9, 8), interpolation=cv2.INTER_AREA)
    return np.packbits(crop[:, 1:] > crop[:, :-1])


def _apart(one: NDArray[np.uint8], other: NDArray[np.uint8]) -> NDArray[np.int64]:
    return np.asarray(_BITS_OF[np.bitwise_xor(one, other)].sum(axis=-1, dtype=np.int64))


def _from_rest(hashes: NDArray[np.uint8]) -> NDArray[np.int64]:
    """Return how many bits each hash is from where the sequence began, which was at rest."""
    bits = np.unpackbits(hashes[: max(len(hashes) // 4, 1)], axis=1)
    return _apart(hashes, np.packbits(bits.mean(axis=0) > 0.5))
