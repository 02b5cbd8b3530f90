"""Requests to join as an administrator sees them, and which may not come in: whose name or key is another's."""

from __future__ import annotations

from dataclasses import dataclass

from sqlmodel import Session, col, select

from collector.devices.join_models import JoinRequest
from collector.devices.models import Device, DeviceKey
from collector.errors import Conflict, NotFound
from evidence.keys import PublicKey


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


def require_free(session: Session, device: str, site: str) -> None:
    """Raise Conflict for a name that is revoked or stands at another site."""
    held = session.get(Device, device)
    if held is not None and held.revoked_at is not None:
        raise Conflict(f"{device} was revoked at {held.revoked_at}; give the terminal another name")
    if held is not None and held.site != site:
        raise Conflict(f"{device} is registered at {held.site}; give the terminal another name")


def require_own(session: Session, key: PublicKey, device: str) -> None:
    """Raise Conflict for a key of another terminal, or one that this terminal has handed on."""
    rows = session.exec(select(DeviceKey).where(DeviceKey.key_id == key.id)).all()
    if any(row.device != device for row in rows):
        raise Conflict("this key is registered for another terminal; every terminal has a key of its own")
    if rows and all(row.last_seq is not None or row.chain is not None for row in rows):
        raise Conflict(f"{device} has handed this key on; a key that was rotated out does not come back")


def waiting_request(session: Session, device: str) -> JoinRequest:
    """Return the one request that waits under a name. Raises NotFound, or Conflict for several."""
    query = select(JoinRequest).where(JoinRequest.device == device, JoinRequest.state == "waiting")
    rows = session.exec(query.order_by(col(JoinRequest.asked_at).desc())).all()
    if not rows:
        raise NotFound(f"no terminal waits under the name {device}")
    if len(rows) > 1:
        prints = ", ".join(PublicKey.parse(row.key).fingerprint for row in rows)
        raise Conflict(f"several terminals wait as {device} ({prints}); deny them and make one code for one terminal")
    return rows[0]


def shown(row: JoinRequest) -> Waiting:
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
    )
