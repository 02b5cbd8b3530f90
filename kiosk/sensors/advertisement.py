"""One Bluetooth advertisement and what it says: iBeacon, AltBeacon, Eddystone UID, URL, TLM and EID. Pure.

Anyone may send anything: a frame is decoded only when its length is right, everything else is None. All ids but an
EID are public constants that any phone can copy, so hearing one is corroboration, never proof. Whose an EID is, only
`eddystone_eid.EidBook` can say.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, field
from uuid import UUID

APPLE = 0x004C
IBEACON = b"\x02\x15"  # type and length; then uuid 16, major 2, minor 2, transmit power at 1 m
IBEACON_LENGTH = 23
ALTBEACON = b"\xbe\xac"  # under any company; then uuid 16, major 2, minor 2, reference RSSI, reserved
ALTBEACON_LENGTH = 24
EDDYSTONE = "0000feaa-0000-1000-8000-00805f9b34fb"
EDDYSTONE_SHORT = "feaa"
UID_LENGTHS = (18, 20)  # type, power, namespace 10, instance 6, and two reserved bytes that some omit
URL_LENGTHS = range(4, 21)
TLM_LENGTH = 14  # version 0; version 1 is encrypted and says nothing to us
EID_LENGTH = 10  # type, power, identifier 8; the format forbids anything after them
NO_TEMPERATURE = -32768  # 0x8000: the beacon has no thermometer

_URL_SCHEMES = ("http://www.", "https://www.", "http://", "https://")
_URL_ENDINGS = (".com/", ".org/", ".edu/", ".net/", ".info/", ".biz/", ".gov/",
                ".com", ".org", ".edu", ".net", ".info", ".biz", ".gov")  # fmt: skip


@dataclass(frozen=True, slots=True)
class Advertisement:
    """What a scanner heard: `manufacturer` by company id (stripped from the data), `services` by UUID; RSSI in dBm."""

    address: str
    rssi: int
    mono_us: int
    manufacturer: dict[int, bytes] = field(default_factory=dict)
    services: dict[str, bytes] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class Telemetry:
    """Eddystone TLM: what to replace before it dies. None: the beacon does not measure it."""

    battery_mv: int | None
    temperature_c: float | None
    advertisements: int
    uptime_s: float


@dataclass(frozen=True, slots=True)
class Beacon:
    """A decoded frame. `id` begins with its kind; a TLM has no id of its own and carries the sender's address."""

    id: str
    power_dbm: int | None = None  # as the beacon claims: at 1 m (iBeacon, AltBeacon) or 0 m (Eddystone)
    telemetry: Telemetry | None = None
    eid: bytes | None = None  # 8 bytes that rotate; `id` then says nothing about the sender until they are resolved


def decode(advertisement: Advertisement) -> Beacon | None:
    """Return the first beacon frame in `advertisement`, None when there is none; never raises."""
    return next(iter(decode_all(advertisement)), None)


def decode_all(advertisement: Advertisement) -> tuple[Beacon, ...]:
    """Return every beacon frame: BlueZ shows all that one address has sent, iBeacon and Eddystone together."""
    return tuple(_frames(advertisement))


def _frames(advertisement: Advertisement) -> Iterator[Beacon]:
    for company, data in advertisement.manufacturer.items():
        if company == APPLE and data[:2] == IBEACON and len(data) == IBEACON_LENGTH:
            yield Beacon(f"ibeacon:{_place_id(data)}", _signed(data[22]))
        elif data[:2] == ALTBEACON and len(data) == ALTBEACON_LENGTH:
            yield Beacon(f"altbeacon:{_place_id(data)}", _signed(data[22]))
    for service, data in advertisement.services.items():
        if service.lower() in (EDDYSTONE, EDDYSTONE_SHORT):
            frame = _eddystone(data, advertisement.address)
            if frame is not None:
                yield frame


def _eddystone(data: bytes, address: str) -> Beacon | None:
    if data[:1] == b"\x00" and len(data) in UID_LENGTHS:
        return Beacon(f"eddystone-uid:{data[2:12].hex()}:{data[12:18].hex()}", _signed(data[1]))
    if data[:1] == b"\x10" and len(data) in URL_LENGTHS:
        url = _url(data[2:])
        return None if url is None else Beacon(f"eddystone-url:{url}", _signed(data[1]))
    if data[:1] == b"\x30" and len(data) == EID_LENGTH:
        return Beacon(f"eddystone-eid:{data[2:].hex()}", _signed(data[1]), eid=bytes(data[2:]))
    if data[:2] == b"\x20\x00" and len(data) == TLM_LENGTH:
        return Beacon(f"eddystone-tlm:{address.lower()}", telemetry=_telemetry(data))
    return None


def _url(data: bytes) -> str | None:
    if data[0] >= len(_URL_SCHEMES):
        return None
    parts = [_URL_SCHEMES[data[0]]]
    for byte in data[1:]:
        if byte < len(_URL_ENDINGS):
            parts.append(_URL_ENDINGS[byte])
        elif 0x20 < byte < 0x7F:
            parts.append(chr(byte))
        else:
            return None
    return "".join(parts)


def _telemetry(data: bytes) -> Telemetry:
    battery = int.from_bytes(data[2:4], "big")
    temperature = int.from_bytes(data[4:6], "big", signed=True)
    return Telemetry(
        battery_mv=battery or None,
        temperature_c=None if temperature == NO_TEMPERATURE else temperature / 256,
        advertisements=int.from_bytes(data[6:10], "big"),
        uptime_s=int.from_bytes(data[10:14], "big") / 10,
    )


def _place_id(data: bytes) -> str:
    major, minor = int.from_bytes(data[18:20], "big"), int.from_bytes(data[20:22], "big")
    return f"{UUID(bytes=bytes(data[2:18]))}:{major}:{minor}"


def _signed(byte: int) -> int:
    return byte - 256 if byte > 127 else byte
