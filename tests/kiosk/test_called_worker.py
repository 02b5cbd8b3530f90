"""A spot check on the whole terminal: called by a signed command, checked like a punch, answered in the chain."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from evidence.command import Command, sign_command
from evidence.events import CommandDoneBody, Kind, LogType, PunchBody, Verdict
from evidence.receipt import PunchReceipt
from kiosk.app import Kiosk
from tests.kiosk.test_app import COLLECTOR, NAME, PIN, TRIES, WORKER, Scene, enrol, events, result_of, terminal, until


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
        assert (result.receipt_code, result.other_methods) == (None, ())
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
