"""Routes about the ledger's proofs."""

from __future__ import annotations

import base64
from typing import Annotated

from fastapi import APIRouter, Depends, Path, Query, Response
from pydantic import BaseModel, Field

from collector.answers import Held, Limit, UtcText, errors
from collector.auth.api import may_read
from collector.ledger.models import SignedCheckpoint
from collector.paging import read_cursor, write_cursor
from evidence.canonical import MAX_SAFE_INTEGER
from evidence.tlog_proof import MEDIA_TYPE

router = APIRouter(prefix="/ledger", tags=["ledger"], dependencies=[Depends(may_read)])

Base64Hash = Annotated[str, Field(description="32 bytes, base64.")]


class TreeAnswer(BaseModel):
    """The ledger at one size."""

    size: int
    root: Base64Hash


class ConsistencyAnswer(BaseModel):
    """That the ledger at the smaller size is the beginning of the larger one (RFC 9162 section 2.1.4)."""

    older: TreeAnswer
    newer: TreeAnswer
    proof: list[Base64Hash]


class CheckpointAnswer(BaseModel):
    """A signed checkpoint."""

    size: int
    root: Base64Hash
    signed_at: UtcText
    note: Annotated[str, Field(description="The signed note, verbatim.")]


class CheckpointPage(BaseModel):
    """Checkpoints, largest first."""

    items: list[CheckpointAnswer]
    next: Annotated[str | None, Field(description="Cursor of the next page; null at the end.")]


@router.get(
    "/entries/{leaf_index}/proof",
    response_class=Response,
    responses={200: {"content": {"text/plain": {"schema": {"type": "string"}}}}, **errors(404)},
    summary="Proof of an entry",
)
def entry_proof(
    held: Held,
    leaf_index: Annotated[int, Path(ge=0, le=MAX_SAFE_INTEGER)],
    size: Annotated[
        int | None, Query(ge=1, le=MAX_SAFE_INTEGER, description="Under the checkpoint of this size; newest otherwise.")
    ] = None,
) -> Response:
    """Return a proof that needs nothing else (c2sp.org/tlog-proof); store it as `.tlog-proof`."""
    return Response(held.proofs.entry(leaf_index, size).encode(), media_type=MEDIA_TYPE)


@router.get("/consistency", responses=errors(404), summary="Proof that nothing was changed in between")
def consistency(
    held: Held,
    older: Annotated[int, Query(alias="from", ge=0, le=MAX_SAFE_INTEGER, description="The smaller size.")],
    newer: Annotated[
        int | None, Query(alias="to", ge=0, le=MAX_SAFE_INTEGER, description="The larger size; newest otherwise.")
    ] = None,
) -> ConsistencyAnswer:
    """Return the roots at both sizes and the proof between them. Compare the roots with checkpoints that you hold."""
    found = held.proofs.growth(older, newer)
    return ConsistencyAnswer(
        older=TreeAnswer(size=found.old_size, root=_b64(found.old_root)),
        newer=TreeAnswer(size=found.new_size, root=_b64(found.new_root)),
        proof=[_b64(one) for one in found.proof],
    )


@router.get("/checkpoints", responses=errors(), summary="List the checkpoints")
def list_checkpoints(
    held: Held, limit: Limit = 100, cursor: Annotated[str | None, Query(max_length=400)] = None
) -> CheckpointPage:
    """Return signed checkpoints, largest first."""
    below = None if cursor is None else int(read_cursor(cursor, int)[0])
    found = held.proofs.checkpoints(below, limit + 1)
    more = write_cursor(found[limit - 1].size) if len(found) > limit else None
    return CheckpointPage(items=[_answer(one) for one in found[:limit]], next=more)


def _answer(row: SignedCheckpoint) -> CheckpointAnswer:
    return CheckpointAnswer(size=row.size, root=_b64(row.root), signed_at=row.signed_at, note=row.note.decode())


def _b64(data: bytes) -> str:
    return base64.b64encode(data).decode()
