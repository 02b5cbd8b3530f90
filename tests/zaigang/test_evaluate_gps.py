"""`zaigang evaluate gps`: the terminal's own words on a log, every line accounted for, whatever is in it."""

from __future__ import annotations

import json
import tempfile
from collections.abc import Iterable
from datetime import UTC, datetime, timedelta
from itertools import islice
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from typer.testing import CliRunner

from kiosk.sensors.gps import distance_m
from zaigang.cli import SUBCOMMANDS, load
from zaigang.commands.evaluate_gps import Judged, judge_log
from zaigang.synthetic_gps import METRES_PER_DEGREE, sentence, standing_still

LATITUDE, LONGITUDE = 22.5431, 114.0579
START = datetime(2026, 3, 18, 23, 59, 40, tzinfo=UTC)
HEADER = b"# Name: a synthetic receiver\n# Date: 2026-03-18\n"


def seconds(count: int, **options: Any) -> bytes:
    where = {"latitude": LATITUDE, "longitude": LONGITUDE, "start": START, **options}
    return b"".join(islice(standing_still(**where), count))


def without_sentence(kind: str, log: bytes) -> bytes:
    return b"".join(line for line in log.splitlines(keepends=True) if kind.encode() not in line)


def run(folder: Path, logs: dict[str, bytes], *options: str) -> list[dict[str, Any]]:
    """Judge `logs` by the command itself; return its JSON."""
    paths = []
    for name, content in logs.items():
        (folder / name).write_bytes(content)
        paths.append(str(folder / name))
    evaluate = next(one for one in SUBCOMMANDS if one.name == "evaluate")
    json_file = folder / "out.json"
    done = CliRunner().invoke(
        load(evaluate), ["gps", *paths, *options, "--json", str(json_file)], env={"COLUMNS": "160"}
    )
    assert done.exit_code == 0, done.output
    for name in logs:
        assert name in done.output
    found: list[dict[str, Any]] = json.loads(json_file.read_text())
    return found


LOGS = {
    "still": HEADER + seconds(60),
    "insufficient": HEADER + seconds(3),
    "moving": HEADER + seconds(60, knots=9.0),
    "no_fix": HEADER + b"".join(sentence(f"GPRMC,1200{second:02d}.00,V,,,,,,,180326,,,N") for second in range(30)),
    "suspect": HEADER + seconds(40, satellites=4, spread_db=0),
}


def test_every_log_is_one_object_with_its_name_and_its_verdict(tmp_path: Path) -> None:
    judged = run(tmp_path, {f"{verdict}.log": log for verdict, log in LOGS.items()})
    assert [(one["log"], one["verdict"]) for one in judged] == [(f"{verdict}.log", verdict) for verdict in LOGS]
    still, insufficient, _moving, no_fix, suspect = judged
    assert (still["fixes_accepted"], insufficient["fixes_accepted"]) == (60, 3)
    assert distance_m(still["latitude"], still["longitude"], LATITUDE, LONGITUDE) < 2
    assert (no_fix["fixes_accepted"], no_fix["latitude"], no_fix["longitude"]) == (0, None, None)
    assert suspect["flags"] == ["flat_snr"]
    assert all(one["rejected"] == {} and one["ignored"] == 2 for one in judged)


@pytest.mark.parametrize(("away_m", "verdict"), [(0, "inside"), (95, "inside"), (115, "outside")])
def test_a_fence_makes_it_inside_or_outside(tmp_path: Path, away_m: float, verdict: str) -> None:
    fence = f"{LATITUDE + away_m / METRES_PER_DEGREE},{LONGITUDE},80"  # and 25 m margin
    assert run(tmp_path, {"a.log": LOGS["still"]}, "--fence", fence)[0]["verdict"] == verdict


def test_a_fence_south_and_west_is_taken(tmp_path: Path) -> None:
    log = seconds(40, latitude=-33.8, longitude=-70.6)
    assert run(tmp_path, {"a.log": log}, "--fence", "-33.8,-70.6,80")[0]["verdict"] == "inside"


@pytest.mark.parametrize(
    "fence", ["", "1,2", "1,2,3,4", "91,0,80", "0,181,80", "0,0,0", "0,0,inf", "nan,0,80", "a,b,c"]
)
def test_a_fence_that_is_none_is_wrong_usage(tmp_path: Path, fence: str) -> None:
    (tmp_path / "a.log").write_bytes(LOGS["still"])
    evaluate = next(one for one in SUBCOMMANDS if one.name == "evaluate")
    assert CliRunner().invoke(load(evaluate), ["gps", str(tmp_path / "a.log"), f"--fence={fence}"]).exit_code == 2


