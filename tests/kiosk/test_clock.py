"""Where time comes from, told honestly; steps seen by comparing two clocks."""

from __future__ import annotations

import re
import stat
import subprocess
import time
from dataclasses import replace
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from evidence.events import ClockReading, Event
from kiosk import clock as clock_module
from kiosk.clock import Stamp, SystemClock, format_time, parse_time, parse_tracking, step_ms

# `chronyc -c tracking` (chrony 4.3): refid, name, stratum, reference time, system offset, last offset, RMS offset,
# frequency, residual frequency, skew, root delay, root dispersion, update interval, leap status
NTP = (
    "D3443A01,ntp.example.org,2,1767254400.123456789,-0.000012,0.00001,0.00002,-13.5,0.0,0.02,0.0312,0.0021,64.2,Normal"
)
GPS = "47505300,GPS,1,1767254400.5,0.000001,0.0,0.0,1.0,0.0,0.1,0.000000001,0.0001,16.0,Normal"
# Recorded from chrony 4.3 itself: following a server on the same machine, before it has one, and on its own word.
REAL_NTP = (
    "7F000001,127.0.0.1,4,1795535186.250117141,-0.000001762,0.000000012,0.000000513,0.024,0.000,0.103,0.000005599,"
    "0.000004925,2.0,Normal"
)
REAL_UNSYNCED = (
    "00000000,,0,0.000000000,0.000000000,0.000000000,0.000000000,0.000,0.000,0.000,1.000000000,1.000000000,0.0,"
    "Not synchronised"
)
REAL_LOCAL = (
    "7F7F0101,,10,1795535158.388239625,0.000000000,0.000000000,0.000000000,0.000,0.000,0.000,0.000000000,0.000000000,"
    "0.0,Normal"
)
UNSYNCED = "00000000,,0,0.000000000,0.000000000,0.0,0.0,0.0,0.0,0.0,1.000000000,1.000000000,0.0,Not synchronised"
LOCAL = "7F7F0101,,10,1767254400.0,0.0,0.0,0.0,0.0,0.0,0.0,0.0,0.0,0.0,Normal"


