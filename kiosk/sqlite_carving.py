"""Reads rows out of a damaged SQLite file page by page, without SQLite: what a broken tree still holds.

Format: https://www.sqlite.org/fileformat2.html. Every cell of every table-leaf page is read, from the newest frame of
the write-ahead log where there is one and from the file beneath. Nothing is believed: the caller checks signatures.
"""

from __future__ import annotations

import os
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path

PAGE = 4096  # SQLite's default, which the journal keeps
MAX_ROW_BYTES = 1 << 20  # a journal's row is an envelope of 64 KiB at most; more is garbage
_TABLE_LEAF = 0x0D
_WAL_HEADER, _FRAME_HEADER = 32, 24
_INTEGER_BYTES = {1: 1, 2: 2, 3: 3, 4: 4, 5: 6, 6: 8}

Value = int | str | bytes | None


@dataclass(frozen=True, slots=True)
class CarvedRow:
    """One row; an INTEGER PRIMARY KEY stands in `rowid`, its column is None."""

    rowid: int
    values: tuple[Value, ...]


@dataclass(slots=True)
class _Pages:
    """Pages by number, 1-based: from the log where it has them."""

    base: int | None
    wal: int | None
    frames: dict[int, int] = field(default_factory=dict)  # page number to its newest frame's place in the log

    def get(self, number: int) -> bytes | None:
        place = self.frames.get(number)
        if place is not None and self.wal is not None:
            return _read(self.wal, place)
        return self.beneath(number)

    def beneath(self, number: int) -> bytes | None:
        return None if self.base is None or number < 1 else _read(self.base, (number - 1) * PAGE)


def carve(path: Path) -> Iterator[CarvedRow]:
    """Yield every row that can still be read from the database at `path` and its write-ahead log; some come twice.

    Never raises for what the files hold; an unreadable part is passed over.
    """
    base, wal = _open(path), _open(path.with_name(f"{path.name}-wal"))
    try:
        pages = _Pages(base, wal)
        if wal is not None:
            pages.frames = _frames(wal)
        last = max([_size(base) // PAGE + 1, *pages.frames])
        for number in range(1, last + 1):
            sources = [pages.get(number), pages.beneath(number) if number in pages.frames else None]
            for page in sources:
                if page is not None:
                    yield from _rows(pages, page, 100 if number == 1 else 0)
    finally:
        for handle in (base, wal):
            if handle is not None:
                os.close(handle)


def _open(path: Path) -> int | None:
    try:
        return os.open(path, os.O_RDONLY | os.O_CLOEXEC)
    except OSError:
        return None


def _size(handle: int | None) -> int:
    return 0 if handle is None else os.fstat(handle).st_size


def _read(handle: int, place: int) -> bytes | None:
    """Return one page, filled up with zeros where the file ends in it; None for what the disk does not give."""
    try:
        data = os.pread(handle, PAGE, place)
    except OSError:
        return None
    return data.ljust(PAGE, b"\0") if data else None


def _frames(wal: int) -> dict[int, int]:
    """Return where the newest frame of each page lies; frames of an earlier turn of the log have other salts."""
    header = _read(wal, 0)
    if header is None:
        return {}
    found: dict[int, int] = {}
    for place in range(_WAL_HEADER, _size(wal) - _FRAME_HEADER, _FRAME_HEADER + PAGE):
        frame = _read(wal, place)
        if frame is not None and frame[8:16] == header[16:24]:
            number = int.from_bytes(frame[:4], "big")
            if 0 < number < 1 << 24:  # 64 GiB
                found[number] = place + _FRAME_HEADER
    return found


def _rows(pages: _Pages, page: bytes, head: int) -> Iterator[CarvedRow]:
    if page[head] != _TABLE_LEAF:
        return
    count = min(int.from_bytes(page[head + 3 : head + 5], "big"), (PAGE - head) // 4)
    for index in range(count):
        pointer = head + 8 + 2 * index
        at = int.from_bytes(page[pointer : pointer + 2], "big")
        if not head + 8 <= at < PAGE:
            continue
        try:
            rowid, payload = _cell(pages, page, at)
            yield CarvedRow(rowid, _record(payload))
        except (ValueError, IndexError):  # a cell that is none
            continue


def _cell(pages: _Pages, page: bytes, at: int) -> tuple[int, bytes]:
    size, at = _varint(page, at)
    rowid, at = _varint(page, at)
    if size > MAX_ROW_BYTES:
        raise ValueError("too large")
    local = _local_bytes(size)
    payload = bytearray(page[at : at + local])
    following = int.from_bytes(page[at + local : at + local + 4], "big")
    while len(payload) < size:
        more = pages.get(following)
        if more is None:
            raise ValueError("the rest is missing")
        following = int.from_bytes(more[:4], "big")
        payload += more[4 : 4 + size - len(payload)]
    return rowid - (1 << 64) if rowid >= 1 << 63 else rowid, bytes(payload)


def _local_bytes(size: int) -> int:
    """Return how much of a payload lies in its own page (section 1.6 of the format, table leaves)."""
    if size <= PAGE - 35:
        return size
    least = (PAGE - 12) * 32 // 255 - 23
    local = least + (size - least) % (PAGE - 4)
    return local if local <= PAGE - 35 else least


def _record(payload: bytes) -> tuple[Value, ...]:
    header_bytes, at = _varint(payload, 0)
    types = []
    while at < header_bytes:
        kind, at = _varint(payload, at)
        types.append(kind)
    values: list[Value] = []
    for kind in types:
        length = _length(kind)
        part = payload[at : at + length]
        if len(part) != length:
            raise ValueError("cut")
        at += length
        values.append(_value(kind, part))
    return tuple(values)


def _length(kind: int) -> int:
    if kind >= 12:
        return (kind - 12) // 2
    if kind in (0, 8, 9):
        return 0
    if kind not in _INTEGER_BYTES:  # 7 is a float, which no table of the journal has
        raise ValueError("no such type")
    return _INTEGER_BYTES[kind]


def _value(kind: int, part: bytes) -> Value:
    if kind == 0:
        return None
    if kind in (8, 9):
        return kind - 8
    if kind < 8:
        return int.from_bytes(part, "big", signed=True)
    return part.decode() if kind % 2 else part  # a UnicodeDecodeError is a ValueError


def _varint(data: bytes, at: int) -> tuple[int, int]:
    value = 0
    for index in range(8):
        byte = data[at + index]
        value = value << 7 | byte & 0x7F
        if byte < 0x80:
            return value, at + index + 1
    return value << 8 | data[at + 8], at + 9
