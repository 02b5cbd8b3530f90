"""Attempts are counted within a window, and neither a restart nor a pulled plug gives one back."""

from __future__ import annotations

from pathlib import Path

from hypothesis import given
from hypothesis import strategies as st

from kiosk.verify.attempts import Limit, Moment, exhausted, recent
from kiosk.verify.gallery import Gallery

LIMIT = Limit("face", 3, 1000)
BOOT, NEXT = "a" * 32, "b" * 32


def at(*times: int, boot: str = BOOT) -> tuple[Moment, ...]:
    return tuple(Moment(boot, one) for one in times)


def test_the_window_moves_with_time() -> None:
    assert exhausted(at(1, 2, 3), Moment(BOOT, 1000), LIMIT)
    assert not exhausted(at(1, 2, 3), Moment(BOOT, 1001), LIMIT)
    assert not exhausted(at(1, 2), Moment(BOOT, 3), LIMIT)


def test_after_a_reboot_they_count_until_the_boot_is_as_old_as_the_window() -> None:
    assert exhausted(at(10**12, 10**12, 10**12), Moment(NEXT, 999), LIMIT)
    assert not exhausted(at(10**12, 10**12, 10**12), Moment(NEXT, 1000), LIMIT)


@given(st.lists(st.integers(0, 5000), max_size=20), st.integers(0, 6000))
def test_no_more_than_the_limit_is_ever_kept_and_none_from_outside_the_window(times: list[int], now: int) -> None:
    made = at(*sorted(one for one in times if one <= now))
    kept = recent(made, Moment(BOOT, now), LIMIT)
    assert len(kept) <= LIMIT.most
    assert all(now - one.mono_us < LIMIT.window_us for one in kept)
    assert exhausted(made, Moment(BOOT, now), LIMIT) == (
        sum(now - one.mono_us < LIMIT.window_us for one in made) >= LIMIT.most
    )


def test_the_count_survives_a_restart_and_one_fair_attempt_is_given_back(tmp_path: Path) -> None:
    first = Gallery(tmp_path / "gallery.db", bytes(32))
    first.enrol("E-17", "Wang Fang", "", [], pin="4711")
    for time in (1, 2, 3):
        first.count_attempt(LIMIT, "E-17", Moment(BOOT, time))
    first.close()
    again = Gallery(tmp_path / "gallery.db", bytes(32))
    assert again.limited(LIMIT, "E-17", Moment(BOOT, 4))
    assert not again.limited(LIMIT, "E-18", Moment(BOOT, 4))
    again.forgive(LIMIT, "E-17", Moment(BOOT, 2))
    assert not again.limited(LIMIT, "E-17", Moment(BOOT, 4))
    again.count_attempt(LIMIT, "E-17", Moment(BOOT, 5))
    assert again.limited(LIMIT, "E-17", Moment(BOOT, 6))
    again.forgive(LIMIT, "E-17")
    assert not again.limited(LIMIT, "E-17", Moment(BOOT, 6))
    again.close()


def test_a_code_that_nobody_has_is_not_kept(tmp_path: Path) -> None:
    gallery = Gallery(tmp_path / "gallery.db", bytes(32))
    for time in (1, 2, 3):
        gallery.count_attempt(LIMIT, "E-99", Moment(BOOT, time))
        gallery.count_attempt(LIMIT, "", Moment(BOOT, time))
    gallery.close()
    assert b"E-99" not in (tmp_path / "gallery.db").read_bytes()
    again = Gallery(tmp_path / "gallery.db", bytes(32))
    assert again.limited(LIMIT, "", Moment(BOOT, 4))
    again.close()
