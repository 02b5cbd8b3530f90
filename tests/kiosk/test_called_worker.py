"""A spot check on the whole terminal: called by a signed command, checked like a punch, answered in the chain."""

from __future__ import annotations

import base64
import hashlib
import itertools
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from evidence.command import Command, sign_command
from evidence.events import Check, CommandDoneBody, Kind, LogType, Method, PunchBody, Verdict
from evidence.receipt import PunchReceipt
from kiosk.app import Kiosk
from kiosk.clip_recording import Video
from kiosk.clip_store import ClipMissing
from kiosk.enrolment import Consent
from kiosk.errors import BadRequest
from kiosk.settings import KioskSettings
from kiosk.settings_tables import EnclosureSettings
from kiosk.spot_check import Call
from tests.kiosk.test_app import (
    COLLECTOR,
    NAME,
    PIN,
    TRIES,
    WORKER,
    Scene,
    authorisation,
    enrol,
    events,
    result_of,
    terminal,
    until,
)
from tests.support.gpio import Pins


@pytest.fixture(scope="module")
def scene() -> Scene:
    return Scene()


def order(kiosk: Kiosk, counter: int = 1, worker: str = WORKER, minutes: int = 5) -> None:
    command = Command(
        id=f"{counter:032x}",
        device=kiosk.settings.device,
        site=kiosk.settings.site,
        counter=counter,
        action="spot_check",
        body={"worker": worker, "minutes": minutes},
        issued_by="hr",
        issued="2026-03-01T08:00:00.000Z",
        expires="2099-01-01T00:00:00.000Z",
    )
    kiosk.commands.receive(sign_command(command, COLLECTOR))


def answers(kiosk: Kiosk) -> list[CommandDoneBody]:
    return [body for kind, body in events(kiosk) if kind == Kind.COMMAND_DONE]


def punches(kiosk: Kiosk) -> list[PunchBody]:
    return [body for _, body in events(kiosk) if isinstance(body, PunchBody)]


def named(body: CommandDoneBody, name: str) -> Any:
    checks: Any = body.result["checks"]
    return next(one for one in checks if one["name"] == name)


def test_a_called_worker_who_stands_there_is_verified_and_that_is_the_answer(tmp_path: Path, scene: Scene) -> None:
    with terminal(tmp_path, scene.open_camera) as kiosk:
        enrol(kiosk, scene)
        order(kiosk)
        called = kiosk.attendant.view().call
        assert called is not None and (called.name, 0 < called.seconds_left <= 300) == (NAME, True)
        for tries in range(1, TRIES + 1):  # noqa: B007 — one call: it goes on until somebody is verified
            result = result_of(kiosk, scene, lambda: kiosk.attendant.answer_call(None))
            if result.verdict is Verdict.VERIFIED:
                break
            assert "call_goes_on" in result.reasons and result.receipt_qr is None
            kiosk.attendant.dismiss()
        (answer,) = answers(kiosk)
        assert len(answer.result["attempts"]) == tries  # type: ignore[arg-type]
        assert (answer.outcome, answer.result["worker"], answer.result["verdict"]) == ("done", WORKER, "verified")
        assert named(answer, "face_match")["outcome"] == "passed"
        assert answer.result["clip"] is None
        assert result.receipt_qr is not None
        receipt = PunchReceipt.verify(result.receipt_qr, kiosk.key.public)
        assert (receipt.seq, receipt.hash) == (kiosk.journal.head.seq, kiosk.journal.head.hash)
        assert punches(kiosk) == [], "a spot check is no punch"
        assert kiosk.attendant.view().call is None


def test_somebody_else_at_the_call_is_no_answer_in_favour(tmp_path: Path, scene: Scene) -> None:
    with terminal(tmp_path, scene.open_camera) as kiosk:
        enrol(kiosk, scene)
        order(kiosk)
        scene.stand("stranger")
        result = result_of(kiosk, scene, lambda: kiosk.attendant.answer_call(None))
        assert result.verdict is not Verdict.VERIFIED and "call_goes_on" in result.reasons
        assert (result.receipt_code, result.other_methods) == (None, (Method.BADGE_PIN, Method.FACE))
        assert answers(kiosk) == [], "the worker himself may still come"
        kiosk.attendant.dismiss()
        scene.stand("nobody")
        result_of(kiosk, None, lambda: kiosk.attendant.answer_call(PIN))
        (answer,) = answers(kiosk)
        assert (answer.outcome, answer.result["method"]) == ("done", "badge_pin")
        attempts: Any = answer.result["attempts"]
        assert [(one["method"], one["verdict"]) for one in attempts] == [
            ("face", result.verdict),
            ("badge_pin", "verified"),
        ]


