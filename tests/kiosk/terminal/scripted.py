"""A terminal whose view is set by hand: the whole TerminalService protocol in memory, and a process that serves it.

`python -m tests.kiosk.terminal.scripted LANGUAGE PORT` serves the screen, and beside it `/script` by which a test in
another process sets the view and reads the calls. NiceGUI allows one application a process, hence the process.
"""

from __future__ import annotations

import dataclasses
import sys
import threading
from typing import Any

import cv2
import numpy as np
from fastapi import FastAPI
from pydantic import TypeAdapter

from evidence.events import LogType
from kiosk.terminal.picture import privacy_jpeg
from kiosk.terminal.serve import TerminalServer
from kiosk.terminal.view import Light, Phase, TerminalView

VIEW = TypeAdapter(TerminalView)
IDLE = TerminalView(
    version=1,
    phase=Phase.IDLE,
    site="滨江三号工地",
    device="gate-1",
    face_available=True,
    online=True,
    tz="Asia/Shanghai",
    contact="王工 138-0000-0000",
)


class ScriptedService:
    """Shows what it is told and remembers what it was asked."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._view = IDLE
        self.calls: list[list[Any]] = []
        self.failing = False
        self.calls_fail = False
        self.jpeg: bytes | None = None
        self.lit: Light | None = None

    def set(self, view: TerminalView) -> None:
        """Show `view` under the next version."""
        with self._lock:
            self._view = dataclasses.replace(view, version=self._view.version + 1)

    def view(self) -> TerminalView:
        if self.failing:
            raise RuntimeError("the terminal's state is gone")
        with self._lock:
            return self._view

    def tap(self, log_type: LogType, badge: str | None) -> None:
        self._called("tap", log_type.value, badge)

    def badge_pin(self, log_type: LogType, badge: str, pin: str) -> None:
        self._called("badge_pin", log_type.value, badge, pin)

    def confirm(self, log_type: LogType, badge: str, supervisor: str, pin: str | None) -> None:
        self._called("confirm", log_type.value, badge, supervisor, pin)

    def answer_call(self, pin: str | None) -> None:
        self._called("answer_call", pin)

    def answer_consent(self, *, agreed: bool, language: str) -> None:
        self._called("answer_consent", agreed, language)

    def cancel(self) -> None:
        self._called("cancel")
        self._idle()

    def dismiss(self) -> None:
        self._called("dismiss")
        self._idle()

    def light(self) -> Light | None:
        return self.lit

    def painted(self, attempt: int, number: int, age_us: int) -> None:
        self._called("painted", attempt, number, age_us)

    def _idle(self) -> None:
        held = self._view
        self.set(dataclasses.replace(IDLE, troubles=held.troubles, supervisor_available=held.supervisor_available))

    def picture(self) -> bytes | None:
        live = self._view.phase in (Phase.LOOKING, Phase.HOLD, Phase.PROMPT)
        return self.jpeg if live else None

    def _called(self, *call: Any) -> None:
        self.calls.append(list(call))
        if self.calls_fail:
            raise RuntimeError("the call went wrong")


def left_white_right_black() -> bytes:
    """A picture whose two halves differ, to see the mirror."""
    image = np.zeros((480, 640, 3), dtype=np.uint8)
    image[:, :320] = 255
    return privacy_jpeg(image, (0.3, 0.2, 0.7, 0.8))


def add_script(app: FastAPI, service: ScriptedService) -> None:
    """Let another process drive the service."""

    @app.put("/script/view")
    def put_view(view: dict[str, Any]) -> int:
        service.set(VIEW.validate_python(view))
        return service.view().version

    @app.get("/script/calls")
    def calls() -> list[list[Any]]:
        return service.calls

    @app.post("/script/reset")
    def reset() -> None:
        service.calls.clear()
        service.failing = service.calls_fail = False
        service.lit = None
        service.jpeg = left_white_right_black()
        service.set(IDLE)

    @app.post("/script/fail")
    def fail(*, view: bool = False, calls: bool = False) -> None:
        service.failing, service.calls_fail = view, calls

    @app.put("/script/light")
    def put_light(light: tuple[int, int, tuple[int, int, int]] | None = None) -> None:
        service.lit = None if light is None else Light(*light)

    @app.put("/script/picture")
    def put_picture(path: str, box: tuple[float, float, float, float]) -> None:
        image = cv2.imread(path)
        service.jpeg = privacy_jpeg(image, box)


def main() -> None:
    """Serve until standard input ends; print the address once it answers."""
    service = ScriptedService()
    service.jpeg = left_white_right_black()
    language = "en" if sys.argv[1] == "en" else "zh"
    server = TerminalServer(service, language, port=int(sys.argv[2]))
    # NiceGUI is mounted at / and would answer first: the script's routes go before it.
    mounted = server.app.router.routes[:]
    add_script(server.app, service)
    server.app.router.routes[:] = [r for r in server.app.router.routes if r not in mounted] + mounted
    server.start()
    print(server.url, flush=True)
    sys.stdin.read()
    server.stop()
    print("stopped", flush=True)


if __name__ == "__main__":
    main()
