"""The witness over HTTP (c2sp.org/tlog-witness), and a page that tells people what it watches."""

from __future__ import annotations

from datetime import UTC, datetime
from typing import Annotated

import structlog
from fastapi import FastAPI, Request, Response
from fastapi.concurrency import run_in_threadpool
from fastapi.responses import PlainTextResponse
from pydantic import BaseModel, Field

from witness.errors import BadRequest, Split, Stale, WitnessError
from witness.request import MAX_REQUEST_BYTES
from witness.witness import Witness

log = structlog.get_logger()


class Watched(BaseModel):
    """A ledger and how far the witness has followed it."""

    origin: str
    size: int
    root: Annotated[str, Field(description="Hex; empty before the first checkpoint.")]
    cosigned_at: Annotated[str | None, Field(description="RFC 3339, UTC.")]


class About(BaseModel):
    """Who this is and what it watches."""

    name: str
    vkey: Annotated[str, Field(description="What verifiers need to believe its cosignatures.")]
    ledgers: list[Watched]


def create_app(witness: Witness) -> FastAPI:
    """Build the HTTP application."""
    app = FastAPI(title="Zaigang witness", version="1", docs_url=None, redoc_url=None)

    @app.post("/add-checkpoint", response_class=PlainTextResponse)
    async def add_checkpoint(request: Request) -> Response:
        """Cosign a checkpoint that its ledger has grown into."""
        body = await _body(request)
        line = await run_in_threadpool(witness.add_checkpoint, body)
        return PlainTextResponse(line)

    @app.get("/")
    def about() -> About:
        """Say who this is and what it watches."""
        seen = {one.origin: (one, seconds) for one, seconds in witness.memory.all()}
        ledgers = []
        for known in witness.logs:
            checkpoint, seconds = seen.get(known.origin, (None, None))
            ledgers.append(
                Watched(
                    origin=known.origin,
                    size=0 if checkpoint is None else checkpoint.size,
                    root="" if checkpoint is None else checkpoint.root.hex(),
                    cosigned_at=None if seconds is None else datetime.fromtimestamp(seconds, UTC).isoformat(),
                )
            )
        return About(name=witness.signer.name, vkey=witness.signer.public.text(), ledgers=ledgers)

    @app.exception_handler(WitnessError)
    async def refused(_request: Request, error: WitnessError) -> Response:
        if isinstance(error, Stale):
            return Response(f"{error.size}\n", error.status, headers={"Content-Type": "text/x.tlog.size"})
        level = log.critical if isinstance(error, Split) or error.status == 422 else log.warning
        level("a checkpoint was refused", status=error.status, reason=str(error))
        return PlainTextResponse(f"{error}\n", error.status)

    return app


async def _body(request: Request) -> bytes:
    body = bytearray()
    async for part in request.stream():
        body += part
        if len(body) > MAX_REQUEST_BYTES:
            raise BadRequest(f"a request has at most {MAX_REQUEST_BYTES} bytes")
    return bytes(body)
