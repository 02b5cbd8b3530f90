"""Actors: what is told by the screen, what moves in answer. A pose is a function of time and of the seed alone."""

from __future__ import annotations

import math
import random
from collections.abc import Callable
from dataclasses import dataclass

from evidence.events import Ask
from zaigang.synthetic.pose import Image, Pose, Rendered

REACTION_MS = (350, 600)  # between seeing a prompt and moving; nobody answers before 250
TURN_DEG = 28.0
LOOK_UP_DEG = 20.0
CLOSER = 0.35  # of the size
PAPER_TURN_DEG = 35.0  # as far as a hand swings a photo without its face going
PAPER_TILT_DEG = 25.0
OUT_MS, HOLD_MS, BACK_MS = 600, 400, 600  # of a turn
BLINK_MS = 300  # lid down, shut, up
BETWEEN_BLINKS_MS = 200
BLINKS = 2
TURNING_MS = OUT_MS + HOLD_MS + BACK_MS
BLINKING_MS = BLINKS * BLINK_MS + (BLINKS - 1) * BETWEEN_BLINKS_MS


@dataclass(frozen=True, slots=True)
class Temper:
    """How much somebody sways at rest: amplitudes in degrees and px."""

    yaw_deg: float
    pitch_deg: float
    shift_px: float


STANDING = Temper(yaw_deg=0.5, pitch_deg=0.4, shift_px=1.2)
HOLDING_PAPER = Temper(yaw_deg=1.5, pitch_deg=1.2, shift_px=2.5)


@dataclass(frozen=True, slots=True)
class _Gesture:
    """A movement under way: how far it has gone (0..1) is asked by ms since its start."""

    ask: Ask
    start_us: int
    length_ms: int


class Actor:
    """Somebody with something to show: `subject` is drawn, `answers` says what each prompt makes of it at full stretch.

    `blink_every_s`: blink at rest about that often; None: never, which makes a quiet subject for tests. `stance`: how
    it stands at rest, which every movement adds to. `pace`: how much longer than usual its movements take.
    """

    def __init__(
        self,
        subject: Rendered,
        seed: int = 0,
        answers: Callable[[Ask, float], Pose] | None = None,
        temper: Temper = STANDING,
        blink_every_s: float | None = None,
        stance: Pose | None = None,
        pace: float = 1.0,
        reaction_ms: tuple[int, int] = REACTION_MS,
    ) -> None:
        self.name = subject.name
        self._stance, self._pace, self._reaction_ms = stance or Pose(), pace, reaction_ms
        self._subject = subject
        self._answers = answers or living_answer
        self._temper = temper
        self._random = random.Random(seed)  # noqa: S311  an actor, not a secret
        self._phases = [self._random.uniform(0, math.tau) for _ in range(8)]
        self._blink_every_s = blink_every_s
        self._gestures: list[_Gesture] = []
        self._heard: Ask | None = None

    def hear(self, ask: Ask | None, mono_us: int) -> None:
        """Take note of what the screen asks now; a new prompt is answered after a moment, one after the other."""
        if ask == self._heard:
            return
        self._heard = ask
        if ask is None:
            return
        self.begin(ask, mono_us + self._random.randint(*self._reaction_ms) * 1000)

    def begin(self, ask: Ask, start_us: int) -> None:
        """Do it at this time, or as soon as what is being done has ended."""
        if self._gestures:
            last = self._gestures[-1]
            start_us = max(start_us, last.start_us + last.length_ms * 1000)
        length_ms = BLINKING_MS if ask is Ask.BLINK else int(TURNING_MS * self._pace)
        self._gestures.append(_Gesture(ask, start_us, length_ms))

    def pose(self, mono_us: int) -> Pose:
        """Return the pose at this time."""
        moved = Pose()
        for gesture in self._gestures:
            ms = (mono_us - gesture.start_us) / 1000
            if 0 <= ms < gesture.length_ms:
                share = _blinking(ms) if gesture.ask is Ask.BLINK else _out_and_back(ms / self._pace)
                moved = self._answers(gesture.ask, share)
        return self._swayed(moved, mono_us / 1e6)

    def picture(self, mono_us: int, light: float = 1.0) -> Image:
        """Return what a camera sees at this time, 640x480 BGR."""
        return self._subject.render(self.pose(mono_us), light)

    def draw(self, canvas: Image, pose: Pose, light: float = 1.0) -> None:
        """Draw the subject in a pose of its own over what is on the canvas already."""
        self._subject.draw(canvas, pose, light)

    def _swayed(self, pose: Pose, seconds: float) -> Pose:
        """Return the pose with the small motion that nothing alive or held by the living is without."""

        def wave(number: int, slow_hz: float, fast_hz: float) -> float:
            slow = math.sin(math.tau * slow_hz * seconds + self._phases[2 * number])
            fast = math.sin(math.tau * fast_hz * seconds + self._phases[2 * number + 1])
            return 0.75 * slow + 0.25 * fast

        temper, stance = self._temper, self._stance
        return Pose(
            yaw_deg=stance.yaw_deg + pose.yaw_deg + temper.yaw_deg * wave(0, 0.23, 0.9),
            pitch_deg=stance.pitch_deg + pose.pitch_deg + temper.pitch_deg * wave(1, 0.31, 1.1),
            eyelids=max(pose.eyelids, self._blink_at_rest(seconds)),
            scale=stance.scale * pose.scale,
            shift=(
                stance.shift[0] + pose.shift[0] + temper.shift_px * wave(2, 0.19, 0.7),
                stance.shift[1] + pose.shift[1] + temper.shift_px * wave(3, 0.27, 0.8),
            ),
        )

    def _blink_at_rest(self, seconds: float) -> float:
        if self._blink_every_s is None:
            return 0.0
        into_s = (seconds + self._phases[0] / math.tau * self._blink_every_s) % self._blink_every_s
        return _lid(into_s * 1000)


