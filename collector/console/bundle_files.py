"""The files beside the page about evidence bundles: a bundle that was just made, the trust file, the verifiers."""

from __future__ import annotations

from collections.abc import Mapping

from fastapi import APIRouter, Request
from fastapi.responses import RedirectResponse, Response

from collector.auth.service import Caller, Scope
from collector.auth.sessions import COOKIE, Sessions
from collector.console.bundle_shelf import Shelf
from collector.errors import CollectorError, Forbidden, Unauthorised
from collector.evidence_bundles.service import EvidenceBundles, bundle_name

_TYPES = {"html": "text/html; charset=utf-8", "sh": "text/x-shellscript; charset=utf-8"}


def routes(sessions: Sessions, shelf: Shelf, bundles: EvidenceBundles, verifiers: Mapping[str, bytes]) -> APIRouter:
    """Build the routes. `verifiers` are files by name."""
    router = APIRouter(include_in_schema=False)

    def signed_in(request: Request) -> Caller:
        return sessions.holder(request.cookies.get(COOKIE))

    @router.get("/evidence/files/{token}")
    def bundle(request: Request, token: str) -> Response:
        try:
            caller = signed_in(request)
            if not caller.may(Scope.WRITE):
                raise Forbidden("this key may only read")
            job, made = shelf.take(token, caller.key_id)
        except Unauthorised:
            return RedirectResponse("/login", 303)
        except CollectorError as error:
            return Response(f"{error}\n", error.status, media_type="text/plain; charset=utf-8")
        name = bundle_name(job.scope, made.facts.made_at)
        return _file(made.data, name, "application/zip", {"X-Bundle-SHA256": made.sha256})

    @router.get("/evidence/trust.json")
    def trust(request: Request) -> Response:
        try:
            signed_in(request)
        except Unauthorised:
            return RedirectResponse("/login", 303)
        text = bundles.trust().model_dump_json(indent=1, exclude_none=True) + "\n"
        return _file(text.encode(), "trust.json", "application/json")

    @router.get("/evidence/verifiers/{name}")
    def verifier(request: Request, name: str) -> Response:
        try:
            signed_in(request)
        except Unauthorised:
            return RedirectResponse("/login", 303)
        if name not in verifiers:
            return Response("there is no such verifier\n", 404, media_type="text/plain; charset=utf-8")
        return _file(verifiers[name], name, _TYPES.get(name.rpartition(".")[2], "application/octet-stream"))

    return router


def _file(data: bytes, name: str, media_type: str, more: Mapping[str, str] | None = None) -> Response:
    headers = {"Content-Disposition": f'attachment; filename="{name}"', "Cache-Control": "no-store", **(more or {})}
    return Response(data, media_type=media_type, headers=headers)
