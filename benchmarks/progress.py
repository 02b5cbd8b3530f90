"""A progress bar that is drawn only when it is told to move: a thread of its own would be measured too."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager

from rich.console import Console
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeRemainingColumn

DRAW_EVERY_S = 0.5


@contextmanager
def bar(text: str, total: int) -> Iterator[Callable[[int], None]]:
    """Show a bar on standard error where that is a terminal; what is yielded moves it on by so many of `total`."""
    columns = (TextColumn("{task.description}"), BarColumn(), MofNCompleteColumn(), TimeRemainingColumn())
    console = Console(stderr=True)
    with Progress(
        *columns, console=console, auto_refresh=False, transient=True, disable=not console.is_terminal
    ) as own:
        task, drawn = own.add_task(text, total=total), 0.0

        def told(more: int) -> None:
            nonlocal drawn
            own.advance(task, more)
            if time.monotonic() - drawn > DRAW_EVERY_S:
                drawn = time.monotonic()
                own.refresh()

        yield told
