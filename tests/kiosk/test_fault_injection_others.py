"""No failure on the supervisor's way, or in what watches the case, ends in a punch marked verified.

The counterpart of test_fault_injection, which breaks what a worker's own face or PIN goes through. A supervisor's word
is reviewed by default; here the site takes it, so that a failure that turns into a pass would show.
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import suppress
from pathlib import Path

import pytest

from evidence.events import LogType, Method, Verdict
from kiosk.app import Kiosk
from kiosk.confirmation import CHECK_NAME
from kiosk.policy import PROFILES, Demand
from kiosk.standing_in import stand_in
from tests.kiosk.opened_case import TAMPER, enrol, punch, terminal
from tests.kiosk.test_app import last_punch
from tests.kiosk.test_supervisor import confirmed, without_camera
from tests.support.faults import CallRecorder, InjectedFault, fault_in, functions_in, modules_in
from tests.support.gpio import Pins
from tests.support.waiting import until

CONFIRMING = modules_in(
    "kiosk.confirmation",
    "kiosk.standing_in",
    "kiosk.verify.attempts",
    "kiosk.verify.gallery",
    "kiosk.verify.gallery_record",
    "kiosk.verify.gallery_seal",
    "kiosk.verify.pin",
)
WATCHING = modules_in("kiosk.enclosure", "kiosk.sensors.enclosure")


pytestmark = pytest.mark.filterwarnings(
    "ignore::pytest.PytestUnhandledThreadExceptionWarning"
)  # a dead thread is one of the faults


def takes_a_supervisors_word(patch: pytest.MonkeyPatch) -> None:
    policy = PROFILES["badge-only"].model_copy(
        update={"supervisor": Demand(required=(CHECK_NAME,)), "review_methods": (), "confirmations_an_hour": 1000}
    )
    patch.setattr("kiosk.app.PROFILES", {"badge-only": policy})


@pytest.fixture
def confirming(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[tuple[Kiosk, CallRecorder]]:
    takes_a_supervisors_word(monkeypatch)
    recorder = CallRecorder()
    with recorder.installed(), without_camera(tmp_path) as kiosk:
        yield kiosk, recorder


def test_no_function_on_a_supervisors_way_can_fail_into_verified(confirming: tuple[Kiosk, CallRecorder]) -> None:
    kiosk, recorder = confirming
    recorder.recording = True
    assert confirmed(kiosk).verdict is Verdict.VERIFIED
    recorder.recording = False
    way = recorder.called["attendant"]
    tried = set()
    for module in CONFIRMING:
        for name, function in functions_in(module).items():
            if function.__code__ not in way:
                continue
            before = kiosk.journal.head.seq
            with fault_in(function) as hits:
                verdict = confirmed(kiosk).verdict
            assert "attendant" in hits, name
            assert verdict is not Verdict.VERIFIED, f"verified although {name} raised"
            if function is not stand_in:  # which sees to it that nothing else gets in the way
                assert kiosk.journal.head.seq > before, f"the attempt is lost where {name} raises"
            assert last_punch(kiosk).method is Method.SUPERVISOR
            tried.add(module)
    assert {"kiosk.confirmation", "kiosk.standing_in", "kiosk.verify.gallery", "kiosk.verify.pin"} <= tried
    assert confirmed(kiosk).verdict is Verdict.VERIFIED


def watching() -> list[tuple[str, object]]:
    return [(name, function) for module in WATCHING for name, function in functions_in(module).items()]


@pytest.mark.parametrize("name", [name for name, _ in watching()])
def test_no_function_that_watches_the_case_can_hide_that_it_was_opened(tmp_path: Path, name: str) -> None:
    """The function raises from now on, and then the case is opened."""
    function = functions_in(next(one for one in WATCHING if name in functions_in(one)))[name]
    pins = Pins()
    with terminal(tmp_path, pins) as kiosk:
        enrol(kiosk)
        assert punch(kiosk).verdict is Verdict.VERIFIED
        with fault_in(function):
            with suppress(InjectedFault):  # the mock pin calls back in the thread that cuts
                pins.pin(TAMPER).cut()
            until(lambda: punch(kiosk).verdict is not Verdict.VERIFIED, f"a punch that is not verified without {name}")
            kiosk.attendant.dismiss()
            kiosk.attendant.badge_pin(LogType.IN, "W-1", "246810")
            assert until(lambda: kiosk.attendant.view().result, "a result").verdict is not Verdict.VERIFIED
        until(lambda: kiosk.journal.opening is not None, "the opening, signed once the fault is gone")


@pytest.mark.parametrize("name", [name for name, _ in watching()])
def test_a_terminal_that_starts_with_a_broken_watch_verifies_nothing(tmp_path: Path, name: str) -> None:
    function = functions_in(next(one for one in WATCHING if name in functions_in(one)))[name]
    pins = Pins()
    with terminal(tmp_path, pins) as kiosk:
        enrol(kiosk)
    pins.pin(TAMPER).cut()
    try:
        with fault_in(function), terminal(tmp_path, pins) as kiosk:
            assert punch(kiosk).verdict is not Verdict.VERIFIED
    except Exception as error:  # a terminal that does not start verifies nobody
        assert "injected fault" in str(error)
