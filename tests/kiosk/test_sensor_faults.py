"""Each sensor is unplugged, hangs, sends garbage and comes back while punches go on, and everybody is told the truth.

A whole terminal with the real V4L2, serial and beacon code; what stands behind the device changes under it. How soon
the truth is told follows from three limits, which one test adds up; the others wait for it however slow the machine.
"""

from __future__ import annotations

import random
import threading
from collections.abc import Callable, Iterator
from pathlib import Path

import cv2
import numpy as np
import pytest
from numpy.typing import NDArray

from evidence.events import LogType, Verdict
from evidence.status import Health, Part
from kiosk import hearing, keeper
from kiosk.app import Kiosk
from kiosk.sensors import beacons, newest_frame, serial_gps
from kiosk.sensors.advertisement import Advertisement
from kiosk.sensors.recorded_beacons import RecordedBeacons
from kiosk.settings_tables import FenceSettings
from tests.kiosk.lockstep import strict_profiles
from tests.kiosk.sensors.strict_capture import Device, StrictCapture
from tests.kiosk.small_terminal import settings_of
from tests.kiosk.test_app import (
    COLLECTOR,
    LATITUDE,
    LONGITUDE,
    PIN,
    WORKER,
    authorisation,
    last_punch,
    result_of,
    until,
)
from zaigang.demo.scene import ANCHOR, beacon_recording
from zaigang.synthetic_gps import PtyGps, standing_still

TOLD_WITHIN_S = 10.0
GARBAGE = random.Random(3).randbytes(2000)


class _HangingCapture(StrictCapture):
    """A device whose reads can stop returning."""

    free = threading.Event()

    def read(self, image: NDArray[np.uint8] | None = None) -> tuple[bool, NDArray[np.uint8] | None]:
        self.free.wait()
        return super().read(image)


class CameraRig:
    """The camera's device: 25 pictures a second until something is done to it."""

    def __init__(self) -> None:
        _HangingCapture.device = self.device = Device()
        self.back()

    def unplug(self) -> None:
        self.device.opens, self.device.script = False, ["unplug"]

    def hang(self) -> None:
        _HangingCapture.free.clear()

    def garbage(self) -> None:
        self.device.script = ["grey"]

    def back(self) -> None:
        self.device.opens, self.device.script, self.device.late_s = True, ["late"], 0.04
        _HangingCapture.free.set()


class GpsRig:
    """The receiver behind one path, as udev gives it; each time that it is plugged in it has its fixes at once."""

    def __init__(self, folder: Path) -> None:
        self.port = folder / "gps"
        self._gps: PtyGps | None = None
        self._speaks = threading.Event()
        self._sane = True
        self.back()

    def unplug(self) -> None:
        self._speaks.set()
        self.port.unlink(missing_ok=True)
        if self._gps is not None:
            self._gps.unplug()
        self._gps = None

    def hang(self) -> None:
        self._speaks.clear()

    def garbage(self) -> None:
        self._sane = False

    def back(self) -> None:
        self._sane = True
        self._speaks.set()
        if self._gps is None:
            self._gps = PtyGps(self._say(), rate_hz=1, at_once=25).start()
            self.port.symlink_to(self._gps.port)

    def _say(self) -> Iterator[bytes]:
        for second in standing_still(LATITUDE, LONGITUDE, seconds_before=25):
            yield second if self._sane else GARBAGE
            self._speaks.wait()


class BeaconRig:
    """A Bluetooth adapter: the site's anchor through the real tracker, until something is done to the adapter."""

    def __init__(self) -> None:
        self._air = RecordedBeacons(beacon_recording().splitlines(), loop=True)
        self._mode = "good"
        self._dice = random.Random(4)

    def start(self, callback: Callable[[Advertisement], None]) -> None:
        def pass_on(advertisement: Advertisement) -> None:
            if self._mode == "good":
                callback(advertisement)
            elif self._mode == "garbage":
                junk = {self._dice.randrange(65536): self._dice.randbytes(self._dice.randrange(30))}
                callback(
                    Advertisement("??", self._dice.randrange(-400, 400), advertisement.mono_us, junk, {"": b"\xff"})
                )

        self._air.start(pass_on)

    def stop(self) -> None:
        self._air.stop()

    @property
    def state(self) -> Part:
        if self._mode == "unplugged":
            return Part(state="absent", reason="no_scanner: No adapter.")
        return self._air.state

    def unplug(self) -> None:
        self._mode = "unplugged"

    def hang(self) -> None:
        self._mode = "hung"

    def garbage(self) -> None:
        self._mode = "garbage"

    def back(self) -> None:
        self._mode = "good"


