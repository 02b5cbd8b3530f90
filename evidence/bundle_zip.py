"""The one ZIP that a list of files has: fixed order, fixed time, STORED, nothing extra and nothing behind.

Format: APPNOTE 6.3 without ZIP64. `unpack` takes no file that `pack` would not write byte for byte, so no two files
hold the same evidence and no byte can hide outside the contents.
"""

from __future__ import annotations

import re
import struct
import zlib
from collections.abc import Iterable

from evidence.errors import NotABundle, NotCanonicalZip, TooLarge

LOCAL, CENTRAL, END = b"PK\x03\x04", b"PK\x01\x02", b"PK\x05\x06"
VERSION = 20  # 2.0: folders; what every unzip reads
DOS_DATE = (1980 - 1980) << 9 | 1 << 5 | 1  # 1980-01-01, the first date that a ZIP can say; the time is 00:00
MODE = 0o100644 << 16  # a plain file that its owner may write
MAX_FILES = 65_000  # the end record counts in 16 bits
MAX_BYTES = 2**32 - 2  # and addresses in 32

_LOCAL = struct.Struct("<4s5H3I2H")
_CENTRAL = struct.Struct("<4s6H3I5H2I")
_END = struct.Struct("<4s4H2IH")
_NAME = re.compile(r"[A-Za-z0-9_][A-Za-z0-9._-]*(?:/[A-Za-z0-9_][A-Za-z0-9._-]*){0,3}")  # no way out of a folder
MADE_BY = 3 << 8 | VERSION  # Unix, so that the mode counts


def is_name(name: str) -> bool:
    """Say whether a bundle may hold a file of this name."""
    return len(name) <= 200 and _NAME.fullmatch(name) is not None


def pack(files: Iterable[tuple[str, bytes]]) -> bytes:
    """Return the ZIP of these files in this order. Raises TooLarge, and ValueError for a name that no bundle has."""
    local, central, offset, count = [], [], 0, 0
    for name, data in files:
        if not is_name(name):
            raise ValueError(f"{name!r} is no name of a file in a bundle")
        written, head, entry = name.encode(), _local(name, data), _central(name, data, offset)
        local += [head, written, data]
        central += [entry, written]
        offset += len(head) + len(written) + len(data)
        count += 1
        if count > MAX_FILES or offset > MAX_BYTES:
            raise TooLarge("the bundle would have more than a plain ZIP holds; ask for a shorter period")
    size = sum(map(len, central))
    if offset + size > MAX_BYTES:
        raise TooLarge("the bundle would have more than a plain ZIP holds; ask for a shorter period")
    return b"".join([*local, *central, _END.pack(END, 0, 0, count, count, size, offset, 0)])


def unpack(data: bytes) -> dict[str, bytes]:
    """Return the files by name, in their order. Raises NotABundle where no file can be read, else NotCanonicalZip."""
    if data[:4] != LOCAL:
        raise NotABundle("the file does not begin as a bundle does; it is no ZIP, or something stands before it")
    files: dict[str, bytes] = {}
    at = 0
    while data[at : at + 4] == LOCAL:
        name, start, end = _entry(data, at)
        if name in files:
            raise NotCanonicalZip(f"the file {name} stands twice in the bundle, at byte {at}")
        files[name] = data[start:end]
        at = end
        if len(files) > MAX_FILES:
            raise TooLarge(f"a bundle has at most {MAX_FILES} files")
    return files


def check_canonical(data: bytes, files: dict[str, bytes]) -> None:
    """Check that `data` is exactly the ZIP of `files`. Raises NotCanonicalZip with the first difference."""
    again = pack(files.items())
    if again == data:
        return
    at = _first_difference(again, data)
    where = "behind the end of the ZIP" if at >= len(again) else f"in {_part(again, files, at)}"
    if at >= len(data):
        where = f"cut off in {_part(again, files, at)}"
    raise NotCanonicalZip(f"byte {at} of the file is not what the contents give: {where}")


def _entry(data: bytes, at: int) -> tuple[str, int, int]:
    try:
        fields = _LOCAL.unpack_from(data, at)
    except struct.error as error:
        raise NotCanonicalZip(f"the file is cut off in the header at byte {at}") from error
    size, name_size = fields[8], fields[9]
    start = at + _LOCAL.size + name_size
    raw = data[at + _LOCAL.size : start]
    try:
        name = raw.decode("ascii")
    except UnicodeDecodeError as error:
        raise NotCanonicalZip(f"the name in the header at byte {at} is not ASCII") from error
    if not is_name(name):
        raise NotCanonicalZip(f"the header at byte {at} names {name[:80]!r}, which no bundle has")
    end = start + size
    if end > len(data):
        raise NotCanonicalZip(f"the file {name} is cut off, or the size in its header at byte {at} was changed")
    return name, start, end


def _local(name: str, data: bytes) -> bytes:
    crc, size = zlib.crc32(data), len(data)
    return _LOCAL.pack(LOCAL, VERSION, 0, 0, 0, DOS_DATE, crc, size, size, len(name), 0)


def _central(name: str, data: bytes, offset: int) -> bytes:
    crc, size = zlib.crc32(data), len(data)
    return _CENTRAL.pack(
        CENTRAL, MADE_BY, VERSION, 0, 0, 0, DOS_DATE, crc, size, size, len(name), 0, 0, 0, 0, MODE, offset
    )


def _first_difference(one: bytes, other: bytes) -> int:
    low, high = 0, min(len(one), len(other))
    if one[:high] == other[:high]:
        return high
    while high - low > 1:  # one[:low] is equal, one[:high] is not
        middle = (low + high) // 2
        if one[low:middle] == other[low:middle]:
            low = middle
        else:
            high = middle
    return low


def _part(whole: bytes, files: dict[str, bytes], at: int) -> str:
    start = 0
    for name, data in files.items():
        head = start + _LOCAL.size + len(name)
        if at < head:
            return f"the header of {name}"
        if at < head + len(data):
            return name
        start = head + len(data)
    return "the end record" if at >= len(whole) - _END.size else "the list of files"
