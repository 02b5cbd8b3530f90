"""Presence: what is heard, silent or deaf, told from a badge, a terminal and the clocks."""

from __future__ import annotations

import statistics
from dataclasses import dataclass, field
from itertools import pairwise

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from kiosk.breaks import Breaks
from kiosk.presence import CUT_AFTER_US, DEAF_AFTER_US, SILENT_AFTER_US, Interval, Moment, Presence

SECOND = 1_000_000
HOUR_S = 3600
MORNING_MS = 1_795_564_800_000  # 2026-11-25T00:00:00Z, eight o'clock at the site
WORKER, OTHER = "W-1", "W-2"
Told = tuple[str, int, int, str]  # state, from and to in seconds, ending


@dataclass
class Site:
    """A terminal's presence, told second by second what is in the air."""

    breaks: tuple[str, ...] = ()
    max_shift_s: int = 12 * HOUR_S
    now_s: int = 0
    told: list[Interval] = field(default_factory=list)

    def __post_init__(self) -> None:
        self.presence = Presence(breaks=Breaks(self.breaks, "Asia/Shanghai"), max_shift_us=self.max_shift_s * SECOND)

    @property
    def now(self) -> Moment:
        return Moment(self.now_s * SECOND, MORNING_MS + self.now_s * 1000)

    def punch_in(self, worker: str = WORKER) -> None:
        self.told += self.presence.punched_in(worker, self.now)

    def punch_out(self, worker: str = WORKER) -> None:
        self.told += self.presence.punched_out(worker, self.now)

    def air(self, seconds: int, *, badge: int | None = None, others: bool = True) -> None:
        """Let seconds pass: an anchor is heard each second, the badge too at `badge` dBm; a tick every five."""
        for _ in range(seconds):
            self.now_s += 1
            if others:
                self.told += self.presence.heard(self.now, [])
            if badge is not None:
                self.told += self.presence.heard(self.now, [(WORKER, badge)])
            if self.now_s % 5 == 0:
                self.told += self.presence.tick(self.now)

    def deaf(self, seconds: int) -> None:
        self.air(seconds, others=False)

    def said(self, worker: str = WORKER) -> list[Told]:
        return [
            (one.state, one.start.mono_us // SECOND, one.end.mono_us // SECOND, one.ended_by)
            for one in self.told
            if one.worker == worker
        ]


def test_a_badge_that_stays_is_heard_from_its_first_sighting_to_its_last() -> None:
    site = Site()
    site.air(10)
    site.punch_in()
    site.air(5)
    site.air(100, badge=-60)
    site.air(3)
    site.punch_out()
    assert site.said() == [("heard", 16, 115, "out")]
    assert (site.told[0].samples, site.told[0].median_rssi) == (100, -60)


def test_tapped_in_and_left_is_a_silence_while_the_terminal_listened() -> None:
    site = Site()
    site.punch_in()
    site.air(60, badge=-60)
    site.air(600)
    site.punch_out()
    assert site.said() == [("heard", 1, 60, "badge_silent"), ("silent", 60, 660, "out")]


def test_a_short_silence_is_none() -> None:
    site = Site()
    site.punch_in()
    site.air(60, badge=-60)
    site.air(115)
    site.air(60, badge=-60)
    site.punch_out()
    assert site.said() == [("heard", 1, 235, "out")]


def test_a_badge_that_comes_back_ends_the_silence() -> None:
    site = Site()
    site.punch_in()
    site.air(60, badge=-60)
    site.air(300)
    site.air(60, badge=-60)
    site.punch_out()
    assert site.said() == [
        ("heard", 1, 60, "badge_silent"),
        ("silent", 60, 361, "badge_heard"),
        ("heard", 361, 420, "out"),
    ]


def test_a_scanner_that_hears_nobody_is_deaf_and_the_badge_is_not_blamed() -> None:
    site = Site()
    site.punch_in()
    site.air(60, badge=-60)
    site.deaf(3600)
    site.air(60, badge=-60)
    site.punch_out()
    assert site.said() == [
        ("heard", 1, 60, "scanner_stale"),
        ("deaf", 60, 3661, "scanner_back"),
        ("heard", 3661, 3720, "out"),
    ]


def test_a_silence_that_runs_into_deafness_ends_where_the_terminal_last_heard_anybody() -> None:
    site = Site()
    site.punch_in()
    site.air(60, badge=-60)
    site.air(200)
    site.deaf(500)
    site.air(200)
    site.punch_out()
    assert site.said() == [
        ("heard", 1, 60, "badge_silent"),
        ("silent", 60, 260, "scanner_stale"),
        ("deaf", 260, 761, "scanner_back"),
        ("silent", 761, 960, "out"),
    ]


def test_deafness_is_noticed_without_a_tick_too() -> None:
    site = Site()
    site.punch_in()
    site.air(3, badge=-60)
    site.now_s = 1003
    site.air(1, badge=-60)
    site.punch_out()
    assert site.said() == [
        ("heard", 1, 3, "scanner_stale"),
        ("deaf", 3, 1004, "scanner_back"),
        ("heard", 1004, 1004, "out"),
    ]


def test_a_badge_alone_in_the_air_that_leaves_proves_nothing() -> None:
    site = Site()
    site.punch_in()
    site.air(60, badge=-60, others=False)
    site.deaf(1000)
    site.punch_out()
    assert site.said() == [("heard", 1, 60, "scanner_stale"), ("deaf", 60, 1060, "out")]


def test_nobody_is_followed_who_is_not_on_shift() -> None:
    site = Site()
    site.air(100, badge=-60)
    site.punch_in(OTHER)
    site.air(100, badge=-60)
    site.punch_in()
    site.punch_out()
    site.air(2000, badge=-60)
    assert site.said() == []


def test_nothing_is_noted_in_a_break() -> None:
    site = Site(breaks=("08:10-08:40",))
    site.punch_in()
    site.air(599, badge=-60)
    site.air(600, badge=-60)
    site.air(1200)
    site.air(60, badge=-60)
    site.punch_out()
    assert site.said() == [("heard", 1, 599, "break"), ("heard", 2400, 2459, "out")]


def test_a_silence_does_not_reach_into_a_break() -> None:
    site = Site(breaks=("08:10-08:40",))
    site.punch_in()
    site.air(60, badge=-60)
    site.air(3000)
    site.punch_out()
    assert site.said() == [
        ("heard", 1, 60, "badge_silent"),
        ("silent", 60, 599, "break"),
        ("silent", 2400, 3060, "out"),
    ]


def test_nobody_is_followed_beyond_the_longest_shift() -> None:
    site = Site(max_shift_s=1000)
    site.punch_in()
    site.air(1500, badge=-60)
    assert site.said() == [("heard", 1, 999, "shift_limit")]
    assert site.presence.on_shift == ()


def test_a_shift_that_began_before_a_restart_ends_at_its_own_time() -> None:
    site = Site(max_shift_s=1000)
    site.told += site.presence.punched_in(WORKER, site.now, already_us=400 * SECOND)
    site.told += site.presence.punched_in(OTHER, site.now, already_us=1000 * SECOND)
    assert site.presence.on_shift == (WORKER,)
    site.air(700, badge=-60)
    assert site.said() == [("heard", 1, 599, "shift_limit")]


def test_a_clock_that_is_set_after_a_restart_corrects_how_long_a_shift_has_lasted() -> None:
    """IN at eight, power away from ten to four, and a clock that came back at ten: it was half a shift more."""
    site = Site(max_shift_s=12 * HOUR_S)
    began_ms = site.now.unix_ms - 2 * HOUR_S * 1000
    site.told += site.presence.punched_in(WORKER, site.now, began_ms=began_ms)
    site.air(60, badge=-60)
    step_ms = 6 * HOUR_S * 1000
    for second in range(61, 6 * HOUR_S, 5):
        at = Moment(second * SECOND, MORNING_MS + second * 1000 + step_ms)
        site.told += site.presence.heard(at, [(WORKER, -60)])
        if not site.presence.on_shift:
            break
    assert site.told[-1].ended_by == "shift_limit"
    assert 4 * HOUR_S - 1 <= second <= 4 * HOUR_S + 5


def test_an_in_that_lies_ahead_of_the_clock_is_followed_once_the_clock_is_right() -> None:
    site = Site(max_shift_s=12 * HOUR_S)
    site.told += site.presence.punched_in(WORKER, site.now, began_ms=site.now.unix_ms + HOUR_S * 1000)
    site.told += site.presence.punched_in(OTHER, site.now, began_ms=site.now.unix_ms + HOUR_S * 1000)
    site.air(60, badge=-60)
    assert site.presence.on_shift == () and site.told == []
    site.presence.forget(OTHER)
    step_ms = 3 * HOUR_S * 1000
    for second in range(61, 200):
        site.told += site.presence.heard(
            Moment(second * SECOND, MORNING_MS + second * 1000 + step_ms), [(WORKER, -60), (OTHER, -60)]
        )
    assert site.presence.on_shift == (WORKER,)
    site.told += site.presence.punched_out(WORKER, Moment(200 * SECOND, MORNING_MS + 200_000 + step_ms))
    assert [(one.worker, one.state, one.ended_by) for one in site.told] == [(WORKER, "heard", "out")]


def test_a_clock_set_back_never_makes_a_shift_longer_than_a_whole_one_from_then() -> None:
    site = Site(max_shift_s=1000)
    site.told += site.presence.punched_in(WORKER, site.now, began_ms=site.now.unix_ms - 500_000)
    for second in range(1, 2000):
        site.told += site.presence.heard(Moment(second * SECOND, MORNING_MS + second * 1000 - 4_000_000), [])
        if not site.presence.on_shift:
            break
    assert 999 <= second <= 1002


@pytest.mark.parametrize("before", ["a start", "a break", "a step of the clock"])
def test_a_terminal_that_has_heard_nobody_at_all_since_is_deaf(before: str) -> None:
    """An adapter that was dead at six leaves a day that is the terminal's gap, not the badge's."""
    site = Site(breaks=("12:00-13:00",) if before == "a break" else ())
    if before == "a break":
        site.now_s = 4 * HOUR_S - 60  # eleven fifty-nine
        site.air(60)
        site.deaf(HOUR_S + 60)
        site.punch_in()
    elif before == "a step of the clock":
        site.punch_in()
        site.air(30, badge=-60)
        site.told += site.presence.tick(Moment(31 * SECOND, MORNING_MS + 31_000 + 7_200_000))
        site.told.clear()
        later = [Moment(second * SECOND, MORNING_MS + second * 1000 + 7_200_000) for second in range(35, 400, 5)]
        for at in later:
            site.told += site.presence.tick(at)
        site.told += site.presence.punched_out(WORKER, later[-1])
    else:
        site.deaf(60)
        site.punch_in()
    if before != "a step of the clock":
        begun_s = site.now_s
        site.deaf(300)
        site.air(30)
        site.punch_out()
        assert site.said() == [("deaf", begun_s, begun_s + 301, "scanner_back")]
    else:
        assert [(one.state, one.ended_by) for one in site.told] == [("deaf", "out")]
        assert site.told[0].start.mono_us <= 40 * SECOND


def test_a_terminal_hears_nobody_in_a_break_and_that_is_no_deafness() -> None:
    site = Site(breaks=("12:00-13:00",))
    site.now_s = 4 * HOUR_S + 60
    site.punch_in()
    site.deaf(600)
    site.punch_out()
    assert site.said() == []


def test_what_is_known_is_said_every_half_hour() -> None:
    site = Site()
    site.punch_in()
    site.air(4000, badge=-60)
    site.air(4000)
    site.punch_out()
    assert site.said() == [
        ("heard", 1, 1801, "cut"),
        ("heard", 1801, 3601, "cut"),
        ("heard", 3601, 4000, "badge_silent"),
        ("silent", 4000, 5800, "cut"),
        ("silent", 5800, 7600, "cut"),
        ("silent", 7600, 8000, "out"),
    ]
    assert sum(one.samples for one in site.told) == 4000


def test_a_second_in_begins_another_shift() -> None:
    site = Site()
    site.punch_in()
    site.air(60, badge=-60)
    site.punch_in()
    site.air(60, badge=-60)
    site.punch_out()
    assert site.said() == [("heard", 1, 60, "in"), ("heard", 61, 120, "out")]


@pytest.mark.parametrize("step_ms", [-3_600_000, 3_600_000])
def test_a_stepped_clock_ends_what_was_begun_under_the_old_one(step_ms: int) -> None:
    site = Site()
    site.punch_in()
    site.air(60, badge=-60)
    later = Moment(61 * SECOND, MORNING_MS + 61_000 + step_ms)
    site.told += site.presence.heard(later, [(WORKER, -60)])
    site.told += site.presence.punched_out(WORKER, later)
    assert site.said() == [("heard", 1, 60, "clock_stepped"), ("heard", 61, 61, "out")]
    assert site.told[1].start.unix_ms == MORNING_MS + 61_000 + step_ms


def test_a_stop_closes_everything_at_what_was_really_heard() -> None:
    site = Site()
    site.punch_in()
    site.air(60, badge=-60)
    site.air(30)
    site.told += site.presence.stop(site.now)
    assert site.said() == [("heard", 1, 60, "terminal_stopped")]


def test_what_a_crash_would_leave_unsaid_is_known_at_any_time_and_changes_nothing() -> None:
    site = Site()
    site.punch_in()
    site.air(60, badge=-60)
    (one,) = site.presence.unfinished()
    assert (one.state, one.end.mono_us, one.samples, one.ended_by) == ("heard", 60 * SECOND, 60, "terminal_restarted")
    site.air(200)
    assert [one.state for one in site.presence.unfinished()] == ["silent"]
    site.deaf(200)
    assert [(one.state, one.end.mono_us) for one in site.presence.unfinished()] == [("deaf", 460 * SECOND)]
    assert site.said() == [("heard", 1, 60, "badge_silent"), ("silent", 60, 260, "scanner_stale")]


def test_a_sighting_from_before_what_was_said_is_not_taken() -> None:
    site = Site()
    site.punch_in()
    site.air(60, badge=-60)
    assert site.presence.heard(Moment(30 * SECOND, MORNING_MS + 30_000), [(WORKER, -20)]) == []
    site.punch_out()
    assert site.told[0].samples == 60


# What holds for any air whatsoever.


@dataclass
class Run:
    """A run: what was put in and what came out."""

    sightings: list[tuple[str, int, int]]  # worker, mono_us, dBm
    anybody: list[int]  # mono_us of every advertisement, and 0
    intervals: list[Interval]


_STEP = st.one_of(
    st.tuples(st.just("heard"), st.sampled_from([WORKER, OTHER]), st.integers(-100, -30)),
    st.tuples(st.just("others"), st.just(""), st.just(0)),
    st.tuples(st.just("tick"), st.just(""), st.just(0)),
    st.tuples(st.just("in"), st.sampled_from([WORKER, OTHER]), st.just(0)),
    st.tuples(st.just("out"), st.sampled_from([WORKER, OTHER]), st.just(0)),
    st.tuples(st.just("air"), st.just(""), st.integers(1, 400)),  # seconds of an anchor
)
_WAIT_S = st.sampled_from([0, 1, 5, 29, 30, 31, 60, 91, 119, 120, 121, 1000, 1800])


def run(steps: list[tuple[int, tuple[str, str, int]]], breaks: tuple[str, ...] = ()) -> Run:
    presence = Presence(breaks=Breaks(breaks, "Asia/Shanghai"), max_shift_us=6 * HOUR_S * SECOND)
    now_s, out = 0, Run([], [], [])
    told = out.intervals

    def moment() -> Moment:
        return Moment(now_s * SECOND, MORNING_MS + now_s * 1000)

    for worker in (WORKER, OTHER):
        told += presence.punched_in(worker, moment())
    for wait_s, (what, worker, number) in steps:
        now_s += wait_s
        if what == "heard":
            told += presence.heard(moment(), [(worker, number)])
            out.anybody.append(now_s * SECOND)
            if worker in presence.on_shift:
                out.sightings.append((worker, now_s * SECOND, number))
        elif what == "others":
            told += presence.heard(moment(), [])
            out.anybody.append(now_s * SECOND)
        elif what == "air":
            for _ in range(number):
                now_s += 1
                told += presence.heard(moment(), [])
                out.anybody.append(now_s * SECOND)
        elif what == "tick":
            told += presence.tick(moment())
        elif what == "in":
            told += presence.punched_in(worker, moment())
        else:
            told += presence.punched_out(worker, moment())
    told += presence.stop(moment())
    return out


runs = st.lists(st.tuples(_WAIT_S, _STEP), max_size=60)


@settings(deadline=None)
@given(runs)
def test_intervals_of_a_worker_never_overlap_and_come_in_order(steps: list[tuple[int, tuple[str, str, int]]]) -> None:
    out = run(steps)
    for worker in (WORKER, OTHER):
        own = [one for one in out.intervals if one.worker == worker]
        for one in own:
            assert one.start.mono_us <= one.end.mono_us
            assert one.end.unix_ms - one.start.unix_ms == (one.end.mono_us - one.start.mono_us) // 1000
        for before, after in pairwise(own):
            assert before.end.mono_us <= after.start.mono_us


@settings(deadline=None)
@given(runs)
def test_heard_begins_and_ends_at_sightings_and_every_sighting_is_counted_once(
    steps: list[tuple[int, tuple[str, str, int]]],
) -> None:
    out = run(steps)
    heard = [one for one in out.intervals if one.state == "heard"]
    for one in heard:
        times = {at for worker, at, _ in out.sightings if worker == one.worker}
        assert {one.start.mono_us, one.end.mono_us} <= times
        assert one.samples >= 1
        levels = [dbm for worker, at, dbm in out.sightings if worker == one.worker]
        assert one.median_rssi in levels
    assert sum(one.samples for one in heard) == len(out.sightings)
    assert all(one.samples == 0 and one.median_rssi is None for one in out.intervals if one.state != "heard")


@settings(deadline=None)
@given(runs)
def test_a_gap_of_the_terminal_is_never_the_badges(steps: list[tuple[int, tuple[str, str, int]]]) -> None:
    """Whatever is called silent was listened to from end to end, and no sighting lies within."""
    out = run(steps)
    for one in out.intervals:
        start, end = one.start.mono_us, one.end.mono_us
        within = sorted({start, *(at for at in out.anybody if start <= at <= end), end})
        holes = [after - before for before, after in pairwise(within)]
        if one.state == "silent":
            assert max(holes, default=0) <= DEAF_AFTER_US
            assert not any(w == one.worker and start < at < end for w, at, _ in out.sightings)
        if one.state == "deaf":
            assert len(within) == 2, "somebody was heard while the terminal called itself deaf"
        if one.state == "heard":
            assert max(holes, default=0) <= DEAF_AFTER_US
        if one.ended_by == "badge_silent":
            assert any(at >= end + SILENT_AFTER_US for at in out.anybody)


@settings(deadline=None)
@given(runs)
def test_nothing_is_said_of_a_break_nor_for_longer_than_is_allowed(
    steps: list[tuple[int, tuple[str, str, int]]],
) -> None:
    out = run(steps, ("08:20-09:00", "09:30-09:31"))
    for one in out.intervals:
        for begin_s, end_s in ((1200, 3600), (5400, 5460)):
            assert one.end.mono_us < begin_s * SECOND or one.start.mono_us >= end_s * SECOND
        assert one.state == "deaf" or one.end.mono_us - one.start.mono_us <= CUT_AFTER_US + SILENT_AFTER_US


@given(st.lists(st.integers(-100, -30), min_size=1, max_size=50))
def test_the_median_is_the_median(levels: list[int]) -> None:
    site = Site()
    site.punch_in()
    for dbm in levels:
        site.air(1, badge=dbm)
    site.punch_out()
    assert site.told[0].median_rssi == statistics.median_low(levels)
