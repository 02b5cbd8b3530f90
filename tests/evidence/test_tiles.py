"""Paths of tiles: one for each tile, as C2SP tlog-tiles writes them."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from evidence.tiles import TileName, hashes_at


@pytest.mark.parametrize(
    ("name", "path"),
    [
        (TileName(0, 0), "tile/0/000"),
        (TileName(1, 5), "tile/1/005"),
        (TileName(0, 999), "tile/0/999"),
        (TileName(0, 1000), "tile/0/x001/000"),
        (TileName(0, 1234067), "tile/0/x001/x234/067"),  # the example of the standard
        (TileName(2, 0, 1), "tile/2/000.p/1"),
        (TileName(63, 7, 255), "tile/63/007.p/255"),
        (TileName(None, 1234067, 40), "tile/entries/x001/x234/067.p/40"),
    ],
)
def test_a_tile_has_its_path(name: TileName, path: str) -> None:
    assert name.path() == path
    _, level, rest = path.split("/", 2)
    assert TileName.parse(level, rest) == name


@pytest.mark.parametrize(
    "path",
    [
        "0/0",
        "0/0000",
        "0/x000/001",
        "0/001/000",
        "0/x001",
        "0/x001/000.p/",
        "0/000.p/0",
        "0/000.p/01",
        "0/000.p/256",
        "0/000.p/999",
        "00/000",
        "64/000",
        "-1/000",
        "²/000",
        "x/000",
        "entry/000",
        "0/",
        "0/000/",
        "0/000.p/1/",
        "0/../000",
    ],
)
def test_what_names_no_tile_is_refused(path: str) -> None:
    level, rest = path.split("/", 1)
    assert TileName.parse(level, rest) is None


@given(st.none() | st.integers(0, 63), st.integers(0, 2**55), st.integers(1, 256))
def test_every_tile_is_found_by_its_path(level: int | None, number: int, width: int) -> None:
    name = TileName(level, number, width)
    _, shown, rest = name.path().split("/", 2)
    assert TileName.parse(shown, rest) == name


def test_the_example_of_the_standard() -> None:
    # c2sp.org/tlog-tiles: a tree of 70,000 has 273 full tiles of level 0 and one of width 112, one full tile of level 1
    # and one of width 17, and one of level 2 of width 1.
    assert [divmod(hashes_at(70_000, level), 256) for level in (0, 1, 2)] == [(273, 112), (1, 17), (0, 1)]
