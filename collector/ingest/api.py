"""Routes about dead letters."""

from __future__ import annotations

import base64
import io
from typing import Annotated

from fastapi import APIRouter, Depends, Query, Request
from fastapi.concurrency import run_in_threadpool
from pydantic import BaseModel, Field

from collector.answers import Held, Limit, UtcText, errors
from collector.auth.api import may_read, may_write
from collector.errors import BatchTooLarge
from collector.ingest.deliveries import read_lines
from collector.ingest.models import DeadLetter
from collector.paging import read_cursor, write_cursor

router = APIRouter(prefix="/dead-letters", tags=["dead letters"])
events = APIRouter(prefix="/events", tags=["events"])
MAX_BATCH_BYTES = 4 << 20  # two hundred of the largest envelopes, six hundred punches


class DeadLetterAnswer(BaseModel):
    """A message that could not be admitted, or an entry that could not be projected."""

    id: int
    code: Annotated[str, Field(description="Why, for programs.")]
    message: Annotated[str, Field(description="Why, for people.")]
    device_id: Annotated[str | None, Field(description="The registered device of the topic; null: none.")]
    topic: str
    size: Annotated[int, Field(description="Bytes of the whole message.")]
    sha256: Annotated[str, Field(description="Of the whole message.")]
    content: Annotated[str, Field(description="Base64 of its first 4 KiB.")]
    leaf_index: Annotated[int | None, Field(description="The ledger entry, where only its projection failed.")]
    times: Annotated[int, Field(description="How often these bytes came for this reason.")]
    received_at: UtcText
    last_at: UtcText


class DeadLetterSum(BaseModel):
    """How many there were of one kind, kept or not."""

    device_id: str | None
    code: str
    times: int
    last_at: UtcText


class DeadLetterPage(BaseModel):
    """Dead letters, newest first."""

    items: list[DeadLetterAnswer]
    next: Annotated[str | None, Field(description="Cursor of the next page; null at the end.")]
    counts: list[DeadLetterSum]


@router.get("", dependencies=[Depends(may_read)], responses=errors(), summary="List the dead letters")
def list_dead_letters(
    held: Held, limit: Limit = 100, cursor: Annotated[str | None, Query(max_length=400)] = None
) -> DeadLetterPage:
    """Return dead letters, newest first. Against floods only a bounded number is kept; all are counted."""
    before = None if cursor is None else int(read_cursor(cursor, int)[0])
    found = held.dead_letters.page(before, limit + 1)
    shown = found[:limit]
    more = write_cursor(shown[-1].id or 0) if len(found) > limit else None
    sums = [
        DeadLetterSum(device_id=one.source or None, code=one.code, times=one.times, last_at=one.last_at)
        for one in held.dead_letters.counts()
    ]
    return DeadLetterPage(items=[_answer(letter) for letter in shown], next=more, counts=sums)


def _answer(letter: DeadLetter) -> DeadLetterAnswer:
    kept = letter.model_dump(exclude={"source", "content"})
    content = base64.b64encode(letter.content).decode()
    return DeadLetterAnswer(device_id=letter.source or None, content=content, **kept)


class DeliveryAnswer(BaseModel):
    """What came of a batch of envelopes, by outcome."""

    lines: int
    outcomes: Annotated[
        dict[str, int], Field(description="admitted, known, waiting (for a gap or an approval), contradicting, refused")
    ]
    refusals: Annotated[dict[str, int], Field(description="Codes of the dead letters.")]
    receipts: Annotated[list[str], Field(description="Signed receipts, an envelope each, the newest of each chain.")]
    handovers: Annotated[
        list[str], Field(description="How the collector's keys were replaced; a terminal is to have them first.")
    ]


@events.post(
    "",
    dependencies=[Depends(may_write)],
    responses=errors(403, 413),
    summary="Deliver signed events without a broker",
    openapi_extra={
        "requestBody": {
            "required": True,
            "content": {"text/plain": {"schema": {"type": "string", "description": "One envelope a line."}}},
        }
    },
)
async def deliver(held: Held, request: Request) -> DeliveryAnswer:
    """Take envelopes, one a line, at most 4 MiB: the same rules as from the broker, so again is harmless."""
    body = await read_body(request, MAX_BATCH_BYTES)
    done = await run_in_threadpool(held.deliveries.take, read_lines(io.BytesIO(body)), "https")
    return DeliveryAnswer(
        lines=done.lines,
        outcomes=dict(done.outcomes),
        refusals=dict(done.refusals),
        receipts=[answer.payload.decode() for answer in done.receipts.values()],
        handovers=[line.decode() for line in held.joining.handovers().splitlines()],
    )


async def read_body(request: Request, at_most: int) -> bytes:
    """Read a body of at most so many bytes, and no further. Raises BatchTooLarge."""
    body = bytearray()
    async for chunk in request.stream():
        body += chunk
        if len(body) > at_most:
            raise BatchTooLarge(f"a batch has at most {at_most} bytes; send it in parts")
    return bytes(body)
