"""Short chains to break: built from fixed seeds, so that a failure shows the same bytes again."""

from __future__ import annotations

from typing import Any

from cryptography.hazmat.primitives.asymmetric import ec, ed25519

from evidence.envelope import EVENT_TYPE, Envelope, sign
from evidence.events import ClockReading, Event
from evidence.keys import Ed25519Key, Es256Key, SigningKey

CHAIN = "c0" * 16
BOOT = "b0" * 16


def ed25519_key(seed: int = 1) -> Ed25519Key:
    return Ed25519Key(ed25519.Ed25519PrivateKey.from_private_bytes(bytes([seed]) * 32))


def es256_key(seed: int = 1) -> Es256Key:
    return Es256Key(ec.derive_private_key(seed, ec.SECP256R1()))


def an_event(seq: int, prev: str | None, key: SigningKey, **changes: Any) -> Event:
    """An event of gate-1's chain; `changes` replace fields."""
    fields: dict[str, Any] = {
        "id": f"018f0000-0000-7000-8000-{seq:012x}",
        "device": "gate-1",
        "chain": CHAIN,
        "seq": seq,
        "prev": prev,
        "kind": "noted" if seq else "device.enrolled",
        "time": f"2026-03-01T08:00:{seq % 60:02d}.000Z",
        "tz": "Asia/Shanghai",
        "clock": ClockReading(source="gps", synced=True, error_ms=20),
        "boot": BOOT,
        "mono_us": 1_000_000 + seq,
        "site": "harbour",
        "nonce": f"{seq:032x}",
        "body": {"note": f"第 {seq} 条"} if seq else {"key": key.public.text(), "software": "zaigang 0.1.0"},
    }
    return Event(**{**fields, **changes})


def a_chain(length: int, key: SigningKey | None = None, **changes: Any) -> list[Envelope]:
    """A valid chain of `length` envelopes, each event with the same `changes`."""
    signer = key or ed25519_key()
    chain: list[Envelope] = []
    for seq in range(length):
        prev = chain[-1].hash if chain else None
        chain.append(sign(EVENT_TYPE, an_event(seq, prev, signer, **changes).payload(), signer))
    return chain
