"""The console's addresses: who may see which page, in which language. Pages call services, never tables."""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Mapping
from dataclasses import dataclass

from fastapi import FastAPI, Request
from fastapi.responses import RedirectResponse, Response
from nicegui import ui

from collector.auth.service import Caller
from collector.auth.sessions import COOKIE, Sessions
from collector.console import bundle_files
from collector.console.bundle_shelf import Shelf
from collector.console.bundles import BundlesPage
from collector.console.dead_letters import draw_dead_letters
from collector.console.joining import draw_joining
from collector.console.ledger_corner import LedgerCorner
from collector.console.login import language_of, routes
from collector.console.overview import draw_overview
from collector.console.punch import draw_punch
from collector.console.statement import draw_statement
from collector.console.statement import routes as statement_files
from collector.console.statements import draw_statements
from collector.console.style import STYLE
from collector.console.texts import Texts
from collector.errors import Unauthorised
from collector.healthz import Health
from collector.services import Services

_ICON = (
    '<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 34 34"><rect width="34" height="34" rx="9" fill="#161a20"/>'
    '<path d="M10 18l5 5 10-12" fill="none" stroke="#fff" stroke-width="3.4" stroke-linecap="round"/></svg>'
)


@dataclass(frozen=True, slots=True)
class Visitor:
    """Whoever looks at a page, with a session that holds."""

    caller: Caller
    cookie: str
    texts: Texts


_Draw = Callable[[Request, Visitor], Awaitable[None] | None]


def attach(
    app: FastAPI,
    services: Services,
    sessions: Sessions,
    health: Callable[[], Health],
    verifiers: Mapping[str, bytes] | None = None,
) -> None:
    """Put the console on the application at `/`. NiceGUI serves one application a process.

    `verifiers`: files by name that check a bundle without us, offered beside it.
    """
    app.include_router(routes(sessions))
    _add_terminals(services, sessions)
    _add_evidence(app, services, sessions, verifiers or {})
    _add_ledger(app, services, sessions, health)
    ui.run_with(app, title="Zaigang", tailwind=False, show_welcome_message=False, reconnect_timeout=10)


def _add_terminals(services: Services, sessions: Sessions) -> None:
    @_page("/", sessions)
    def first(_request: Request, visitor: Visitor) -> None:
        draw_overview(services, sessions, visitor.cookie, visitor.texts, visitor.caller.name)

    @_page("/joining", sessions)
    def joining(_request: Request, visitor: Visitor) -> None:
        draw_joining(services, sessions, visitor.cookie, visitor.texts, visitor.caller)

    @_page("/punches/{place}", sessions)
    def one(request: Request, visitor: Visitor) -> None:
        draw_punch(services, _place(request), visitor.texts, visitor.caller.name)


def _add_evidence(app: FastAPI, services: Services, sessions: Sessions, verifiers: Mapping[str, bytes]) -> None:
    shelf = Shelf(services.evidence_bundles)
    app.include_router(bundle_files.routes(sessions, shelf, services.evidence_bundles, verifiers))

    @_page("/evidence", sessions)
    def evidence(_request: Request, visitor: Visitor) -> None:
        BundlesPage(services, sessions, shelf, visitor.cookie, visitor.texts, visitor.caller).draw(verifiers)


def _add_ledger(app: FastAPI, services: Services, sessions: Sessions, health: Callable[[], Health]) -> None:
    corner = LedgerCorner(services.standing, health)
    app.include_router(statement_files(sessions, services))

    @_page("/statements", sessions)
    async def statements(request: Request, visitor: Visitor) -> None:
        await draw_statements(services, request.query_params, visitor.texts, visitor.caller.name, corner)

    @_page("/statements/{place}", sessions)
    def statement(request: Request, visitor: Visitor) -> None:
        draw_statement(services, _place(request), visitor.texts, visitor.caller.name)

    @_page("/dead-letters", sessions)
    def dead_letters(request: Request, visitor: Visitor) -> None:
        draw_dead_letters(services, request.query_params, visitor.texts, visitor.caller.name)


def _page(path: str, sessions: Sessions) -> Callable[[_Draw], None]:
    """Put a page at an address, for whoever has a session; everybody else is sent to sign in."""

    def add(draw: _Draw) -> None:
        @ui.page(path, title="在岗 Zaigang", favicon=_ICON)
        async def shown(request: Request) -> Response | None:
            try:
                caller = sessions.holder(request.cookies.get(COOKIE))
            except Unauthorised:
                return RedirectResponse("/login")
            ui.add_css(STYLE)
            drawn = draw(request, Visitor(caller, request.cookies[COOKIE], language_of(request)))
            if drawn is not None:
                await drawn
            return None

    return add


def _place(request: Request) -> int:
    """The ledger entry in an address; one that is nowhere for anything but a number."""
    text = str(request.path_params["place"])
    return int(text) if text.isascii() and text.isdigit() and len(text) < 17 else -1
