"""Faults in any function of ours: which functions there are, which were called, and how one is made to fail.

A fault replaces the function's code, so that it strikes whoever calls it by whatever name: a method, a property, a
function imported into another module.
"""

from __future__ import annotations

import importlib
import inspect
import pkgutil
import sys
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from types import CodeType, FrameType, FunctionType, ModuleType
from typing import Any, Literal

Fault = Literal["raises", "nothing"]


class InjectedFault(Exception):
    """What a function with a fault raises; long enough to overflow a reason that is not cut."""

    def __init__(self) -> None:
        super().__init__("injected fault 故障 " * 60)


hits: list[str] = []  # thread names, one a call of the function that has the fault


def modules_in(*packages: str) -> list[str]:
    """Name every module in `packages`, and a package that is a module."""
    names = []
    for package in packages:
        module = importlib.import_module(package)
        names.append(package)
        names += [one.name for one in pkgutil.walk_packages(getattr(module, "__path__", []), f"{package}.")]
    return names


def functions_in(name: str) -> dict[str, FunctionType]:
    """Return the functions, methods and properties that the module `name` defines, by qualified name."""
    module = importlib.import_module(name)
    found: dict[str, FunctionType] = {}
    for value in vars(module).values():
        for function in _functions(value, module):
            found[function.__qualname__] = function
    return found


def _functions(value: Any, module: ModuleType) -> Iterator[FunctionType]:
    value = inspect.unwrap(value) if callable(value) else value
    if inspect.isclass(value):
        if value.__module__ == module.__name__:
            for member in vars(value).values():
                yield from _functions(member, module)
        return
    if isinstance(value, property):
        value = value.fget
    if isinstance(value, staticmethod | classmethod):
        value = value.__func__
    # A dataclass's own methods come from no file: nothing in them can fail that is not Python's.
    if isinstance(value, FunctionType) and value.__module__ == module.__name__ and not _made_up(value):
        yield value


def _made_up(function: FunctionType) -> bool:
    return function.__code__.co_filename.startswith("<")


class CallRecorder:
    """Notes which code runs, by the name of the thread, in every thread that is started while it is installed."""

    def __init__(self) -> None:
        self.recording = False
        self.called: dict[str, set[CodeType]] = {}

    @contextmanager
    def installed(self) -> Iterator[None]:
        """Watch the threads started from now on."""
        threading.setprofile(self._note)
        try:
            yield
        finally:
            threading.setprofile(None)  # type: ignore[arg-type]  # typeshed: None removes it
            self.recording = False

    def _note(self, frame: FrameType, event: str, _argument: object) -> None:
        if not self.recording:
            return
        if event == "call":
            self.called.setdefault(threading.current_thread().name, set()).add(frame.f_code)


def _raises(*args: Any, **kwargs: Any) -> Any:
    import tests.support.faults as faults

    faults.struck()
    raise faults.InjectedFault


def _nothing(*args: Any, **kwargs: Any) -> Any:
    import tests.support.faults as faults

    faults.struck()


def struck() -> None:
    """Note that a fault was met."""
    hits.append(threading.current_thread().name)


_CODES: dict[Fault, Callable[..., Any]] = {"raises": _raises, "nothing": _nothing}


@contextmanager
def fault_in(function: FunctionType, fault: Fault = "raises") -> Iterator[list[str]]:
    """Let `function` raise, or return None; yields the list of the threads that met it."""
    whole = function.__code__
    # The free variables stay, or Python refuses the code: it cannot take them away from a closure.
    broken = _CODES[fault].__code__.replace(co_freevars=whole.co_freevars)  # type: ignore[attr-defined]
    hits.clear()
    function.__code__ = broken
    try:
        yield hits
    finally:
        function.__code__ = whole


assert sys.implementation.name == "cpython", "a function's code is replaced as CPython does it"
