"""Has this attempt been seen before? Each leaves a sequence of perceptual hashes of its face, to find replays by.

A hash is 256 bits of which neighbour is brighter (difference hash) in the aligned face; it stays in memory only. Found
is a clip that comes again picture for picture, as one that is fed into the camera's cable; one that was compressed anew
or filmed off a screen is hardly nearer than the same person's next turn.
"""

from __future__ import annotations

from collections import deque
from dataclasses import dataclass
from typing import TYPE_CHECKING

import cv2
import numpy as np

from kiosk.verify.quality import aligned_crop

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from kiosk.verify.landmarks import Landmarks

KEPT = 200  # attempts: a morning's queue and an evening's; 8 KB each at most
LONGEST = 250  # hashes of one attempt, ten seconds at 25 frames a second: later ones are left out
REST_EVERY = 3  # frames at rest: their hashes only say what the movement starts from
SIDE = 16  # of the hash, bits: at 8 two turns of one person were as near as 0.25 of 64 bits, and an answer moves few
BYTES = SIDE * SIDE // 8
UNLIKE = float(SIDE * SIDE)
MOVED_BITS = 14  # of 256, from how the face was at rest: a turn, not a sway
LEAST_MOVED = 4  # frames of a movement in common: an attempt ends as soon as it is answered, at 12 fps after so many
# Of 256, mean over the frames that moved. Measured on synthetic turns to the answer, two people, 12 and 25 fps: the
# same pictures again 0; compressed anew 3-11; another turn of the same person 6.7 and more.
SAME_BITS = 2.0
_BITS_OF = np.array([bin(byte).count("1") for byte in range(256)], np.uint8)


@dataclass(frozen=True, slots=True)
class Clip:
    """What is kept of one attempt."""

    hashes: NDArray[np.uint8]  # (N, BYTES) bytes: some of the frames at rest, then every frame from the first prompt on
    rest: int  # how many of them are from before the first prompt


class HashSequence:
    """The hashes of one attempt as it goes on."""

    def __init__(self) -> None:
        self._bytes: list[NDArray[np.uint8]] = []
        self._rest = self._still = 0

    def add(self, image_bgr: NDArray[np.uint8], face: Landmarks, *, at_rest: bool = False) -> None:
        """Take the face of a frame; `at_rest`: nothing has been asked yet."""
        if at_rest:
            self._still += 1
            if self._still % REST_EVERY != 1:
                return
        if len(self._bytes) < LONGEST:
            self._bytes.append(face_hash(image_bgr, face))
            self._rest += at_rest

    @property
    def clip(self) -> Clip:
        """What has been seen so far."""
        return Clip(np.array(self._bytes, np.uint8).reshape(-1, BYTES), self._rest)


class RecentClips:
    """The sequences of this terminal's last attempts."""

    def __init__(self, kept: int = KEPT) -> None:
        self._clips: deque[Clip] = deque(maxlen=kept)

    def seen_before(self, clip: Clip) -> bool:
        """Whether the movement of this attempt is that of an earlier one, shifted in time at most."""
        return any(likeness(clip, earlier) <= SAME_BITS for earlier in self._clips)

    def keep(self, clip: Clip) -> None:
        """Remember an attempt."""
        if len(clip.hashes):
            self._clips.append(clip)


def likeness(one: Clip, other: Clip) -> float:
    """Return the mean number of differing bits over what moved in `one` at the best shift; UNLIKE: too little did."""
    mine, others = one.hashes, other.hashes
    from_rest = _from_rest(one)
    moved = np.flatnonzero(from_rest >= MOVED_BITS)
    if len(moved) < LEAST_MOVED or len(others) < LEAST_MOVED:
        return UNLIKE
    # The frame that moved most says which shifts are worth a look: those that show it again.
    anchor = int(moved[np.argmax(from_rest[moved])])
    shifts = np.flatnonzero(_apart(mine[anchor], others) <= SAME_BITS) - anchor
    best = UNLIKE
    for shift in shifts.tolist():
        places = moved[(moved + shift >= 0) & (moved + shift < len(others))]
        if len(places) >= LEAST_MOVED:
            best = min(best, float(_apart(mine[places], others[places + shift]).mean()))
    return best


def face_hash(image_bgr: NDArray[np.uint8], face: Landmarks) -> NDArray[np.uint8]:
    """Return the bits of one face, (BYTES,) bytes."""
    crop = cv2.resize(aligned_crop(image_bgr, face), (SIDE + 1, SIDE), interpolation=cv2.INTER_AREA)
    return np.packbits(crop[:, 1:] > crop[:, :-1])


def _apart(one: NDArray[np.uint8], other: NDArray[np.uint8]) -> NDArray[np.int64]:
    return np.asarray(_BITS_OF[np.bitwise_xor(one, other)].sum(axis=-1, dtype=np.int64))


def _from_rest(clip: Clip) -> NDArray[np.int64]:
    """Return how many bits each hash is from how the face was at rest: without a frame of that, as it began."""
    bits = np.unpackbits(clip.hashes[: max(clip.rest, 1)], axis=1)
    return _apart(clip.hashes, np.packbits(bits.mean(axis=0) > 0.5))
