"""Show a download: a rich bar where rich is installed, plain lines where it is not."""

from __future__ import annotations

import sys
from collections.abc import Iterator
from contextlib import contextmanager

from kiosk.verify.model_store import Progress


class _Plain:
    def say(self, text: str) -> None:
        print(text, file=sys.stderr)  # noqa: T201

    def downloaded(self, done: int, total: int | None) -> None:
        """Stay quiet: a line for every chunk would be noise."""


@contextmanager
def shown_progress() -> Iterator[Progress]:
    """Yield a progress that draws on standard error."""
    try:
        from rich.console import Console
        from rich.progress import BarColumn, DownloadColumn, TimeRemainingColumn, TransferSpeedColumn
        from rich.progress import Progress as Bars
    except ImportError:
        yield _Plain()
        return

    class Drawn:
        def __init__(self, bars: Bars) -> None:
            self._bars = bars
            self._task = bars.add_task("models", total=None, visible=False)

        def say(self, text: str) -> None:
            self._bars.console.print(text, highlight=False)

        def downloaded(self, done: int, total: int | None) -> None:
            self._bars.update(self._task, completed=done, total=total, visible=True)

    columns = (BarColumn(), DownloadColumn(), TransferSpeedColumn(), TimeRemainingColumn())
    with Bars(*columns, console=Console(stderr=True)) as bars:
        yield Drawn(bars)
