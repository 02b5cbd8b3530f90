"""Where a ledger's hashes are found: the paths of C2SP tlog-tiles. A tile is 256 hashes wide, so it spans 8 levels."""

from __future__ import annotations

import re
from dataclasses import dataclass

TILE_HEIGHT = 8
TILE_WIDTH = 1 << TILE_HEIGHT
MAX_LEVEL = 63  # c2sp.org/tlog-tiles
_NUMBER = re.compile(r"(x[0-9]{3}/){0,6}[0-9]{3}")  # below 2^64
_LEVEL = re.compile(r"0|[1-9][0-9]?")
_WIDTH = re.compile(r"[1-9][0-9]{0,2}")


@dataclass(frozen=True, slots=True)
class TileName:
    """Tile `number` of its level, the first `width` hashes of it; `level` None names an entry bundle instead."""

    level: int | None
    number: int
    width: int = TILE_WIDTH

    def path(self) -> str:
        """The path below the ledger's prefix."""
        level = "entries" if self.level is None else str(self.level)
        partial = "" if self.width == TILE_WIDTH else f".p/{self.width}"
        return f"tile/{level}/{_spread(self.number)}{partial}"

    @classmethod
    def parse(cls, level: str, rest: str) -> TileName | None:
        """Read the level and what follows it in a path; None where there can be no such tile."""
        number, partial, width = rest.partition(".p/")
        if _NUMBER.fullmatch(number) is None or (partial and _WIDTH.fullmatch(width) is None):
            return None
        if level != "entries" and (_LEVEL.fullmatch(level) is None or int(level) > MAX_LEVEL):
            return None
        digits = number.replace("x", "").replace("/", "")
        found = cls(None if level == "entries" else int(level), int(digits), int(width) if partial else TILE_WIDTH)
        if found.path() != f"tile/{level}/{rest}":
            return None
        return found if found.width < TILE_WIDTH or not partial else None


def hashes_at(size: int, level: int) -> int:
    """How many hashes all tiles of a level have together, in a tree of `size` leaves."""
    return size >> TILE_HEIGHT * level


def _spread(number: int) -> str:
    text = str(number)
    text = text.zfill((len(text) + 2) // 3 * 3)
    parts = [text[at : at + 3] for at in range(0, len(text), 3)]
    return "/".join([*(f"x{part}" for part in parts[:-1]), parts[-1]])
