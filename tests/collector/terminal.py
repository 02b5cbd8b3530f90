"""A terminal for the collector's tests: it signs real chains with a real key and publishes nothing by itself."""

from __future__ import annotations

import secrets
import uuid
from dataclasses import dataclass, field
from typing import Any

from evidence.chain import Head, follow
from evidence.envelope import EVENT_TYPE, sign
from evidence.events import Event, Kind
from evidence.keys import Ed25519Key
from evidence.topics import Leaf, Topic

ENROLLED = {  # body of a worker.enrolled
    "worker": "E001",
    "model": "dlib",
    "frames": 3,
    "authorised_by": "boss",
    "authorisation": "ab" * 16,
    "template": "cd" * 32,
}


def uuid7(n: int) -> str:
    digits = f"{1_790_000_000_000 + n:012x}7{n % 4096:03x}8{secrets.token_hex(8)[1:]}"
    return str(uuid.UUID(digits))


def checks(outcome: str = "passed") -> list[dict[str, Any]]:
    where = {"latitude_e7": 312_345_678, "longitude_e7": 1_214_567_890}
    return [
        {
            "name": "face_match",
            "outcome": outcome,
            "observed": "near" if outcome == "passed" else "far",
            "expected": "near",
            "reason": "ok: it is the worker" if outcome == "passed" else "no_match: it is not the enrolled face",
            "model": "dlib",
        },
        {
            "name": "gps",
            "outcome": "passed",
            "observed": where,
            "expected": "inside",
            "reason": "ok: inside the site",
            "model": None,
        },
        {
            "name": "beacon",
            "outcome": "not_run",
            "observed": None,
            "expected": None,
            "reason": "no_scanner: there is no Bluetooth",
            "model": None,
        },
    ]


@dataclass
class Terminal:
    """Signs events one after the other; `time_s` after the start of 2026-11-22 is its clock."""

    device: str = "gate-1"
    site: str = "east"
    key: Ed25519Key = field(default_factory=Ed25519Key.generate)
    chain: str = field(default_factory=lambda: secrets.token_hex(16))
    boot: str = field(default_factory=lambda: secrets.token_hex(16))
    tz: str = "Asia/Shanghai"
    head: Head | None = None
    time_s: int = 0

    @property
    def event_topic(self) -> str:
        return str(Topic(self.site, self.device, Leaf.EVENT))

    def topic(self, leaf: Leaf) -> str:
        return str(Topic(self.site, self.device, leaf))

    def event(self, kind: str, body: dict[str, Any], **changes: Any) -> Event:
        seq = 0 if self.head is None else self.head.seq + 1
        fields: dict[str, Any] = {
            "id": uuid7(seq),
            "device": self.device,
            "chain": self.chain,
            "seq": seq,
            "prev": None if self.head is None else self.head.hash,
            "kind": kind,
            "time": self.now(),
            "tz": self.tz,
            "clock": {"source": "ntp", "synced": True, "error_ms": 5, "synced_at": self.now()},
            "boot": self.boot,
            "mono_us": 1_000_000 * (self.time_s + 1),
            "site": self.site,
            "nonce": secrets.token_hex(16),
            "body": body,
        }
        return Event.model_validate(fields | changes)

    def now(self) -> str:
        return f"2026-11-22T{self.time_s // 3600 % 24:02d}:{self.time_s // 60 % 60:02d}:{self.time_s % 60:02d}.000Z"

    def seal(self, event: Event) -> bytes:
        """Sign without moving the chain on."""
        return sign(EVENT_TYPE, event.payload(), self.key).encode()

    def append(self, kind: str, body: dict[str, Any], **changes: Any) -> bytes:
        """Sign the next event of the chain and move on."""
        event = self.event(kind, body, **changes)
        envelope = sign(EVENT_TYPE, event.payload(), self.key)
        self.head = follow(self.head, event, envelope.hash)
        self.time_s += 1
        return envelope.encode()

    def enrol(self, **changes: Any) -> bytes:
        body = {"key": self.key.public.text(), "software": "test 1.0", "predecessor": None}
        return self.append(Kind.DEVICE_ENROLLED, body, **changes)

    def punch(
        self, worker: str | None = "E001", verdict: str = "verified", log_type: str = "IN", **changes: Any
    ) -> bytes:
        kind = Kind.PUNCH_REFUSED if verdict == "refused" else Kind.PUNCH_RECORDED
        return self.append(kind, self.punch_body(worker, verdict, log_type), **changes)

    def punch_body(
        self, worker: str | None = "E001", verdict: str = "verified", log_type: str = "IN"
    ) -> dict[str, Any]:
        return {
            "worker": worker,
            "log_type": log_type,
            "method": "face",
            "verdict": verdict,
            "checks": checks("failed" if verdict == "refused" else "passed"),
            "challenge": {"prompts": [{"ask": "blink", "shown_ms": 900, "answered_ms": 700}]},
            "frames": [],
            "policy": "ab" * 32,
            "receipt": "0123ABCD",
            "tapped_at": self.now(),
        }

    def presence(self, worker: str = "E001", **changes: Any) -> bytes:
        """Sign what was heard of a badge in the ten seconds before now."""
        began = Terminal(time_s=self.time_s - 10).now()
        body = {
            "worker": worker,
            "state": "heard",
            "from": began,
            "to": self.now(),
            "boot": self.boot,
            "from_mono_us": 1_000_000 * (self.time_s - 9),
            "to_mono_us": 1_000_000 * (self.time_s + 1),
            "samples": 9,
            "median_rssi": -64,
            "ended_by": "out",
            "badge": "rotating",
        }
        return self.append(Kind.PRESENCE_INTERVAL, body | changes)

    def again(self) -> Terminal:
        """Another chain of the same device with the same key, as after a lost journal."""
        return Terminal(self.device, self.site, self.key)
