"""How many of the self-test's lines fit on one page of 800×480: nothing on the screen may scroll. Pure."""

from __future__ import annotations

import math
import unicodedata
from collections.abc import Sequence
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from kiosk.selftest import Line
    from kiosk.terminal.texts import Language

# Pixels, as the page's style has them: 480 less the bar at the top and the margins, less the bar that turns pages.
ROOM_PX, PAGER_PX, GAP_PX = 430, 44, 2
LEAST_PX, SEEN_LINE_PX, DO_LINE_PX, PADDING_PX = 28, 17, 18, 6
SEEN_COLUMNS, DO_COLUMNS = 40, 36  # narrow characters of 13 and 14 px bold that surely fit 290 px
MOST_SEEN_LINES, MOST_DO_LINES = 2, 3


def height_px(line: Line, language: Language) -> int:
    """How high the line is drawn; a text that needs more is cut off with dots."""
    seen = min(MOST_SEEN_LINES, _lines(line.seen[language], SEEN_COLUMNS))
    do = min(MOST_DO_LINES, _lines(line.do[language], DO_COLUMNS))
    return max(LEAST_PX, seen * SEEN_LINE_PX + do * DO_LINE_PX + PADDING_PX)


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
    wide = sum(2 if unicodedata.east_asian_width(one) in "WF" else 1 for one in text)
    return math.ceil(wide / columns)
