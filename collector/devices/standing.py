"""Which terminals the collector still speaks to: those that are registered and not revoked."""

from __future__ import annotations

from sqlmodel import Session

from collector.devices.models import Device
from collector.errors import Conflict, NotFound


def require_standing(session: Session, name: str) -> Device:
    """Return the terminal. Raises NotFound, Conflict for one that is revoked."""
    device = session.get(Device, name)
    if device is None:
        raise NotFound(f"there is no device {name}")
    if device.revoked_at is not None:
        raise Conflict(f"{name} is revoked")
    return device
