"""Ask for something nobody could know beforehand, and judge whether it was done. Pure: readings in, a verdict out.

Each ask comes after a random delay at rest and must be answered inside a window, by this person's own measure: turns
count from where the head rested, blinks from how open the eyes were. A new gesture is one more entry of `_GESTURES`.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Callable, Collection
from dataclasses import dataclass
from enum import StrEnum
from statistics import median
from typing import Protocol

from evidence.events import Ask, ChallengeRecord, PromptRecord
from kiosk.verify.blink import BlinkDetector

TURNS = (Ask.TURN_LEFT, Ask.TURN_RIGHT)
OTHERS = (Ask.BLINK, Ask.LOOK_UP, Ask.MOVE_CLOSER)
BLINK_MIN_FPS = 15.0  # below this a blink (100-400 ms) falls between frames; do not gate on it
HEAD_START_DEG = 5.0  # of a turn, that swaying may have made before the prompt
SIZE_AT_REST = 0.12  # of the face, either way; a step towards the terminal makes more
TWO_PROMPTS_OF = 3  # attempts one has two prompts: at every second one the median wait would be above three seconds
CLIP_REST_US = 1_500_000  # before the time at which a clip was asked, rest and movement count
DELAYS_MS = (400, 1000)  # from rest to prompt: long enough for a baseline, short enough for a queue


@dataclass(frozen=True, slots=True)
class ChallengeRules:
    """When an answer counts."""

    turn_deg: float = 20.0  # from rest; planarity wants 15-20 at least: smaller turns look like bent photos
    wrong_turn_deg: float = 15.0  # to the other side, or when something else was asked
    look_up_deg: float = 11.0  # from rest; a chin lifted by 15-20 degrees is read as 11 and more, a nod at rest as 5
    closer: float = 1.18  # times the size at rest: a step of 10 cm at arm's length; swaying makes 1.06
    blinks: int = 2  # nobody blinks twice within the window by chance as often as once
    window_ms: int = 4000  # from the prompt
    earliest_ms: int = 250  # nobody reads and answers sooner: a recording does
    rest_deg: float = 8.0  # what a still head wanders
    rest_max_deg: float = 15.0  # rest facing the camera, so that a turn ends within sight
    moves_allowed: int = 2  # before a prompt; people shuffle up, a recording goes on moving
    return_ms: int = 4000  # to come back to rest between two prompts
    min_readings: int = 5  # at rest before a prompt


RULES = ChallengeRules()


class Random(Protocol):
    """What is used of secrets.SystemRandom."""

    def randrange(self, start: int, stop: int, /) -> int:
        """An integer from start up to, not including, stop."""
        ...


def choose_asks(
    rng: Random, fps: float, excused: Collection[Ask] = frozenset(), *, careful: bool = False
) -> tuple[tuple[Ask, ...], tuple[int, ...]]:
    """Return what to ask and the delay (ms) before each. `rng`: secrets.SystemRandom(); `excused`: asks to leave out.

    Always one turn, in a random direction: planarity can only be measured in a turn. Something else with it in a third
    of the attempts, before or after, and always where `careful`: a recording of one turn fits one attempt of three,
    one of two gestures in order fewer than one of thirty; the queue waits two seconds longer a third of the time. Who
    is excused from turning does something else, and planarity does not run; nothing possible gives no asks.
    """
    turns = [ask for ask in TURNS if ask not in excused]
    others = [ask for ask in OTHERS if ask not in excused and (ask is not Ask.BLINK or fps >= BLINK_MIN_FPS)]
    asks: list[Ask] = [turns[rng.randrange(0, len(turns))]] if turns else []
    wanted = 2 if careful or rng.randrange(0, TWO_PROMPTS_OF) == 0 else 1
    while len(asks) < wanted and others:
        other = others.pop(rng.randrange(0, len(others)))
        asks.insert(rng.randrange(0, len(asks) + 1), other)
    if len(asks) < wanted and len(turns) > 1:  # excused from all the rest: the other way too
        asks.append(next(turn for turn in turns if turn is not asks[0]))
    return tuple(asks), tuple(rng.randrange(DELAYS_MS[0], DELAYS_MS[1] + 1) for _ in asks)


@dataclass(frozen=True, slots=True)
class Reading:
    """One frame's face: monotonic microseconds, degrees as in `pose`, eye aspect ratios (left, right)."""

    mono_us: int
    yaw_deg: float
    pitch_deg: float
    eyes: tuple[float, float]
    size: float = 1.0  # of the face, in any unit that a turn does not change


class Stage(StrEnum):
    """Where the challenge is."""

    RESTING = "resting"  # waiting for rest, or for the delay to pass
    ASKED = "asked"
    PASSED = "passed"
    FAILED = "failed"


@dataclass(frozen=True, slots=True)
class Prompt:
    """One prompt that was shown; monotonic microseconds."""

    ask: Ask
    shown_us: int
    answered_us: int | None


