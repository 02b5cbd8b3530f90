"""What can be said of a clip nobody knows the prompts of: turns that happened to be made, blinks, screens, one face.

The terminal's own measures and limits; only when they are taken differs, since nothing was asked.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from evidence.events import Check, Outcome
from kiosk.verify import liveness, quality
from kiosk.verify.blink import BlinkDetector
from kiosk.verify.challenge import BLINK_MIN_FPS, RULES
from kiosk.verify.continuity import Continuity
from kiosk.verify.planarity import PlaneTracker
from kiosk.verify.pose import eye_aspect_ratio, yaw_deg
from kiosk.verify.screen_signs import ScreenSigns

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

    from kiosk.verify.landmarks import LandmarkDetector, Landmarks

GOOD_FRAMES = 3  # in a row: a face that the terminal would begin with
LOOKS = 6  # as many as the terminal takes of an attempt with one prompt
LONGEST_TURN_US = 3_000_000  # points are followed no longer than this, then sought anew


class Unprompted:
    """Feed every frame of one clip, then ask for the checks."""

    def __init__(self, detector: LandmarkDetector, fps: float) -> None:
        self._detector, self._fps = detector, fps
        self._quality: quality.Quality | None = None
        self._good = 0
        self._begun = False
        self._continuity = Continuity()
        self._signs = ScreenSigns(per_prompt=LOOKS)
        self._blinks, self._blinked = BlinkDetector(), 0
        self._tracker: PlaneTracker | None = None
        self._tracker_us, self._tracker_yaw = 0, 0.0
        self._turns: list[Check] = []

    def feed(self, mono_us: int, image: NDArray[np.uint8]) -> None:
        """Take one frame (H, W, 3 BGR), later than the one before."""
        faces = self._detector.detect(image, mono_us)
        self._continuity.frame(mono_us)
        if not self._begun:
            self._begin(mono_us, image, faces)
            return
        if self._continuity.code:
            return
        face = self._continuity.follow(mono_us, faces)
        if face is None:
            return
        self._signs.offer(mono_us, image, face)
        if self._blinks.feed(mono_us, eye_aspect_ratio(face)) and self._fps >= BLINK_MIN_FPS:
            self._blinked += 1
        self._turn(mono_us, image, face)

    def checks(self) -> tuple[Check, ...]:
        """Return what could be judged, and what could not with its reason."""
        self._end_turn()
        found = self._quality or quality.Quality("no_face", None)
        checks = [quality.quality_check(found, quality.VERIFICATION)]
        checks.append(_not_run("challenge", "no_prompt: nobody knows what this clip was asked"))
        checks.append(self._planarity())
        if self._begun:
            checks.append(liveness.continuity_check(self._continuity))
            checks.append(liveness.screen_check(self._signs.seen(), liveness.ScreenLimits()))
        checks.append(_not_run("flash", "no_prompt: this clip was not lit by the terminal's screen"))
        turned = any(check.outcome is Outcome.PASSED for check in self._turns)
        seen = [name for name, happened in (("turn", turned), ("blink", self._blinked > 0)) if happened]
        if seen:
            checks.append(Check(name="life", outcome=Outcome.PASSED, observed=list(seen), reason="ok: something lives"))
        else:
            checks.append(_not_run("life", "nothing_seen: neither a solid head's turn nor a blink"))
        return tuple(checks)

    def _begin(self, mono_us: int, image: NDArray[np.uint8], faces: tuple[Landmarks, ...]) -> None:
        found = quality.assess(faces, image, quality.VERIFICATION)
        self._quality = found
        self._good = self._good + 1 if found.ok else 0
        if self._good >= GOOD_FRAMES and found.face is not None:
            self._begun = True
            self._signs.prompted()
            self._continuity.begin(mono_us, found.face)

    def _turn(self, mono_us: int, image: NDArray[np.uint8], face: Landmarks) -> None:
        yaw = yaw_deg(face)
        if self._tracker is not None:
            self._tracker.offer(mono_us, image, yaw)
            turned = abs(yaw - self._tracker_yaw) >= RULES.turn_deg
            if turned or mono_us - self._tracker_us > LONGEST_TURN_US:
                self._end_turn()
        elif abs(yaw) <= RULES.rest_max_deg:
            self._tracker = PlaneTracker(image, face, yaw)
            self._tracker_us, self._tracker_yaw = mono_us, yaw

    def _end_turn(self) -> None:
        tracker, self._tracker = self._tracker, None
        if tracker is not None:
            self._turns.append(liveness.planarity_check(tracker.fit(), liveness.PlanarityLimits()))

    def _planarity(self) -> Check:
        """Return the check of the turns: one that failed, unless more have passed; a changed face always."""
        failed = [check for check in self._turns if check.outcome is Outcome.FAILED]
        passed = [check for check in self._turns if check.outcome is Outcome.PASSED]
        changed = [check for check in failed if check.reason.startswith("face_changed")]
        if changed or len(failed) > len(passed):
            return (changed or failed)[0]
        return passed[0] if passed else liveness.planarity_check(None, liveness.PlanarityLimits())


def _not_run(name: str, reason: str) -> Check:
    return Check(name=name, outcome=Outcome.NOT_RUN, reason=reason)
