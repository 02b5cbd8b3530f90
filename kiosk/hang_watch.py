"""What lasts longer than anything may: no thread can be ended inside a library's call, so only a new process helps."""

from __future__ import annotations

import time
from dataclasses import dataclass

from kiosk.attempt import HUNG

# Over the attempt's limit: for the frame in work, the match, the place and the disk. With the keeper's rounds of 4 s,
# operators are told within 10 s of the limit.
ATTEMPT_SLACK_S = 4.0
# What is lent, beyond one attempt's limit for a supervisor's face: half a minute to change places and half a minute to
# take a face (kiosk.enrolment), a minute to be asked, and models that load.
LENT_LONGEST_S = 150.0


@dataclass(frozen=True, slots=True)
class Hung:
    """What does not come back: the part that says so, and the reason, which begins with its code."""

    part: str
    reason: str


@dataclass(slots=True)
class HangWatch:
    """Times one attempt or errand after the other; `attempt_limit_s` is the policy's. Not for two threads at once."""

    attempt_limit_s: float
    _limit_s: float = 0.0
    _began_s: float = 0.0  # by time.monotonic

    def attempt_begins(self) -> None:
        """Time a punch."""
        self._limit_s, self._began_s = self.attempt_limit_s + ATTEMPT_SLACK_S, time.monotonic()

    def errand_begins(self) -> None:
        """Time what the camera is lent for."""
        self._limit_s, self._began_s = self.attempt_limit_s + LENT_LONGEST_S, time.monotonic()

    def hung(self, *, at_face: bool) -> Hung | None:
        """Say whether what began last, and has not ended, hangs; `at_face`: where it looks at a face."""
        lasted_s = time.monotonic() - self._began_s
        if lasted_s <= self._limit_s:
            return None
        return Hung("face" if at_face else "attempts", f"{HUNG}; {lasted_s:.0f} s")
