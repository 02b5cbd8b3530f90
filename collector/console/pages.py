"""The console's addresses: who may see which page, in which language. Pages call services, never tables."""

from __future__ import annotations

from fastapi import FastAPI, Request
from fastapi.responses import RedirectResponse, Response
from nicegui import ui

from collector.auth.service import Caller
from collector.auth.sessions import COOKIE, Sessions
from collector.console.joining import draw_joining
from collector.console.login import language_of, routes
from collector.console.overview import draw_overview
from collector.console.punch import draw_punch
from collector.console.style import STYLE
from collector.errors import Unauthorised
from collector.services import Services

_ICON = (
    '<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 34 34"><rect width="34" height="34" rx="9" fill="#161a20"/>'
    '<path d="M10 18l5 5 10-12" fill="none" stroke="#fff" stroke-width="3.4" stroke-linecap="round"/></svg>'
)


def attach(app: FastAPI, services: Services, sessions: Sessions) -> None:
    """Put the console on the application at `/`. NiceGUI serves one application a process."""
    app.include_router(routes(sessions))

    @ui.page("/", title="在岗 Zaigang", favicon=_ICON)
    def first(request: Request) -> Response | None:
        caller = _caller(request, sessions)
        if caller is None:
            return RedirectResponse("/login")
        _head()
        cookie = request.cookies[COOKIE]
        draw_overview(services, sessions, cookie, language_of(request), caller.name)
        return None

    @ui.page("/joining", title="在岗 Zaigang", favicon=_ICON)
    def joining(request: Request) -> Response | None:
        caller = _caller(request, sessions)
        if caller is None:
            return RedirectResponse("/login")
        _head()
        draw_joining(services, sessions, request.cookies[COOKIE], language_of(request), caller)
        return None

    @ui.page("/punches/{leaf_index}", title="在岗 Zaigang", favicon=_ICON)
    def one(request: Request, leaf_index: int) -> Response | None:
        caller = _caller(request, sessions)
        if caller is None:
            return RedirectResponse("/login")
        _head()
        draw_punch(services, leaf_index, language_of(request), caller.name)
        return None

    ui.run_with(app, title="Zaigang", tailwind=False, show_welcome_message=False, reconnect_timeout=10)


def _head() -> None:
    ui.add_css(STYLE)


def _caller(request: Request, sessions: Sessions) -> Caller | None:
    try:
        return sessions.holder(request.cookies.get(COOKIE))
    except Unauthorised:
        return None
