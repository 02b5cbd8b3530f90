"""Blinks from the eye aspect ratio, against this person's own open eyes now: open eyes run from 0.19 to 0.45."""

from __future__ import annotations

from collections import deque
from dataclasses import dataclass

CLOSED_OF_OPEN = 0.6  # mean of both eyes below this share of the open mean: closed
EACH_CLOSED_OF_OPEN = 0.75  # and each eye below this: a wink or a hidden eye is no blink
REOPENED_OF_OPEN = 0.66  # hysteresis: between two quick blinks real lids came back to 0.70
OPEN_WINDOW_US = 3_000_000  # how far back the open baseline looks
OPEN_QUANTILE = 0.8  # of the window: above blinks and noise, below outliers
MIN_READINGS = 5  # before there is a baseline
LONGEST_US = 1_000_000  # longer is eyes shut, not a blink; blinks last 100-400 ms


@dataclass(frozen=True, slots=True)
class Blink:
    """Both eyes closed and opened again, monotonic microseconds."""

    closed_us: int
    opened_us: int


class BlinkDetector:
    """Feed the ratios of both eyes frame by frame."""

    def __init__(self) -> None:
        self._open: deque[tuple[int, float, float]] = deque()
        self._closed_us: int | None = None

    @property
    def closed(self) -> bool:
        """True while the eyes are closed."""
        return self._closed_us is not None

    def feed(self, mono_us: int, eyes: tuple[float, float]) -> Blink | None:
        """Return the blink that this reading ends, if it ends one."""
        left, right = eyes
        baseline = self._baseline()
        self._open.append((mono_us, left, right))
        while self._open[0][0] < mono_us - OPEN_WINDOW_US:
            self._open.popleft()
        if baseline is None:
            return None
        share_left, share_right = left / baseline[0], right / baseline[1]
        share = (left + right) / (baseline[0] + baseline[1])
        if self._closed_us is None:
            if share < CLOSED_OF_OPEN and max(share_left, share_right) < EACH_CLOSED_OF_OPEN:
                self._closed_us = mono_us
            return None
        if share < REOPENED_OF_OPEN:
            return None
        closed_us, self._closed_us = self._closed_us, None
        return Blink(closed_us, mono_us) if mono_us - closed_us <= LONGEST_US else None

    def _baseline(self) -> tuple[float, float] | None:
        if len(self._open) < MIN_READINGS:
            return None
        place = int(OPEN_QUANTILE * (len(self._open) - 1))
        left = sorted(one[1] for one in self._open)[place]
        right = sorted(one[2] for one in self._open)[place]
        return (left, right) if left > 0 and right > 0 else None
