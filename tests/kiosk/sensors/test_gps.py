"""Which fixes count, in which order the verdict is judged, and that nothing on the line can break it."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from datetime import UTC, datetime, timedelta
from itertools import islice

import pytest
from hypothesis import given
from hypothesis import strategies as st

from kiosk.sensors.gps import Fence, FixTracker, GpsReading, Place, distance_m
from kiosk.sensors.gps_signs import MOST_SATELLITES, SpoofSigns
from kiosk.sensors.nmea import LONGEST_LINE, Gsa, Gsv, InView, LineSplitter, line_times
from zaigang.synthetic_gps import METRES_PER_DEGREE, sentence, standing_still, without_antenna

START = datetime(2026, 3, 18, 23, 59, 40, tzinfo=UTC)  # midnight falls into every half minute of these tests
LATITUDE, LONGITUDE = 22.5431, 114.0579
FENCE = Fence(round(LATITUDE * 1e7), round(LONGITUDE * 1e7), 100)


def seconds(count: int, **options: object) -> list[bytes]:
    """`count` seconds of a receiver that stands still; options as in standing_still."""
    where = {"latitude": LATITUDE, "longitude": LONGITUDE, "start": START, **options}
    return list(islice(standing_still(**where), count))  # type: ignore[arg-type]


def judge(items: Iterable[bytes], fence: Fence | None = FENCE, later_us: int = 0) -> tuple[GpsReading, FixTracker]:
    tracker, now_us = FixTracker(fence), 0
    for line, now_us in line_times(LineSplitter().feed(b"".join(items))):
        tracker.feed(line, now_us)
    return tracker.reading(now_us + later_us), tracker


def epoch(
    second: int,
    *,
    status: str = "A",
    mode: str = "A",
    quality: int | str = 1,
    satellites: int = 9,
    hdop: str = "0.9",
    dimensions: int = 3,
    knots: str = "0.03",
    gga_late_s: int = 0,
    place: str = "2232.58600,N,11403.47400,E",
    nav_status: str = "",
) -> bytes:
    moment = START + timedelta(seconds=second)
    later = moment + timedelta(seconds=gga_late_s)
    tail = f",{nav_status}" if nav_status else ""
    return (
        sentence(f"GNGSA,A,{dimensions},03,04,05,06,07,08,09,,,,,,1.7,0.9,1.4")
        + sentence(f"GNRMC,{moment:%H%M%S}.00,{status},{place},{knots},,{moment:%d%m%y},,,{mode}{tail}")
        + sentence(f"GNGGA,{later:%H%M%S}.00,{place},{quality},{satellites:02d},{hdop},47.2,M,8.1,M,,")
    )


def epochs(count: int = 25, **options: object) -> Iterator[bytes]:
    return (epoch(second, **options) for second in range(count))  # type: ignore[arg-type]


def test_a_receiver_that_stands_on_the_site_is_inside_at_the_median_of_its_fixes() -> None:
    reading, tracker = judge(seconds(40))
    assert reading.verdict == "inside"
    assert reading.fixes == 30
    assert reading.satellites == 9
    assert reading.hdop_tenths == 9
    assert reading.flags == ()
    assert reading.rejected == {}
    assert reading.latitude_e7 is not None
    assert reading.longitude_e7 is not None
    assert distance_m(reading.latitude_e7 / 1e7, reading.longitude_e7 / 1e7, LATITUDE, LONGITUDE) < 2
    time = tracker.gnss_time(40_000_000)
    assert time is not None
    assert time.date().isoformat() == "2026-03-19"


def test_without_a_fence_it_is_still() -> None:
    assert judge(seconds(25), None)[0].verdict == "still"


@pytest.mark.parametrize(("away_m", "verdict"), [(0, "inside"), (115, "inside"), (135, "outside"), (5000, "outside")])
def test_the_fence_is_the_sites_radius_and_25_metres(away_m: float, verdict: str) -> None:
    reading, _ = judge(seconds(30, latitude=LATITUDE + away_m / METRES_PER_DEGREE))
    assert reading.verdict == verdict


def test_the_median_holds_against_a_third_of_wild_fixes() -> None:
    wild = [epoch(second, place="2233.58600,N,11403.47400,E") for second in range(9)]
    good = [epoch(second) for second in range(9, 30)]
    assert judge(wild + good)[0].verdict == "inside"


def test_the_median_is_right_on_the_date_line() -> None:
    places = ("1800.00000,S,17959.99900,E", "1800.00000,S,17959.99900,W")
    reading, _ = judge(epoch(second, place=places[second % 2]) for second in range(30))
    assert reading.longitude_e7 is not None
    assert abs(abs(reading.longitude_e7) - 1_800_000_000) < 1000


def test_nineteen_good_fixes_are_not_enough_and_twenty_are() -> None:
    assert judge(epochs(19))[0].verdict == "insufficient"
    assert judge(epochs(20))[0].verdict == "inside"


@pytest.mark.parametrize(
    ("what", "verdict"),
    [
        ({"status": "V"}, "no_fix"),
        ({"quality": 0}, "no_fix"),
        ({"quality": ""}, "no_fix"),
        ({"quality": 6}, "no_fix"),
        ({"quality": 7}, "no_fix"),
        ({"mode": "E"}, "no_fix"),
        ({"mode": "N"}, "no_fix"),
        ({"gga_late_s": 1}, "no_fix"),
        ({"place": ",,,"}, "no_fix"),
        ({"dimensions": 2}, "insufficient"),
        ({"hdop": "2.6"}, "insufficient"),
        ({"hdop": ""}, "insufficient"),
        ({"satellites": 5}, "insufficient"),
        ({"knots": "2.5"}, "moving"),
        ({"quality": 8}, "suspect"),
        ({"mode": "S"}, "suspect"),
        ({"quality": 2}, "inside"),
        ({"quality": 4}, "inside"),
        ({"quality": 5}, "inside"),
        ({"hdop": "2.5"}, "inside"),
        ({"satellites": 6}, "inside"),
        ({"knots": "1.9"}, "inside"),
        ({"nav_status": "V"}, "inside"),  # u-blox says V for "I do not judge safety", not for "void"
    ],
)
def test_a_fix_counts_only_as_the_policy_says(what: dict[str, object], verdict: str) -> None:
    if what == {"gga_late_s": 1}:  # every RMC without its GGA: pairs of different seconds only
        lines = [epoch(second, gga_late_s=1) for second in range(0, 50, 2)]
    else:
        lines = list(epochs(25, **what))
    assert judge(lines)[0].verdict == verdict


def test_no_gsa_means_no_proof_of_three_dimensions() -> None:
    lines = [b"".join(item.splitlines(keepends=True)[1:]) for item in epochs(30)]
    assert judge(lines)[0].verdict == "insufficient"


def test_a_fix_older_than_five_seconds_is_no_fix() -> None:
    assert judge(epochs(25), later_us=4_900_000)[0].verdict == "inside"
    reading, _ = judge(epochs(25), later_us=5_100_000)
    assert reading.verdict == "no_fix"
    assert reading.latitude_e7 is None
    assert reading.age_ms == 5100


def test_a_receiver_that_repeats_one_second_has_one_fix_that_grows_old() -> None:
    tracker = FixTracker(None)
    for second in range(30):
        for line in epoch(0).splitlines():
            tracker.feed(line, second * 1_000_000)
    reading = tracker.reading(30_000_000)
    assert (reading.verdict, reading.fixes) == ("no_fix", 1)


def test_ten_fixes_within_a_second_count_once() -> None:
    tracker = FixTracker(None)
    for second in range(3):
        for _ in range(10):
            for line in epoch(second).splitlines():
                tracker.feed(line, second * 1_000_000)
    assert tracker.reading(2_000_000).fixes == 3


def test_one_wrong_speed_does_not_make_a_terminal_move() -> None:
    lines = [epoch(second, knots="9.9" if second == 20 else "0.02") for second in range(25)]
    assert judge(lines)[0].verdict == "inside"


def test_where_it_was_before_it_moved_does_not_count() -> None:
    still = list(epochs(25))
    driving = [epoch(second, knots="20.0", place="2300.00000,N,11403.47400,E") for second in range(25, 35)]
    arrived = [epoch(second, place="2330.00000,N,11403.47400,E") for second in range(35, 48)]
    assert judge(still + driving)[0].verdict == "moving"
    reading, _ = judge(still + driving + arrived)
    assert reading.verdict == "insufficient"
    assert reading.fixes <= 13


@pytest.mark.parametrize("satellites", [4, 9])
def test_equally_strong_satellites_for_ten_seconds_are_suspect_before_anything_else(satellites: int) -> None:
    flat = seconds(30, satellites=satellites, spread_db=0)
    assert judge(flat[:9])[0].verdict != "suspect"
    reading, _ = judge(flat)
    assert reading.verdict == "suspect"
    assert "flat_snr" in reading.flags


def test_a_narrow_but_natural_spread_is_not_suspect() -> None:
    assert judge(seconds(40, spread_db=2.0))[0].verdict == "inside"


def test_the_strengths_of_satellites_that_are_seen_but_not_used_do_not_hide_a_simulator() -> None:
    def with_unused(item: bytes) -> bytes:
        return item + sentence("GLGSV,1,1,04,70,20,100,20,71,20,100,30,72,20,100,40,73,20,100,50")

    assert judge(map(with_unused, seconds(30, spread_db=0)))[0].verdict == "suspect"


def test_a_simulator_that_is_switched_off_is_forgotten_after_a_while() -> None:
    lines = list(epochs(5, mode="S")) + [epoch(second) for second in range(5, 40)]
    assert judge(lines[:10])[0].verdict == "suspect"
    assert judge(lines)[0].verdict == "inside"


def test_a_simulator_that_says_so_only_in_vtg_is_suspect() -> None:
    lines = [item + sentence("GPVTG,,T,,M,0.029,N,0.053,K,S") for item in epochs(25)]
    assert judge(lines)[0].verdict == "suspect"


def test_a_terminal_that_stands_elsewhere_than_at_its_start_is_flagged() -> None:
    here = list(epochs(25))
    there = [epoch(second, place="2232.62600,N,11403.47400,E") for second in range(25, 60)]  # 74 m north
    reading, _ = judge(here + there)
    assert reading.flags == ("moved",)
    assert reading.verdict == "inside"  # a flag is for a reviewer and refuses nobody


def test_where_a_terminal_stood_before_its_restart_is_home() -> None:
    home = Place(LATITUDE, LONGITUDE - 60 / METRES_PER_DEGREE, 47.0)  # 55 m west
    tracker, now_us = FixTracker(FENCE, home), 0
    for line, now_us in line_times(b"".join(epochs(25)).splitlines()):
        tracker.feed(line, now_us)
    assert tracker.reading(now_us).flags == ("moved",)
    assert tracker.home == home


def test_a_terminal_that_stands_a_hundred_metres_higher_is_flagged_and_not_refused() -> None:
    down = seconds(30)
    up = seconds(35, start=START + timedelta(seconds=30), altitude_m=158.0)
    reading, _ = judge(down + up)
    assert (reading.verdict, reading.flags) == ("inside", ("climbed",))
    low, _ = judge(down + seconds(35, start=START + timedelta(seconds=30), altitude_m=140.0))
    assert low.flags == ()


def test_what_a_simulator_said_counts_neither_as_home_nor_as_a_fix_after_it_stops() -> None:
    simulated = [epoch(second, mode="S", place="2332.58600,N,11403.47400,E") for second in range(30)]
    true = [epoch(second) for second in range(30, 58)]
    assert judge(simulated + true[:12])[0].verdict == "insufficient"
    reading, tracker = judge(simulated + true + [epoch(second) for second in range(58, 65)])
    assert (reading.verdict, reading.flags) == ("inside", ())
    assert tracker.home is not None
    assert distance_m(tracker.home.latitude, tracker.home.longitude, LATITUDE, LONGITUDE) < 2


def test_a_fix_counts_though_its_gsa_comes_after_it() -> None:
    late = [b"".join((*rest, gsa)) for gsa, *rest in (item.splitlines(keepends=True) for item in epochs(20))]
    assert judge(late)[1].counted == 20
    two_d = (item.splitlines(keepends=True) for item in epochs(20, dimensions=2))
    assert judge(b"".join((*rest, gsa)) for gsa, *rest in two_d)[1].counted == 0


def live(items: Iterable[bytes], arrive_s: Iterable[float] | None = None) -> tuple[FixTracker, int]:
    """Feed one second after the other as a receiver sends them, or at the given times."""
    tracker, now_us = FixTracker(FENCE), 0
    for at_s, item in zip(arrive_s or range(1_000_000), items, strict=False):
        now_us = round(at_s * 1e6)
        for line in item.splitlines():
            tracker.feed(line, now_us)
    return tracker, now_us


@pytest.mark.parametrize("jump_s", [-3600, -3, 3, 900, 86_400])
def test_a_jump_of_the_satellites_time_is_flagged_for_ten_minutes_and_refuses_nobody(jump_s: int) -> None:
    after = seconds(10, start=START + timedelta(seconds=25 + jump_s))
    tracker, now_us = live(seconds(25) + after)
    reading = tracker.reading(now_us)
    assert (reading.verdict, reading.flags) == ("inside", ("time_jumped",))
    time = tracker.gnss_time(now_us)
    assert time == START + timedelta(seconds=34 + jump_s)
    assert "time_jumped" in tracker.reading(now_us + 590_000_000).flags
    assert "time_jumped" not in tracker.reading(now_us + 610_000_000).flags


@pytest.mark.parametrize("leap_s", [-2, 1, 2])
def test_a_late_leap_second_is_no_jump(leap_s: int) -> None:
    tracker, now_us = live(seconds(25) + seconds(20, start=START + timedelta(seconds=25 + leap_s)))
    assert tracker.reading(now_us).flags == ()


def test_lines_that_waited_in_a_buffer_are_no_jump() -> None:
    """A busy machine reads eight seconds at once, then goes on in time."""
    arrive = [*range(20), *([28.0] * 9), *range(29, 40)]
    tracker, now_us = live(seconds(40), arrive)
    assert tracker.reading(now_us).flags == ()
    assert tracker.gnss_time(now_us) == START + timedelta(seconds=39)


def test_one_wrong_time_is_no_jump() -> None:
    items = seconds(40)
    items[20] = seconds(1, start=START - timedelta(days=7168))[0]  # a week number before the roll-over
    tracker, now_us = live(items)
    assert tracker.reading(now_us).flags == ()


def test_a_recording_whose_clock_is_set_back_is_flagged_and_judged_on() -> None:
    earlier = START - timedelta(hours=3)
    reading, _ = judge(seconds(25) + seconds(30, start=earlier, spread_db=0))
    assert reading.verdict == "suspect"
    assert set(reading.flags) == {"time_jumped", "flat_snr"}


def test_a_torn_antenna_is_flagged_after_ten_seconds_and_forgotten_when_it_is_back() -> None:
    torn = list(islice(without_antenna(START + timedelta(seconds=25)), 20))
    assert judge(seconds(25) + torn[:9])[0].flags == ()
    reading, _ = judge(seconds(25) + torn)
    assert (reading.verdict, reading.flags) == ("no_fix", ("antenna_lost",))
    assert judge(seconds(25) + torn + seconds(10, start=START + timedelta(seconds=45)))[0].flags == ()


def test_a_receiver_that_never_heard_a_satellite_has_no_fix_and_has_lost_nothing() -> None:
    reading, _ = judge(islice(without_antenna(START), 90))
    assert (reading.verdict, reading.flags) == ("no_fix", ())


@pytest.mark.parametrize("text", ["ANTSTATUS=OPEN", "ANTSTATUS=SHORT", "ANTENNA OPEN"])
def test_a_receiver_that_calls_its_antenna_open_is_believed_only_without_a_fix(text: str) -> None:
    said = sentence(f"GNTXT,01,01,02,{text}")
    void = list(epochs(20, status="V"))
    assert judge([*void, said])[0].flags == ("antenna_lost",)
    assert judge([*void, said, sentence("GNTXT,01,01,02,ANTSTATUS=OK")])[0].flags == ()
    assert judge([*void, sentence("GNTXT,01,01,02,ANTSTATUS=INIT")])[0].flags == ()
    assert judge([*epochs(25), said])[0].flags == ()  # a passive antenna


def test_another_receiver_on_the_plug_starts_from_nothing_and_home_stays() -> None:
    tracker, now_us = live(seconds(25))
    home = tracker.home
    tracker.interrupted()
    assert tracker.reading(now_us).verdict == "no_fix"
    for line in epoch(26).splitlines():
        tracker.feed(line, now_us + 1_000_000)
    reading = tracker.reading(now_us + 1_000_000)
    assert (reading.verdict, reading.fixes) == ("insufficient", 1)
    assert tracker.home == home
    assert home is not None


def test_constellations_with_the_same_numbers_are_not_mixed_up() -> None:
    """Galileo's 3 to 6 are strong and equal, GPS's 3 to 6 are not: the GSA names its system in its last field."""

    def second(number: int) -> bytes:
        gsa = "".join(
            sentence(f"GNGSA,A,3,03,04,05,06,,,,,,,,,1.7,0.9,1.4,{system}").decode() for system in (1, 3)
        ).encode()
        views = sentence("GPGSV,1,1,04,03,20,100,20,04,20,100,27,05,20,100,35,06,20,100,44,1")
        views += sentence("GAGSV,1,1,04,03,20,100,40,04,20,100,40,05,20,100,40,06,20,100,40,7")
        return epoch(number) + gsa + views

    tracker = FixTracker(None)
    now_us = 0
    for line, now_us in line_times(LineSplitter().feed(b"".join(map(second, range(3))))):
        tracker.feed(line, now_us)
    spread = tracker._signs.spread_db(now_us)
    assert spread is not None
    assert 6 < spread < 9  # of eight satellites, four of them Galileo's


@pytest.mark.parametrize(
    ("line", "reason"),
    [
        (b"", "empty"),
        (b"\xff\xfe\x00$GPRMC", "not_ascii"),
        (b"# Name: a log's own comment", "not_nmea"),
        (b"GPRMC,120000.00,A", "not_nmea"),
        (b"$", "not_nmea"),
        (sentence("GPGGA,120000.00,2232.58600,N,11403.47400,E,1,09,0.9,47.2,M,8.1,M,,")[:40], "no_checksum"),
        (b"$GPGGA,120000.00,2232.58600,N,11403.47400,E,1,09,0.9,47.2,M,8.1,M,,*00", "bad_checksum"),
        (sentence("GPXYZ,1,2,3"), "unknown_type"),
        (b"$GPGGA," + b"1" * LONGEST_LINE, "too_long"),
        (sentence("GPGGA,120000.00,2232.58600,N,11403.47400,E,one,09,0.9,47.2,M,8.1,M,,"), "bad_field"),
        (sentence("GPGGA,120000.00,2232.58600,N,11403.47400,E,1,nine,0.9,47.2,M,8.1,M,,"), "bad_field"),
        (sentence("GPGGA,120000.00,2232.58600,N,11403.47400,E,1,09,nan,47.2,M,8.1,M,,"), "bad_field"),
        (sentence("GPGGA,120000.00,2232.58600,X,11403.47400,E,1,09,0.9,47.2,M,8.1,M,,"), "bad_field"),
        (sentence("GPGGA,120000.00,9932.58600,N,11403.47400,E,1,09,0.9,47.2,M,8.1,M,,"), "bad_field"),
        (sentence("GPGGA,120000.00,north,N,11403.47400,E,1,09,0.9,47.2,M,8.1,M,,"), "bad_field"),
        (sentence("GPRMC,990000.00,A,2232.58600,N,11403.47400,E,0.1,,180326,,,A"), "bad_field"),
        (sentence("GPRMC,120000.00,A,2232.58600,N,11403.47400,E,inf,,180326,,,A"), "bad_field"),
        (sentence("GPGSA,A,three,03"), "bad_field"),
        (sentence("GPGSV,1,1,04,xx,20,100,20"), "bad_field"),
    ],
)
def test_a_bad_line_is_rejected_with_its_reason_and_changes_nothing(line: bytes, reason: str) -> None:
    tracker = FixTracker(FENCE)
    for good in b"".join(epochs(25)).splitlines():
        tracker.feed(good, 0)
    before = tracker.reading(0)
    tracker.feed(line, 0)
    after = tracker.reading(0)
    assert after.rejected == {reason: 1}
    assert after.verdict == before.verdict
    assert after.latitude_e7 == before.latitude_e7


@pytest.mark.parametrize("body", ["GPRMC,,V,,,,,,,,,,N", "GPGGA,,,,,,0,00,99.99,,,,,,", "GPGSA,A,1,,,,,,,,,,,,,,,"])
def test_the_sentences_of_a_receiver_without_a_sky_are_good_sentences(body: str) -> None:
    tracker = FixTracker(None)
    tracker.feed(sentence(body), 0)
    assert tracker.accepted == 1
    assert tracker.reading(0).verdict == "no_fix"


@given(st.binary(max_size=400))
def test_random_bytes_never_raise_and_every_line_is_counted(noise: bytes) -> None:
    tracker = FixTracker(FENCE)
    lines = LineSplitter().feed(noise + b"\n")
    for line in lines:
        tracker.feed(line, 0)
    assert tracker.lines == len(lines)
    assert tracker.lines == tracker.accepted + sum(tracker.reading(0).rejected.values())


_FIELD = st.text(alphabet="0123456789.,NSEWAVMnaif-+e ", max_size=12)


@given(st.sampled_from(["RMC", "GGA", "GSA", "GSV", "VTG", "GLL", "ZDA", "TXT"]), st.lists(_FIELD, max_size=20))
def test_random_fields_under_a_right_checksum_never_raise(kind: str, fields: list[str]) -> None:
    tracker = FixTracker(None)
    tracker.feed(sentence(f"GN{kind}," + ",".join(fields)), 0)
    tracker.feed(sentence("PUBX," + ",".join(fields)), 0)
    reading = tracker.reading(0)
    assert tracker.lines == 2 == tracker.accepted + sum(reading.rejected.values())


_CLOCK = st.builds("{:02d}{:02d}{:02d}.{:02d}".format, *(st.integers(0, 61) for _ in range(4)))
_DAY = st.builds("{:02d}{:02d}{:02d}".format, st.integers(0, 32), st.integers(0, 13), st.integers(0, 99))
_PLACE = st.sampled_from(["2232.58600,N,11403.47400,E", "8959.99999,S,17959.99999,W", ",,,", "0000.0,N,00000.0,W"])
_PLAUSIBLE = st.one_of(
    st.builds("GNRMC,{},{},{},{},,{},,,{}".format, _CLOCK, st.sampled_from("AV"), _PLACE, _FIELD, _DAY, _FIELD),
    st.builds("GNGGA,{},{},{},{},{},{},M,8.1,M,,".format, _CLOCK, _PLACE, st.integers(0, 9), _FIELD, _FIELD, _FIELD),
    st.builds("GNGSA,A,{},03,{},05,06,,,,,,,,,1.7,0.9,1.4,{}".format, st.integers(0, 4), _FIELD, _FIELD),
    st.builds("GPGSV,1,1,04,03,20,100,{},05,20,100,{},06,20,100,{}".format, *(st.integers(0, 99) for _ in range(3))),
    st.builds("GNTXT,01,01,02,{}".format, st.sampled_from(["ANTSTATUS=OPEN", "ANTENNA OK", "", "ANTSTATUS="])),
)


@given(st.lists(st.tuples(_PLAUSIBLE, st.integers(-2_000_000, 700_000_000)), max_size=60))
def test_no_story_of_plausible_sentences_raises_whatever_the_time(story: list[tuple[str, int]]) -> None:
    tracker, now_us = FixTracker(FENCE), 0
    for body, later_us in story:
        now_us += later_us
        tracker.feed(sentence(body), now_us)
        assert tracker.reading(now_us).verdict in {"suspect", "no_fix", "moving", "insufficient", "inside", "outside"}
        tracker.gnss_time(now_us)
    assert tracker.lines == len(story) == tracker.accepted + sum(tracker.reading(now_us).rejected.values())


@given(st.lists(st.integers(1, 90), max_size=40), st.integers(0, 3))
def test_however_the_bytes_are_cut_the_lines_are_the_same(cuts: list[int], noise: int) -> None:
    stream = b"\xff" * noise + b"".join(epochs(3)) + b"x" * 500 + b"\n" + epoch(4)
    whole = LineSplitter().feed(stream)
    splitter, pieces, rest = LineSplitter(), [], stream
    for cut in cuts:
        pieces += splitter.feed(rest[:cut])
        rest = rest[cut:]
    pieces += splitter.feed(rest)
    assert pieces == whole
    assert max(map(len, whole)) == LONGEST_LINE + 1


def test_a_line_without_an_end_does_not_grow_for_ever() -> None:
    splitter = LineSplitter()
    lines = [line for _ in range(1000) for line in splitter.feed(b"$" * 100)]
    assert len(lines) == 1
    assert len(splitter._rest) == 0
    assert splitter.feed(b"\n" + epoch(0))  # and the next line is read again


def test_a_recording_is_judged_by_the_time_inside_it() -> None:
    times = [mono_us for _, mono_us in line_times(b"".join(epochs(30)).splitlines(), start_us=5)]
    assert times[0] == 5
    assert times[-1] == 29_000_005  # over midnight
    assert times == sorted(times)


def test_ever_new_satellites_are_not_all_remembered_and_the_real_ones_still_count() -> None:
    signs = SpoofSigns()
    for second in range(600):
        at_us = second * 1_000_000
        made_up = tuple(InView(second * 40 + number, 30 + number % 20) for number in range(40))
        signs.satellites_in_view(Gsv("GP", made_up), at_us)
        assert len(signs._strengths) <= MOST_SATELLITES
    signs.satellites_in_view(Gsv("GL", tuple(InView(n, 20 + n) for n in range(1, 9))), 620_000_000)
    signs.satellites_used(Gsa("GL", 3, tuple(range(1, 9))), 620)
    spread = signs.spread_db(620_500_000)
    assert spread is not None and 2.2 < spread < 2.4