def test_suspect_wins_over_all_that_comes_before_and_after_it(tmp_path: Path) -> None:
    simulated = seconds(30, start=START + timedelta(seconds=40), spread_db=0)
    true = seconds(60, start=START + timedelta(seconds=70))
    judged = run(
        tmp_path, {"a.log": LOGS["still"][: len(seconds(40))] + simulated + true}, "--fence", "22.5431,114.0579,80"
    )
    assert judged[0]["verdict"] == "suspect"


def test_a_moving_log_that_loses_its_fix_has_no_fix(tmp_path: Path) -> None:
    lost = b"".join(sentence(f"GPGGA,0002{second:02d}.00,,,,,0,00,99.99,,,,,,") for second in range(10))
    assert run(tmp_path, {"a.log": LOGS["moving"] + lost})[0]["verdict"] == "no_fix"


def test_moving_comes_before_insufficient(tmp_path: Path) -> None:
    assert run(tmp_path, {"a.log": without_sentence("GSA", LOGS["moving"])})[0]["verdict"] == "moving"


def test_a_terminal_that_is_carried_away_is_flagged(tmp_path: Path) -> None:
    away = seconds(
        40, start=START + timedelta(seconds=60), latitude=LATITUDE + 80 / METRES_PER_DEGREE, altitude_m=200.0
    )
    judged = run(tmp_path, {"a.log": LOGS["still"] + away})[0]
    assert judged["flags"] == ["climbed", "moved"]
    assert judged["verdict"] == "still"


def test_every_rejected_line_is_counted_by_its_reason(tmp_path: Path) -> None:
    log = (
        HEADER
        + b"\x80\x81\xff\n"
        + b"\n"
        + b"$GPGGA,120000.00,2232.58600,N\n"
        + b"$GPGGA,120000.00,2232.58600,N,11403.47400,E,1,09,0.9,47.2,M,8.1,M,,*00\r\n"
        + sentence("GPXYZ,1,2")
        + sentence("GPGGA,120000.00,2232.58600,N,11403.47400,E,one,09,0.9,47.2,M,8.1,M,,")
        + b"x" * 500
        + b"\nno dollar\n"
        + b"# a header in the middle\n"
        + seconds(1)
        + b"$GPRMC,1200"
    )
    (judged,) = run(tmp_path, {"a.log": log})
    assert judged["rejected"] == {
        "bad_checksum": 1,
        "bad_field": 1,
        "empty": 1,
        "no_checksum": 2,  # one of them the cut last line
        "not_ascii": 1,
        "not_nmea": 1,
        "too_long": 1,
        "unknown_type": 1,
    }
    assert judged["ignored"] == 3
    assert judged["lines"] == judged["accepted_lines"] + judged["ignored"] + sum(judged["rejected"].values())
    assert judged["lines"] == len(log.splitlines())


def test_an_empty_log_has_no_lines_and_no_fix(tmp_path: Path) -> None:
    (judged,) = run(tmp_path, {"a.log": b""})
    assert (judged["verdict"], judged["lines"], judged["rejected"]) == ("no_fix", 0, {})


def test_a_log_that_is_not_there_is_wrong_usage(tmp_path: Path) -> None:
    evaluate = next(one for one in SUBCOMMANDS if one.name == "evaluate")
    assert CliRunner().invoke(load(evaluate), ["gps", str(tmp_path / "nothing.log")]).exit_code == 2


def judged_bytes(content: bytes) -> Judged:
    with tempfile.NamedTemporaryFile(suffix=".log") as file:
        file.write(content)
        file.flush()
        return judge_log(Path(file.name), None)


def account_for(content: bytes) -> None:
    one = judged_bytes(content)
    assert one.lines == one.accepted_lines + one.ignored + sum(one.rejected.values())
    assert one.lines == content.count(b"\n") + (content != b"" and not content.endswith(b"\n"))


@given(st.binary(max_size=600))
def test_arbitrary_bytes_never_raise_and_every_line_is_accounted_for(noise: bytes) -> None:
    account_for(noise)


_LINES = tuple((HEADER + seconds(3)).splitlines(keepends=True))


@given(st.lists(st.one_of(st.sampled_from(_LINES), st.binary(max_size=150)), max_size=30))
def test_sentences_among_arbitrary_bytes_never_raise_and_every_line_is_accounted_for(parts: Iterable[bytes]) -> None:
    account_for(b"".join(parts))


@given(st.data())
def test_a_log_with_bytes_changed_anywhere_never_raises(data: st.DataObject) -> None:
    log = bytearray(HEADER + seconds(4))
    for at in data.draw(st.lists(st.integers(0, len(log) - 1), max_size=20)):
        log[at] = data.draw(st.integers(0, 255))
    account_for(bytes(log))
