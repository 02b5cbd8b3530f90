"""A device, its registered keys and what it last said of itself, as they are kept."""

from __future__ import annotations

from typing import Any

from sqlalchemy import JSON, Column
from sqlmodel import Field, SQLModel


class Device(SQLModel, table=True):
    """A terminal that an administrator has registered."""

    __tablename__ = "devices"

    name: str = Field(primary_key=True)
    site: str = Field(foreign_key="sites.name")
    added_at: str
    revoked_at: str | None = None
    flagged_at: str | None = None  # first equivocation; never cleared by software


class DeviceKey(SQLModel, table=True):
    """A key that signs for a device, and the part of its history for which it counts."""

    __tablename__ = "device_keys"

    id: int | None = Field(default=None, primary_key=True)
    device: str = Field(foreign_key="devices.name", index=True)
    key: str  # PublicKey.text()
    key_id: str
    chain: str | None = None  # None: any chain of the device
    first_seq: int = 0
    last_seq: int | None = None  # None: still counting
    added_at: str


class DeviceStatus(SQLModel, table=True):
    """What a device last said of itself: unsigned, for operators, no evidence."""

    __tablename__ = "device_status"

    device: str = Field(primary_key=True, foreign_key="devices.name")
    online: bool = False
    last_connect: str | None = None
    last_disconnect: str | None = None
    last_activity: str | None = None
    health: dict[str, Any] | None = Field(default=None, sa_column=Column(JSON, nullable=True))
    health_at: str | None = None


class SignedClearance(SQLModel, table=True):
    """A permission that the collector signed: one opening of one terminal's enclosure is cleared."""

    __tablename__ = "clearances"

    id: str = Field(primary_key=True)
    device: str = Field(foreign_key="devices.name", index=True)
    chain: str
    opening: int  # seq of the enclosure.opened
    authorised_by: str
    expires: str
    signed_at: str
