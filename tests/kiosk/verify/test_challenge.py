from __future__ import annotations

import os
import random
import secrets
from collections import Counter
from dataclasses import replace

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from evidence.events import Ask
from kiosk.verify.challenge import (
    DELAYS_MS,
    OTHERS,
    RULES,
    TURNS,
    Challenge,
    ChallengeRules,
    Reading,
    Stage,
    choose_asks,
)

LONG = os.environ.get("ZAIGANG_LONG") == "1"
EXAMPLES = 2000 if LONG else 200
FRAME_US = 40_000
DELAY_MS = 500
OPEN = (0.32, 0.30)
SHUT = (0.08, 0.09)


class Person:
    """Feeds a challenge frame by frame."""

    def __init__(self, *asks: Ask, rest_deg: float = 3.0, rules: ChallengeRules = RULES) -> None:
        self.challenge = Challenge(asks, (DELAY_MS,) * len(asks), rules)
        self.rest_deg = rest_deg
        self.now_us = 0

    def frame(
        self, yaw: float = 0.0, eyes: tuple[float, float] = OPEN, pitch: float = 0.0, size: float = 90.0
    ) -> Stage:
        self.now_us += FRAME_US
        return self.challenge.feed(Reading(self.now_us, self.rest_deg + yaw, pitch, eyes, size))

    def hold(self, ms: int, yaw: float = 0.0, eyes: tuple[float, float] = OPEN) -> Stage:
        for _ in range(ms * 1000 // FRAME_US):
            self.frame(yaw, eyes)
        return self.challenge.stage

    def until_asked(self) -> Person:
        for _ in range(200):
            if self.frame() is Stage.ASKED:
                return self
        raise AssertionError("nothing was asked")

    def blink(self) -> Stage:
        self.hold(160, eyes=SHUT)
        return self.hold(80)


LEFT = 22.0


def outcome(person: Person) -> tuple[Stage, str]:
    return person.challenge.stage, person.challenge.code


def test_who_turns_to_the_asked_side_passes() -> None:
    for ask, yaw in ((Ask.TURN_LEFT, LEFT), (Ask.TURN_RIGHT, -LEFT)):
        person = Person(ask).until_asked()
        person.hold(600)
        assert person.frame(yaw) is Stage.PASSED


def test_the_prompt_comes_after_the_delay_at_rest_and_not_before() -> None:
    person = Person(Ask.TURN_LEFT)
    assert person.hold(DELAY_MS) is Stage.RESTING
    assert person.hold(2 * FRAME_US // 1000) is Stage.ASKED


def test_a_turn_counts_from_where_this_head_rested() -> None:
    person = Person(Ask.TURN_LEFT, rest_deg=12).until_asked()
    person.hold(600)
    assert person.frame(RULES.turn_deg - 1) is Stage.ASKED
    assert person.frame(RULES.turn_deg + 1) is Stage.PASSED


def test_who_turns_to_the_other_side_is_wrong() -> None:
    person = Person(Ask.TURN_LEFT).until_asked()
    person.hold(600)
    person.frame(-LEFT)
    assert outcome(person) == (Stage.FAILED, "wrong_answer")


def test_who_turns_when_a_blink_was_asked_is_wrong() -> None:
    person = Person(Ask.BLINK).until_asked()
    person.hold(600)
    person.frame(LEFT)
    assert outcome(person) == (Stage.FAILED, "wrong_answer")


def test_who_does_nothing_in_the_window_has_not_answered() -> None:
    person = Person(Ask.TURN_LEFT).until_asked()
    person.hold(RULES.window_ms + 100)
    assert outcome(person) == (Stage.FAILED, "no_answer")


def test_an_answer_after_the_window_does_not_count() -> None:
    person = Person(Ask.TURN_LEFT).until_asked()
    person.now_us += RULES.window_ms * 1000
    person.frame(LEFT)
    assert outcome(person) == (Stage.FAILED, "no_answer")


@pytest.mark.parametrize("yaw", [LEFT, -LEFT])
def test_nobody_answers_before_a_quarter_of_a_second(yaw: float) -> None:
    person = Person(Ask.TURN_LEFT).until_asked()
    person.hold(160)
    person.frame(yaw)
    assert outcome(person) == (Stage.FAILED, "too_early")


def test_two_blinks_after_the_prompt_pass_and_one_does_not() -> None:
    person = Person(Ask.BLINK).until_asked()
    person.hold(600)
    assert person.blink() is Stage.ASKED
    assert person.blink() is Stage.PASSED


def test_a_blink_begun_too_early_does_not_count_and_later_ones_do() -> None:
    person = Person(Ask.BLINK).until_asked()
    assert person.blink() is Stage.ASKED
    person.hold(600)
    assert person.blink() is Stage.ASKED
    assert person.blink() is Stage.PASSED


def test_who_lifts_the_chin_has_looked_up_and_who_nods_down_has_not() -> None:
    person = Person(Ask.LOOK_UP).until_asked()
    person.hold(600)
    assert person.frame(pitch=RULES.look_up_deg - 1) is Stage.ASKED
    assert person.frame(pitch=RULES.look_up_deg + 1) is Stage.PASSED
    other = Person(Ask.LOOK_UP).until_asked()
    other.hold(600)
    other.frame(pitch=-RULES.wrong_turn_deg)
    assert outcome(other) == (Stage.FAILED, "wrong_answer")


def test_who_grows_has_come_closer_from_where_they_stood() -> None:
    person = Person(Ask.MOVE_CLOSER).until_asked()
    person.hold(600)
    assert person.frame(size=90 * RULES.closer - 1) is Stage.ASKED
    assert person.frame(size=90 * RULES.closer + 1) is Stage.PASSED


@pytest.mark.parametrize("ask", [Ask.LOOK_UP, Ask.MOVE_CLOSER])
def test_who_turns_when_something_else_was_asked_is_wrong(ask: Ask) -> None:
    person = Person(ask).until_asked()
    person.hold(600)
    person.frame(LEFT)
    assert outcome(person) == (Stage.FAILED, "wrong_answer")


@pytest.mark.parametrize(("ask", "moved"), [(Ask.LOOK_UP, {"pitch": 20.0}), (Ask.MOVE_CLOSER, {"size": 130.0})])
def test_nobody_does_anything_before_a_quarter_of_a_second(ask: Ask, moved: dict[str, float]) -> None:
    person = Person(ask).until_asked()
    person.hold(160)
    person.frame(**moved)
    assert outcome(person) == (Stage.FAILED, "too_early")


def test_who_still_walks_up_is_not_asked_and_nothing_is_held_against_them() -> None:
    person = Person(Ask.MOVE_CLOSER)
    for step in range(12):
        for _ in range(6):
            assert person.frame(size=50.0 * 1.15**step) is Stage.RESTING
    for _ in range(30):
        person.frame(size=50.0 * 1.15**12)
    assert person.challenge.stage is Stage.ASKED


def test_a_clip_is_asked_at_its_own_times_however_it_moved() -> None:
    challenge = Challenge((Ask.TURN_LEFT,), (0,), RULES, shown_us=(2_000_000,))
    yaws = {600_000: 25.0, 2_600_000: 24.0}
    for now_us in range(FRAME_US, 3_000_000, FRAME_US):
        challenge.feed(Reading(now_us, yaws.get(now_us, 0.0), 0.0, OPEN))
    assert challenge.stage is Stage.PASSED
    assert challenge.prompts[0].shown_us == 2_000_000


def test_a_clip_that_keeps_moving_before_its_prompt_is_no_answer_to_it() -> None:
    challenge = Challenge((Ask.TURN_LEFT,), (0,), RULES, shown_us=(2_000_000,))
    for frame in range(1, 60):
        challenge.feed(Reading(frame * FRAME_US, 20.0 * (frame % 8 == 0), 0.0, OPEN))
    assert (challenge.stage, challenge.code) == (Stage.FAILED, "moved_before_prompt")


def test_only_an_early_blink_is_too_early() -> None:
    person = Person(Ask.BLINK).until_asked()
    person.blink()
    person.hold(RULES.window_ms)
    assert outcome(person) == (Stage.FAILED, "too_early")


def test_a_natural_blink_during_a_turn_changes_nothing() -> None:
    person = Person(Ask.TURN_LEFT).until_asked()
    person.hold(300)
    assert person.blink() is Stage.ASKED
    assert person.frame(LEFT) is Stage.PASSED


def test_who_shuffles_up_may_but_who_keeps_moving_before_the_prompt_may_not() -> None:
    person = Person(Ask.TURN_LEFT)
    for moves in range(RULES.moves_allowed + 1):
        assert person.challenge.stage is Stage.RESTING, moves
        person.hold(240)
        person.hold(120, yaw=15)
    assert outcome(person) == (Stage.FAILED, "moved_before_prompt")


def test_a_move_before_the_prompt_starts_the_delay_anew() -> None:
    person = Person(Ask.TURN_LEFT)
    person.hold(400)
    person.hold(40, yaw=15)
    assert person.hold(DELAY_MS) is Stage.RESTING
    assert person.hold(80) is Stage.ASKED


def test_who_looks_away_all_the_time_is_never_asked() -> None:
    assert Person(Ask.TURN_LEFT, rest_deg=20).hold(5000) is Stage.RESTING


def test_two_prompts_are_asked_one_after_the_other_each_after_rest() -> None:
    person = Person(Ask.TURN_RIGHT, Ask.BLINK).until_asked()
    person.hold(500)
    assert person.hold(200, yaw=-LEFT) is Stage.RESTING
    assert person.challenge.ask is None
    person.until_asked()
    assert person.challenge.ask is Ask.BLINK
    person.hold(400)
    person.blink()
    assert person.blink() is Stage.PASSED
    record = person.challenge.record(tapped_us=0)
    assert record is not None
    assert [prompt.ask for prompt in record.prompts] == [Ask.TURN_RIGHT, Ask.BLINK]
    assert all(prompt.answered_ms is not None and prompt.answered_ms >= RULES.earliest_ms for prompt in record.prompts)
    assert record.prompts[1].shown_ms > record.prompts[0].shown_ms


def test_the_second_prompt_waits_its_whole_delay_at_rest_too() -> None:
    person = Person(Ask.TURN_RIGHT, Ask.BLINK).until_asked()
    person.hold(500)
    person.hold(200, yaw=-LEFT)
    assert person.hold(DELAY_MS) is Stage.RESTING
    assert person.hold(2 * FRAME_US // 1000) is Stage.ASKED


def test_who_does_not_come_back_to_rest_is_not_asked_again() -> None:
    person = Person(Ask.TURN_RIGHT, Ask.BLINK).until_asked()
    person.hold(500)
    person.hold(RULES.return_ms + 200, yaw=-LEFT)
    assert outcome(person) == (Stage.FAILED, "no_answer")


def test_time_must_rise() -> None:
    person = Person(Ask.BLINK)
    person.frame()
    with pytest.raises(ValueError):
        person.challenge.feed(Reading(person.now_us, 0, 0, OPEN))


@pytest.mark.parametrize(("asks", "delays"), [((), ()), ((Ask.BLINK,), ()), ((Ask.BLINK,), (500, 500))])
def test_what_cannot_be_judged_cannot_be_asked(asks: tuple[Ask, ...], delays: tuple[int, ...]) -> None:
    with pytest.raises(ValueError):
        Challenge(asks, delays)


# What is asked


def chosen(fps: float = 25, excused: frozenset[Ask] = frozenset(), times: int = 2000) -> Counter[tuple[Ask, ...]]:
    source = random.Random(7)
    return Counter(choose_asks(source, fps, excused)[0] for _ in range(times))


def test_there_is_always_one_turn_to_either_side_and_something_else_a_third_of_the_time() -> None:
    found = chosen()
    assert len(found) == 14
    assert all(sum(ask in TURNS for ask in asks) == 1 for asks in found)
    others = {ask: sum(count for asks, count in found.items() if ask in asks) for ask in Ask}
    assert sum(others[ask] for ask in OTHERS) == pytest.approx(667, abs=100)
    assert min(others[ask] for ask in OTHERS) == pytest.approx(222, abs=70)
    assert others[Ask.TURN_LEFT] == pytest.approx(1000, abs=120)


def test_after_a_failure_there_are_always_two() -> None:
    source = random.Random(7)
    for excused in (frozenset[Ask](), frozenset(OTHERS), frozenset(TURNS)):
        for _ in range(200):
            asks, delays = choose_asks(source, 25, excused, careful=True)
            assert len(asks) == len(delays) == len(set(asks)) == 2
            assert not set(asks) & excused


def test_a_slow_camera_is_never_asked_for_a_blink() -> None:
    found = {ask for asks in chosen(fps=12) for ask in asks}
    assert found == set(Ask) - {Ask.BLINK}


def test_who_is_excused_is_asked_for_something_else() -> None:
    excused = frozenset({Ask.TURN_LEFT, Ask.BLINK, Ask.LOOK_UP, Ask.MOVE_CLOSER})
    assert set(chosen(excused=excused)) == {(Ask.TURN_RIGHT,)}
    assert {ask for asks in chosen(excused=frozenset(TURNS)) for ask in asks} == set(OTHERS)
    assert all(asks for asks in chosen(excused=frozenset(TURNS)))
    assert set(chosen(excused=frozenset(Ask))) == {()}


def test_no_recording_knows_when_it_will_be_asked() -> None:
    source = random.Random(7)
    delays = [delay for _ in range(400) for delay in choose_asks(source, 25)[1]]
    assert min(delays) < DELAYS_MS[0] + 60
    assert max(delays) > DELAYS_MS[1] - 60
    assert len(set(delays)) > 200


def test_secrets_choose_and_every_ask_has_its_delay() -> None:
    for _ in range(50):
        asks, delays = choose_asks(secrets.SystemRandom(), 25)
        assert len(asks) == len(delays)
        assert all(DELAYS_MS[0] <= delay <= DELAYS_MS[1] for delay in delays)


# For every sequence

frames = st.lists(
    st.tuples(
        st.floats(-40, 40),
        st.sampled_from([OPEN, SHUT, (0.2, 0.2), (0.3, 0.05)]),
        st.sampled_from([33_000, 40_000, 100_000]),
        st.integers(1, 12),  # frames that this lasts
    ),
    max_size=40,
)
still = st.floats(-RULES.rest_deg / 2, RULES.rest_deg / 2)


def played(challenge: Challenge, script: list[tuple[float, tuple[float, float], int, int]]) -> list[Reading]:
    readings, now = [], 0
    for yaw, eyes, step_us, count in [(0.0, OPEN, 40_000, 20), *script]:
        for _ in range(count):
            now += step_us
            readings.append(Reading(now, yaw, 0.0, eyes))
            challenge.feed(readings[-1])
    return readings


@settings(max_examples=EXAMPLES, deadline=None)
@pytest.mark.long
@given(st.sampled_from(TURNS), frames)
def test_a_passed_turn_always_has_the_asked_direction_in_time(
    ask: Ask, script: list[tuple[float, tuple[float, float], int, int]]
) -> None:
    challenge = Challenge((ask,), (DELAY_MS,))
    readings = played(challenge, script)
    if challenge.stage is not Stage.PASSED:
        return
    (prompt,) = challenge.prompts
    assert prompt.answered_us is not None
    answer = next(one for one in readings if one.mono_us == prompt.answered_us)
    before = [one.yaw_deg for one in readings if one.mono_us <= prompt.shown_us]
    assert RULES.earliest_ms * 1000 <= prompt.answered_us - prompt.shown_us <= RULES.window_ms * 1000
    assert abs(before[-1]) <= RULES.rest_max_deg
    sign = 1 if ask is Ask.TURN_LEFT else -1
    assert sign * (answer.yaw_deg - before[-1]) >= RULES.turn_deg - RULES.rest_deg
    assert sign * answer.yaw_deg > 0


@settings(max_examples=EXAMPLES, deadline=None)
@pytest.mark.long
@given(
    st.sampled_from(TURNS),
    st.lists(st.tuples(still, st.sampled_from([OPEN, SHUT]), st.just(40_000), st.integers(1, 30)), max_size=40),
)
def test_no_still_head_passes_a_turn_however_it_blinks(
    ask: Ask, script: list[tuple[float, tuple[float, float], int, int]]
) -> None:
    challenge = Challenge((ask,), (DELAY_MS,))
    played(challenge, script)
    assert challenge.stage is not Stage.PASSED


@settings(max_examples=EXAMPLES, deadline=None)
@pytest.mark.long
@given(st.lists(st.tuples(st.floats(-40, 40), st.just(OPEN), st.just(40_000), st.integers(1, 30)), max_size=40))
def test_no_open_eyes_pass_a_blink_however_the_head_moves(
    script: list[tuple[float, tuple[float, float], int, int]],
) -> None:
    challenge = Challenge((Ask.BLINK,), (DELAY_MS,))
    played(challenge, script)
    assert challenge.stage is not Stage.PASSED


@settings(max_examples=EXAMPLES, deadline=None)
@pytest.mark.long
@given(st.sampled_from([(Ask.TURN_LEFT, Ask.BLINK), (Ask.BLINK, Ask.TURN_RIGHT)]), frames)
def test_passed_means_that_every_prompt_was_shown_and_answered_and_ended_stays_ended(
    asks: tuple[Ask, ...], script: list[tuple[float, tuple[float, float], int, int]]
) -> None:
    challenge = Challenge(asks, (DELAY_MS, DELAY_MS))
    readings = played(challenge, script)
    if challenge.stage is Stage.PASSED:
        assert [prompt.ask for prompt in challenge.prompts] == list(asks)
        assert all(prompt.answered_us is not None for prompt in challenge.prompts)
    if challenge.stage in (Stage.PASSED, Stage.FAILED):
        ended = challenge.stage
        challenge.feed(replace(readings[-1], mono_us=readings[-1].mono_us + 40_000, yaw_deg=30))
        assert challenge.stage is ended
        assert (challenge.code != "") == (ended is Stage.FAILED)