class _Answer(StrEnum):
    NONE = "none"
    RIGHT = "right"
    WRONG = "wrong"
    EARLY = "early"  # seen, but begun too early to be an answer; not held against the person yet


class _Gesture(Protocol):
    def feed(self, reading: Reading, rest: Reading, blink_closed_us: int | None) -> _Answer: ...


class _Turn:
    """The head turns to one side; to the other side is wrong."""

    def __init__(self, rules: ChallengeRules, shown_us: int, sign: int) -> None:
        self._rules, self._shown_us, self._sign = rules, shown_us, sign

    def feed(self, reading: Reading, rest: Reading, blink_closed_us: int | None) -> _Answer:
        turned = self._sign * (reading.yaw_deg - rest.yaw_deg)
        if turned <= -self._rules.wrong_turn_deg:
            return _Answer.WRONG
        return _Answer.RIGHT if turned >= self._rules.turn_deg else _Answer.NONE


class _Blink:
    """Both eyes close and open again, twice after the prompt; a turned head is wrong.

    One blink in fourteen falls by nature into the first 250 ms, so an early one is no answer but does not fail alone.
    """

    def __init__(self, rules: ChallengeRules, shown_us: int) -> None:
        self._rules, self._shown_us = rules, shown_us
        self._seen = 0

    def feed(self, reading: Reading, rest: Reading, blink_closed_us: int | None) -> _Answer:
        if abs(reading.yaw_deg - rest.yaw_deg) >= self._rules.wrong_turn_deg:
            return _Answer.WRONG
        if blink_closed_us is None:
            return _Answer.NONE
        if blink_closed_us - self._shown_us < self._rules.earliest_ms * 1000:
            return _Answer.EARLY
        self._seen += 1
        return _Answer.RIGHT if self._seen >= self._rules.blinks else _Answer.NONE


class _LookUp:
    """The chin goes up; a turned head is wrong, and so is one that nods down."""

    def __init__(self, rules: ChallengeRules, shown_us: int) -> None:
        self._rules = rules

    def feed(self, reading: Reading, rest: Reading, blink_closed_us: int | None) -> _Answer:
        raised = reading.pitch_deg - rest.pitch_deg
        aside = abs(reading.yaw_deg - rest.yaw_deg) >= self._rules.wrong_turn_deg
        if aside or raised <= -self._rules.wrong_turn_deg:
            return _Answer.WRONG
        return _Answer.RIGHT if raised >= self._rules.look_up_deg else _Answer.NONE


class _MoveCloser:
    """The face grows; a turned head is wrong."""

    def __init__(self, rules: ChallengeRules, shown_us: int) -> None:
        self._rules = rules

    def feed(self, reading: Reading, rest: Reading, blink_closed_us: int | None) -> _Answer:
        if abs(reading.yaw_deg - rest.yaw_deg) >= self._rules.wrong_turn_deg:
            return _Answer.WRONG
        return _Answer.RIGHT if reading.size >= self._rules.closer * rest.size else _Answer.NONE


_GESTURES: dict[Ask, Callable[[ChallengeRules, int], _Gesture]] = {
    Ask.TURN_LEFT: lambda rules, shown_us: _Turn(rules, shown_us, +1),
    Ask.TURN_RIGHT: lambda rules, shown_us: _Turn(rules, shown_us, -1),
    Ask.BLINK: _Blink,
    Ask.LOOK_UP: _LookUp,
    Ask.MOVE_CLOSER: _MoveCloser,
}


