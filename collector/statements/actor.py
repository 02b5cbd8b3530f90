"""Who acts: a context variable, set where somebody is let in, read where a change is stated."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from contextvars import ContextVar

_acting: ContextVar[str | None] = ContextVar("acting", default=None)


@contextmanager
def acting_as(who: str) -> Iterator[None]:
    """Let what happens inside be somebody's doing: `apikey:ID`, `console:ID`, `cli:LOGIN`."""
    token = _acting.set(who)
    try:
        yield
    finally:
        _acting.reset(token)


def actor() -> str | None:
    """Return who acts; None where the collector works for nobody: the intake, a test."""
    return _acting.get()


def acting() -> str:
    """Return who acts, for a statement that names somebody."""
    return _acting.get() or "unknown"
