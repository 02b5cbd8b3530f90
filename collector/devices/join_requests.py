"""Requests to join as an administrator sees them, and which may not come in: whose name or key is another's."""

from __future__ import annotations

from dataclasses import dataclass

from sqlmodel import Session, col, select

from collector.devices.join_models import JoinRequest
from collector.devices.keys import counting_now
from collector.devices.models import Device, DeviceKey
from collector.errors import Conflict, NameElsewhere, NameRevoked, NameTaken, NotFound, SeveralWait
from evidence.errors import UnknownKey
from evidence.keys import PublicKey
from evidence.statements import COLLECTOR


@dataclass(frozen=True, slots=True)
class Waiting:
    """A request as an administrator sees it."""

    id: str
    device: str
    site: str
    fingerprint: str
    algorithm: str
    software: str
    state: str
    asked_at: str
    decided_by: str | None
    replaces: str | None = None  # fingerprint of the key that the name has, where this one waits to take its place


def require_free(session: Session, device: str, site: str) -> None:
    """Raise Conflict for a name that is revoked, stands at another site or is the collector's own."""
    if device == COLLECTOR:
        raise NameTaken(
            f"{COLLECTOR} is the name under which the collector itself speaks; give the terminal another one"
        )
    held = session.get(Device, device)
    if held is not None and held.revoked_at is not None:
        raise NameRevoked(f"{device} was revoked at {held.revoked_at}; give the terminal another name")
    if held is not None and held.site != site:
        raise NameElsewhere(f"{device} is registered at {held.site}; give the terminal another name")


def require_own(session: Session, key: PublicKey, device: str) -> None:
    """Raise Conflict for a key of another terminal, or one that this terminal has handed on."""
    rows = session.exec(select(DeviceKey).where(DeviceKey.key_id == key.id)).all()
    if any(row.device != device for row in rows):
        raise Conflict("this key is registered for another terminal; every terminal has a key of its own")
    if rows and all(row.last_seq is not None or row.chain is not None for row in rows):
        raise Conflict(f"{device} has handed this key on; a key that was rotated out does not come back")


def waiting_requests(session: Session, device: str, join: str | None) -> list[JoinRequest]:
    """Return the requests that wait under a name, the newest first; `join`: that one alone. Raises NotFound."""
    query = select(JoinRequest).where(JoinRequest.device == device, JoinRequest.state == "waiting")
    if join is not None:
        query = query.where(JoinRequest.id == join)
    rows = list(session.exec(query.order_by(col(JoinRequest.asked_at).desc())).all())
    if not rows:
        raise NotFound(f"no terminal waits under the name {device}")
    return rows


def waiting_request(session: Session, device: str, join: str | None) -> JoinRequest:
    """Return the one request that waits under a name, or `join`. Raises NotFound, or SeveralWait."""
    rows = waiting_requests(session, device, join)
    if len(rows) > 1:
        prints = ", ".join(PublicKey.parse(row.key).fingerprint for row in rows)
        raise SeveralWait(f"several terminals wait as {device} ({prints}); say which one, or deny them all")
    return rows[0]


def counting_key(session: Session, device: str) -> PublicKey | None:
    """Return the key of a registered terminal that an approval of another one would put aside."""
    try:
        return counting_now(session.exec(select(DeviceKey).where(DeviceKey.device == device)).all())
    except UnknownKey:
        return None


def shown(row: JoinRequest, replaces: PublicKey | None = None) -> Waiting:
    """Write a request as an administrator sees it."""
    key = PublicKey.parse(row.key)
    return Waiting(
        row.id,
        row.device,
        row.site,
        key.fingerprint,
        key.algorithm,
        row.software,
        row.state,
        row.asked_at,
        row.decided_by,
        None if replaces is None or replaces == key else replaces.fingerprint,
    )