def test_a_call_that_is_over_offers_no_other_way_to_answer_it(tmp_path: Path, scene: Scene) -> None:
    with terminal(tmp_path, scene.open_camera) as kiosk:
        enrol(kiosk, scene)
        scene.stand("nobody")
        order(kiosk)
        begin, calls = kiosk._calls.begin, kiosk._calls

        def begin_late() -> Call | None:
            call = begin()
            if call is not None:
                calls._now_us = lambda: call.until_us
            return call

        calls.begin = begin_late  # type: ignore[method-assign]
        result = result_of(kiosk, None, lambda: kiosk.attendant.answer_call("000000"))
        assert (answers(kiosk)[0].outcome, result.verdict) == ("failed", Verdict.REFUSED)
        assert result.other_methods == ()


def test_an_error_of_ours_at_a_call_offers_the_other_way_to_answer_it(tmp_path: Path, scene: Scene) -> None:
    with terminal(tmp_path, scene.open_camera) as kiosk:
        enrol(kiosk, scene)
        scene.stand("nobody")
        order(kiosk)
        until(lambda: kiosk.attendant.view().face_available, "the camera")
        place = kiosk.attendant._desk._around.place

        def broken() -> list[Check]:
            raise RuntimeError("a fault of ours")

        kiosk.attendant._desk._around = replace(kiosk.attendant._desk._around, place=broken)
        result = result_of(kiosk, None, lambda: kiosk.attendant.answer_call(PIN))
        assert (result.reasons, result.other_methods) == (("error",), (Method.FACE, Method.BADGE_PIN))
        kiosk.attendant._desk._around = replace(kiosk.attendant._desk._around, place=place)
        assert result_of(kiosk, None, lambda: kiosk.attendant.answer_call(PIN)).verdict is Verdict.VERIFIED


def test_a_worker_without_a_face_answers_with_the_pin(tmp_path: Path, scene: Scene) -> None:
    with terminal(tmp_path, scene.open_camera) as kiosk:
        enrol(kiosk, scene)
        order(kiosk)
        scene.stand("nobody")
        result_of(kiosk, None, lambda: kiosk.attendant.answer_call(PIN))
        (answer,) = answers(kiosk)
        assert (answer.outcome, answer.result["method"]) == ("done", "badge_pin")


def test_punches_go_on_while_somebody_is_called(tmp_path: Path, scene: Scene) -> None:
    with terminal(tmp_path, scene.open_camera) as kiosk:
        enrol(kiosk, scene)
        order(kiosk)
        result_of(kiosk, None, lambda: kiosk.attendant.badge_pin(LogType.OUT, WORKER, PIN))
        assert [one.log_type for one in punches(kiosk)] == [LogType.OUT]
        assert answers(kiosk) == []
        assert kiosk.attendant.view().call is not None


def test_who_is_not_enrolled_here_is_not_called(tmp_path: Path, scene: Scene) -> None:
    with terminal(tmp_path, scene.open_camera) as kiosk:
        order(kiosk, worker="W-9")
        (answer,) = answers(kiosk)
        assert (answer.outcome, answer.reason.partition(":")[0]) == ("refused", "not_enrolled")
        assert kiosk.attendant.view().call is None


def test_a_restart_during_a_call_is_an_answer_too(tmp_path: Path, scene: Scene) -> None:
    with terminal(tmp_path, scene.open_camera) as kiosk:
        enrol(kiosk, scene)
        order(kiosk)
        result_of(kiosk, None, lambda: kiosk.attendant.answer_call("000000"))
    with terminal(tmp_path, scene.open_camera) as kiosk:
        (answer,) = until(lambda: answers(kiosk), "the answer")
        assert (answer.outcome, answer.reason.partition(":")[0]) == ("failed", "restarted")
        attempts: Any = answer.result["attempts"]
        assert [(one["method"], one["verdict"], one["why"]) for one in attempts] == [
            ("badge_pin", "refused", ["wrong_pin"])
        ]


def agree_to_clips(kiosk: Kiosk) -> None:
    kiosk.operations.agree(WORKER, "clip", Consent(text_version="c1", language="zh"))


def answer_until_verified(kiosk: Kiosk, scene: Scene) -> CommandDoneBody:
    for _ in range(TRIES):
        result = result_of(kiosk, scene, lambda: kiosk.attendant.answer_call(None))
        if result.verdict is Verdict.VERIFIED:
            break
        kiosk.attendant.dismiss()
    return answers(kiosk)[-1]


