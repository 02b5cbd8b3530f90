"""Routes about dead letters."""

from __future__ import annotations

import base64
from typing import Annotated

from fastapi import APIRouter, Depends, Query
from pydantic import BaseModel, Field

from collector.answers import Held, Limit, UtcText, errors
from collector.auth.api import may_read
from collector.ingest.models import DeadLetter
from collector.paging import read_cursor, write_cursor

router = APIRouter(prefix="/dead-letters", tags=["dead letters"])


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
