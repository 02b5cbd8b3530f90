"""Routes about devices: registration, live status, keys, and the envelopes of their chains."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Annotated, Any

from fastapi import APIRouter, Depends, status
from fastapi.responses import StreamingResponse
from pydantic import BaseModel, Field

from collector.answers import Held, UtcText, errors
from collector.auth.api import may_read, may_write
from collector.devices.live import DeviceState
from collector.devices.service import DeviceView, NewDevice
from evidence.keys import PublicKey

router = APIRouter(prefix="/devices", tags=["devices"])


class TroubleAnswer(BaseModel):
    """One thing to look after."""

    code: Annotated[str, Field(description="revoked, flagged, chain_frozen, chain_pending, gap, or part.")]
    part: Annotated[str | None, Field(description="The part, where it is one.")]
    state: str | None
    reason: str


class ChainAnswer(BaseModel):
    """One hash chain of a device."""

    chain: str
    state: Annotated[
        str, Field(description="open, pending (waits for approval) or frozen (the device contradicted itself).")
    ]
    opened_at: UtcText
    approved_by: str | None
    head_seq: int | None
    head_hash: str | None


class DeviceAnswer(BaseModel):
    """A terminal and how it is."""

    name: str
    site: str
    state: DeviceState
    troubles: list[TroubleAnswer]
    unsent: Annotated[int | None, Field(description="Events in its journal without a receipt, as it last said.")]
    added_at: UtcText
    revoked_at: UtcText | None
    flagged_at: Annotated[UtcText | None, Field(description="When it first contradicted itself.")]
    last_connect: UtcText | None
    last_disconnect: UtcText | None
    last_activity: UtcText | None
    chains: list[ChainAnswer]
    health: Annotated[dict[str, Any] | None, Field(description="Its last health report, unsigned.")]
    health_at: UtcText | None


class DeviceList(BaseModel):
    """All devices, by name."""

    items: list[DeviceAnswer]


class KeyAnswer(BaseModel):
    """A registered key and for which part of the device's history it counts."""

    key: Annotated[
        str, Field(description="`algorithm:base64(SubjectPublicKeyInfo)`, as `zaigang verify --key` takes it.")
    ]
    key_id: str
    algorithm: str
    fingerprint: str
    chain: Annotated[str | None, Field(description="null: every chain.")]
    first_seq: int
    last_seq: int | None
    added_at: UtcText


class KeyList(BaseModel):
    """The keys of a device, oldest first."""

    items: list[KeyAnswer]


@router.get("", dependencies=[Depends(may_read)], responses=errors(), summary="List the devices")
def list_devices(held: Held) -> DeviceList:
    """Return all devices with their live status, by name."""
    return DeviceList(items=[device_answer(view) for view in held.devices.all()])


@router.get("/{name}", dependencies=[Depends(may_read)], responses=errors(404), summary="One device")
def get_device(held: Held, name: str) -> DeviceAnswer:
    """Return one device with its live status."""
    return device_answer(held.devices.get(name))


@router.post(
    "",
    dependencies=[Depends(may_write)],
    responses=errors(400, 403, 404, 409),
    status_code=status.HTTP_201_CREATED,
    summary="Register a device",
)
def add_device(held: Held, new: NewDevice) -> DeviceAnswer:
    """Register a terminal with its key. Until then its messages are dead letters."""
    held.devices.add(new)
    return device_answer(held.devices.get(new.name))


@router.get("/{name}/keys", dependencies=[Depends(may_read)], responses=errors(404), summary="A device's keys")
def list_keys(held: Held, name: str) -> KeyList:
    """Return the registered keys that its signatures are checked with."""
    items = []
    for row in held.devices.keys(name):
        key = PublicKey.parse(row.key)
        kept = row.model_dump(include={"key", "key_id", "chain", "first_seq", "last_seq", "added_at"})
        items.append(KeyAnswer(algorithm=key.algorithm, fingerprint=key.fingerprint, **kept))
    return KeyList(items=items)


@router.get(
    "/{name}/chains/{chain}/envelopes",
    dependencies=[Depends(may_read)],
    response_class=StreamingResponse,
    responses=errors(404)
    | {200: {"content": {"application/jsonl": {"schema": {"type": "string"}}}, "description": "One envelope a line."}},
    summary="A chain, verbatim",
)
def stream_envelopes(held: Held, name: str, chain: str) -> StreamingResponse:
    """Stream the signed envelopes of a chain, one a line in order: what `zaigang verify` reads."""
    held.ledger.chain(name, chain)
    return StreamingResponse(_lines(held.ledger.envelopes(name, chain)), media_type="application/jsonl")


def _lines(envelopes: Iterator[bytes]) -> Iterator[bytes]:
    for envelope in envelopes:
        yield envelope + b"\n"


def device_answer(view: DeviceView) -> DeviceAnswer:
    """Write a device as the API and `device list --json` show it."""
    chains = [
        ChainAnswer(**c.model_dump(include={"chain", "state", "opened_at", "approved_by", "head_seq", "head_hash"}))
        for c in view.chains
    ]
    return DeviceAnswer(
        name=view.name,
        site=view.site,
        state=view.state,
        troubles=[TroubleAnswer(code=t.code, part=t.part, state=t.state, reason=t.reason) for t in view.troubles],
        unsent=view.unsent,
        added_at=view.added_at,
        revoked_at=view.revoked_at,
        flagged_at=view.flagged_at,
        last_connect=view.last_connect,
        last_disconnect=view.last_disconnect,
        last_activity=view.last_activity,
        chains=chains,
        health=view.health,
        health_at=view.health_at,
    )
