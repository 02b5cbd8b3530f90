"""Breaks are the site's local time, also over midnight and where the clock changes."""

from __future__ import annotations

from datetime import datetime
from zoneinfo import ZoneInfo

import pytest

from kiosk.breaks import Breaks, parse_break


def at(text: str, zone: str = "Asia/Shanghai") -> int:
    return int(datetime.fromisoformat(text).replace(tzinfo=ZoneInfo(zone)).timestamp() * 1000)


@pytest.mark.parametrize(
    ("time", "on"),
    [("11:59:59.999", False), ("12:00", True), ("12:59:59.999", True), ("13:00", False), ("00:30", True)],
)
def test_a_break_is_the_sites_own_time(time: str, on: bool) -> None:
    assert Breaks(["12:00-13:00", "23:30-01:00"], "Asia/Shanghai").on(at(f"2026-11-24T{time}")) is on


def test_it_follows_a_change_of_the_clock() -> None:
    noon = Breaks(["12:00-13:00"], "Europe/Berlin")
    for day in ("2026-10-24", "2026-10-25"):
        assert noon.on(at(f"{day}T12:30", "Europe/Berlin"))
        assert not noon.on(at(f"{day}T11:30", "Europe/Berlin"))


def test_a_break_that_was_slept_through_was_touched_all_the_same() -> None:
    noon = Breaks(["12:00-13:00"], "Asia/Shanghai")
    assert noon.touched(at("2026-11-24T11:00"), at("2026-11-24T14:00"))
    assert noon.touched(at("2026-11-24T11:59"), at("2026-11-24T12:00"))
    assert not noon.touched(at("2026-11-24T13:00"), at("2026-11-25T11:59:59"))


def test_without_breaks_there_is_none() -> None:
    assert not Breaks([], "Asia/Shanghai").on(at("2026-11-24T12:00"))


@pytest.mark.parametrize("text", ["", "12:00", "12:00-24:00", "12:00-12:00", "12-13", "12:00-13:00 ", "1２:00-13:00"])
def test_what_is_no_break_is_refused(text: str) -> None:
    with pytest.raises(ValueError):
        parse_break(text)
