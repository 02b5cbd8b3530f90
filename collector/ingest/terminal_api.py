"""What terminals post without an API key where they reach no broker: batches that their own key signs."""

from __future__ import annotations

from typing import Annotated

from fastapi import APIRouter, Request
from fastapi.concurrency import run_in_threadpool
from pydantic import BaseModel, Field

from collector.answers import Held, errors
from collector.ingest.api import read_body
from evidence.delivery import MAX_BATCH_BYTES

router = APIRouter(prefix="/terminals", tags=["events"])


class BroughtAnswer(BaseModel):
    """What came of a terminal's batch, and what it would have heard from the broker."""

    outcomes: Annotated[
        dict[str, int], Field(description="admitted, known, waiting (for a gap or an approval), contradicting, refused")
    ]
    refusals: Annotated[dict[str, int], Field(description="Codes of the dead letters.")]
    messages: Annotated[
        list[str],
        Field(description="As on …/receipt, in this order: handovers, gap requests, receipts, a checkpoint. Signed."),
    ]
    commands: Annotated[list[str], Field(description="As on …/command: open commands, an envelope each.")]


@router.post(
    "/events",
    responses={code: said for code, said in errors(403, 413, 429).items() if code != 401},
    summary="A terminal delivers its own events without a broker",
    openapi_extra={
        "requestBody": {
            "required": True,
            "content": {
                "text/plain": {
                    "schema": {
                        "type": "string",
                        "description": "A first line signed by the terminal's key (a DSSE envelope of type "
                        "application/vnd.zaigang.delivery.v1+json: docs/spec/fields.md), then one envelope a line.",
                    }
                }
            },
        },
        "security": [],
    },
)
async def deliver(held: Held, request: Request) -> BroughtAnswer:
    """Take a batch of at most 1 MiB from a registered terminal; needs no API key, for its key signs the batch.

    The same rules as from the broker: again is harmless. Refused with 403 and a dead letter: `unknown_device`,
    `wrong_site`, `unknown_key` or another of signatures, `revoked_device`. 429: faster than four a second.
    """
    brought = await run_in_threadpool(held.terminal_deliveries.take, await read_body(request, MAX_BATCH_BYTES))
    return BroughtAnswer(
        outcomes=dict(brought.done.outcomes),
        refusals=dict(brought.done.refusals),
        messages=[one.decode() for one in brought.messages],
        commands=[one.decode() for one in brought.commands],
    )
