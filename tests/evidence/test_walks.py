"""Whoever spares the cycle collector leaves it as it was, also beside others."""

from __future__ import annotations

import gc
import threading

import pytest

from evidence.walks import without_walks


def test_the_last_one_out_puts_it_back() -> None:
    inside, leave = threading.Event(), threading.Event()

    def other() -> None:
        with without_walks():
            inside.set()
            leave.wait(10)

    thread = threading.Thread(target=other)
    assert gc.isenabled()
    with without_walks():
        assert not gc.isenabled()
        thread.start()
        assert inside.wait(10)
    assert not gc.isenabled()
    leave.set()
    thread.join()
    assert gc.isenabled()


def test_what_was_off_stays_off_and_an_error_puts_it_back() -> None:
    gc.disable()
    try:
        with without_walks():
            pass
        assert not gc.isenabled()
    finally:
        gc.enable()
    with pytest.raises(RuntimeError), without_walks():
        raise RuntimeError
    assert gc.isenabled()