def test_a_clip_under_its_own_consent_is_committed_to_released_and_goes_with_the_consent(
    tmp_path: Path, scene: Scene
) -> None:
    with terminal(tmp_path, scene.open_camera) as kiosk:
        enrol(kiosk, scene)
        agree_to_clips(kiosk)
        order(kiosk)
        clip: Any = answer_until_verified(kiosk, scene).result["clip"]
        assert 5 <= clip["frames"] <= 76 and 1000 <= clip["duration_ms"] <= 15_000
        (held,) = kiosk.clips.held()
        assert (held["worker"], held["commitment"]) == (WORKER, clip["commitment"])

        released = kiosk.operations.release_clip(held["command"], "hr", "dispute 12")
        video = base64.b64decode(released["video"])
        assert hashlib.sha256(bytes.fromhex(released["salt"]) + video).hexdigest() == clip["commitment"]
        assert video.count(b"\xff\xd8\xff\xfe") == clip["frames"]
        kind, body = events(kiosk)[-1]
        assert (kind, body.by, body.reason) == (Kind.CLIP_RELEASED, "hr", "dispute 12")
        assert body.commitment == clip["commitment"]

        kiosk.operations.withdraw(WORKER, "clip")
        assert kiosk.clips.held() == []
        assert list(kiosk.settings.clips_folder.iterdir()) == []
        assert events(kiosk)[-1][0] == Kind.CONSENT_WITHDRAWN


def test_without_that_consent_nothing_is_recorded_and_the_answer_says_why(
    tmp_path: Path, scene: Scene, monkeypatch: pytest.MonkeyPatch
) -> None:
    def never(*_: object) -> None:
        raise AssertionError("a picture was recorded")

    monkeypatch.setattr("kiosk.clip_recording.Recording.add", never)
    with terminal(tmp_path, scene.open_camera) as kiosk:
        enrol(kiosk, scene)
        order(kiosk)
        answer = answer_until_verified(kiosk, scene)
        assert answer.result["clip"] is None
        assert str(answer.result["clip_why"]).startswith("no_consent: ")
        assert list(kiosk.settings.clips_folder.iterdir()) == []


def test_a_disk_without_room_costs_the_clip_and_not_the_answer(tmp_path: Path, scene: Scene) -> None:
    with terminal(tmp_path, scene.open_camera) as kiosk:
        enrol(kiosk, scene)
        agree_to_clips(kiosk)
        order(kiosk)
        assert kiosk.clips.store is not None
        kiosk.clips.store._low_space_bytes = 1 << 60
        answer = answer_until_verified(kiosk, scene)
        assert answer.outcome == "done" and answer.result["clip"] is None
        assert str(answer.result["clip_why"]).startswith("no_room: ")


def test_the_clip_of_a_failed_attempt_goes_where_the_pin_answers_and_at_a_restart(tmp_path: Path, scene: Scene) -> None:
    with terminal(tmp_path, scene.open_camera) as kiosk:
        enrol(kiosk, scene)
        agree_to_clips(kiosk)
        for counter in (1, 2):
            order(kiosk, counter)
            scene.stand("stranger")
            result_of(kiosk, scene, lambda: kiosk.attendant.answer_call(None))
            assert [one["command"] for one in kiosk.clips.held()] == [f"{counter:032x}"]
            kiosk.attendant.dismiss()
            if counter == 1:
                result_of(kiosk, None, lambda: kiosk.attendant.answer_call(PIN))
                kiosk.attendant.dismiss()
                assert str(answers(kiosk)[-1].result["clip_why"]).startswith("no_picture: ")
                assert kiosk.clips.held() == []
    with terminal(tmp_path, scene.open_camera) as kiosk:
        until(lambda: len(answers(kiosk)) == 2, "the answer")
        assert answers(kiosk)[-1].result["clip"] is None
        assert kiosk.clips.held() == []


def test_erasing_the_worker_erases_his_clips(tmp_path: Path, scene: Scene) -> None:
    with terminal(tmp_path, scene.open_camera) as kiosk:
        enrol(kiosk, scene)
        agree_to_clips(kiosk)
        assert kiosk.clips.store is not None
        kiosk.clips.store.put("ab" * 16, WORKER, "2026-03-01T08:00:00.000Z", Video(b"x", 1, 0))
        kiosk.operations.erase(WORKER)
        assert kiosk.clips.held() == []


