"""What a terminal says of itself, unsigned and for operators only: no evidence rests on it."""

from __future__ import annotations

from typing import Annotated, Literal

from pydantic import Field

from evidence.events import Counter, Fact, Name, Text, UtcTime

PartState = Literal["working", "degraded", "failed", "absent", "unknown"]


class Part(Fact):
    """The state of one part of the terminal and, where it is not working, why and what to do."""

    state: PartState
    reason: Text = ""


class Health(Fact):
    """Sent every few seconds on `…/health` (QoS 0)."""

    device: Name
    site: Name
    time: UtcTime
    software: Text
    uptime_s: Counter
    unsent: Counter  # events in the journal without a receipt
    oldest_unsent: UtcTime | None = None
    head_seq: Counter | None = None
    disk_free_bytes: Counter | None = None
    checkpoint_size: Counter | None = None  # entries under the newest one seen; 0: none yet; None: not looked for
    punches: Counter = 0  # the newest punches that were counted, a thousand at most
    confirmed: Counter = 0  # of these, by a supervisor's confirmation instead of the worker's own face or PIN
    parts: dict[Annotated[str, Field(max_length=32)], Part]  # camera, gps, beacons, journal, clock, face, network


class Status(Fact):
    """Retained on `…/status`; the broker publishes the offline form as the terminal's will."""

    device: Name
    site: Name
    state: Literal["online", "offline"]
    time: UtcTime
