"""Vectors of the events that a terminal signs, and of payloads that are none; for generate_vectors.py."""

from __future__ import annotations

from typing import Any

from vector_keys import BOOT, CHAIN, GATE, OLD, TIME

from evidence.canonical import canonical
from evidence.envelope import EVENT_TYPE, Envelope, sign
from evidence.events import Event

PUNCH: dict[str, Any] = {
    "worker": "E1001",
    "log_type": "IN",
    "method": "badge_pin",
    "verdict": "verified",
    "checks": [
        {
            "name": "pin",
            "outcome": "passed",
            "observed": None,
            "expected": None,
            "reason": "ok: the PIN is this badge's",
            "model": None,
        }
    ],
    "challenge": None,
    "frames": [],
    "policy": "aa" * 32,
    "receipt": "7K3M9QXA",
    "tapped_at": TIME,
    "confirmed_by": None,
}


def event_vectors() -> dict[str, Any]:
    """A terminal's first events from what it has to say, and payloads that are no event."""
    told: list[dict[str, Any]] = [
        {"kind": "device.enrolled", "body": {"key": GATE.public.text(), "software": "example", "predecessor": None}},
        {"kind": "punch.recorded", "body": PUNCH},
        {"kind": "consent.given", "body": {"worker": "陈 1", "scope": "face", "text_version": "1", "language": "zh"}},
        {"kind": "clock.stepped", "body": {"from": TIME, "step_ms": -2500}},
        {
            "kind": "device.key_rotated",
            "body": {"previous": GATE.public.text(), "key": OLD.public.text(), "reason": "planned: every year"},
        },
        {"kind": "door.opened", "body": {"\ufb33": 1, "\U0001f600": 2, "list": [[], {}, -1]}},
    ]
    tellers = [(GATE,)] * 4 + [(GATE, OLD), (OLD,)]
    prev: str | None = None
    envelopes: list[Envelope] = []
    for seq, (one, keys) in enumerate(zip(told, tellers, strict=True)):
        one |= {
            "id": f"018f0000-0000-7000-8000-{seq:012x}",
            "time": f"2026-03-01T08:00:{seq:02d}.000Z",
            "clock": {"source": "ntp", "synced": True, "error_ms": 20, "synced_at": TIME},
            "mono_us": 1_000_000 + seq,
            "nonce": f"{seq:032x}",
        }
        fields = {"v": 1, "device": "gate-1", "chain": CHAIN, "seq": seq, "prev": prev, "site": "harbour"}
        event = Event(**fields, tz="Asia/Shanghai", boot=BOOT, **one)
        envelopes.append(sign(EVENT_TYPE, event.payload(), *keys))
        prev = envelopes[-1].hash
    return {
        "story": {
            "device": "gate-1",
            "site": "harbour",
            "chain": CHAIN,
            "tz": "Asia/Shanghai",
            "boot": BOOT,
            "private": ["01 × 32", "02 × 32"],
            "told": told,
            "envelopes": [one.encode().decode() for one in envelopes],
            "hashes": [one.hash for one in envelopes],
        },
        "good": [{"name": name, "payload": data.decode()} for name, data in _good_payloads()],
        "bad": [{"name": name, "payload": data.decode(), "code": code} for name, data, code in _bad_payloads()],
    }


def _fields(**changes: Any) -> dict[str, Any]:
    return {
        "v": 1,
        "id": "018f0000-0000-7000-8000-000000000004",
        "device": "gate-1",
        "chain": CHAIN,
        "seq": 4,
        "prev": "ab" * 32,
        "kind": "coverage",
        "time": TIME,
        "tz": "Asia/Shanghai",
        "clock": {"source": "gps", "synced": True, "error_ms": 20, "synced_at": None},
        "boot": BOOT,
        "mono_us": 1_000_004,
        "site": "harbour",
        "nonce": "04" * 16,
        "body": {},
    } | changes


def _good_payloads() -> list[tuple[str, bytes]]:
    return [
        ("plain", canonical(_fields())),
        ("a field of a later version", canonical(_fields(weather={"rain": True}))),
        ("a kind of a later version", canonical(_fields(kind="door.opened"))),
        ("a clock that says little", canonical(_fields(clock={"source": "none", "synced": False}))),
        ("a leap day", canonical(_fields(time="2028-02-29T23:59:59.999Z"))),
        ("the longest name", canonical(_fields(device="g" * 48))),
    ]


def _bad_payloads() -> list[tuple[str, bytes, str]]:
    changes: list[tuple[str, dict[str, Any]]] = [
        ("another version", {"v": 2}),
        ("v is true", {"v": True}),
        ("an id of another version", {"id": "018f0000-0000-4000-8000-000000000004"}),
        ("an upper-case id", {"id": "018F0000-0000-7000-8000-000000000004"}),
        ("a name with a capital", {"device": "Gate-1"}),
        ("a name that begins with a hyphen", {"device": "-gate"}),
        ("a name of 49", {"device": "g" * 49}),
        ("a name with a line feed", {"device": "gate-1\n"}),
        ("an upper-case chain", {"chain": CHAIN.upper()}),
        ("a negative seq", {"seq": -1}),
        ("a seq as text", {"seq": "4"}),
        ("a seq that is true", {"seq": True}),
        ("no prev after seq 0", {"prev": None}),
        ("a prev at seq 0", {"seq": 0}),
        ("a kind with a space", {"kind": "door opened"}),
        ("a kind of 49", {"kind": "d" * 49}),
        ("a time without milliseconds", {"time": "2026-03-01T08:00:00Z"}),
        ("a time in another zone", {"time": "2026-03-01T08:00:00.000+08:00"}),
        ("a date that does not exist", {"time": "2026-02-30T08:00:00.000Z"}),
        ("hour 24", {"time": "2026-03-01T24:00:00.000Z"}),
        ("a leap second", {"time": "2026-03-01T08:00:60.000Z"}),
        ("other digits", {"time": "٢026-03-01T08:00:00.000Z"}),
        ("a zone with a space", {"tz": "Asia Shanghai"}),
        ("an unknown clock", {"clock": {"source": "sun", "synced": True}}),
        ("synced is 1", {"clock": {"source": "gps", "synced": 1}}),
        ("a negative error", {"clock": {"source": "gps", "synced": True, "error_ms": -1}}),
        ("no clock", {"clock": None}),
        ("a short boot", {"boot": "b0" * 15}),
        ("a short nonce", {"nonce": "04" * 15}),
        ("a body that is a list", {"body": []}),
    ]
    bad = [(name, canonical(_fields(**change)), "invalid_event") for name, change in changes]
    for field in ("v", "id", "prev", "nonce", "body"):
        left = {key: value for key, value in _fields().items() if key != field}
        bad.append((f"no {field}", canonical(left), "invalid_event"))
    return [
        *bad,
        ("a list", b"[]", "invalid_event"),
        ("a fraction", canonical(_fields()).replace(b'"seq":4', b'"seq":4.5'), "not_canonical"),
        ("white space", canonical(_fields()).replace(b'"seq":4', b'"seq": 4'), "not_canonical"),
    ]
