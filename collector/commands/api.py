"""Routes about spot checks: order one, see what came of it."""

from __future__ import annotations

import json
from typing import Annotated, Any

from fastapi import APIRouter, Depends, Query, status
from pydantic import BaseModel, Field, WithJsonSchema

from collector.answers import Held, Limit, UtcText, errors
from collector.auth.api import may_read, may_write
from collector.auth.service import Caller
from collector.commands.service import CommandView
from collector.paging import read_cursor, write_cursor
from collector.timestamps import utc_now
from evidence.command import SPOT_CHECK
from evidence.events import Name, WorkerCode

_STATES = (
    "open, done (the worker showed up and was verified), failed (not shown up, or not verified), refused (the terminal "
    "did not ask), ended (the terminal never answered)."
)

router = APIRouter(prefix="/spot-checks", tags=["spot checks"])


class NewSpotCheck(BaseModel):
    """Whom to call, where, and how long to wait."""

    # Only the length stands in the schema: Unicode classes are not in every language's regular expressions.
    worker: Annotated[WorkerCode, WithJsonSchema({"type": "string", "minLength": 1, "maxLength": 64})]
    device: Name
    minutes: Annotated[int, Field(ge=1, le=60, strict=True, description="Until when the worker is to show up.")] = 5


class SpotCheckAnswer(BaseModel):
    """A spot check and what came of it."""

    id: str
    worker: str
    device: str
    minutes: int
    issued_by: str
    issued: UtcText
    expires: Annotated[UtcText, Field(description="The terminal must take it up before this, or lets it be.")]
    state: Annotated[str, Field(description=_STATES)]
    answered_at: UtcText | None
    reason: str | None
    result: dict[str, Any] | None
    leaf_index: Annotated[int | None, Field(description="Of the signed answer in the ledger.")]


class SpotCheckPage(BaseModel):
    """Spot checks, newest first."""

    items: list[SpotCheckAnswer]
    next: Annotated[str | None, Field(description="Cursor of the next page; null at the end.")]


@router.post(
    "",
    responses=errors(400, 403, 404, 409),
    status_code=status.HTTP_201_CREATED,
    summary="Call a worker to a terminal",
)
def order_spot_check(held: Held, new: NewSpotCheck, caller: Annotated[Caller, Depends(may_write)]) -> SpotCheckAnswer:
    """Sign a command that has the terminal call this worker, and send it."""
    return spot_check_answer(held.commands.spot_check(new.worker, new.device, new.minutes, caller.name))


@router.get("", dependencies=[Depends(may_read)], responses=errors(400), summary="List the spot checks")
def list_spot_checks(
    held: Held,
    device: Annotated[Name | None, Query()] = None,
    limit: Limit = 100,
    cursor: Annotated[str | None, Query(max_length=400)] = None,
) -> SpotCheckPage:
    """Return spot checks, the newest first, a page at a time."""
    before = None
    if cursor is not None:
        issued, last = read_cursor(cursor, str, str)
        before = (str(issued), str(last))
    found = held.commands.page(SPOT_CHECK, device, before, limit + 1)
    last_row = found[limit - 1].command if len(found) > limit else None
    more = None if last_row is None else write_cursor(last_row.issued, last_row.id)
    return SpotCheckPage(items=[spot_check_answer(one) for one in found[:limit]], next=more)


@router.get("/{id}", dependencies=[Depends(may_read)], responses=errors(404), summary="One spot check")
def get_spot_check(held: Held, id: str) -> SpotCheckAnswer:  # noqa: A002
    """Return one spot check."""
    return spot_check_answer(held.commands.get(id))


def spot_check_answer(view: CommandView) -> SpotCheckAnswer:
    """Write a spot check as the API and the command line show it."""
    command, answer = view.command, view.answer
    return SpotCheckAnswer(
        id=command.id,
        worker=str(command.body.get("worker", "")),
        device=command.device,
        minutes=int(command.body.get("minutes", 0)),
        issued_by=command.issued_by,
        issued=command.issued,
        expires=command.expires,
        state=view.state(utc_now()),
        answered_at=answer.time if answer else None,
        reason=answer.reason if answer else None,
        result=json.loads(answer.result) if answer else None,
        leaf_index=answer.leaf_index if answer else None,
    )
