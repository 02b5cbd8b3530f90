"""Beacon frames as bytes, built from the formats' own descriptions."""

from __future__ import annotations

from uuid import UUID

from kiosk.sensors.advertisement import APPLE, Advertisement

SITE = UUID("f7826da6-4fa2-4e98-8024-bc5b71e0893e")
NAMESPACE, INSTANCE = bytes.fromhex("00112233445566778899"), bytes.fromhex("aabbccddeeff")
FEAA = "0000feaa-0000-1000-8000-00805f9b34fb"


def ibeacon(major: int = 1, minor: int = 2, power: int = -59) -> bytes:
    body = SITE.bytes + major.to_bytes(2, "big") + minor.to_bytes(2, "big")
    return b"\x02\x15" + body + power.to_bytes(1, "big", signed=True)


def altbeacon(major: int = 1, minor: int = 2) -> bytes:
    return b"\xbe\xac" + SITE.bytes + major.to_bytes(2, "big") + minor.to_bytes(2, "big") + b"\xc5\x00"


def eddystone_uid() -> bytes:
    return b"\x00\xe7" + NAMESPACE + INSTANCE + b"\x00\x00"


def heard(mono_us: int = 0, rssi: int = -50, minor: int = 2, address: str = "C0:FF:EE:00:00:01") -> Advertisement:
    """An iBeacon of the site as a scanner hears it."""
    return Advertisement(address, rssi, mono_us, {APPLE: ibeacon(minor=minor)})
