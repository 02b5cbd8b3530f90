"""The list beside a chain in a bundle: one line for every seq from 0 to the chain's head, shown or accounted for.

Lines, fields parted by one space, hashes in base64, in the order of seq and without a hole:
- `event SEQ LEAF_INDEX SALT RECEIVED_AT FLAGS [HASH …]`: the next line of the chain's `.jsonl`; FLAGS is `-` or
  `after_revocation` and `late:WHY`, one of them or both in this order, parted by a comma; the hashes are its
  inclusion proof (RFC 6962);
- `outside FIRST LAST HASH`: out of the period asked for; only after seq 0 and at the end; HASH is that of event LAST;
- `withheld SEQ HASH`: not about the worker asked for;
- `erased SEQ LEAF_INDEX LEAF_HASH HASH BY [HASH …]`: a tombstone, and which ledger entry authorised it;
- `missing FIRST LAST BY`: never readable; the collector declared the gap in ledger entry BY.
"""

from __future__ import annotations

import base64
import binascii
import functools
import re
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import TypeAlias

from evidence.canonical import MAX_SAFE_INTEGER
from evidence.errors import InvalidIndex

AFTER_REVOCATION = "after_revocation"
_NUMBER = re.compile(r"0|[1-9][0-9]{0,15}")
_HEX = re.compile(r"[0-9a-f]{64}")
_SALT = r"[0-9a-f]{32}"
_TIME = r"[0-9]{4}-[0-9]{2}-[0-9]{2}T[0-9]{2}:[0-9]{2}:[0-9]{2}\.[0-9]{3}Z"
_LATE = r"late:[a-z][a-z_]{0,39}"
_FLAGS = rf"-|{_LATE}|after_revocation(?:,{_LATE})?"
# Nearly every line is of this kind, so it is read at once; the hashes follow.
_SHOWN = re.compile(rf"({_NUMBER.pattern}) ({_NUMBER.pattern}) ({_SALT}) ({_TIME}) ({_FLAGS})((?: [^ ]+)*)")
MAX_PROOF = 64  # a tree of 2^63 leaves: nobody has a larger one


@dataclass(frozen=True, slots=True)
class Shown:
    """An event that the bundle has in full."""

    seq: int
    leaf_index: int
    salt: bytes
    received_at: str
    flags: tuple[str, ...]
    proof: tuple[bytes, ...]

    @property
    def last(self) -> int:
        """The last seq that this line accounts for."""
        return self.seq

    @property
    def late(self) -> str | None:
        """Why it came late, where it did."""
        if not self.flags:
            return None
        return next((one.partition(":")[2] for one in self.flags if one.startswith("late:")), None)

    def line(self) -> str:
        """The line."""
        flags = ",".join(self.flags) or "-"
        head = f"event {self.seq} {self.leaf_index} {self.salt.hex()} {self.received_at} {flags}"
        return " ".join([head, *map(_b64, self.proof)])


@dataclass(frozen=True, slots=True)
class Outside:
    """Events before or after the period."""

    seq: int
    last: int
    hash: str  # of event `last`

    def line(self) -> str:
        """The line."""
        return f"outside {self.seq} {self.last} {self.hash}"


@dataclass(frozen=True, slots=True)
class Withheld:
    """An event about somebody else."""

    seq: int
    hash: str

    @property
    def last(self) -> int:
        """The last seq that this line accounts for."""
        return self.seq

    def line(self) -> str:
        """The line."""
        return f"withheld {self.seq} {self.hash}"


@dataclass(frozen=True, slots=True)
class Erased:
    """A tombstone: payload, nonce and salt are gone, the place in chain and ledger is not."""

    seq: int
    leaf_index: int
    leaf: bytes  # RFC 6962 leaf hash
    hash: str
    by: int  # the ledger entry that authorised the erasure
    proof: tuple[bytes, ...]

    @property
    def last(self) -> int:
        """The last seq that this line accounts for."""
        return self.seq

    def line(self) -> str:
        """The line."""
        head = f"erased {self.seq} {self.leaf_index} {_b64(self.leaf)} {self.hash} {self.by}"
        return " ".join([head, *map(_b64, self.proof)])


