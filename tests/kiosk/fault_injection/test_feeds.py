"""No failure in what feeds a sensor ends in a punch marked verified: each function that the threads of receiver and
scanner go through raises whenever it is called, on a terminal that has just been started.

The counterpart of test_ways_to_a_verdict, which breaks what is asked at the punch.
"""

from __future__ import annotations

import threading
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import UTC, datetime, timedelta
from pathlib import Path
from types import CodeType

import pytest

from evidence.events import LogType, Verdict
from kiosk.app import Kiosk
from kiosk.sensors.serial_gps import SerialGps
from kiosk.settings_tables import FenceSettings
from tests.kiosk.lockstep import strict_profiles
from tests.kiosk.small_terminal import settings_of
from tests.kiosk.test_app import COLLECTOR, LATITUDE, LONGITUDE, PIN, WORKER, authorisation, result_of, until
from tests.support.faults import CallRecorder, fault_in, functions_in, modules_in
from zaigang.demo.scene import ANCHOR, beacon_recording
from zaigang.synthetic_gps import PtyGps, standing_still

SENSORS = modules_in("kiosk.sensors")
HITS = {"gps": 30, "beacons": 4}  # as many as a receiver's fixes, or an anchor's packets, that would be enough
GPS_RATE_HZ = 40  # a second of the receiver's in 25 ms
GPS_SECONDS = 3600  # the receiver's hour, played from its beginning


def punch(kiosk: Kiosk) -> Verdict:
    return result_of(kiosk, None, lambda: kiosk.attendant.badge_pin(LogType.IN, WORKER, PIN)).verdict


@contextmanager
def badge_terminal(folder: Path, patch: pytest.MonkeyPatch) -> Iterator[Kiosk]:
    """Run a terminal without a face path, whose receiver and scanner have just begun."""
    strict_profiles(patch, face=None)
    patch.setitem(SerialGps.__init__.__kwdefaults__, "reopen_after_s", 0.005)
    begin = datetime.now(UTC) - timedelta(seconds=GPS_SECONDS)
    gps = PtyGps(standing_still(LATITUDE, LONGITUDE, begin), rate_hz=GPS_RATE_HZ).start()
    folder.mkdir()
    recording = folder / "beacons.jsonl"
    recording.write_text(beacon_recording())
    settings = settings_of(
        folder,
        collector_keys=(COLLECTOR.public.text(),),
        gps_port=gps.port,
        beacons=f"file:{recording}",
        anchors=(ANCHOR,),
        fence=FenceSettings(latitude=LATITUDE, longitude=LONGITUDE, radius_m=100),
        profile="demo",
    )
    try:
        with Kiosk(settings, screen=False) as kiosk:
            kiosk.enrol_pin(authorisation(), PIN)
            yield kiosk
    finally:
        gps.stop()


@pytest.fixture(scope="module")
def feeds(tmp_path_factory: pytest.TempPathFactory) -> dict[str, set[CodeType]]:
    """What the threads of receiver and scanner call until both have something to say."""
    recorder = CallRecorder()
    recorder.recording = True
    folder = tmp_path_factory.mktemp("feeds") / "usual"
    with pytest.MonkeyPatch.context() as patch, recorder.installed(), badge_terminal(folder, patch) as kiosk:
        until(kiosk.placed, "a position and a beacon")
        assert punch(kiosk) is Verdict.VERIFIED
    return recorder.called


@pytest.mark.filterwarnings(
    "ignore::pytest.PytestUnhandledThreadExceptionWarning"
)  # a dead thread is one of the faults
@pytest.mark.timeout(900)
@pytest.mark.parametrize("thread", ["gps", "beacons"])
@pytest.mark.parametrize("module", SENSORS)
def test_no_function_that_feeds_a_sensor_can_fail_into_verified(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, feeds: dict[str, set[CodeType]], module: str, thread: str
) -> None:
    for name, function in functions_in(module).items():
        if function.__code__ not in feeds[thread]:
            continue
        with fault_in(function) as hits, badge_terminal(tmp_path / name, monkeypatch) as kiosk:
            until(lambda: hits.count(thread) >= HITS[thread] or (hits and not runs(thread)), name)
            assert punch(kiosk) is not Verdict.VERIFIED, f"verified although {name} raised"


def runs(thread: str) -> bool:
    return any(one.name == thread for one in threading.enumerate())
