"""How long each part could have seen a worker: never more than was true, and every second belongs to one report."""

from __future__ import annotations

from dataclasses import replace

import pytest
from hypothesis import given
from hypothesis import strategies as st

from evidence.events import ClockReading, CoverageBody
from kiosk.clock import Stamp, format_time, parse_time
from kiosk.coverage import LONGEST_STRETCH_US, Coverage, Look

CLOCK = ClockReading(source="ntp", synced=True, error_ms=4)
START = Stamp("2026-05-04T07:00:00.000Z", CLOCK, "0" * 32, 5_000_000)
EVERY_S = 5
WELL = Look(0, camera=True, scanner=True, gps=True, uplink=True, frames=0, advertisements=0)


def at(second: float) -> Stamp:
    """The stamp `second` seconds after the start."""
    return replace(
        START,
        time=format_time(parse_time(START.time) + round(second * 1e9)),
        mono_us=START.mono_us + round(second * 1e6),
    )


def look(coverage: Coverage, second: float, **changes: object) -> None:
    coverage.look(replace(WELL, mono_us=at(second).mono_us, **changes))  # type: ignore[arg-type]


def started() -> Coverage:
    return Coverage(START, screen=True)


def test_the_first_report_says_since_when_the_terminal_runs_and_the_next_goes_on_from_there() -> None:
    coverage = started()
    for second in range(0, 900 + EVERY_S, EVERY_S):
        look(coverage, second, frames=second * 25, advertisements=second * 3)
    body = coverage.report(at(900), unsent=2)
    assert (body.since, body.until, body.seconds, body.observed_s) == (START.time, at(900).time, 900, 900)
    assert (body.first, body.last, body.screen, body.unsent) == (True, False, True, 2)
    assert (body.camera_s, body.scanner_s, body.gps_s, body.uplink_s) == (900, 900, 900, 900)
    assert (body.frames, body.advertisements) == (22_500, 2_700)
    coverage.signed(at(900))
    look(coverage, 905, frames=22_600, advertisements=2_701)
    after = coverage.report(at(906), unsent=0, last=True)
    assert (after.since, after.seconds, after.observed_s, after.camera_s) == (at(900).time, 6, 5, 5)
    assert (after.first, after.last, after.frames, after.advertisements) == (False, True, 100, 1)


@pytest.mark.parametrize("part", ["camera", "scanner", "gps", "uplink"])
def test_a_part_that_dies_halfway_worked_half_the_time_and_the_others_all_of_it(part: str) -> None:
    coverage = started()
    for second in range(0, 900 + EVERY_S, EVERY_S):
        look(coverage, second, **{part: second < 450})
    body = coverage.report(at(900), unsent=0)
    worked = {name: getattr(body, f"{name}_s") for name in ("camera", "scanner", "gps", "uplink")}
    assert worked.pop(part) == 445  # the stretch in which it died counts for nothing
    assert set(worked.values()) == {900}


def test_a_part_that_the_terminal_has_not_is_none_and_not_zero() -> None:
    coverage = started()
    for second in (0, 5):
        look(coverage, second, camera=None, gps=None, frames=None, scanner=False)
    body = coverage.report(at(5), unsent=0)
    assert (body.camera_s, body.gps_s, body.frames, body.scanner_s) == (None, None, None, 0)


def test_a_time_in_which_nobody_looked_is_vouched_for_by_nobody() -> None:
    """The process was stopped for ten minutes, or the journal could not record."""
    coverage = started()
    for second in (0, 5, 10, 610, 615):
        look(coverage, second)
    body = coverage.report(at(615), unsent=0)
    assert (body.seconds, body.observed_s, body.camera_s) == (615, 15, 15)


def test_a_report_that_could_not_be_signed_is_part_of_the_next() -> None:
    coverage = started()
    for second in range(0, 20, EVERY_S):
        look(coverage, second)
    coverage.report(at(15), unsent=0)
    look(coverage, 20)
    body = coverage.report(at(20), unsent=0)
    assert (body.first, body.since, body.seconds, body.camera_s) == (True, START.time, 20, 20)


def test_a_counter_that_begins_anew_is_not_counted_backwards() -> None:
    coverage = started()
    for second, frames in ((0, 1000), (5, 1100), (10, 40)):
        look(coverage, second, frames=frames)
    assert coverage.report(at(10), unsent=0).frames == 1140


def test_a_wall_clock_that_is_set_back_does_not_shorten_the_period() -> None:
    coverage = started()
    for second in (0, 5, 10):
        look(coverage, second)
    now = replace(at(10), time="2026-05-04T06:00:00.000Z")
    body = coverage.report(now, unsent=0)
    assert (body.seconds, body.until) == (10, now.time)


_STATE = st.sampled_from([True, False, None])


@given(
    st.lists(
        st.tuples(st.floats(0.001, 40), _STATE, _STATE, _STATE, _STATE, st.integers(0, 5000), st.booleans()),
        max_size=40,
    )
)
def test_no_sequence_of_looks_claims_more_than_there_was(
    steps: list[tuple[float, bool, bool, bool, bool, int, bool]],
) -> None:
    coverage, second, reports = started(), 0.0, list[CoverageBody]()
    for stretch_s, camera, scanner, gps, uplink, frames, ends in steps:
        second += stretch_s
        look(coverage, second, camera=camera, scanner=scanner, gps=gps, uplink=uplink, frames=frames)
        if ends:
            reports.append(coverage.report(at(second), unsent=0))  # the model itself refuses a part beyond the whole
            coverage.signed(at(second))
    reports.append(coverage.report(at(second), unsent=0, last=True))
    assert [one.since for one in reports[1:]] == [one.until for one in reports[:-1]]
    assert [one.first for one in reports] == [True] + [False] * (len(reports) - 1)
    assert sum(one.seconds for one in reports) <= second + 0.001
    seen = sum(min(step[0], step[0] if step[0] * 1e6 <= LONGEST_STRETCH_US else 0) for step in steps[1:])
    assert sum(one.observed_s for one in reports) <= seen + 0.001
