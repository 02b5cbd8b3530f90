"""No failure on the supervisor's way, or in what watches the case, ends in a punch marked verified.

The counterpart of test_ways_to_a_verdict, which breaks what a worker's own face or PIN goes through. A supervisor's
word is reviewed by default; here the site takes it, so that a failure that turns into a pass would show.
"""

from __future__ import annotations

import time
from collections.abc import Iterator
from contextlib import suppress
from pathlib import Path
from types import FunctionType

import pytest

from evidence.events import Method, Verdict
from kiosk.app import Kiosk
from kiosk.confirmation import CHECK_NAME
from kiosk.enclosure import READING_KEPT_S
from kiosk.policy import PROFILES, Demand
from kiosk.standing_in import stand_in
from tests.kiosk.opened_case import TAMPER, cut, enrol, punch, terminal
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
BUSY_S = 10.0  # what a busy machine may add
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


@pytest.fixture
def watch(tmp_path: Path) -> list[FunctionType]:
    """What is called, in any thread, from the start of a terminal to the signed opening of its case."""
    recorder, pins = CallRecorder(), Pins()
    recorder.recording = True
    with recorder.installed(), terminal(tmp_path / "usual", pins) as kiosk:
        enrol(kiosk)
        assert punch(kiosk).verdict is Verdict.VERIFIED
        cut(kiosk, pins)
        assert punch(kiosk).verdict is not Verdict.VERIFIED
    called = set().union(*recorder.called.values())
    functions = [one for module in WATCHING for one in functions_in(module).values()]
    return [one for one in functions if one.__code__ in called or one.__name__ in ("__init__", "start", "_heard")]


@pytest.mark.timeout(900)
def test_no_function_that_watches_the_case_can_hide_that_it_was_opened(
    tmp_path: Path, watch: list[FunctionType]
) -> None:
    """The function raises from now on, and then the case is opened: an old reading counts for some seconds at most."""
    assert len(watch) > 12
    for function in watch:
        name = function.__qualname__
        pins = Pins()
        with terminal(tmp_path / name, pins) as kiosk:
            enrol(kiosk)
            assert punch(kiosk).verdict is Verdict.VERIFIED
            with fault_in(function):
                with suppress(InjectedFault):  # the mock pin calls back in the thread that cuts
                    pins.pin(TAMPER).cut()
                begun_s = time.monotonic()
                until(lambda: punch(kiosk).verdict is not Verdict.VERIFIED, f"no verified punch without {name}")
                assert time.monotonic() - begun_s < READING_KEPT_S + BUSY_S, name
                assert punch(kiosk).verdict is not Verdict.VERIFIED, name
            until(lambda: kiosk.journal.opening is not None, f"the opening, signed once {name} works again")


@pytest.mark.timeout(900)
def test_a_terminal_that_starts_with_a_broken_watch_verifies_nothing(tmp_path: Path, watch: list[FunctionType]) -> None:
    for function in watch:
        name = function.__qualname__
        pins = Pins()
        with terminal(tmp_path / name, pins) as kiosk:
            enrol(kiosk)
        pins.pin(TAMPER).cut()
        try:
            with fault_in(function), terminal(tmp_path / name, pins) as kiosk:
                assert punch(kiosk).verdict is not Verdict.VERIFIED, name
        except Exception as error:  # a terminal that does not start verifies nobody
            assert "injected fault" in str(error), name
