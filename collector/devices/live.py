"""A device's state in one word, from what it last said and what the ledger holds against it. Pure.

States after balena and ThingsBoard: operational, reduced_functionality, failed, inactive, disconnected.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime, timedelta
from enum import StrEnum
from typing import Any

from collector.timestamps import parse_utc


class DeviceState(StrEnum):
    """How a device is, at a glance."""

    OPERATIONAL = "operational"
    REDUCED = "reduced_functionality"  # punches are taken, but some part or check does not work
    FAILED = "failed"  # no punch can be recorded or admitted
    INACTIVE = "inactive"  # nothing heard for longer than the timeout, or never
    DISCONNECTED = "disconnected"  # it said goodbye, or the broker noticed


# Without its journal a terminal takes no punch; without camera or GPS it still takes those by badge and PIN.
_VITAL_PARTS = frozenset({"journal"})
# How a machine is built reduces no function: told beside the others, but no state that every terminal would be in.
_STANDING_PARTS = frozenset({"keys"})


@dataclass(frozen=True, slots=True)
class Trouble:
    """One thing to look after; `code` is `part` or the name of an administrative trouble."""

    code: str
    part: str | None
    state: str | None
    reason: str


@dataclass(frozen=True, slots=True)
class Facts:
    """What the state follows from."""

    online: bool
    last_activity: str | None
    health: Mapping[str, Any] | None
    revoked: bool
    flagged: bool
    chain_pending: bool
    chain_frozen: bool
    gap: str = ""  # which events are missing although later ones came


def troubles(facts: Facts) -> tuple[Trouble, ...]:
    """List what is wrong, the worst first."""
    found = []
    for present, code in (
        (facts.revoked, "revoked"),
        (facts.flagged, "flagged"),
        (facts.chain_frozen, "chain_frozen"),
        (facts.chain_pending, "chain_pending"),
    ):
        if present:
            found.append(Trouble(code, None, None, ""))
    if facts.gap:
        found.append(Trouble("gap", None, None, facts.gap))
    parts = (facts.health or {}).get("parts", {})
    order = {"failed": 0, "degraded": 1}
    for name, part in sorted(parts.items(), key=lambda item: order.get(item[1]["state"], 9)):
        if part["state"] in order:
            found.append(Trouble("part", name, part["state"], part["reason"]))
    return tuple(found)


def state_of(facts: Facts, now: datetime, inactivity_timeout: timedelta) -> DeviceState:
    """Say how the device is at `now`."""
    if facts.last_activity is None:
        return DeviceState.INACTIVE
    if not facts.online:
        return DeviceState.DISCONNECTED
    if now - parse_utc(facts.last_activity) > inactivity_timeout:
        return DeviceState.INACTIVE
    found = troubles(facts)
    vital = any(one.part in _VITAL_PARTS and one.state == "failed" for one in found)
    if vital or facts.chain_frozen or facts.revoked:
        return DeviceState.FAILED
    acute = any(one.part not in _STANDING_PARTS or one.state == "failed" for one in found)
    return DeviceState.REDUCED if acute else DeviceState.OPERATIONAL
