"""What goes into one attempt of one worker before the camera and what comes out of it; `session` is in between."""

from __future__ import annotations

from dataclasses import dataclass
from enum import StrEnum

from evidence.events import Ask, ChallengeRecord, Check, Outcome
from kiosk.verify.flash import Colour

CHECKS = ("face_quality", "challenge", "planarity", "continuity", "screen_signs", "flash", "face_match")


class FacePhase(StrEnum):
    """Where the attempt is."""

    LOOKING = "looking"  # no face that is good enough yet; the hint says why
    HOLD = "hold"  # the face is good; the random delay before a prompt is running
    PROMPTED = "prompted"  # the worker has been asked for something
    MATCHING = "matching"  # the gestures are over; the next feed compares the face
    DONE = "done"  # `result` is there


@dataclass(frozen=True, slots=True)
class FaceProgress:
    """What the screen shows of the attempt after a frame."""

    phase: FacePhase
    hint: str | None  # a quality or challenge code while it keeps the attempt from going on
    ask: Ask | None  # what is asked now; only in PROMPTED
    box: tuple[float, float, float, float] | None  # dominant face: x0, y0, x1, y1, normalised to the image
    step: tuple[int, int] = (0, 0)  # which prompt of how many, from 1; (0, n) before the first
    flash: tuple[int, Colour] | None = None  # number and colour to light the face with; acknowledge it by `painted`


@dataclass(frozen=True, slots=True)
class FaceRequest:
    """One tap: who claims to stand there, and what this attempt will ask."""

    badge: str | None  # employee code for 1:1; None: recognition among the enrolled (1:N)
    asks: tuple[Ask, ...]  # from challenge.choose_asks
    delays_ms: tuple[int, ...]  # before each ask, counted from the moment the face is at rest
    tapped_us: int  # monotonic microseconds of the tap; the record's times count from it
    excused: tuple[Ask, ...] = ()  # left out of `asks` by agreement with this worker; for the record
    colours: tuple[Colour, ...] = ()  # from flash.choose_colours; none: this terminal does not flash
    unlit: bool = False  # it does, but not at this worker, by agreement; for the record
    shown_us: tuple[int, ...] | None = None  # a recorded clip's own times of the prompts, in place of the delays


@dataclass(frozen=True, slots=True)
class FaceResult:
    """How the attempt ended."""

    worker: str | None  # employee code, only where face_match passed
    name: str | None  # as enrolled
    checks: tuple[Check, ...]  # all of CHECKS, in that order
    challenge: ChallengeRecord | None  # None: nothing was asked, and nobody excused

    @property
    def left_unanswered(self) -> bool:
        """Whether something was asked and then not done, for whatever reason: whoever saw a prompt has learnt it."""
        done = any(one.name == "challenge" and one.outcome is Outcome.PASSED for one in self.checks)
        return self.challenge is not None and bool(self.challenge.prompts) and not done
