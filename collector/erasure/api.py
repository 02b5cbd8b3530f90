"""Routes about erasing a worker and about legal holds."""

from __future__ import annotations

from dataclasses import asdict
from typing import Annotated, Literal

from fastapi import APIRouter, Depends
from pydantic import BaseModel, Field

from collector.answers import Held, UtcText, errors
from collector.auth.api import may_write
from evidence.events import Text

router = APIRouter(prefix="/workers", tags=["erasure"])


class NewErasure(BaseModel):
    """An administrator's decision to erase."""

    scope: Annotated[
        Literal["biometric", "all"],
        Field(description="biometric: what terminals hold of the face. all: also ledger entries past retention."),
    ]
    reason: Annotated[Text, Field(min_length=1, description="Signed; it must not name the worker.")]
    ignore_retention: Annotated[bool, Field(description="Take entries within the retention period too.")] = False


class ErasureAnswer(BaseModel):
    """What an erasure did, and what it left."""

    id: str
    leaf_index: Annotated[int, Field(description="Of the signed statement that authorises it.")]
    erased: Annotated[int, Field(description="Ledger entries that are tombstones now.")]
    kept: Annotated[int, Field(description="Entries within the retention period.")]
    kept_until: UtcText | None
    confirmed_others: Annotated[int, Field(description="Others' records that name this worker as supervisor.")]
    terminals: Annotated[list[str], Field(description="Told by a signed command.")]


class NewHold(BaseModel):
    """Why nothing may be erased."""

    reason: Annotated[Text, Field(min_length=1)]


class HoldAnswer(BaseModel):
    """A legal hold."""

    worker: str
    reason: str
    since: UtcText
    lifted_at: UtcText | None


@router.post("/{code}/erasure", dependencies=[Depends(may_write)], responses=errors(403, 404, 409), summary="Erase")
def erase_worker(held: Held, code: str, new: NewErasure) -> ErasureAnswer:
    """Erase what lies here of a worker and tell the terminals. It cannot be taken back."""
    done = held.erasures.erase(code, new.scope, new.reason, ignore_retention=new.ignore_retention)
    return ErasureAnswer(**asdict(done))


@router.post("/{code}/legal-hold", dependencies=[Depends(may_write)], responses=errors(403, 409), summary="Hold")
def hold_worker(held: Held, code: str, new: NewHold) -> HoldAnswer:
    """Let nothing of a worker be erased while a dispute is open."""
    return HoldAnswer(**held.erasures.hold(code, new.reason).model_dump(exclude={"id"}))


@router.delete("/{code}/legal-hold", dependencies=[Depends(may_write)], responses=errors(403, 404), summary="Lift")
def lift_hold(held: Held, code: str) -> HoldAnswer:
    """End a legal hold."""
    return HoldAnswer(**held.erasures.lift(code).model_dump(exclude={"id"}))