@dataclass(frozen=True, slots=True)
class Missing:
    """Events that could never be read; the collector has said so."""

    seq: int
    last: int
    by: int  # the ledger entry that declares it

    def line(self) -> str:
        """The line."""
        return f"missing {self.seq} {self.last} {self.by}"


Line: TypeAlias = Shown | Outside | Withheld | Erased | Missing


def write_index(lines: Sequence[Line]) -> bytes:
    """Return the file."""
    return "".join(f"{one.line()}\n" for one in lines).encode()


def read_line(text: str) -> Line:
    """Read one line. Raises InvalidIndex."""
    word, _, rest = text.partition(" ")
    try:
        return _shown(rest) if word == "event" else _READERS[word](rest.split(" "))
    except (KeyError, ValueError, IndexError, binascii.Error) as error:
        raise InvalidIndex(f"the line cannot be read: {text[:60]!r}") from error


def read_index(data: bytes) -> list[Line]:
    """Read the file. Raises InvalidIndex with the number of the line."""
    try:
        text = data.decode("ascii")
    except UnicodeDecodeError as error:
        raise InvalidIndex(f"byte {error.start} is not ASCII") from error
    if not text.endswith("\n"):
        raise InvalidIndex("the file is empty or its last line is cut off")
    lines: list[Line] = []
    for number, one in enumerate(text[:-1].split("\n"), 1):
        try:
            lines.append(read_line(one))
        except InvalidIndex as error:
            raise InvalidIndex(f"line {number}: {error}") from error
    return lines


def _shown(text: str) -> Shown:
    found = _SHOWN.fullmatch(text)
    if found is None:
        raise ValueError
    seq, leaf_index, salt, received_at, flags, proof = found.groups()
    if (place := int(seq)) > MAX_SAFE_INTEGER or (leaf := int(leaf_index)) > MAX_SAFE_INTEGER:
        raise ValueError
    marks = () if flags == "-" else tuple(flags.split(","))
    return Shown(place, leaf, bytes.fromhex(salt), received_at, marks, _proof(proof.split(" ")[1:]))


def _outside(fields: list[str]) -> Outside:
    seq, last, digest = fields
    return Outside(*_range(seq, last), _digest(digest))


def _withheld(fields: list[str]) -> Withheld:
    seq, digest = fields
    return Withheld(_number(seq), _digest(digest))


def _erased(fields: list[str]) -> Erased:
    seq, leaf_index, leaf, digest, by, *proof = fields
    return Erased(_number(seq), _number(leaf_index), _hash(leaf), _digest(digest), _number(by), _proof(proof))


def _missing(fields: list[str]) -> Missing:
    seq, last, by = fields
    return Missing(*_range(seq, last), _number(by))


_READERS: dict[str, Callable[[list[str]], Line]] = {
    "outside": _outside,
    "withheld": _withheld,
    "erased": _erased,
    "missing": _missing,
}


def _number(text: str) -> int:
    if _NUMBER.fullmatch(text) is None or int(text) > MAX_SAFE_INTEGER:
        raise ValueError
    return int(text)


def _range(first: str, last: str) -> tuple[int, int]:
    if _number(first) > _number(last):
        raise ValueError
    return int(first), int(last)


def _digest(text: str) -> str:
    if _HEX.fullmatch(text) is None:
        raise ValueError
    return text


@functools.lru_cache(maxsize=4096)  # neighbours share all but the lower end of their proofs
def _hash(text: str) -> bytes:
    data = binascii.a2b_base64(text)
    if len(data) != 32 or _b64(data) != text:  # written again: so a foreign character or an unused bit shows
        raise ValueError
    return data


def _proof(texts: list[str]) -> tuple[bytes, ...]:
    if len(texts) > MAX_PROOF:
        raise ValueError
    return tuple(map(_hash, texts))


def _b64(data: bytes) -> str:
    return base64.b64encode(data).decode()
