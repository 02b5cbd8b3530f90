"""Death at any line: a process of the model is killed there, with its files as they are at that moment."""

from __future__ import annotations

import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from types import FrameType, ModuleType
from typing import Any


class Killed(BaseException):
    """No code catches it: there is nobody left who could."""


@contextmanager
def killed_at(line: int, package: ModuleType, last: Callable[[], None] = lambda: None) -> Iterator[None]:
    """Raise Killed before the `line`-th line of `package` is run, after `last`. Where there are fewer, nothing."""
    assert package.__file__ is not None
    inside = str(Path(package.__file__).parent)
    left = line

    def at_line(_frame: FrameType, event: str, _arg: Any) -> Any:
        nonlocal left
        if event == "line":
            left -= 1
            if left == 0:
                last()
                raise Killed
        return at_line

    def at_call(frame: FrameType, _event: str, _arg: Any) -> Any:
        return at_line if frame.f_code.co_filename.startswith(inside) else None

    before = sys.gettrace()
    sys.settrace(at_call)
    try:
        yield
    finally:
        sys.settrace(before)
