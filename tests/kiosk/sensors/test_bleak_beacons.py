"""Real bleak over a real D-Bus against a stand-in for bluetoothd: advertisements arrive, and every absence is said."""

from __future__ import annotations

import builtins
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from kiosk.sensors.advertisement import Advertisement
from kiosk.sensors.beacons import BeaconSensor, BeaconTracker
from kiosk.sensors.bleak_beacons import BleakBeacons
from tests.kiosk.sensors.bluez import BlueZ, PrivateBus
from tests.kiosk.sensors.frames import FEAA, SITE, eddystone_uid, heard

ANCHOR = f"ibeacon:{SITE}:1:2"
UID = "eddystone-uid:00112233445566778899:aabbccddeeff"


def until(condition: Callable[[], bool], timeout_s: float = 30) -> None:
    deadline = time.monotonic() + timeout_s
    while not condition():
        assert time.monotonic() < deadline, "it never came"
        time.sleep(0.02)


@pytest.fixture
def bus(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[PrivateBus]:
    private = PrivateBus(tmp_path)
    monkeypatch.setenv("DBUS_SYSTEM_BUS_ADDRESS", private.address)
    yield private
    private.stop()


@pytest.fixture
def bluez(bus: PrivateBus) -> Iterator[Callable[..., BlueZ]]:
    running: list[BlueZ] = []

    def start(**options: bool) -> BlueZ:
        running.append(BlueZ(bus.address, **options))
        return running[-1]

    yield start
    for one in running:
        one.stop()


@pytest.fixture
def scan() -> Iterator[Callable[..., tuple[BleakBeacons, BeaconSensor]]]:
    running: list[BeaconSensor] = []

    def start(**options: Any) -> tuple[BleakBeacons, BeaconSensor]:
        source = BleakBeacons(**{"retry_after_s": 0.1, **options})
        running.append(BeaconSensor(source, BeaconTracker([ANCHOR, UID])))
        running[-1].start()
        return source, running[-1]

    yield start
    for one in running:
        one.stop()


def test_advertisements_from_the_air_bring_an_anchor_into_range(
    bluez: Callable[..., BlueZ], scan: Callable[..., tuple[BleakBeacons, BeaconSensor]]
) -> None:
    daemon = bluez()
    source, sensor = scan()
    until(lambda: source.state.state == "working")
    assert daemon.calls == ["RegisterMonitor"], "passive scanning sends nothing and comes first"
    for level in (-50, -52, -51):
        daemon.advertise(heard(rssi=level))
        daemon.advertise(Advertisement("C0:FF:EE:00:00:02", level - 2, 0, {}, {FEAA: eddystone_uid()}))
    until(lambda: sensor.reading().advertisements == 6)
    reading = sensor.reading()
    assert reading.heard == (ANCHOR, UID)
    assert reading.best_rssi == -51
    assert sensor.state.state == "working"


def test_a_bluetoothd_without_monitors_is_scanned_actively(
    bluez: Callable[..., BlueZ], scan: Callable[..., tuple[BleakBeacons, BeaconSensor]]
) -> None:
    daemon = bluez(monitors=False)
    source, sensor = scan()
    until(lambda: source.state.state == "working")
    assert daemon.calls == ["SetDiscoveryFilter", "StartDiscovery"]
    assert daemon.filters[0]["DuplicateData"].value is False
    daemon.advertise(heard())
    until(lambda: sensor.reading().heard == (ANCHOR,))


def test_garbage_from_the_air_is_counted_and_harms_nobody(
    bluez: Callable[..., BlueZ], scan: Callable[..., tuple[BleakBeacons, BeaconSensor]]
) -> None:
    daemon = bluez()
    source, sensor = scan()
    until(lambda: source.state.state == "working")
    for number in range(30):
        data = bytes([2, 21, *range(number)])
        daemon.advertise(Advertisement(f"C0:FF:EE:00:01:{number:02X}", -40, 0, {76: data}, {FEAA: data[2:]}))
    daemon.advertise(heard())
    until(lambda: sensor.reading().heard == (ANCHOR,))
    assert sensor.reading().advertisements == 31


def test_a_scan_that_falls_silent_is_started_again_in_the_other_mode(
    bluez: Callable[..., BlueZ], scan: Callable[..., tuple[BleakBeacons, BeaconSensor]]
) -> None:
    daemon = bluez()
    source, sensor = scan(restart_after_s=0.2)
    until(lambda: source.restarts >= 2)
    assert daemon.calls[:4] == ["RegisterMonitor", "UnregisterMonitor", "SetDiscoveryFilter", "StartDiscovery"]
    assert "StopDiscovery" in daemon.calls
    daemon.advertise(heard())
    until(lambda: sensor.reading().heard == (ANCHOR,))


@pytest.mark.parametrize(("what", "state"), [({"adapter": False}, "absent"), ({"powered": False}, "failed")])
def test_no_adapter_is_absent_and_one_that_is_switched_off_has_failed(
    what: dict[str, bool],
    state: str,
    bluez: Callable[..., BlueZ],
    scan: Callable[..., tuple[BleakBeacons, BeaconSensor]],
) -> None:
    bluez(**what)
    source, sensor = scan()
    until(lambda: source.state.state == state)
    assert sensor.state.reason.startswith("no_scanner: ")
    assert sensor.reading().stale  # and a punch is judged without it


def test_no_bluetoothd_is_absent_until_it_comes(
    bluez: Callable[..., BlueZ], scan: Callable[..., tuple[BleakBeacons, BeaconSensor]]
) -> None:
    source, sensor = scan()
    until(lambda: source.state.state == "absent")
    daemon = bluez()
    until(lambda: source.state.state == "working")
    daemon.advertise(heard())
    until(lambda: sensor.reading().heard == (ANCHOR,))


def test_no_d_bus_at_all_is_absent(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, scan: Callable[..., tuple[BleakBeacons, BeaconSensor]]
) -> None:
    monkeypatch.setenv("DBUS_SYSTEM_BUS_ADDRESS", f"unix:path={tmp_path / 'nobody'}")
    source, sensor = scan()
    until(lambda: source.state.state == "absent")
    assert sensor.state.reason.startswith("no_scanner: ")


def test_a_d_bus_that_dies_under_the_scan_is_noticed_and_found_again(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, scan: Callable[..., tuple[BleakBeacons, BeaconSensor]]
) -> None:
    first = PrivateBus(tmp_path)
    monkeypatch.setenv("DBUS_SYSTEM_BUS_ADDRESS", first.address)
    daemon = BlueZ(first.address)
    source, sensor = scan(restart_after_s=1.0)
    until(lambda: source.state.state == "working")
    daemon.stop()
    first.stop()
    until(lambda: source.state.state in ("absent", "failed"))
    (tmp_path / "bus").unlink(missing_ok=True)
    second = PrivateBus(tmp_path)
    daemon = BlueZ(second.address)
    try:
        until(lambda: source.state.state == "working")
        daemon.advertise(heard())
        until(lambda: sensor.reading().heard == (ANCHOR,))
        sensor.stop()
    finally:
        daemon.stop()
        second.stop()


def test_without_bleak_the_scanner_is_absent_and_the_package_imports(
    monkeypatch: pytest.MonkeyPatch, scan: Callable[..., tuple[BleakBeacons, BeaconSensor]]
) -> None:
    real_import = builtins.__import__

    def without_bleak(name: str, *rest: Any) -> Any:
        if name == "bleak" or name.startswith("bleak."):
            raise ImportError(f"No module named {name!r}")
        return real_import(name, *rest)

    monkeypatch.setattr(builtins, "__import__", without_bleak)
    source, _ = scan()
    until(lambda: source.state.state == "absent")


def test_stop_ends_the_scan_and_the_thread(
    bluez: Callable[..., BlueZ], scan: Callable[..., tuple[BleakBeacons, BeaconSensor]]
) -> None:
    daemon = bluez()
    source, sensor = scan()
    until(lambda: source.state.state == "working")
    sensor.stop()
    assert daemon.calls == ["RegisterMonitor", "UnregisterMonitor"]
    assert source._thread is not None
    assert not source._thread.is_alive()
    assert source.state.state == "unknown"
