"""Real bleak over a real D-Bus against a stand-in for bluetoothd: advertisements arrive, and every absence is said."""

from __future__ import annotations

import asyncio
import builtins
import time
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import pytest

from kiosk.sensors import bluez_adapter
from kiosk.sensors.advertisement import Advertisement
from kiosk.sensors.beacons import BeaconSensor, BeaconTracker
from kiosk.sensors.bleak_beacons import BleakBeacons
from kiosk.sensors.eddystone_eid import EidBeacon, EidBook, eid
from kiosk.sensors.errors import AdapterGone
from tests.kiosk.sensors.bluez import BlueZ, PrivateBus
from tests.kiosk.sensors.frames import FEAA, SITE, eddystone_uid, heard
from tests.support.waiting import until

ANCHOR = f"ibeacon:{SITE}:1:2"
UID = "eddystone-uid:00112233445566778899:aabbccddeeff"


@pytest.fixture
def bus(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[PrivateBus]:
    private = PrivateBus(tmp_path)
    monkeypatch.setenv("DBUS_SYSTEM_BUS_ADDRESS", private.address)
    yield private
    private.stop()


@pytest.fixture
def bluez(bus: PrivateBus) -> Iterator[Callable[..., BlueZ]]:
    running: list[BlueZ] = []

    def start(**options: Any) -> BlueZ:
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


def test_advertisements_appear_change_and_vanish(
    bluez: Callable[..., BlueZ], scan: Callable[..., tuple[BleakBeacons, BeaconSensor]]
) -> None:
    daemon = bluez()
    source, sensor = scan()
    until(lambda: source.state.state == "working")
    daemon.advertise(heard(rssi=-50))
    until(lambda: sensor.reading().heard == (ANCHOR,))
    for _ in range(20):
        daemon.advertise(heard(rssi=-90))
    until(lambda: sensor.reading().best_rssi == -90)
    assert sensor.reading().heard == ()
    daemon.vanish("C0:FF:EE:00:00:01")
    daemon.advertise(heard(rssi=-40))
    until(lambda: sensor.reading().advertisements == 22)


def test_a_rotating_identifier_from_the_air_is_resolved(bluez: Callable[..., BlueZ]) -> None:
    daemon = bluez()
    badge = EidBeacon("badge-17", bytes(range(16)), 15, int(time.time()) - 5000)
    source = BleakBeacons(retry_after_s=0.1)
    sensor = BeaconSensor(source, BeaconTracker(), badges=BeaconTracker(["eid:badge-17"]), book=EidBook([badge]))
    sensor.start()
    try:
        until(lambda: source.state.state == "working")
        for sent in (bytes(8), eid(badge.key, 15, 5000)):
            daemon.advertise(Advertisement("C0:FF:EE:00:00:17", -50, 0, {}, {FEAA: b"\x30\xe7" + sent}))
        until(lambda: sensor.near(["eid:badge-17"]) is not None)
    finally:
        sensor.stop()


def test_an_adapter_that_hangs_is_switched_off_and_on_again(
    bluez: Callable[..., BlueZ], scan: Callable[..., tuple[BleakBeacons, BeaconSensor]]
) -> None:
    daemon = bluez(hung=True)
    source, sensor = scan(restart_after_s=0.3)
    until(lambda: source.resets >= 1 and source.state.state == "working")
    until(lambda: daemon.advertise(heard()) or sensor.reading().heard == (ANCHOR,))
    switched = [call for call in daemon.calls if call.startswith("Powered")]
    assert switched[:2] == ["Powered=False", "Powered=True"]
    before = daemon.calls[: daemon.calls.index("Powered=False")]
    scans = [call for call in before if call != "SetDiscoveryFilter"]
    assert scans == ["RegisterMonitor", "UnregisterMonitor", "StartDiscovery", "StopDiscovery"], (
        "one of each mode first"
    )
    assert daemon.powered


def test_an_adapter_that_was_heard_lately_is_scanned_again_before_it_is_reset(
    bluez: Callable[..., BlueZ], scan: Callable[..., tuple[BleakBeacons, BeaconSensor]]
) -> None:
    daemon = bluez()
    source, _ = scan(restart_after_s=0.5)
    until(lambda: source.state.state == "working")
    daemon.advertise(heard())
    until(lambda: source.restarts >= 1)
    assert source.resets == 0
    until(lambda: source.resets >= 1)


def test_an_adapter_too_busy_to_be_switched_on_is_asked_again_and_never_left_off(
    bluez: Callable[..., BlueZ],
    scan: Callable[..., tuple[BleakBeacons, BeaconSensor]],
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(bluez_adapter, "BETWEEN_TRIES_S", 0.01)
    daemon = bluez(hung=True, refuses_power=2)
    source, _ = scan(restart_after_s=0.3)
    until(lambda: daemon.calls.count("Powered=True") >= 3 and daemon.powered)
    until(lambda: source.state.state == "working")


def test_an_adapter_that_is_unplugged_is_missed_at_once_and_found_again(
    bluez: Callable[..., BlueZ], scan: Callable[..., tuple[BleakBeacons, BeaconSensor]]
) -> None:
    daemon = bluez()
    source, sensor = scan(look_after_s=0.1)
    until(lambda: source.state.state == "working")
    daemon.advertise(heard())
    until(lambda: sensor.reading().heard == (ANCHOR,))
    daemon.unplug()
    until(lambda: source.state.state == "absent")
    assert (sensor.state.state, sensor.state.reason.partition(":")[0]) == ("failed", "no_scanner")
    daemon.plug_in()
    until(lambda: source.state.state == "working")
    count = sensor.reading().advertisements
    daemon.advertise(heard())
    until(lambda: sensor.reading().advertisements > count)
    assert source.restarts == source.resets == 0, "the watchdog had nothing to do with it"


def test_an_adapter_that_is_switched_off_under_the_scan_is_said_and_left_to_whoever_did_it(
    bluez: Callable[..., BlueZ], scan: Callable[..., tuple[BleakBeacons, BeaconSensor]]
) -> None:
    daemon = bluez()
    source, sensor = scan(look_after_s=0.1)
    until(lambda: source.state.state == "working")
    daemon.switch(on=False)
    until(lambda: source.state.state == "failed")
    assert "Powered=True" not in daemon.calls
    daemon.switch(on=True)
    until(lambda: source.state.state == "working")
    daemon.advertise(heard())
    until(lambda: sensor.reading().heard == (ANCHOR,))


def test_an_adapter_is_asked_for_by_its_name(bluez: Callable[..., BlueZ]) -> None:
    bluez()
    with ThreadPoolExecutor(1) as aside:  # a browser of other tests keeps a loop running in this thread
        aside.submit(asyncio.run, bluez_adapter.check_adapter("hci0")).result()
        with pytest.raises(AdapterGone):
            aside.submit(asyncio.run, bluez_adapter.check_adapter("hci1")).result()
        assert aside.submit(asyncio.run, bluez_adapter.first_adapter()).result() == "hci0"


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
