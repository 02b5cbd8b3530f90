from __future__ import annotations

from kiosk.verify.caution import KEPT, REMEMBERED_US, Caution

NOW = 10_000_000


def test_a_failed_attempt_makes_the_next_one_of_that_badge_ask_for_more() -> None:
    caution = Caution()
    caution.note("E-1", NOW, failed=True)
    assert caution.careful("E-1", NOW + 1)
    assert not caution.careful("E-2", NOW + 1)


def test_without_a_badge_any_failure_counts() -> None:
    caution = Caution()
    caution.note("E-1", NOW, failed=True)
    assert caution.careful(None, NOW + 1)
    other = Caution()
    other.note(None, NOW, failed=True)
    assert other.careful("E-1", NOW + 1)


def test_a_passed_attempt_and_time_forgive() -> None:
    caution = Caution()
    caution.note("E-1", NOW, failed=True)
    assert not caution.careful("E-1", NOW + REMEMBERED_US + 1)
    caution.note("E-1", NOW, failed=False)
    assert not caution.careful("E-1", NOW + 1)


def test_memory_is_bounded() -> None:
    caution = Caution()
    for number in range(KEPT + 5):
        caution.note(str(number), NOW, failed=True)
    assert not caution.careful("0", NOW)
    assert caution.careful(str(KEPT + 4), NOW)
