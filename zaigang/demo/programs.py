"""The demo's programs as real processes: started, spoken to, taken away and ended by their own process ids."""

from __future__ import annotations

import json
import os
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any, TypeVar

Found = TypeVar("Found")


class DemoError(Exception):
    """The demo could not go on; the message says which program, and where its log lies."""


def free_port() -> int:
    """Return a port of 127.0.0.1 that was free a moment ago."""
    with socket.socket() as one:
        one.bind(("127.0.0.1", 0))
        return int(one.getsockname()[1])


def wait_for(what: str, probe: Callable[[], Found | None], timeout_s: float) -> Found:
    """Return the first true answer of `probe`. Raises DemoError when none comes in time."""
    deadline = time.monotonic() + timeout_s
    while True:
        found = probe()
        if found:
            return found
        if time.monotonic() > deadline:
            raise DemoError(f"waited {timeout_s:.0f} s in vain for {what}")
        time.sleep(0.05)


class Program:
    """One program of the demo; its standard error goes to a log file in `folder`."""

    def __init__(self, name: str, folder: Path, arguments: Sequence[str], *, spoken: bool = False) -> None:
        """`arguments` follow the interpreter; a `spoken` program takes and answers JSON lines."""
        self.name, self.log = name, folder / f"{name}.log"
        self._arguments, self._spoken = [sys.executable, *arguments], spoken
        self._process: subprocess.Popen[str] | None = None

    def start(self) -> None:
        """Start, or start again."""
        with self.log.open("a") as log:
            self._process = subprocess.Popen(  # noqa: S603  # our own programs, no shell
                self._arguments,
                stdin=subprocess.PIPE if self._spoken else subprocess.DEVNULL,
                stdout=subprocess.PIPE if self._spoken else log,
                stderr=log,
                text=True,
                env={**os.environ, "PYTHONUNBUFFERED": "1"},
            )

    def ask(self, **request: Any) -> dict[str, Any]:
        """Send one JSON line and return the answer. Raises DemoError when the program is gone or says no."""
        process = self._running()
        assert process.stdin is not None and process.stdout is not None
        process.stdin.write(json.dumps(request) + "\n")
        process.stdin.flush()
        line = process.stdout.readline()
        if not line:
            raise DemoError(f"{self.name} ended without an answer; its log: {self.log}")
        answer: dict[str, Any] = json.loads(line)
        if "error" in answer:
            raise DemoError(f"{self.name}: {answer['error']}")
        return answer

    def hold(self) -> None:
        """Stop the program where it stands (SIGSTOP), as if its machine were busy."""
        self._running().send_signal(signal.SIGSTOP)

    def go_on(self) -> None:
        """Let it run again (SIGCONT)."""
        self._running().send_signal(signal.SIGCONT)

    def check(self) -> None:
        """Raises DemoError when the program has ended."""
        self._running()

    def kill(self) -> None:
        """Kill it where it stands (SIGKILL), as a power cut would."""
        process = self._running()
        process.kill()
        process.wait()
        self._process = None

    def stop(self) -> None:
        """End it, gently first."""
        if self._process is None:
            return
        self._process.send_signal(signal.SIGCONT)
        self._process.terminate()
        try:
            self._process.wait(10)
        except subprocess.TimeoutExpired:
            self._process.kill()
            self._process.wait()
        self._process = None

    def _running(self) -> subprocess.Popen[str]:
        if self._process is None or self._process.poll() is not None:
            tail = self.log.read_text()[-800:] if self.log.exists() else ""
            raise DemoError(f"{self.name} is not running; the end of {self.log}:\n{tail}")
        return self._process