class Challenge:
    """Feed readings in order of time; read `stage`, `ask`, `prompts` and, after FAILED, `code`."""

    def __init__(
        self,
        asks: tuple[Ask, ...],
        delays_ms: tuple[int, ...],
        rules: ChallengeRules = RULES,
        shown_us: tuple[int, ...] | None = None,
    ) -> None:
        """`shown_us`: when a recorded clip was asked, in place of the delays: prompts then come at these times."""
        unknown = [ask for ask in asks if ask not in _GESTURES]
        if unknown or not asks or len(asks) != len(delays_ms):
            raise ValueError(f"a challenge needs asks it can judge and a delay for each, not {asks} and {delays_ms}")
        if shown_us is not None and len(shown_us) != len(asks):
            raise ValueError("every ask of a clip needs the time at which it was shown")
        self._asks, self._delays_ms, self._rules, self._shown_us = asks, delays_ms, rules, shown_us
        self._latest: deque[Reading] = deque(maxlen=rules.min_readings)
        self._blinks = BlinkDetector()
        self._at_rest: list[Reading] = []
        self._rest: Reading | None = None
        self._gesture: _Gesture | None = None
        self._moves = 0
        self._early = False
        self._waiting_since_us: int | None = None
        self._last_us: int | None = None
        self.stage = Stage.RESTING
        self.code = ""  # after FAILED: no_answer, wrong_answer, too_early or moved_before_prompt
        self.prompts: list[Prompt] = []

    @property
    def ask(self) -> Ask | None:
        """What is asked now."""
        return self.prompts[-1].ask if self.stage is Stage.ASKED else None

    @property
    def rules(self) -> ChallengeRules:
        """What is demanded."""
        return self._rules

    def record(self, tapped_us: int) -> ChallengeRecord | None:
        """What was asked and how long the answers took; times count from the tap. None: nothing was asked."""
        if not self.prompts:
            return None
        return ChallengeRecord(
            prompts=tuple(
                PromptRecord(
                    ask=prompt.ask,
                    shown_ms=max(0, prompt.shown_us - tapped_us) // 1000,
                    answered_ms=None if prompt.answered_us is None else (prompt.answered_us - prompt.shown_us) // 1000,
                )
                for prompt in self.prompts
            )
        )

    def feed(self, reading: Reading) -> Stage:
        """Take one reading, later than the one before (else ValueError)."""
        if self._last_us is not None and reading.mono_us <= self._last_us:
            raise ValueError("readings must rise in time")
        self._last_us = reading.mono_us
        blink = self._blinks.feed(reading.mono_us, reading.eyes)
        if self.stage is Stage.RESTING:
            self._wait(reading)
        elif self.stage is Stage.ASKED:
            self._judge(reading, blink.closed_us if blink else None)
        return self.stage

    def forget_rest(self) -> None:
        """The face was away or not good: rest starts anew."""
        self._at_rest.clear()

    def _wait(self, reading: Reading) -> None:
        self._latest.append(reading)
        if self._shown_us is not None:
            due_us = self._shown_us[len(self.prompts)]
            if reading.mono_us >= due_us:
                self._at_rest = self._at_rest or list(self._latest)
                return self._show(reading)
            if reading.mono_us < due_us - CLIP_REST_US:
                return None
        if self._waiting_since_us is None:
            self._waiting_since_us = reading.mono_us
        between = bool(self.prompts)
        if (
            between
            and self._shown_us is None
            and reading.mono_us - self._waiting_since_us > self._rules.return_ms * 1000
        ):
            return self._fail("no_answer")
        if self._moved(reading):
            counted = len(self._at_rest) >= self._rules.min_readings and not between
            self._at_rest.clear()
            self._moves += counted
            if self._moves > self._rules.moves_allowed:
                self._fail("moved_before_prompt")
            return None
        if self._at_rest and abs(reading.size / median(one.size for one in self._at_rest) - 1) > SIZE_AT_REST:
            self._at_rest.clear()  # still coming up or stepping back: nothing to hold against anybody
        self._at_rest.append(reading)
        rested_us = reading.mono_us - self._at_rest[0].mono_us
        enough = len(self._at_rest) >= self._rules.min_readings
        if (
            self._shown_us is None
            and enough
            and rested_us >= self._delays_ms[len(self.prompts)] * 1000
            and not self._blinks.closed
        ):
            self._show(reading)
        return None

    def _moved(self, reading: Reading) -> bool:
        if abs(reading.yaw_deg) > self._rules.rest_max_deg:
            return True
        return bool(self._at_rest) and abs(reading.yaw_deg - self._rest_yaw_deg()) > self._rules.rest_deg

    def _rest_yaw_deg(self) -> float:
        return median(one.yaw_deg for one in self._at_rest)

    def _show(self, reading: Reading) -> None:
        pitch = median(one.pitch_deg for one in self._at_rest)
        size = median(one.size for one in self._at_rest)
        ask, yaw = self._asks[len(self.prompts)], self._rest_yaw_deg()
        if ask in TURNS:  # planarity measures from this very frame, and wants its share from there
            sign = 1 if ask is Ask.TURN_LEFT else -1
            yaw = sign * max(sign * yaw, sign * reading.yaw_deg - HEAD_START_DEG)
        self._rest = Reading(reading.mono_us, yaw, pitch, reading.eyes, size)
        self.prompts.append(Prompt(ask, reading.mono_us, None))
        self._gesture = _GESTURES[ask](self._rules, reading.mono_us)
        self._early = False
        self.stage = Stage.ASKED

    def _judge(self, reading: Reading, blink_closed_us: int | None) -> None:
        assert self._gesture is not None and self._rest is not None
        prompt = self.prompts[-1]
        elapsed_us = reading.mono_us - prompt.shown_us
        if elapsed_us > self._rules.window_ms * 1000:
            return self._fail("too_early" if self._early else "no_answer")
        answer = self._gesture.feed(reading, self._rest, blink_closed_us)
        if answer is _Answer.NONE:
            return None
        if answer is _Answer.EARLY:
            self._early = True
            return None
        if elapsed_us < self._rules.earliest_ms * 1000:
            return self._fail("too_early")
        if answer is _Answer.WRONG:
            return self._fail("wrong_answer")
        self.prompts[-1] = Prompt(prompt.ask, prompt.shown_us, reading.mono_us)
        self._at_rest.clear()
        self._waiting_since_us = None
        self.stage = Stage.PASSED if len(self.prompts) == len(self._asks) else Stage.RESTING
        return None

    def _fail(self, code: str) -> None:
        self.code, self.stage = code, Stage.FAILED
