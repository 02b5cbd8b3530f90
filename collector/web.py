"""The HTTP application: routes, one shape for every error, documentation that needs no internet."""

from __future__ import annotations

import importlib.resources
from collections.abc import Callable
from pathlib import Path
from typing import Any

import structlog
from fastapi import APIRouter, Depends, FastAPI, Request
from fastapi.exceptions import RequestValidationError
from fastapi.openapi.docs import get_swagger_ui_html
from fastapi.responses import HTMLResponse, JSONResponse
from fastapi.staticfiles import StaticFiles
from sqlalchemy.exc import DataError, SQLAlchemyError
from starlette.exceptions import HTTPException
from starlette.routing import compile_path

import collector.commands.api
import collector.devices.api
import collector.devices.join_api
import collector.erasure.api
import collector.evidence_bundles.api
import collector.ingest.api
import collector.ingest.terminal_api
import collector.ledger.api
import collector.ledger.tlog
import collector.people.api
import collector.presence.api
import collector.punches.api
import collector.sites.api
import collector.statements.api
from collector.auth.api import may_read
from collector.database import is_passing
from collector.errors import CollectorError, NotFound
from collector.healthz import Health
from collector.services import Services
from collector.statements.caller import NamesTheCaller

log = structlog.get_logger()

PREFIX = "/api/v1"
_METHODS = ["GET", "POST", "PUT", "PATCH", "DELETE", "HEAD", "OPTIONS"]
_DESCRIPTION = """\
What terminals signed, as HR asks for it. Every route but `healthz` and what terminals ask, which they sign, needs an
API key: `Authorization: Bearer zk_…`; `zaigang collector apikey create` makes one.

Times are RFC 3339. Errors have one shape: `{"error": {"code": "…", "message": "…"}}`.
"""


def create_api(services: Services, health: Callable[[], Health]) -> FastAPI:
    """Build the application without its console."""
    app = FastAPI(
        title="Zaigang collector",
        version="1",
        description=_DESCRIPTION,
        docs_url=None,
        redoc_url=None,
        openapi_url="/openapi.json",
        strict_content_type=True,
    )
    app.state.services = services
    app.add_middleware(NamesTheCaller)
    v1 = APIRouter(prefix=PREFIX)
    for subject in (
        collector.sites,
        collector.people,
        collector.devices,
        collector.punches,
        collector.presence,
        collector.commands,
        collector.ledger,
        collector.statements,
        collector.erasure,
        collector.evidence_bundles,
    ):
        v1.include_router(subject.api.router)
    v1.include_router(collector.ingest.api.router)
    v1.include_router(collector.devices.join_api.router)
    v1.include_router(collector.devices.join_api.terminals)
    v1.include_router(collector.ingest.api.events)
    v1.include_router(collector.ingest.terminal_api.router)
    _add_health(v1, health)
    app.include_router(v1)
    app.include_router(collector.ledger.tlog.router)
    _add_docs(app)
    guard = [Depends(may_read)]
    app.add_api_route("/api/{rest:path}", _nothing_here, methods=_METHODS, include_in_schema=False, dependencies=guard)
    _add_error_handlers(app)
    return app


def _add_health(router: APIRouter, health: Callable[[], Health]) -> None:
    @router.get("/healthz", tags=["health"], summary="Is it working", responses={503: {"model": Health}})
    def healthz() -> JSONResponse:
        """Say whether intake, database and broker work; 503 if one does not. Needs no key, tells no secret."""
        state = health()
        return JSONResponse(state.model_dump(mode="json"), 200 if state.status == "ok" else 503)


def _add_docs(app: FastAPI) -> None:
    """Serve Swagger UI from the assets that the package fastapi-offline carries; FastAPI's own page loads a CDN's."""
    assets = Path(str(importlib.resources.files("fastapi_offline"))) / "static"
    app.mount("/docs/assets", StaticFiles(directory=assets), name="docs-assets")

    @app.get("/docs", include_in_schema=False)
    def docs() -> HTMLResponse:
        return get_swagger_ui_html(
            openapi_url="/openapi.json",
            title="Zaigang collector API",
            swagger_js_url="/docs/assets/swagger-ui-bundle.js",
            swagger_css_url="/docs/assets/swagger-ui.css",
            swagger_favicon_url="/docs/assets/favicon.png",
        )


def _nothing_here(request: Request) -> None:
    """Answer for what no route matches, so that it has the API's error shape and not the console's page."""
    path = request.url.path
    known = {
        method.upper()
        for template, methods in request.app.openapi()["paths"].items()
        if compile_path(template)[0].match(path)
        for method in methods
    }
    if known:
        raise HTTPException(405, "this path has no such method", {"Allow": ", ".join(sorted(known))})
    raise NotFound(f"there is no {path}; the routes are listed at /docs")


def _add_error_handlers(app: FastAPI) -> None:
    @app.exception_handler(CollectorError)
    async def refused(_request: Request, error: CollectorError) -> JSONResponse:
        headers = {"WWW-Authenticate": "Bearer"} if error.status == 401 else None
        return error_answer(error.status, error.code, str(error), headers)

    @app.exception_handler(RequestValidationError)
    async def invalid(_request: Request, error: RequestValidationError) -> JSONResponse:
        wrong = "; ".join(f"{'.'.join(str(part) for part in one['loc'])}: {one['msg']}" for one in error.errors())
        return error_answer(422, "invalid", wrong)

    @app.exception_handler(HTTPException)
    async def http(_request: Request, error: HTTPException) -> JSONResponse:
        codes = {404: "not_found", 405: "method_not_allowed", 400: "bad_request", 415: "unsupported_media_type"}
        return error_answer(error.status_code, codes.get(error.status_code, "http"), str(error.detail), error.headers)

    @app.exception_handler(SQLAlchemyError)
    async def database(request: Request, error: SQLAlchemyError) -> JSONResponse:
        if is_passing(error):
            log.error("the database does not answer", error=str(getattr(error, "orig", error)))
            return error_answer(503, "database", "the database does not answer; try again")
        if isinstance(error, DataError):  # PostgreSQL keeps no NUL in a text, and no integer beyond 64 bits
            return error_answer(422, "invalid", "the database cannot keep a value of this request")
        return await internal(request, error)

    @app.exception_handler(Exception)
    async def internal(request: Request, error: Exception) -> JSONResponse:
        log.error("a request failed", path=request.url.path, exc_info=error)
        return error_answer(500, "internal", "something went wrong here; the log says what")


def error_answer(status: int, code: str, message: str, headers: Any = None) -> JSONResponse:
    """Return the one shape of an error."""
    return JSONResponse({"error": {"code": code, "message": message}}, status, headers=headers)
