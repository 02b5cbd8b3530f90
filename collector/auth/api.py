"""The guard of every route: a bearer key with enough scope.

What waits for nothing is `async`: FastAPI hands all else to a thread, a third of a millisecond each time.
"""

from __future__ import annotations

from typing import Annotated

from fastapi import Depends, Request
from fastapi.security import HTTPAuthorizationCredentials, HTTPBearer

from collector.auth.service import ApiKeys, Caller, Scope
from collector.errors import Forbidden, Unauthorised

_bearer = HTTPBearer(
    auto_error=False, scheme_name="API key", description="`zaigang collector apikey create` makes one, shown once."
)


async def api_keys(request: Request) -> ApiKeys:
    """Return the service that the composition root has put on the application."""
    keys: ApiKeys = request.app.state.services.api_keys
    return keys


def _caller(
    keys: Annotated[ApiKeys, Depends(api_keys)],
    credentials: Annotated[HTTPAuthorizationCredentials | None, Depends(_bearer)],
) -> Caller:
    if credentials is None:
        raise Unauthorised("this needs an API key: send `Authorization: Bearer zk_…`")
    return keys.check(credentials.credentials)


async def may_read(caller: Annotated[Caller, Depends(_caller)]) -> Caller:
    """Let any good key through."""
    return caller


async def may_write(caller: Annotated[Caller, Depends(_caller)]) -> Caller:
    """Let a key with scope `write` through."""
    if not caller.may(Scope.WRITE):
        raise Forbidden("this API key may only read")
    return caller
