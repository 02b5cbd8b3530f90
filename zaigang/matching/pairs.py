"""Which pictures are compared with which, and which of them show one person: a CSV of pairs, or a gallery of folders.

Only names are read here. A list that cannot be trusted is refused with the line that is wrong; a picture that turns out
to be unreadable later is a non-response and no error.
"""

from __future__ import annotations

import csv
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, BinaryIO

import numpy as np

if TYPE_CHECKING:
    from numpy.typing import NDArray

COLUMNS = ("image_a", "image_b", "mated")
MATED = {"1": True, "true": True, "0": False, "false": False}
MOST_PAIRS = 1_000_000  # of a CSV: a hundred times what a claim of 3e-4 needs; more is a wrong file
MOST_LINE_BYTES = 100_000  # two paths of the longest kind are 8 KB
MOST_PICTURES = 5_000  # of a gallery: 12 million pairs, 100 MB of distances
SUFFIXES = frozenset((".bmp", ".jpeg", ".jpg", ".png", ".tif", ".tiff", ".webp"))


class MatchingError(Exception):
    """Base of what ends a measurement; its message says what to do."""


class PairsError(MatchingError):
    """The list of pairs cannot be used; the message names the file and the line."""


@dataclass(frozen=True, slots=True)
class Picture:
    """A picture by the name that the list gives it."""

    name: str
    path: Path


@dataclass(frozen=True, slots=True, eq=False)
class Pairs:
    """Pair number i compares pictures[first[i]] with pictures[second[i]]."""

    source: Path
    pictures: tuple[Picture, ...]
    first: NDArray[np.int32]  # (n,)
    second: NDArray[np.int32]  # (n,)
    mated: NDArray[np.bool_]  # (n,): both show one person
    lines: NDArray[np.int32] | None = None  # (n,) of the CSV, from 1; None: made of a gallery
    owners: NDArray[np.int64] | None = None  # (pictures,): the number of the person; None: a CSV does not say

    def __len__(self) -> int:
        return len(self.first)

    def people(self, used: Sequence[bool]) -> int | None:
        """Count the people with a picture among those `used`, one bool a picture; None where nobody knows."""
        return None if self.owners is None else len(np.unique(self.owners[np.asarray(used, bool)]))


def read(source: Path) -> Pairs:
    """Read a CSV of pairs, or a gallery where `source` is a folder. Raises PairsError."""
    if source.is_dir():
        return read_gallery(source)
    return read_csv(source)


def read_csv(source: Path) -> Pairs:
    """Read rows of image_a, image_b, mated (1, 0, true, false); paths are relative to the CSV. Raises PairsError."""
    places: dict[str, int] = {}
    found: list[tuple[int, int, bool, int]] = []
    try:
        with source.open("rb") as file:
            for line, row in _rows(source, file):
                if len(found) >= MOST_PAIRS:
                    raise PairsError(f"{source}, line {line}: more than {MOST_PAIRS:,} pairs; split the file")
                name_a, name_b, mated = _pair(source, line, row)
                a, b = (places.setdefault(name, len(places)) for name in (name_a, name_b))
                found.append((a, b, mated, line))
    except OSError as error:
        raise PairsError(f"{source} cannot be read: {error.strerror or error}") from error
    if not found:
        raise PairsError(f"{source}, line 1: no pairs follow the header")
    a_, b_, mated_, lines = zip(*found, strict=True)
    pictures = tuple(Picture(name, source.parent / name) for name in places)
    return Pairs(source, pictures, _numbers(a_), _numbers(b_), np.array(mated_, bool), _numbers(lines))


def read_gallery(source: Path) -> Pairs:
    """Pair everything in a folder that has one folder a person: mated within, non-mated across. Raises PairsError.

    Every file below a person's folder counts, so that one that is no picture is named; hidden files do not.
    """
    people = sorted(one for one in source.iterdir() if one.is_dir() and not one.name.startswith("."))
    astray = sorted(one.name for one in source.iterdir() if one.is_file() and one.suffix.lower() in SUFFIXES)
    if astray:
        raise PairsError(f"{source}: {astray[0]} lies in no person's folder; a gallery has one folder a person")
    paths = [(person, path) for person, folder in enumerate(people) for path in _files(folder)]
    if not paths:
        raise PairsError(f"{source}: there is no picture; a gallery has one folder a person")
    if len(paths) > MOST_PICTURES:
        raise PairsError(f"{source}: {len(paths):,} pictures are more than {MOST_PICTURES:,}; take fewer a person")
    pictures = tuple(Picture(str(path.relative_to(source)), path) for _, path in paths)
    owner = np.array([person for person, _ in paths])
    first, second = (side.astype(np.int32) for side in np.triu_indices(len(paths), 1))
    return Pairs(source, pictures, first, second, owner[first] == owner[second], owners=owner)


def _files(folder: Path) -> list[Path]:
    return sorted(
        one for one in folder.rglob("*") if one.is_file() and not one.name.startswith(".") and one.name != "Thumbs.db"
    )


def _rows(source: Path, file: BinaryIO) -> Iterator[tuple[int, dict[str, str]]]:
    """Yield the line's number and the row's cells by column."""
    reader = csv.reader(_lines(source, file), strict=True)
    try:
        header = next(reader, None)
        if header is None:
            raise PairsError(f"{source}, line 1: the file is empty; its first line is {','.join(COLUMNS)}")
        names = [name.strip() for name in header]
        for name in COLUMNS:
            if names.count(name) != 1:
                wrong = "no column" if name not in names else "two columns"
                raise PairsError(f"{source}, line 1: {wrong} {name!r}; the first line is {','.join(COLUMNS)}")
        for cells in reader:
            if not cells:
                continue
            if len(cells) != len(names):
                raise PairsError(f"{source}, line {reader.line_num}: {len(cells)} cells, the header has {len(names)}")
            yield reader.line_num, dict(zip(names, cells, strict=True))
    except csv.Error as error:
        raise PairsError(f"{source}, line {reader.line_num}: this is no CSV: {error}") from error


def _lines(source: Path, file: BinaryIO) -> Iterator[str]:
    for number, raw in enumerate(_bounded(source, file), start=1):
        try:
            yield raw.decode("utf-8-sig" if number == 1 else "utf-8")  # spreadsheets put a mark before the first line
        except UnicodeDecodeError as error:
            raise PairsError(f"{source}, line {number}: not UTF-8 text") from error


def _bounded(source: Path, file: BinaryIO) -> Iterator[bytes]:
    number = 0
    while raw := file.readline(MOST_LINE_BYTES + 1):
        number += 1
        if len(raw) > MOST_LINE_BYTES:
            raise PairsError(
                f"{source}, line {number}: longer than {MOST_LINE_BYTES:,} bytes; this is no list of pairs"
            )
        yield raw


def _pair(source: Path, line: int, row: dict[str, str]) -> tuple[str, str, bool]:
    name_a, name_b, mated = (row[name].strip() for name in COLUMNS)
    if mated.lower() not in MATED:
        raise PairsError(f"{source}, line {line}: mated is {_short(mated)}; write 1 or true, 0 or false")
    for column, name in ((COLUMNS[0], name_a), (COLUMNS[1], name_b)):
        if not name or "\0" in name:
            raise PairsError(f"{source}, line {line}: {column} names no file")
    return name_a, name_b, MATED[mated.lower()]


def _short(text: str) -> str:
    return repr(text if len(text) <= 40 else f"{text[:40]}…")


def _numbers(values: Iterable[int]) -> NDArray[np.int32]:
    return np.fromiter(values, np.int32)
