"""The screen's web server: uvicorn in a thread of its own, on this machine only.

NiceGUI keeps its pages in one global application, so one process holds one screen at a time, and the collector's
console belongs into another process.
"""

from __future__ import annotations

import contextlib
import ipaddress
import socket
import threading
from collections.abc import Callable

import uvicorn
from fastapi import FastAPI

from kiosk.terminal.errors import NotLoopback, PortTaken, StartFailed
from kiosk.terminal.pages import attach
from kiosk.terminal.texts import Language
from kiosk.terminal.view import TerminalService

START_TIMEOUT_S = 30.0  # a Pi with a cold disk; here it takes under one
STOP_TIMEOUT_S = 5.0
OPEN_STREAMS_TIMEOUT_S = 1  # a browser holds the picture open for ever; the server does not wait for it


class TerminalServer:
    """Serves one terminal's screen at http://host:port/ between `start` and `stop`.

    `port` 0 takes a free one; `port` then says which. Raises NotLoopback for a host beyond this machine: who reaches
    the screen can type PINs and see the picture.
    """

    def __init__(
        self,
        service: TerminalService | None,
        language: Language = "zh",
        host: str = "127.0.0.1",
        port: int = 8080,
        page: Callable[[FastAPI], None] | None = None,
    ) -> None:
        """`page` puts another page than the worker's on the application; there is no service then."""
        if not _is_loopback(host):
            raise NotLoopback(f"the screen is for this machine's own browser; {host!r} is not a loopback address")
        self.host, self.port = host, port
        self.app = FastAPI(title="Zaigang terminal", docs_url=None, redoc_url=None, openapi_url=None)
        if page is not None:
            page(self.app)
        elif service is not None:
            attach(self.app, service, language)
        self._server: _Server | None = None
        self._thread: threading.Thread | None = None
        self._socket: socket.socket | None = None

    @property
    def url(self) -> str:
        """Where the browser finds the screen."""
        host = f"[{self.host}]" if ":" in self.host else self.host
        return f"http://{host}:{self.port}/"

    def start(self) -> None:
        """Return when the screen answers. Raises PortTaken or StartFailed."""
        family = socket.AF_INET6 if ":" in self.host else socket.AF_INET
        try:
            self._socket = socket.create_server((self.host, self.port), family=family)
        except OSError as error:
            raise PortTaken(f"the screen cannot listen on {self.host}:{self.port}: {error.strerror}") from error
        self.port = int(self._socket.getsockname()[1])
        config = uvicorn.Config(
            self.app,
            log_config=None,
            access_log=False,
            timeout_graceful_shutdown=OPEN_STREAMS_TIMEOUT_S,
        )
        self._server = _Server(config)
        self._thread = threading.Thread(target=self._run, name="terminal-screen", daemon=True)
        self._thread.start()
        if not self._server.settled.wait(START_TIMEOUT_S) or not self._server.started:
            self.stop()
            raise StartFailed("the screen's web server did not start; its log says why")

    def stop(self) -> None:
        """Return when the server has ended; a second call does nothing."""
        if self._server is not None:
            self._server.should_exit = True
        if self._thread is not None:
            self._thread.join(STOP_TIMEOUT_S)
        if self._socket is not None:
            self._socket.close()
        self._server = self._thread = self._socket = None

    @property
    def running(self) -> bool:
        """True while the server's thread lives."""
        return self._thread is not None and self._thread.is_alive()

    def _run(self) -> None:
        server, listening = self._server, self._socket
        if server is None or listening is None:
            return
        try:
            with contextlib.suppress(SystemExit):  # uvicorn's way to say that it could not start
                server.run(sockets=[listening])
        finally:
            server.settled.set()


class _Server(uvicorn.Server):
    """A uvicorn server that says when it is up or has failed."""

    def __init__(self, config: uvicorn.Config) -> None:
        super().__init__(config)
        self.settled = threading.Event()

    async def startup(self, sockets: list[socket.socket] | None = None) -> None:
        await super().startup(sockets)
        self.settled.set()


def _is_loopback(host: str) -> bool:
    if host == "localhost":
        return True
    try:
        return ipaddress.ip_address(host).is_loopback
    except ValueError:
        return False