def living_person(subject: Rendered, seed: int = 0, blink_every_s: float | None = None) -> Actor:
    """Return an actor who does what is asked."""
    return Actor(subject, seed, living_answer, STANDING, blink_every_s)


def paper_holder(subject: Rendered, seed: int = 0) -> Actor:
    """Return an actor who holds a print and swings it when a turn is asked."""
    return Actor(subject, seed, paper_answer, HOLDING_PAPER)


def living_answer(ask: Ask, share: float) -> Pose:
    """Return what a living face does for a prompt, `share` 0..1 of the way."""
    match ask:
        case Ask.TURN_LEFT:
            return Pose(yaw_deg=TURN_DEG * share)
        case Ask.TURN_RIGHT:
            return Pose(yaw_deg=-TURN_DEG * share)
        case Ask.LOOK_UP:
            return Pose(pitch_deg=LOOK_UP_DEG * share)
        case Ask.BLINK:
            return Pose(eyelids=share)
        case Ask.MOVE_CLOSER:
            return Pose(scale=1 + CLOSER * share)


def paper_answer(ask: Ask, share: float) -> Pose:
    """Return what a hand with a print can do for a prompt: no print blinks."""
    match ask:
        case Ask.TURN_LEFT:
            return Pose(yaw_deg=PAPER_TURN_DEG * share)
        case Ask.TURN_RIGHT:
            return Pose(yaw_deg=-PAPER_TURN_DEG * share)
        case Ask.LOOK_UP:
            return Pose(pitch_deg=PAPER_TILT_DEG * share)
        case Ask.BLINK:
            return Pose()
        case Ask.MOVE_CLOSER:
            return Pose(scale=1 + CLOSER * share)


def _out_and_back(ms: float) -> float:
    """Return how far a turn has gone: eased out, held, eased back."""
    if ms < OUT_MS:
        return _eased(ms / OUT_MS)
    if ms < OUT_MS + HOLD_MS:
        return 1.0
    return _eased(max(0.0, 1 - (ms - OUT_MS - HOLD_MS) / BACK_MS))


def _blinking(ms: float) -> float:
    return _lid(ms % (BLINK_MS + BETWEEN_BLINKS_MS))


def _lid(ms: float) -> float:
    """Return how far a lid is down, `ms` into a blink: a third down, a third shut, a third up."""
    third = BLINK_MS / 3
    if ms >= BLINK_MS:
        return 0.0
    return min(1.0, ms / third, (BLINK_MS - ms) / third)


def _eased(share: float) -> float:
    return share * share * (3 - 2 * share)
