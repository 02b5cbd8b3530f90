"""What every route has in common: the services, one error shape, limits of a page, RFC 3339 times."""

from __future__ import annotations

from typing import Annotated, Any

from fastapi import Depends, Query, Request
from pydantic import BaseModel, Field

from collector.services import Services

UtcText = Annotated[
    str,
    Field(
        description="RFC 3339, UTC, milliseconds.",
        examples=["2026-11-22T00:00:00.000Z"],
        json_schema_extra={"format": "date-time"},
    ),
]
Limit = Annotated[int, Query(ge=1, le=500, description="Items on a page.")]


class ErrorBody(BaseModel):
    """What went wrong."""

    code: Annotated[str, Field(description="Stable, for programs.")]
    message: Annotated[str, Field(description="One sentence, for people.")]


class ErrorAnswer(BaseModel):
    """The shape of every error of this API."""

    error: ErrorBody


def errors(*statuses: int) -> dict[int | str, dict[str, Any]]:
    """Describe the errors of a route; 401 and 422 are everywhere."""
    named = {
        400: "The request cannot be read",
        401: "No good API key",
        403: "The key's scope is not enough",
        404: "Not here",
        409: "Contradicts what is here",
        413: "Too much for one request.",
        429: "Too often; come again",
        422: "A parameter or the body is wrong",
    }
    return {status: {"model": ErrorAnswer, "description": named[status]} for status in (401, 422, *statuses)}


async def _services(request: Request) -> Services:  # it waits for nothing: FastAPI would hand it to a thread otherwise
    held: Services = request.app.state.services
    return held


Held = Annotated[Services, Depends(_services)]  # what the composition root has put on the application
