"""Routes about punches. Names follow Frappe HRMS's Employee Checkin where it has one."""

from __future__ import annotations

import base64
from datetime import UTC, datetime
from typing import Annotated, Any, Literal

from fastapi import APIRouter, Depends, Path, Query
from pydantic import AwareDatetime, BaseModel, Field

from collector.answers import Held, Limit, UtcText, errors
from collector.auth.api import may_read
from collector.punches.service import Filters, Order, PunchView
from collector.sites.api import degrees
from collector.timestamps import local_text
from evidence.canonical import parse_canonical
from evidence.envelope import Envelope
from evidence.events import Verdict

router = APIRouter(prefix="/punches", tags=["punches"])

_FIRST, _LAST = datetime(1, 1, 2, tzinfo=UTC), datetime(9999, 12, 30, tzinfo=UTC)  # every zone can still write these
Moment = Annotated[AwareDatetime, Field(ge=_FIRST, le=_LAST)]


class PunchAnswer(BaseModel):
    """One attempt to punch."""

    id: Annotated[int, Field(description="Place in the ledger (leaf index).")]
    employee: Annotated[str | None, Field(description="Employee code; as typed where nobody was identified.")]
    employee_name: str | None
    log_type: Literal["IN", "OUT"] | None
    time: UtcText
    local_time: Annotated[str | None, Field(description="The same moment in `tz`, with its offset.")]
    tz: Annotated[str, Field(description="The site's IANA zone, as the terminal signed it.")]
    tapped_at: Annotated[UtcText, Field(description="When the attempt began.")]
    device_id: str
    site: str
    latitude: Annotated[float | None, Field(description="Degrees, as the terminal's GPS check observed.")]
    longitude: float | None
    method: str
    verdict: Annotated[Verdict, Field(description="What counts; after a revocation nothing counts as verified.")]
    signed_verdict: Annotated[Verdict, Field(description="What the terminal signed.")]
    receipt: Annotated[str, Field(description="Short code that the worker saw.")]
    clock_source: str
    clock_synced: bool
    clock_error_ms: int | None
    received_at: Annotated[UtcText, Field(description="When it reached the collector.")]
    after_revocation: bool
    event_id: str
    chain: str
    seq: int


class PunchPage(BaseModel):
    """A page of punches."""

    items: list[PunchAnswer]
    next: Annotated[
        str | None, Field(description="Cursor of the next page; null at the end (never in order of arrival).")
    ]


class RawEnvelope(BaseModel):
    """What the terminal signed, verbatim and decoded."""

    base64: Annotated[str, Field(description="The DSSE envelope's bytes.")]
    payload_type: str
    signatures: list[dict[str, str]]
    event: Annotated[dict[str, Any], Field(description="The payload.")]
    hash: Annotated[str, Field(description="SHA-256 of the signed bytes.")]


class PunchDetail(PunchAnswer):
    """One attempt with all its checks and its evidence."""

    checks: list[dict[str, Any]]
    challenge: dict[str, Any] | None
    confirmed_by: Annotated[str | None, Field(description="Method supervisor: the code of who stood for the worker.")]
    policy: str
    frames: list[str]
    leaf_index: int
    leaf_hash: Annotated[str, Field(description="RFC 6962 leaf hash, hex.")]
    salt: Annotated[str, Field(description="Hex; leaf data is SHA-256(salt ‖ envelope).")]
    envelope: RawEnvelope


@router.get("", dependencies=[Depends(may_read)], responses=errors(), summary="List punches")
def list_punches(
    held: Held,
    worker: Annotated[str | None, Query(max_length=64, description="Employee code.")] = None,
    site: Annotated[str | None, Query(max_length=48)] = None,
    device: Annotated[str | None, Query(max_length=48)] = None,
    since: Annotated[Moment | None, Query(alias="from", description="RFC 3339 with an offset; inclusive.")] = None,
    until: Annotated[Moment | None, Query(alias="to", description="RFC 3339 with an offset; exclusive.")] = None,
    verdict: Annotated[Verdict | None, Query()] = None,
    order: Annotated[Order, Query(description="`arrival` for programs that follow: nothing is missed.")] = Order.NEWEST,
    cursor: Annotated[str | None, Query(max_length=400, description="`next` of the page before.")] = None,
    limit: Limit = 100,
) -> PunchPage:
    """Return punches, a page at a time; pages stay in step while new punches arrive."""
    page = held.punches.page(Filters(worker, site, device, since, until, verdict), order, cursor, limit)
    return PunchPage(items=[PunchAnswer(**columns(view)) for view in page.items], next=page.next)


@router.get("/{id}", dependencies=[Depends(may_read)], responses=errors(404), summary="One punch")
def get_punch(held: Held, id: Annotated[int, Path(ge=0, description="Place in the ledger.")]) -> PunchDetail:  # noqa: A002
    """Return one punch with every check, and the signed envelope to verify it."""
    view = held.punches.get(id)
    return PunchDetail(**columns(view), **evidence_of(view))


def columns(view: PunchView) -> dict[str, Any]:
    """Return the fields of a `PunchAnswer`."""
    punch, entry = view.punch, view.entry
    same = {"log_type", "time", "tz", "tapped_at", "site", "method", "verdict", "signed_verdict", "receipt"}
    clock = {"clock_source", "clock_synced", "clock_error_ms"}
    return punch.model_dump(include=same | clock) | {
        "id": punch.leaf_index,
        "employee": punch.worker,
        "employee_name": view.worker_name,
        "local_time": local_text(punch.time, punch.tz),
        "device_id": punch.device,
        "latitude": degrees(punch.latitude_e7),
        "longitude": degrees(punch.longitude_e7),
        "received_at": entry.received_at,
        "after_revocation": entry.after_revocation,
        "event_id": entry.event_id,
        "chain": entry.chain,
        "seq": entry.seq,
    }


def evidence_of(view: PunchView) -> dict[str, Any]:
    """Return what a `PunchDetail` adds, read from the envelope itself."""
    entry = view.entry
    envelope = Envelope.decode(entry.envelope)
    event = parse_canonical(envelope.payload)
    body = event["body"]
    return {
        "checks": body["checks"],
        "challenge": body.get("challenge"),
        "confirmed_by": body.get("confirmed_by"),
        "policy": body["policy"],
        "frames": body.get("frames", []),
        "leaf_index": entry.leaf_index,
        "leaf_hash": entry.leaf_hash.hex(),
        "salt": entry.salt.hex(),
        "envelope": {
            "base64": base64.b64encode(entry.envelope).decode(),
            "payload_type": envelope.payload_type,
            "signatures": [
                {"keyid": one.keyid, "sig": base64.b64encode(one.sig).decode()} for one in envelope.signatures
            ],
            "event": event,
            "hash": envelope.hash,
        },
    }
