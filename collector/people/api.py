"""Routes about workers."""

from __future__ import annotations

from typing import Annotated

from fastapi import APIRouter, Depends, Query, status
from pydantic import BaseModel, Field

from collector.answers import Held, Limit, UtcText, errors
from collector.auth.api import may_read, may_write
from collector.paging import read_cursor, write_cursor
from collector.people.models import Worker
from collector.people.service import NewWorker, WorkerBody

router = APIRouter(prefix="/workers", tags=["workers"])


class WorkerAnswer(BaseModel):
    """A worker."""

    code: Annotated[str, Field(description="Employee code, as on the badge.")]
    name: str
    active: bool
    added_at: UtcText


class EnrolmentAnswer(BaseModel):
    """A terminal that holds this worker's template."""

    device_id: str
    time: UtcText
    model: Annotated[str, Field(description="Of the face template; empty: badge and PIN without a face.")]
    frames: int
    authorised_by: str
    authorisation: str
    erased_at: Annotated[
        UtcText | None, Field(description="When the terminal signed that the face, or all of it, is gone; null: never.")
    ]
    leaf_index: int


class WorkerDetail(WorkerAnswer):
    """A worker and where the face was enrolled."""

    enrolments: list[EnrolmentAnswer]


class WorkerPage(BaseModel):
    """Workers by code."""

    items: list[WorkerAnswer]
    next: Annotated[str | None, Field(description="Cursor of the next page; null at the end.")]


@router.get("", dependencies=[Depends(may_read)], responses=errors(), summary="List the workers")
def list_workers(
    held: Held, limit: Limit = 100, cursor: Annotated[str | None, Query(max_length=400)] = None
) -> WorkerPage:
    """Return workers by code, a page at a time."""
    after = None if cursor is None else str(read_cursor(cursor, str)[0])
    found = held.people.page(after, limit + 1)
    more = write_cursor(found[limit - 1].code) if len(found) > limit else None
    return WorkerPage(items=[_answer(worker) for worker in found[:limit]], next=more)


@router.get("/{code}", dependencies=[Depends(may_read)], responses=errors(404), summary="One worker")
def get_worker(held: Held, code: str) -> WorkerDetail:
    """Return one worker and at which terminals the face was enrolled."""
    worker = _answer(held.people.get(code))
    found = held.people.enrolments(code)
    gone = held.people.erased_at(found)
    enrolments = [
        EnrolmentAnswer(device_id=one.device, erased_at=gone.get(one.authorisation), **one.model_dump())
        for one in found
    ]
    return WorkerDetail(**worker.model_dump(), enrolments=enrolments)


@router.post(
    "",
    dependencies=[Depends(may_write)],
    responses=errors(400, 403, 409),
    status_code=status.HTTP_201_CREATED,
    summary="Add a worker",
)
def add_worker(held: Held, new: NewWorker) -> WorkerAnswer:
    """Add a worker. The code stands in signed events and never changes."""
    return _answer(held.people.add(new))


@router.put("/{code}", dependencies=[Depends(may_write)], responses=errors(400, 403, 404), summary="Change a worker")
def change_worker(held: Held, code: str, body: WorkerBody) -> WorkerAnswer:
    """Replace everything but the code."""
    return _answer(held.people.change(code, body))


def _answer(worker: Worker) -> WorkerAnswer:
    return WorkerAnswer(code=worker.code, name=worker.name, active=worker.active, added_at=worker.added_at)