def test_an_operators_erasure_is_signed_with_who_and_why(tmp_path: Path, scene: Scene) -> None:
    with terminal(tmp_path, scene.open_camera) as kiosk:
        assert kiosk.clips.store is not None
        kiosk.clips.store.put("ab" * 16, WORKER, "2026-03-01T08:00:00.000Z", Video(b"x", 1, 0))
        kiosk.operations.erase_clip("ab" * 16, "hr", "asked for by the worker")
        kind, body = events(kiosk)[-1]
        assert (kind, body.command, body.by) == (Kind.CLIP_ERASED, "ab" * 16, "hr")
        with pytest.raises(ClipMissing):
            kiosk.operations.erase_clip("ab" * 16, "hr", "again")
        with pytest.raises(BadRequest):
            kiosk.operations.release_clip("ab" * 16, "hr", " ")


BUZZER = 24


@contextmanager
def terminal_with_a_buzzer(folder: Path, pins: Pins, monkeypatch: pytest.MonkeyPatch) -> Iterator[Kiosk]:
    """Housekeeping, and with it the calling, comes every fifth of a second."""
    monkeypatch.setattr("kiosk.keeper.HEALTH_EVERY_S", 0.2)
    monkeypatch.setattr("kiosk.sensors.lamps.TONE_S", 0.15)
    monkeypatch.setattr("kiosk.sensors.lamps.PAUSE_S", 0.01)
    settings = KioskSettings(
        device="gate-1",
        site="east",
        data_dir=folder / "terminal",
        broker=("mqtt://127.0.0.1:9",),
        collector_keys=(COLLECTOR.public.text(),),
        profile="badge-only",
        enclosure=EnclosureSettings(buzzer_pin=BUZZER),
    )
    with Kiosk(settings, pins=pins, screen=False) as kiosk:
        kiosk.enrol_pin(authorisation(), PIN)
        yield kiosk


def tones(pins: Pins) -> int:
    """How many long tones the buzzer has made."""
    states = pins.pin(BUZZER).states
    return sum(was.state and then.timestamp >= 0.15 for was, then in itertools.pairwise(states))


def rounds(kiosk: Kiosk, count: int) -> None:
    """Let the housekeeping come round so often."""
    done: list[None] = []
    look = kiosk._clock_watch.look
    kiosk._keeper._last = (look, lambda _: done.append(None))
    until(lambda: len(done) >= count, "the rounds")


def silent(kiosk: Kiosk, pins: Pins, why: str) -> int:
    """Hold that no tone comes any more, once one that had begun is over; return how many there were."""
    rounds(kiosk, 3)
    heard = tones(pins)
    rounds(kiosk, 4)
    assert tones(pins) == heard, why
    return heard


def test_the_buzzer_calls_again_and_again_until_the_worker_answers(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    pins = Pins()
    with terminal_with_a_buzzer(tmp_path, pins, monkeypatch) as kiosk:
        rounds(kiosk, 3)
        assert tones(pins) == 0, "nobody is called"
        order(kiosk)
        until(lambda: tones(pins) >= 6, "three calls")
        result_of(kiosk, None, lambda: kiosk.attendant.answer_call(PIN))
        kiosk.attendant.dismiss()
        silent(kiosk, pins, "the call is answered")


def test_the_buzzer_is_silent_while_somebody_is_served_and_once_the_time_is_over(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    pins = Pins()
    with terminal_with_a_buzzer(tmp_path, pins, monkeypatch) as kiosk:
        order(kiosk)
        until(lambda: tones(pins) >= 2, "a call")
        result_of(kiosk, None, lambda: kiosk.attendant.badge_pin(LogType.IN, WORKER, PIN))
        heard = silent(kiosk, pins, "somebody reads how the punch ended")
        kiosk.attendant.dismiss()
        until(lambda: tones(pins) > heard, "the call goes on")
        call = kiosk._calls.begin()
        assert call is not None
        heard = silent(kiosk, pins, "the called worker is being checked")
        kiosk._calls.give_back(call)
        until(lambda: tones(pins) > heard, "the call goes on")
        kiosk._calls._now_us = lambda: call.until_us
        until(lambda: answers(kiosk), "the answer that nobody came")
        silent(kiosk, pins, "the time is over")


def test_a_buzzer_that_breaks_costs_neither_the_call_nor_a_punch(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    pins = Pins()
    pins.failing = OSError("no chip")
    with terminal_with_a_buzzer(tmp_path, pins, monkeypatch) as kiosk:
        order(kiosk)
        until(lambda: kiosk.parts()["enclosure"].reason.startswith("lamps_failed:"), "the state to say so")
        punched = result_of(kiosk, None, lambda: kiosk.attendant.badge_pin(LogType.IN, WORKER, PIN))
        assert punched.receipt_code is not None
        result_of(kiosk, None, lambda: kiosk.attendant.answer_call(PIN))
        (answer,) = answers(kiosk)
        assert answer.outcome == "done"