class Site:
    """A terminal and what stands behind its devices."""

    def __init__(self, kiosk: Kiosk, rigs: dict[str, CameraRig | GpsRig | BeaconRig]) -> None:
        self.kiosk, self.rigs = kiosk, rigs
        self.health: list[Health] = []
        publish = kiosk.uplink.publish_health
        kiosk.uplink.publish_health = lambda one: (self.health.append(one), publish(one))[1]  # type: ignore[method-assign,func-returns-value]

    def told(self, part: str, state: str, code: str) -> None:
        """Wait until the screen and a health message of after this call say it."""
        until(lambda: self.kiosk.parts()[part].state == state, f"{part} to be {state}")
        said = self.kiosk.parts()[part].reason.partition(":")[0]
        assert said == code, self.kiosk.parts()[part]
        if state in ("failed", "degraded"):
            assert code in self.kiosk.attendant.view().troubles
        seen = len(self.health)
        until(lambda: len(self.health) > seen, "a health message")
        assert self.health[seen].parts[part].state == state

    def punch(self) -> Verdict:
        """Punch with badge and PIN; it is kept whatever the sensors do."""
        before = self.kiosk.journal.head.seq or 0
        result = result_of(self.kiosk, None, lambda: self.kiosk.attendant.badge_pin(LogType.IN, WORKER, PIN))
        assert self.kiosk.journal.head.seq > before, result.reasons  # the keeper may sign something too
        return result.verdict


@pytest.fixture(scope="module")
def site(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Site]:
    folder = tmp_path_factory.mktemp("site")
    with pytest.MonkeyPatch.context() as patch:
        strict_profiles(patch)
        patch.setattr(cv2, "VideoCapture", _HangingCapture)
        rigs = {"camera": CameraRig(), "gps": GpsRig(folder), "beacons": BeaconRig()}
        patch.setattr(hearing, "BleakBeacons", lambda: rigs["beacons"])
        settings = settings_of(
            folder,
            collector_keys=(COLLECTOR.public.text(),),
            gps_port=str(folder / "gps"),
            beacons="bleak",
            anchors=(ANCHOR,),
            fence=FenceSettings(latitude=LATITUDE, longitude=LONGITUDE, radius_m=100),
            profile="demo",
        )
        with Kiosk(settings, screen=False) as kiosk:
            kiosk.enrol_pin(authorisation(), PIN)
            yield Site(kiosk, rigs)  # type: ignore[arg-type]  # dict is invariant
            for rig in rigs.values():
                rig.back()  # nothing may hang at the end
        rigs["gps"].unplug()


FAULTS = [
    ("camera", "unplug", "failed", "camera_failed"),
    ("camera", "hang", "failed", "camera_stalled"),
    ("camera", "garbage", "failed", "camera_failed"),
    ("gps", "unplug", "failed", "no_receiver"),
    ("gps", "hang", "failed", "stale"),
    ("gps", "garbage", "failed", "stale"),
    ("beacons", "unplug", "failed", "no_scanner"),
    ("beacons", "hang", "degraded", "stale"),
    ("beacons", "garbage", "working", ""),
]


@pytest.mark.parametrize(("sensor", "fault", "state", "code"), FAULTS, ids=[f"{one[0]} {one[1]}" for one in FAULTS])
def test_a_sensor_fails_and_comes_back_while_punches_go_on(
    site: Site, sensor: str, fault: str, state: str, code: str
) -> None:
    site.told(sensor, "working", "")
    until(site.kiosk.placed, "a position and a beacon")
    assert site.punch() is Verdict.VERIFIED, last_punch(site.kiosk)

    getattr(site.rigs[sensor], fault)()
    site.told(sensor, state, code)
    if sensor == "beacons":  # an anchor counts for a while after its last packet
        until(lambda: all(one.outcome != "passed" for one in site.kiosk._place() if one.name == "beacon"), "silence")
    during = site.punch()
    assert (during is Verdict.VERIFIED) == (sensor == "camera"), last_punch(site.kiosk)
    if sensor == "beacons" and fault != "garbage":  # a scanner that hears nobody proves nothing about the anchors
        (beacon,) = (one for one in last_punch(site.kiosk).checks if one.name == "beacon")
        assert (beacon.outcome, during) == ("not_run", Verdict.REVIEW), beacon

    site.rigs[sensor].back()
    site.told(sensor, "working", "")
    until(lambda: all(one.outcome == "passed" for one in site.kiosk._place()), "the place to be known again")
    assert code not in site.kiosk.attendant.view().troubles or not code
    assert site.punch() is Verdict.VERIFIED, last_punch(site.kiosk)


def test_the_limits_of_the_sensors_and_the_pause_between_messages_add_up_to_ten_seconds() -> None:
    slowest_s = max(
        newest_frame.REOPEN_AFTER_S, serial_gps.SILENT_AFTER_S, serial_gps.READ_TIMEOUT_S, beacons.QUIET_AFTER_US / 1e6
    )
    assert slowest_s + keeper.HEALTH_EVERY_S <= TOLD_WITHIN_S


def test_a_fault_is_told_by_the_first_health_message_after_the_sensors_own_limit(site: Site) -> None:
    """Not one that was true when it was put together and is old when it leaves."""
    site.told("gps", "working", "")
    site.rigs["gps"].unplug()
    until(lambda: site.kiosk.parts()["gps"].state == "failed", "the terminal to notice")
    seen = len(site.health)
    until(lambda: len(site.health) > seen + 1, "two messages")
    assert all(one.parts["gps"].state == "failed" for one in site.health[seen + 1 :])
    site.rigs["gps"].back()
    site.told("gps", "working", "")
