"""The uplink's rules without I/O: delays that grow with jitter, a window that never grows beyond its size."""

from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from kiosk.flow import Backoff, OtherWay, Window


def test_delays_double_to_the_longest_and_start_over_after_a_success() -> None:
    backoff = Backoff(draw=lambda low, high: high)
    assert [backoff.next_s() for _ in range(9)] == [0.5, 1, 2, 4, 8, 16, 32, 60, 60]
    backoff.reset()
    assert backoff.next_s() == 0.5


def test_delays_have_jitter_within_their_bounds() -> None:
    backoffs = [Backoff() for _ in range(50)]
    firsts = [one.next_s() for one in backoffs]
    assert all(0.25 <= one <= 0.5 for one in firsts)
    assert len(set(firsts)) > 40
    for one in backoffs:
        assert all(0 < one.next_s() <= 60 for _ in range(100))


def test_patience_grows_while_nobody_answers_and_is_restored_by_a_receipt() -> None:
    window = Window(4)
    window.restart(9)
    window.published(10, 0)
    assert not window.rewind_if_due(9.9)
    assert window.rewind_if_due(10)
    assert window.room == 4
    window.published(10, 10)
    assert not window.rewind_if_due(29.9)
    assert window.rewind_if_due(30)
    window.published(10, 30)
    window.receipted(10, 31)
    assert window.resent == 0
    assert not window.rewind_if_due(1e9)  # nothing is under way
    window.published(11, 40)
    assert window.rewind_if_due(50)


@given(st.integers(1, 100), st.lists(st.tuples(st.sampled_from("psrx"), st.integers(0, 300)), max_size=200))
def test_no_more_is_under_way_than_the_window_holds(size: int, moves: list[tuple[str, int]]) -> None:
    window, now = Window(size), 0.0
    window.restart(-1)
    for move, number in moves:
        now += number / 10
        if move == "p" and window.room:
            window.published(window.sent + 1, now)
        elif move == "r":
            window.receipted(number, now)
        elif move == "s":
            window.rewind_if_due(now)
        elif move == "x":
            window.restart(window.released)
        assert window.released <= window.sent <= window.released + size


def other_way(after_s: float = 300.0) -> OtherWay:
    way = OtherWay(after_s, Backoff(1.0, 300.0, draw=lambda low, high: high), ask_every_s=60.0)
    way.broker_left(1000.0)
    return way


def test_nothing_goes_the_other_way_before_the_time_without_a_broker_is_over() -> None:
    way = other_way()
    assert way.due_s(waiting=True) == way.due_s(waiting=False) == 1300.0
    way.broker_left(1200.0)  # one was there again
    assert way.due_s(waiting=True) == 1500.0
    assert other_way(0.0).due_s(waiting=True) == 1000.0


def test_what_waits_goes_at_once_and_where_nothing_waits_it_only_asks_now_and_then() -> None:
    way = other_way()
    way.posted(1300.0, moved=True)
    assert way.due_s(waiting=True) == 1300.0  # at once
    assert way.due_s(waiting=False) == 1360.0


def test_failures_and_answers_that_let_nothing_go_are_tried_again_with_growing_patience() -> None:
    way, now_s, waits = other_way(), 1300.0, []
    for number in range(11):
        if number % 2:
            way.failed(now_s)
        else:
            way.posted(now_s, moved=False)
        due_s = way.due_s(waiting=True)
        waits.append(due_s - now_s)
        now_s = due_s
    assert waits == [1, 2, 4, 8, 16, 32, 64, 128, 256, 300, 300]
    way.posted(now_s, moved=True)
    assert way.due_s(waiting=True) <= now_s
    way.failed(now_s)
    assert way.due_s(waiting=True) == now_s + 1
    way.broker_left(now_s)
    assert way.due_s(waiting=True) == now_s + 300
