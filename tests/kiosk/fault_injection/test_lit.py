"""No failure in the flash, or in what hears a worn badge, ends in a punch marked verified.

The counterpart of test_ways_to_a_verdict for what a terminal has that lights the face and whose workers wear badges.
"""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from evidence.events import LogType, Outcome, Verdict
from kiosk.app import Kiosk
from kiosk.hearing import Hearing
from kiosk.policy import PROFILES, judge
from kiosk.worn_badges import WornBadges
from tests.kiosk.lockstep import Stage, lockstep_terminal
from tests.kiosk.test_app import WORKER, last_punch, result_of, until
from tests.support.faults import CallRecorder, fault_in, functions_in, modules_in
from zaigang.demo.scene import ANCHOR

MODULES = modules_in(
    "kiosk.hearing", "kiosk.screen_light", "kiosk.sensors.beacons", "kiosk.verify.flash", "kiosk.worn_badges"
)

AFTERWARDS = (Hearing.punched, WornBadges.spend)  # what is noted once the punch is signed and shown


@pytest.fixture(scope="module")
def kiosk(
    tmp_path_factory: pytest.TempPathFactory, patch: pytest.MonkeyPatch, recorder: CallRecorder
) -> Iterator[Kiosk]:
    folder = tmp_path_factory.mktemp("terminal")
    with (
        recorder.installed(),
        lockstep_terminal(folder, Stage(), patch, flash="on", badges={ANCHOR: WORKER}) as one,
    ):
        yield one


def punch(kiosk: Kiosk) -> Verdict:
    return result_of(kiosk, None, lambda: kiosk.attendant.tap(LogType.IN, WORKER)).verdict


@pytest.mark.timeout(900)
def test_no_function_of_flash_and_badge_can_fail_into_verified(kiosk: Kiosk, recorder: CallRecorder) -> None:
    recorder.recording = True
    assert punch(kiosk) is Verdict.VERIFIED, last_punch(kiosk).checks
    recorder.recording = False
    passed = {check.name for check in last_punch(kiosk).checks if check.outcome is Outcome.PASSED}
    assert {"flash", "badge_near"} <= passed
    way, tried = recorder.called["attendant"], set()
    for module in MODULES:
        for name, function in functions_in(module).items():
            if function.__code__ not in way or function in AFTERWARDS:
                continue
            before = kiosk.journal.head.seq
            with fault_in(function) as hits:
                verdict = punch(kiosk)
            if "attendant" not in hits:
                continue
            tried.add(name)
            assert verdict is not Verdict.VERIFIED, f"verified although {name} raised"
            if function is Hearing.badge:  # which sees to it that nothing else gets in the way
                continue
            assert kiosk.journal.head.seq > before, f"the attempt is lost where {name} raises"
            shipped = judge(last_punch(kiosk).checks, PROFILES["demo"], last_punch(kiosk).method)
            assert shipped is not Verdict.VERIFIED, f"verified under the shipped policy although {name} raised"
            until(kiosk.placed, "the sensors to be back")
            until(lambda: kiosk.attendant.view().face_available, "the camera to be back")
    assert {
        "WornBadges.check",
        "BeaconSensor.near",
        "FlashMeter.response",
        "FlashMeter.feed",
        "ScreenLight.show",
    } <= tried, tried
    assert punch(kiosk) is Verdict.VERIFIED