@pytest.fixture(autouse=True)
def rtc(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Where the machine's RTC would be; there is none unless a test writes it."""
    path = tmp_path / "since_epoch"
    monkeypatch.setattr(clock_module, "RTC", path)
    return path


STAMP = Stamp("2026-05-04T08:00:00.000Z", ClockReading(source="none", synced=False), "0" * 32, 1_000_000)


def test_a_stamp_is_fit_for_an_event() -> None:
    stamp = SystemClock().stamp()
    Event.model_validate(
        {
            "id": "01890000-0000-7000-8000-000000000000",
            "device": "gate-1",
            "chain": "0" * 32,
            "seq": 0,
            "prev": None,
            "kind": "device.enrolled",
            "time": stamp.time,
            "tz": "Asia/Shanghai",
            "clock": stamp.clock,
            "boot": stamp.boot,
            "mono_us": stamp.mono_us,
            "site": "riverside",
            "nonce": "0" * 32,
            "body": {},
        }
    )


def test_two_stamps_share_the_boot_and_never_run_backwards() -> None:
    clock = SystemClock()
    stamps = [clock.stamp() for _ in range(1000)]
    assert len({one.boot for one in stamps}) == 1
    assert stamps == sorted(stamps, key=lambda one: one.mono_us)
    assert stamps[0].boot == Path("/proc/sys/kernel/random/boot_id").read_text().strip().replace("-", "")


def test_chrony_on_a_time_server_is_ntp_with_its_error_bound() -> None:
    reading = parse_tracking(NTP)
    assert (reading.source, reading.synced) == ("ntp", True)
    assert reading.error_ms == 18  # 0.012 ms + 15.6 ms + 2.1 ms, rounded up
    assert reading.synced_at == "2026-01-01T08:00:00.123Z"


def test_chrony_on_a_satellite_clock_is_gps() -> None:
    assert (parse_tracking(GPS).source, parse_tracking(GPS).error_ms) == ("gps", 1)


@pytest.mark.parametrize(
    "line",
    [
        UNSYNCED,
        LOCAL,
        REAL_UNSYNCED,
        REAL_LOCAL,
        "",
        "506 Cannot talk to daemon",
        NTP.replace("0.0312", "nan"),
        NTP.replace("1767254400", "1e300"),
    ],
)
def test_what_is_not_synchronised_or_not_readable_says_so(line: str) -> None:
    assert parse_tracking(line) == ClockReading(source="none", synced=False)


# As the root dispersion grows while no source answers: 0.012 ms + 15.6 ms beside it.
@pytest.mark.parametrize(
    ("dispersion", "error_ms", "synced"), [("0.984", 1000, True), ("0.985", 1001, False), ("70.1", 70116, False)]
)
def test_chrony_that_lost_its_sources_is_not_believed_for_ever_and_still_says_its_error(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, rtc: Path, dispersion: str, error_ms: int, synced: bool
) -> None:
    rtc.write_text(f"{int(time.time())}\n")
    fake_chronyc(tmp_path, f"echo '{NTP.replace('0.0021', dispersion)}'", monkeypatch)
    clock = SystemClock().stamp().clock
    assert (clock.source, clock.synced, clock.error_ms) == ("ntp", synced, error_ms)
    assert clock.synced_at == "2026-01-01T08:00:00.123Z"


@given(st.text(max_size=200))
def test_no_line_makes_the_parser_raise(line: str) -> None:
    assert parse_tracking(line).source in ("none", "ntp", "gps")


@given(st.lists(st.sampled_from([*NTP.split(","), "-1", "inf", "", "Not synchronised"]), min_size=14, max_size=14))
def test_no_mixture_of_cells_makes_the_parser_raise(cells: list[str]) -> None:
    assert parse_tracking(",".join(cells)).source in ("none", "ntp", "gps")


def test_chronyc_is_asked_where_it_stands_and_its_answer_is_kept_a_while(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    asked = tmp_path / "asked"
    fake_chronyc(tmp_path, f"echo . >> {asked}; echo '{NTP}'", monkeypatch)
    clock = SystemClock()
    assert {clock.stamp().clock.source for _ in range(20)} == {"ntp"}
    assert asked.read_text().count(".") == 1


@pytest.mark.parametrize("answer", ["sleep 20", "exit 1", "head -c 100000 /dev/urandom", "kill -9 $$"])
def test_a_chronyc_that_fails_or_hangs_delays_no_stamp_and_raises_nothing(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, answer: str
) -> None:
    fake_chronyc(tmp_path, answer, monkeypatch)
    assert SystemClock().stamp().clock.source in ("none", "ntp")


def fake_chronyc(folder: Path, script: str, monkeypatch: pytest.MonkeyPatch) -> None:
    program = folder / "chronyc"
    program.write_text(f"#!/bin/sh\n{script}\n")
    program.chmod(stat.S_IRWXU)
    monkeypatch.setenv("PATH", str(folder), prepend=":")


def test_without_chrony_the_kernels_own_word_is_taken() -> None:
    reading = clock_module._kernel_reading()
    state = subprocess.run(
        ["python3", "-c", "import ctypes; b = ctypes.create_string_buffer(512); print(ctypes.CDLL(None).adjtimex(b))"],
        capture_output=True,
        text=True,
        check=True,
    ).stdout.strip()
    assert (reading.source == "ntp") == (state not in ("5", "-1"))
    assert (reading.error_ms is not None) == (reading.source == "ntp")
    assert reading.synced == (reading.error_ms is not None and reading.error_ms <= clock_module.LARGEST_KERNEL_ERROR_MS)


def test_a_machine_without_a_boot_id_counts_each_start_as_a_boot(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(clock_module, "BOOT_ID", Path("/nonexistent"))
    one, two = SystemClock().stamp().boot, SystemClock().stamp().boot
    assert re.fullmatch("[0-9a-f]{32}", one)
    assert one != two


@pytest.mark.parametrize(
    ("seconds", "mono_s", "step"),
    [(60, 60, None), (60.4, 60, None), (61, 60, 1000), (0, 60, -60_000), (3660, 60, 3_600_000), (59.4, 60, -600)],
)
def test_a_step_is_what_the_wall_clock_ran_beyond_the_monotonic(seconds: float, mono_s: int, step: int | None) -> None:
    after = replace(
        STAMP,
        time=format_time(parse_time(STAMP.time) + round(seconds * 1e9)),
        mono_us=STAMP.mono_us + mono_s * 1_000_000,
    )
    assert step_ms(STAMP, after) == step


def test_chrony_as_it_really_answers_is_read() -> None:
    reading = parse_tracking(REAL_NTP)
    assert (reading.source, reading.synced, reading.error_ms) == ("ntp", True, 1)


@pytest.mark.parametrize("chronyc", [f"echo '{REAL_UNSYNCED}'", f"echo '{REAL_LOCAL}'"])
@pytest.mark.parametrize(
    ("rtc_says", "source"),
    [(0, "rtc"), (1, "rtc"), (-3600, "none"), (60, "none"), (None, "none"), ("broken", "none")],
)
def test_an_rtc_that_tells_the_same_time_is_named_and_vouches_for_nothing(
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    rtc: Path,
    chronyc: str,
    rtc_says: int | str | None,
    source: str,
) -> None:
    fake_chronyc(tmp_path, chronyc, monkeypatch)
    if rtc_says is not None:
        rtc.write_text(rtc_says if isinstance(rtc_says, str) else f"{int(time.time()) + rtc_says}\n")
    assert SystemClock().stamp().clock == ClockReading(source=source, synced=False)


def test_an_rtc_says_nothing_beside_a_clock_that_is_set(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, rtc: Path
) -> None:
    fake_chronyc(tmp_path, f"echo '{GPS}'", monkeypatch)
    rtc.write_text("0\n")
    clock = SystemClock().stamp().clock
    assert (clock.source, clock.synced) == ("gps", True)


def test_over_a_restart_of_the_machine_a_clock_that_fell_is_seen() -> None:
    fallen = replace(STAMP, time="2026-05-04T07:00:00.000Z", boot="1" * 32, mono_us=3_000_000)
    assert step_ms(STAMP, fallen) == -3_600_000
    assert step_ms(STAMP, replace(fallen, time="2026-05-04T07:59:59.600Z")) is None


def test_across_a_restart_no_step_is_claimed() -> None:
    assert step_ms(STAMP, replace(STAMP, time="2030-01-01T00:00:00.000Z", boot="1" * 32)) is None


@given(st.integers(min_value=0, max_value=4_102_444_800_000))
def test_times_keep_their_milliseconds(milliseconds: int) -> None:
    assert parse_time(format_time(milliseconds * 1_000_000)) == milliseconds * 1_000_000
