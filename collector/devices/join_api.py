"""Routes about joining: what a terminal asks without an API key, and what an administrator decides with one."""

from __future__ import annotations

from typing import Annotated

from fastapi import APIRouter, Depends, Query, Request, Response, status
from fastapi.concurrency import run_in_threadpool
from pydantic import BaseModel, ConfigDict, Field

from collector.answers import Held, UtcText, errors
from collector.auth.api import may_read, may_write
from collector.auth.service import Caller
from collector.devices.join_requests import Waiting
from collector.errors import Invalid
from evidence.envelope import MAX_ENVELOPE_BYTES
from evidence.events import Name

terminals = APIRouter(prefix="/provisioning", tags=["joining"])
router = APIRouter(prefix="/joins", tags=["joining"])
Writer = Annotated[Caller, Depends(may_write)]
Which = Annotated[str | None, Query(max_length=64, description="The request's id, where several wait under the name.")]


class NewClaim(BaseModel):
    """For which terminal of which site a code is wanted."""

    model_config = ConfigDict(extra="forbid")

    site: Name
    device: Name


class ClaimAnswer(BaseModel):
    """A one-time code; it is shown once."""

    code: Annotated[str, Field(description="For `zaigang kiosk join`, or as a QR code.")]
    site: str
    device: str
    expires: UtcText
    pin: Annotated[str, Field(description="SHA-256 of the authority's SubjectPublicKeyInfo.")]


class WaitingAnswer(BaseModel):
    """A terminal that asked to join."""

    id: str
    device: str
    site: str
    fingerprint: Annotated[str, Field(description="Compare it with the terminal's own screen before you approve.")]
    algorithm: str
    software: str
    state: Annotated[str, Field(description="waiting, approved or denied.")]
    asked_at: UtcText
    decided_by: str | None
    replaces: Annotated[str | None, Field(description="Fingerprint of the key that this name has, if it has one.")]


class WaitingList(BaseModel):
    """Requests, those that wait first."""

    items: list[WaitingAnswer]


def waiting_answer(one: Waiting) -> WaitingAnswer:
    """Write a request as the API and `device joins --json` show it."""
    return WaitingAnswer(
        id=one.id,
        device=one.device,
        site=one.site,
        fingerprint=one.fingerprint,
        algorithm=one.algorithm,
        software=one.software,
        state=one.state,
        asked_at=one.asked_at,
        decided_by=one.decided_by,
        replaces=one.replaces,
    )


@router.get("", dependencies=[Depends(may_read)], responses=errors(), summary="Terminals that ask to join")
def list_requests(held: Held) -> WaitingList:
    """Return all requests."""
    return WaitingList(items=[waiting_answer(one) for one in held.joining.requests()])


@router.post(
    "/claims",
    responses=errors(400, 403, 404, 409),
    status_code=status.HTTP_201_CREATED,
    summary="Make a one-time code",
)
def make_claim(held: Held, caller: Writer, new: NewClaim) -> ClaimAnswer:
    """Make a code for one terminal; it holds 15 minutes and works once."""
    code, expires = held.joining.claim(new.site, new.device, caller.name)
    return ClaimAnswer(code=code.text(), site=code.site, device=code.device, expires=expires, pin=code.pin)


@router.post("/{device}/approve", responses=errors(403, 404, 409), summary="Let a terminal in")
def approve(held: Held, caller: Writer, device: str, join: Which = None) -> WaitingAnswer:
    """Register the terminal that waits under this name. Compare the fingerprints first."""
    return waiting_answer(held.joining.approve(device, caller.name, join))


@router.post("/{device}/deny", responses=errors(403, 404, 409), summary="Refuse a terminal")
def deny(held: Held, caller: Writer, device: str, join: Which = None) -> WaitingAnswer:
    """Refuse whoever waits under this name, or one of them."""
    return waiting_answer(held.joining.deny(device, caller.name, join))


@terminals.get("/authority", summary="The transport authority's certificate", response_class=Response)
def authority(held: Held) -> Response:
    """Return the certificate (PEM) whose key terminals have pinned. Needs no API key; it is no secret."""
    return Response(held.joining.authority.pem, media_type="application/x-pem-file")


@terminals.get("/handovers", summary="How the collector's keys were replaced", response_class=Response)
def handovers(held: Held) -> Response:
    """Return the signed handovers, one a line, oldest first: for who was away and holds an older key. No secret."""
    return Response(held.joining.handovers(), media_type="application/jsonl")


@terminals.post("/join", include_in_schema=False)
async def join(request: Request, held: Held) -> Response:
    """Take a terminal's signed request; the one-time code in it is its permission."""
    return _envelope(await run_in_threadpool(held.joining.join, await _body(request)))


@terminals.post("/inquire", include_in_schema=False)
async def inquire(request: Request, held: Held) -> Response:
    """Say what became of a request."""
    return _envelope(await run_in_threadpool(held.joining.inquire, await _body(request)))


@terminals.post("/renew", include_in_schema=False)
async def renew(request: Request, held: Held) -> Response:
    """Give a registered terminal a new transport certificate."""
    return _envelope(await run_in_threadpool(held.joining.renew, await _body(request)))


def _envelope(data: bytes) -> Response:
    return Response(data, media_type="application/json")


async def _body(request: Request) -> bytes:
    """Read what a stranger sends, no more than an envelope may have."""
    data = bytearray()
    async for chunk in request.stream():
        data += chunk
        if len(data) > MAX_ENVELOPE_BYTES:
            raise Invalid(f"a request has at most {MAX_ENVELOPE_BYTES} bytes")
    return bytes(data)
