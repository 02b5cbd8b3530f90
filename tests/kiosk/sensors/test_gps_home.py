"""Where a terminal was put up is remembered over restarts, and belongs to one fence."""

from __future__ import annotations

from pathlib import Path

import pytest

from kiosk.sensors.gps import Fence, Place
from kiosk.sensors.gps_home import read_home, write_home

FENCE = Fence(225431000, 1140579000, 100)
HOME = Place(22.5431001, -114.0579002, 47.2)


@pytest.mark.parametrize("fence", [FENCE, None])
def test_home_is_read_as_it_was_kept(tmp_path: Path, fence: Fence | None) -> None:
    write_home(tmp_path / "home.json", fence, Place(0.0, 0.0, 0.0))
    write_home(tmp_path / "home.json", fence, HOME)
    assert read_home(tmp_path / "home.json", fence) == HOME
    assert [one.name for one in tmp_path.iterdir()] == ["home.json"]


def test_without_an_altitude_there_is_none(tmp_path: Path) -> None:
    write_home(tmp_path / "home.json", FENCE, Place(22.5, 114.0, None))
    assert read_home(tmp_path / "home.json", FENCE) == Place(22.5, 114.0, None)


def test_a_new_fence_forgets_the_old_home(tmp_path: Path) -> None:
    write_home(tmp_path / "home.json", FENCE, HOME)
    assert read_home(tmp_path / "home.json", Fence(225431000, 1140579000, 80)) is None
    assert read_home(tmp_path / "home.json", None) is None


@pytest.mark.parametrize(
    "content",
    [
        b"",
        b"\xff\xfe",
        b"[]",
        b"{}",
        b"null",
        b'{"fence":null,"latitude_e7":"x","longitude_e7":1,"altitude_dm":1}',
        b'{"fence":null,"latitude_e7":9000000000,"longitude_e7":1,"altitude_dm":1}',
        b'{"fence":null,"latitude_e7":1,"longitude_e7":1}',
        b'{"fence":null,"latitude_e7":NaN,"longitude_e7":1,"altitude_dm":1}',
        b"[" * 100_000,
    ],
)
def test_a_file_that_cannot_be_read_is_as_good_as_none(tmp_path: Path, content: bytes) -> None:
    (tmp_path / "home.json").write_bytes(content)
    assert read_home(tmp_path / "home.json", None) is None


def test_no_file_is_no_home(tmp_path: Path) -> None:
    assert read_home(tmp_path / "home.json", None) is None
