"""How many of the self-test's lines fit on one page of 800×480: nothing on the screen may scroll. Pure."""

from __future__ import annotations

import math
import re
import unicodedata
from collections.abc import Sequence
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from kiosk.selftest import Line
    from kiosk.selftest_air import Bar
    from kiosk.terminal.texts import Language

# Pixels, as the page's style has them: 480 less the bar at the top and the margins, less the bar that turns pages.
ROOM_PX, PAGER_PX, GAP_PX = 430, 44, 2
LEAST_PX, SEEN_LINE_PX, DO_LINE_PX, PADDING_PX = 28, 17, 18, 6
SEEN_COLUMNS, DO_COLUMNS = 40, 36  # narrow characters of 13 and 14 px bold that surely fit 290 px
MOST_SEEN_LINES, MOST_DO_LINES = 5, 3
# The strip of bars below a line: 468 px wide.
STRIP_GAP_PX = 4
SATELLITES_A_LINE, SATELLITES_PX = 20, 36  # 23 px each with its gap
BEACONS_A_LINE, BEACON_LINES, BEACON_LINE_PX = 3, 2, 20  # 155 px each
COUNT_TAKES = {"satellite": 3, "beacon": 1}  # places, for how many do not fit


def height_px(line: Line, language: Language) -> int:
    """How high the line is drawn; a text that needs more is cut off with dots."""
    seen = min(MOST_SEEN_LINES, _lines(line.seen[language], SEEN_COLUMNS))
    do = min(MOST_DO_LINES, _lines(line.do[language], DO_COLUMNS))
    below = strip_px(line) + STRIP_GAP_PX if line.bars else 0
    return max(LEAST_PX, seen * SEEN_LINE_PX + do * DO_LINE_PX + PADDING_PX) + below


def strip(line: Line) -> tuple[tuple[Bar, ...], int]:
    """Return the bars that fit the screen, and how many are left out."""
    if not line.bars:
        return (), 0
    kind = line.bars[0].kind
    most = SATELLITES_A_LINE if kind == "satellite" else BEACONS_A_LINE * BEACON_LINES
    shown = line.bars if len(line.bars) <= most else line.bars[: most - COUNT_TAKES[kind]]
    return shown, len(line.bars) - len(shown)


def strip_px(line: Line) -> int:
    """How high the strip of bars is; 0 where there is none."""
    if not line.bars:
        return 0
    if line.bars[0].kind == "satellite":
        return SATELLITES_PX
    return BEACON_LINE_PX * min(BEACON_LINES, math.ceil(len(line.bars) / BEACONS_A_LINE))


def pages(lines: Sequence[Line], language: Language) -> list[list[Line]]:
    """Put the lines on as few pages as they need, in their order."""
    if sum(height_px(line, language) + GAP_PX for line in lines) <= ROOM_PX:
        return [list(lines)]
    found: list[list[Line]] = [[]]
    left = ROOM_PX - PAGER_PX
    for line in lines:
        needed = height_px(line, language) + GAP_PX
        if needed > left and found[-1]:
            found.append([])
            left = ROOM_PX - PAGER_PX
        found[-1].append(line)
        left -= needed
    return found


def _lines(text: str, columns: int) -> int:
    """How many lines a browser makes of it: it breaks at blanks, beside wide characters, and inside too long words."""
    lines, used = 0, columns
    for word in re.findall(r"[\u2e80-\uffef]|[^\s\u2e80-\uffef]+|\s+", text):
        wide = sum(2 if unicodedata.east_asian_width(one) in "WF" else 1 for one in word)
        if word.isspace():
            used = min(columns, used + wide)  # hangs over the edge
        elif wide <= columns - used:
            used += wide
        else:
            lines += math.ceil(wide / columns)
            used = wide % columns or columns
    return lines
