"""No failure in verify or sensors ends in a punch marked verified: each function that a verified punch goes through
is made to fail, one after the other, on a whole terminal.

The functions are found by watching a verified punch, so that a new check or sensor is covered as soon as it is used.
"""

from __future__ import annotations

from collections.abc import Iterator
from types import CodeType, FunctionType
from typing import Literal

import pytest

from evidence.events import LogType, Method, Verdict
from kiosk.app import Kiosk
from kiosk.place import judged
from kiosk.policy import PROFILES, judge
from kiosk.verify import identity_check, matcher
from tests.kiosk.lockstep import Stage, lockstep_terminal
from tests.kiosk.test_app import (
    PIN,
    TRIES,
    WORKER,
    last_punch,
    result_of,
    until,
)
from tests.support.faults import CallRecorder, Fault, fault_in, functions_in, modules_in

MODULES = modules_in("kiosk.place", "kiosk.verify", "kiosk.sensors")
SENSORS = modules_in("kiosk.sensors")
Way = Literal["badge_pin", "face", "claimed_face"]
WAYS: tuple[Way, ...] = ("badge_pin", "face", "claimed_face")  # the quick one first
FAULTS: tuple[Fault, ...] = ("raises", "nothing")


@pytest.fixture(scope="module")
def kiosk(
    tmp_path_factory: pytest.TempPathFactory, patch: pytest.MonkeyPatch, recorder: CallRecorder
) -> Iterator[Kiosk]:
    with (
        recorder.installed(),
        lockstep_terminal(tmp_path_factory.mktemp("terminal"), Stage(), patch) as one,
    ):
        yield one


def punch(kiosk: Kiosk, way: Way) -> Verdict:
    """Punch, and return what the screen says; the journal says the same where the attempt was signed."""
    before = kiosk.journal.head.seq
    if way != "badge_pin":
        badge = None if way == "face" else WORKER
        result = result_of(kiosk, None, lambda: kiosk.attendant.tap(LogType.IN, badge))
    else:
        result = result_of(kiosk, None, lambda: kiosk.attendant.badge_pin(LogType.IN, WORKER, PIN))
    assert kiosk.journal.head.seq == before or last_punch(kiosk).verdict is result.verdict
    return result.verdict


@pytest.fixture(scope="module")
def ways(kiosk: Kiosk, recorder: CallRecorder) -> dict[Way, set[CodeType]]:
    """What the attendant's thread calls from tap to verdict where every check passes."""
    found: dict[Way, set[CodeType]] = {}
    for way in WAYS:
        recorder.called.clear()
        recorder.recording = True
        assert punch(kiosk, way) is Verdict.VERIFIED, last_punch(kiosk).checks
        recorder.recording = False
        found[way] = recorder.called["attendant"]
    return found


def answers(function: FunctionType) -> bool:
    """Whether it must say something: a sensor's word or a check, and no question whose answer may be nothing."""
    kind = str(function.__annotations__.get("return", "None"))
    if kind == "bool" or "None" in kind.split(" | "):
        return False
    return function.__module__ in SENSORS or kind in ("Check", "Identity", "Match", "Quality")


@pytest.mark.timeout(900)
@pytest.mark.parametrize("module", MODULES)
def test_no_function_on_the_way_to_a_verdict_can_fail_into_verified(
    kiosk: Kiosk, ways: dict[Way, set[CodeType]], module: str
) -> None:
    tried = [
        tried_once(kiosk, ways, name, function, fault)
        for name, function in functions_in(module).items()
        for fault in FAULTS
        if fault == "raises" or answers(function)
    ]
    if any(tried):
        until(lambda: kiosk.attendant.view().face_available, "the camera to be back")
        back = any(punch(kiosk, "face") is Verdict.VERIFIED for _ in range(TRIES))
        assert back, f"it did not come back: {last_punch(kiosk)}"


def tried_once(kiosk: Kiosk, ways: dict[Way, set[CodeType]], name: str, function: FunctionType, fault: Fault) -> bool:
    """Punch with the fault by a way that leads through the function; False where none does."""
    way = next((one for one in WAYS if function.__code__ in ways[one]), None)
    if way is None:
        return False
    method = Method.BADGE_PIN if way == "badge_pin" else Method.FACE
    before = kiosk.journal.head.seq
    with fault_in(function, fault) as hits:
        verdict = punch(kiosk, way)
    met = "attendant" in hits  # a look aside, for one, is judged only where somebody looks aside
    assert not met or verdict is not Verdict.VERIFIED, f"verified by {way} although {name} {fault}"
    # A worker's time is kept whatever breaks, but for the function that sees to it.
    assert kiosk.journal.head.seq > before or function is judged, f"the attempt is lost where {name} {fault}"
    if met and fault == "raises" and kiosk.journal.head.seq > before:  # nor where the site leaves the check optional
        shipped = judge(last_punch(kiosk).checks, PROFILES["demo"], method)
        assert shipped is not Verdict.VERIFIED, f"verified by {way} under the shipped policy although {name} raises"
    until(kiosk.placed, "the sensors to be back")
    return True


def test_every_check_that_is_demanded_lies_on_a_way_that_was_tried(
    kiosk: Kiosk, ways: dict[Way, set[CodeType]]
) -> None:
    """A module that the watch has missed would be a hole in the test above."""
    on_the_way = {
        module
        for module in MODULES
        for function in functions_in(module).values()
        if any(function.__code__ in way for way in ways.values())
    }
    assert {
        "kiosk.place",
        "kiosk.sensors.beacons",
        "kiosk.sensors.gps",
        "kiosk.sensors.newest_frame",
        "kiosk.verify.challenge",
        "kiosk.verify.continuity",
        "kiosk.verify.embedder",
        "kiosk.verify.gallery",
        "kiosk.verify.identity_check",
        "kiosk.verify.landmarks",
        "kiosk.verify.liveness",
        "kiosk.verify.matcher",
        "kiosk.verify.moire",
        "kiosk.verify.pin",
        "kiosk.verify.planarity",
        "kiosk.verify.quality",
        "kiosk.verify.recent_clips",
        "kiosk.verify.screen_frame",
        "kiosk.verify.screen_signs",
        "kiosk.verify.session",
        "kiosk.verify.surroundings",
        "kiosk.verify.turns",
    } <= on_the_way
    both = {function.__code__ for function in (identity_check._claimed, matcher.verify, matcher.identify)}
    assert both <= set().union(*ways.values())  # one to one and one among many


def test_no_function_that_feeds_the_camera_can_fail_into_verified(kiosk: Kiosk, recorder: CallRecorder) -> None:
    recorder.called.clear()
    recorder.recording = True
    assert punch(kiosk, "face") is Verdict.VERIFIED
    recorder.recording = False
    for module in SENSORS:
        for name, function in functions_in(module).items():
            if function.__code__ in recorder.called["camera"]:
                with fault_in(function) as hits:
                    verdict = punch(kiosk, "face")
                    until(lambda: "camera" in hits, f"the camera's thread in {name}")
                assert verdict is not Verdict.VERIFIED, f"verified although {name} raised"
                until(lambda: kiosk.attendant.view().face_available, "the camera to be back")
    assert punch(kiosk, "face") is Verdict.VERIFIED
