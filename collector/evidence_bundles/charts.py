"""Charts of a bundle's report as SVG: a row a day, 24 hours wide, in the site's own zone."""

from __future__ import annotations

from collections.abc import Iterable
from datetime import datetime, timedelta
from html import escape
from zoneinfo import ZoneInfo

from collector.evidence_bundles.facts import Facts

LEFT, WIDTH, ROW, TOP = 74, 620, 16, 22  # pixels: the dates' column, 24 hours, one day, the hours' line
MAX_DAYS = 62  # two months fit a page or two; a longer period has the table
COLOURS = {"verified": "#0a7d3c", "review": "#b36b00", "refused": "#b3261e"}
Bar = tuple[datetime, datetime, str]


def punches_chart(facts: Facts, zone: ZoneInfo) -> str:
    """A mark for every attempt to punch: up for IN, down for OUT, a square where no direction was given."""
    days = _days(facts, zone)
    marks = []
    for one in facts.punches:
        at = _local(one.time, zone)
        place = _place(at, days)
        if place is None:
            continue
        x, y = place
        colour = COLOURS.get(one.verdict, "#555")
        middle = y + ROW / 2
        if one.log_type == "IN":
            shape = f"M{x - 4:.1f} {middle + 4:.1f} L{x + 4:.1f} {middle + 4:.1f} L{x:.1f} {middle - 4:.1f} Z"
        elif one.log_type == "OUT":
            shape = f"M{x - 4:.1f} {middle - 4:.1f} L{x + 4:.1f} {middle - 4:.1f} L{x:.1f} {middle + 4:.1f} Z"
        else:
            shape = f"M{x - 3:.1f} {middle - 3:.1f} h6 v6 h-6 Z"
        marks.append(f'<path d="{shape}" fill="{colour}"/>')
    return _chart(days, "".join(marks))


def presence_chart(facts: Facts, zone: ZoneInfo) -> str:
    """The badge's trail: heard, not heard although others were, and the terminals' own gaps."""
    colours = {"heard": "#1565c0", "silent": "#e0a19c", "deaf": "#cccccc"}
    bars = [
        (_local(one.since, zone), _local(one.to, zone), colours[one.state])
        for terminal in facts.terminals
        for one in terminal.presence
    ]
    days = _days(facts, zone)
    return _chart(days, _bars(bars, days))


def coverage_chart(facts: Facts, terminal: int, zone: ZoneInfo) -> str:
    """Where one terminal signed that it could record; paler where part of a stretch is not vouched for."""
    days = _days(facts, zone)
    bars = [
        (_local(one.since, zone), _local(one.until, zone), "#0a7d3c" if one.observed_s >= one.seconds else "#8cbf9f")
        for one in facts.terminals[terminal].statements
    ]
    return _chart(days, _bars(bars, days))


def _days(facts: Facts, zone: ZoneInfo) -> list[datetime]:
    first = _local(facts.since, zone).replace(hour=0, minute=0, second=0, microsecond=0)
    last = _local(facts.until, zone)
    days: list[datetime] = []
    while first < last and len(days) < MAX_DAYS:
        days.append(first)
        first = first + timedelta(days=1)
    return days


def _local(text: str, zone: ZoneInfo) -> datetime:
    return datetime.fromisoformat(text).astimezone(zone)


def _place(at: datetime, days: list[datetime]) -> tuple[float, float] | None:
    for row, day in enumerate(days):
        if day.date() == at.date():
            seconds = at.hour * 3600 + at.minute * 60 + at.second
            return LEFT + WIDTH * seconds / 86_400, TOP + row * ROW
    return None


def _bars(bars: Iterable[Bar], days: list[datetime]) -> str:
    drawn = []
    for since, until, colour in bars:
        at = since
        while at < until:
            midnight = at.replace(hour=0, minute=0, second=0, microsecond=0) + timedelta(days=1)
            end = min(until, midnight)
            place = _place(at, days)
            if place is not None:
                x, y = place
                width = max(0.8, WIDTH * (end - at).total_seconds() / 86_400)
                drawn.append(f'<rect x="{x:.1f}" y="{y + 3}" width="{width:.2f}" height="{ROW - 6}" fill="{colour}"/>')
            at = end
    return "".join(drawn)


def _chart(days: list[datetime], inside: str) -> str:
    height = TOP + ROW * len(days) + 4
    lines = []
    for hour in range(0, 25, 3):
        x = LEFT + WIDTH * hour / 24
        lines.append(f'<line x1="{x}" y1="{TOP - 4}" x2="{x}" y2="{height}" stroke="#ddd" stroke-width="0.6"/>')
        lines.append(f'<text x="{x}" y="{TOP - 8}" font-size="9" text-anchor="middle" fill="#444">{hour:02d}</text>')
    for row, day in enumerate(days):
        y = TOP + row * ROW + ROW - 4
        lines.append(f'<text x="2" y="{y}" font-size="9" fill="#444">{escape(day.strftime("%Y-%m-%d"))}</text>')
    view = f"0 0 {LEFT + WIDTH + 14} {height}"
    return f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="{view}" width="100%">{"".join(lines)}{inside}</svg>'
