"""Says, for the audit, which API key a request acts for. Whether the key is good, the routes' own guard decides."""

from __future__ import annotations

import re

from starlette.types import ASGIApp, Receive, Scope, Send

from collector.statements.actor import acting_as

_KEY = re.compile(rb"Bearer zk_([0-9a-f]{12})_")


class NamesTheCaller:
    """ASGI middleware."""

    def __init__(self, app: ASGIApp) -> None:
        self._app = app

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Serve the request as its caller's doing."""
        given = dict(scope.get("headers", ())).get(b"authorization", b"") if scope["type"] == "http" else b""
        match = _KEY.match(given)
        if match is None:
            await self._app(scope, receive, send)
            return
        with acting_as(f"apikey:{match[1].decode()}"):
            await self._app(scope, receive, send)
