"""Beacon frames are decoded as their formats say, and only at their right lengths."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from kiosk.sensors.beacons import Advertisement, decode, decode_all
from tests.kiosk.sensors.frames import FEAA, SITE, altbeacon, eddystone_uid, ibeacon

ADDRESS = "C0:FF:EE:00:00:01"
TLM = bytes.fromhex("2000 0bb8 1980 00000064 000003e8")  # 3000 mV, 25.5 °C, 100 packets, 100 s


def company(data: bytes, company_id: int = 0x004C) -> Advertisement:
    return Advertisement(ADDRESS, -50, 0, {company_id: data})


def eddystone(data: bytes, service: str = FEAA) -> Advertisement:
    return Advertisement(ADDRESS, -50, 0, {}, {service: data})


def test_an_ibeacon_is_its_uuid_major_and_minor() -> None:
    beacon = decode(company(ibeacon(major=258, minor=65535)))
    assert beacon is not None
    assert beacon.id == f"ibeacon:{SITE}:258:65535"
    assert beacon.power_dbm == -59


def test_an_altbeacon_comes_under_any_company() -> None:
    for company_id in (0x0118, 0x004C, 0xFFFF):
        beacon = decode(company(altbeacon(), company_id))
        assert beacon is not None
        assert beacon.id == f"altbeacon:{SITE}:1:2"
        assert beacon.power_dbm == -59


@pytest.mark.parametrize("service", [FEAA, FEAA.upper(), "feaa"])
@pytest.mark.parametrize("data", [eddystone_uid(), eddystone_uid()[:18]])
def test_an_eddystone_uid_is_its_namespace_and_instance(service: str, data: bytes) -> None:
    beacon = decode(eddystone(data, service))
    assert beacon is not None
    assert beacon.id == "eddystone-uid:00112233445566778899:aabbccddeeff"
    assert beacon.power_dbm == -25


def test_an_eddystone_url_is_spelled_out() -> None:
    beacon = decode(eddystone(b"\x10\x00\x03example\x00gate"))
    assert beacon is not None
    assert beacon.id == "eddystone-url:https://example.com/gate"


def test_telemetry_is_read_and_carries_its_senders_address() -> None:
    beacon = decode(eddystone(TLM))
    assert beacon is not None
    assert beacon.id == "eddystone-tlm:c0:ff:ee:00:00:01"
    assert beacon.telemetry is not None
    assert beacon.telemetry.battery_mv == 3000
    assert beacon.telemetry.temperature_c == 25.5
    assert beacon.telemetry.advertisements == 100
    assert beacon.telemetry.uptime_s == 100.0


def test_an_eddystone_eid_is_eight_bytes_of_which_nobody_knows_the_sender() -> None:
    beacon = decode(eddystone(bytes.fromhex("30e7 a9b76a71c5f89290")))
    assert beacon is not None
    assert (beacon.id, beacon.eid) == ("eddystone-eid:a9b76a71c5f89290", bytes.fromhex("a9b76a71c5f89290"))
    assert beacon.power_dbm == -25


def test_what_a_beacon_does_not_measure_is_none() -> None:
    beacon = decode(eddystone(bytes.fromhex("2000 0000 8000 00000064 000003e8")))
    assert beacon is not None
    assert beacon.telemetry is not None
    assert beacon.telemetry.battery_mv is None
    assert beacon.telemetry.temperature_c is None


def test_all_that_one_address_sends_is_decoded() -> None:
    both = Advertisement(ADDRESS, -50, 0, {0x004C: ibeacon()}, {FEAA: eddystone_uid()})
    assert [beacon.id.split(":")[0] for beacon in decode_all(both)] == ["ibeacon", "eddystone-uid"]


@pytest.mark.parametrize(
    "advertisement",
    [
        company(ibeacon()[:-1]),
        company(ibeacon() + b"\x00"),
        company(ibeacon(), 0x0006),
        company(b"\x02\x15"),
        company(b"\x10\x05\x01\x18\x00\x00"),
        company(altbeacon()[:-1], 0x0118),
        company(b""),
        eddystone(b""),
        eddystone(eddystone_uid()[:-1]),
        eddystone(eddystone_uid()[:17]),
        eddystone(b"\x10\x00"),
        eddystone(b"\x10\x00\x03"),
        eddystone(b"\x10\x00\x04example"),
        eddystone(b"\x10\x00\x03exa\x1fmple"),
        eddystone(b"\x10\x00\x03" + b"a" * 18),
        eddystone(TLM[:-1]),
        eddystone(b"\x20\x01" + b"\x00" * 16),
        eddystone(b"\x30" + b"\x00" * 8),
        eddystone(b"\x30" + b"\x00" * 10),
        eddystone(b"\x30"),
        eddystone(eddystone_uid(), "0000180f-0000-1000-8000-00805f9b34fb"),
    ],
)
def test_what_is_too_short_too_long_or_something_else_is_no_beacon(advertisement: Advertisement) -> None:
    assert decode(advertisement) is None


_DATA = st.binary(max_size=32)
_STARTED = st.sampled_from([b"\x02\x15", b"\xbe\xac", b"\x00", b"\x10", b"\x20\x00", b"\x30"])


@given(
    st.dictionaries(st.integers(0, 0xFFFF) | st.just(0x004C), _DATA | st.builds(bytes.__add__, _STARTED, _DATA)),
    st.dictionaries(st.text() | st.just(FEAA), _DATA | st.builds(bytes.__add__, _STARTED, _DATA)),
    st.text(max_size=20),
)
def test_garbage_never_raises(manufacturer: dict[int, bytes], services: dict[str, bytes], address: str) -> None:
    for beacon in decode_all(Advertisement(address, -50, 0, manufacturer, services)):
        assert beacon.id.isprintable() or address in beacon.id or address.lower() in beacon.id
