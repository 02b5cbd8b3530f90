"""The scripted terminal as a process of its own, and the calls by which a test drives it."""

from __future__ import annotations

import json
import subprocess
import sys
import urllib.parse
import urllib.request
from dataclasses import asdict
from typing import Any

from kiosk.terminal.view import TerminalView

STOP_TIMEOUT_S = 15


class ServedTerminal:
    """A terminal's screen at `url`, shown what `show` says."""

    def __init__(self, language: str = "zh", port: int = 0) -> None:
        self.process = subprocess.Popen(
            [sys.executable, "-m", "tests.kiosk.terminal.scripted", language, str(port)],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            text=True,
        )
        assert self.process.stdout is not None
        self.url = self.process.stdout.readline().strip()
        assert self.url.startswith("http"), "the scripted terminal did not start"
        self.port = urllib.parse.urlsplit(self.url).port or 0

    def show(self, view: TerminalView) -> int:
        """Set the view; return its version."""
        return int(self._ask("PUT", "script/view", asdict(view)))

    def reset(self) -> None:
        self._ask("POST", "script/reset")

    def fail(self, *, view: bool = False, calls: bool = False) -> None:
        self._ask("POST", f"script/fail?view={view}&calls={calls}")

    def light(self, attempt: int, number: int, colour: tuple[int, int, int] | None) -> None:
        self._ask("PUT", "script/light", None if colour is None else [attempt, number, colour])

    def picture(self, path: str, box: tuple[float, float, float, float]) -> None:
        self._ask("PUT", f"script/picture?path={urllib.parse.quote(path)}", list(box))

    @property
    def calls(self) -> list[list[Any]]:
        return list(self._ask("GET", "script/calls"))

    def stop(self) -> str:
        """End it as the composition root would; return the last words."""
        out, _ = self.process.communicate(timeout=STOP_TIMEOUT_S)
        return out

    def kill(self) -> None:
        self.process.kill()
        self.process.communicate()

    def _ask(self, method: str, path: str, body: Any = None) -> Any:
        data = None if body is None else json.dumps(body).encode()
        request = urllib.request.Request(self.url + path, data, {"Content-Type": "application/json"}, method=method)
        with urllib.request.urlopen(request, timeout=10) as answer:
            return json.load(answer)
