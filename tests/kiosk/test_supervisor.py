"""A supervisor stands for a worker: identified on the spot, never for himself, both named; and may enrol others.

The terminal is the real one without a camera or, where a face is looked at, with the synthetic stage before it.
"""

from __future__ import annotations

import contextlib
import secrets
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest

from evidence.events import Ask, Kind, LogType, Method, Outcome, PunchBody, Verdict, WorkerEnrolledBody
from kiosk.app import Kiosk
from kiosk.enrolment import (
    Consent,
    DuplicateFace,
    Enrolled,
    EnrolmentCancelled,
    Newcomer,
    NotAuthorised,
    NotOnePerson,
)
from kiosk.errors import TerminalBusy
from kiosk.operations import Enrolment
from kiosk.terminal.view import Phase, Purpose, Result
from kiosk.verify.excuse import ExcusedFromAll
from tests.kiosk.small_terminal import settings_of
from tests.kiosk.test_app import check, events, last_punch, result_of, terminal, until
from tests.support.permissions import COLLECTOR, permission
from zaigang.demo.scene import Scene

BOSS, BOSS_PIN, WORKER, PIN = "B-1", "135790", "W-1", "246810"
CONSENT = Consent(text_version="1", language="zh")


@pytest.fixture(scope="module")
def scene() -> Scene:
    return Scene()


@contextmanager
def without_camera(folder: Path) -> Iterator[Kiosk]:
    settings = settings_of(
        folder,
        collector_keys=(COLLECTOR.public.text(),),
        profile="badge-only",
    )
    with Kiosk(settings, screen=False) as kiosk:
        kiosk.enrol_pin(permission(BOSS, "赵强", "supervisor"), BOSS_PIN)
        kiosk.enrol_pin(permission(WORKER, "王芳"), PIN)
        yield kiosk


def confirmed(kiosk: Kiosk, worker: str = WORKER, by: str = BOSS, pin: str | None = BOSS_PIN) -> Result:
    return result_of(kiosk, None, lambda: kiosk.attendant.confirm(LogType.IN, worker, by, pin))


# confirming


def test_a_confirmation_names_both_and_goes_to_review(tmp_path: Path) -> None:
    with without_camera(tmp_path) as kiosk:
        result = confirmed(kiosk)
        assert (result.verdict, result.method, result.name) == (Verdict.REVIEW, Method.SUPERVISOR, "王芳")
        assert result.reasons[0] == "confirmed"
        body = last_punch(kiosk)
        assert (body.worker, body.confirmed_by, body.method) == (WORKER, BOSS, Method.SUPERVISOR)
        assert [(one.name, one.outcome) for one in body.checks[:2]] == [
            ("pin", Outcome.PASSED),
            ("supervisor", Outcome.PASSED),
        ]


@pytest.mark.parametrize(
    ("worker", "by", "pin", "code"),
    [
        (BOSS, BOSS, BOSS_PIN, "own_punch"),
        (BOSS.lower(), BOSS, BOSS_PIN, "own_punch"),
        ("W-2", WORKER, PIN, "no_supervisor"),
        (WORKER, "B-9", BOSS_PIN, "no_supervisor"),
        (WORKER, BOSS, "000000", "wrong_pin"),
        (WORKER, BOSS, None, "not_confirmed"),  # by face, where there is no camera
    ],
)
def test_nothing_but_an_identified_supervisor_confirms_somebody_else(
    tmp_path: Path, worker: str, by: str, pin: str | None, code: str
) -> None:
    with without_camera(tmp_path) as kiosk:
        result = confirmed(kiosk, worker, by, pin)
        assert (result.verdict, result.reasons[0], result.name) == (Verdict.REFUSED, code, None)
        assert result.receipt_code is not None
        body = last_punch(kiosk)
        assert (body.worker, body.confirmed_by) == (worker, None)
        assert check(body, "supervisor").observed == {"claimed": by}


def test_a_worker_whom_this_terminal_does_not_know_is_confirmed_by_code(tmp_path: Path) -> None:
    with without_camera(tmp_path) as kiosk:
        result = confirmed(kiosk, "W-404")
        assert (result.verdict, result.worker, result.name) == (Verdict.REVIEW, "W-404", None)


def test_one_supervisor_s_confirmations_are_limited_across_a_restart(tmp_path: Path) -> None:
    with without_camera(tmp_path) as kiosk:
        allowed = kiosk.policy.confirmations_an_hour
        for _ in range(allowed):
            assert confirmed(kiosk).verdict is Verdict.REVIEW
        assert confirmed(kiosk).reasons[0] == "too_many_confirmations"
    with without_camera(tmp_path) as again:
        assert confirmed(again).reasons[0] == "too_many_confirmations"
        assert (again.attendant.rate.confirmed, again.attendant.rate.punches) == (allowed, allowed)
        badge = result_of(again, None, lambda: again.attendant.badge_pin(LogType.IN, WORKER, PIN))
        assert badge.verdict is Verdict.VERIFIED
        status = again.operations.status()
        assert (status["confirmed"], status["punches"]) == (allowed, allowed + 1)


def test_a_supervisor_is_offered_only_where_one_is_enrolled(tmp_path: Path) -> None:
    with without_camera(tmp_path) as kiosk:
        assert kiosk.attendant.view().supervisor_available
        refused = result_of(kiosk, None, lambda: kiosk.attendant.badge_pin(LogType.IN, WORKER, "000000"))
        assert refused.other_methods == (Method.SUPERVISOR, Method.BADGE_PIN)
        kiosk.operations.erase(BOSS)
        assert not kiosk.attendant.view().supervisor_available
        assert confirmed(kiosk).reasons[0] == "no_supervisor"


def test_a_broken_gallery_confirms_nobody(tmp_path: Path) -> None:
    with without_camera(tmp_path) as kiosk:
        kiosk.gallery._database.execute("update person set sealed = zeroblob(60)")
        result = confirmed(kiosk)
        assert (result.verdict, last_punch(kiosk).confirmed_by) == (Verdict.REFUSED, None)


def test_a_supervisor_confirms_by_his_face(tmp_path: Path, scene: Scene) -> None:
    with terminal(tmp_path, scene.open_camera, collector_keys=(COLLECTOR.public.text(),)) as kiosk:
        enrol_boss(kiosk, scene)
        until(lambda: kiosk.attendant.view().face_available, "the camera")
        for _ in range(3):  # a living face may be refused once, as at a gate
            result = result_of(kiosk, scene, lambda: kiosk.attendant.confirm(LogType.OUT, "W-7", BOSS, None))
            if result.verdict is not Verdict.REFUSED:
                break
        body = last_punch(kiosk)
        assert (body.verdict, body.worker, body.confirmed_by) == (Verdict.REVIEW, "W-7", BOSS)
        assert check(body, "face_match").outcome is Outcome.PASSED
        assert body.challenge is not None
        scene.stand("stranger")
        wrong = result_of(kiosk, scene, lambda: kiosk.attendant.confirm(LogType.OUT, "W-7", BOSS, None))
        assert (wrong.verdict, last_punch(kiosk).confirmed_by) == (Verdict.REFUSED, None)


# enrolling


def by_supervisor(worker: str = "W-2", **changes: Any) -> Enrolment:
    given = {
        "supervisor": BOSS,
        "supervisor_pin": BOSS_PIN,
        "newcomer": Newcomer(worker=worker, name="李雷"),
        "pin": PIN,
    }
    return Enrolment(**(given | changes))


def test_a_supervisor_enrols_a_worker_and_the_event_names_him(tmp_path: Path) -> None:
    with without_camera(tmp_path) as kiosk:
        done = kiosk.operations.enrol(by_supervisor(), print)
        kind, body = events(kiosk)[done.seq]
        assert (kind, body.worker, body.authorised_by, body.role) == (
            Kind.WORKER_ENROLLED,
            "W-2",
            f"supervisor:{BOSS}",
            "worker",
        )


@pytest.mark.parametrize(
    "wrong",
    [
        {"supervisor_pin": "000000"},
        {"supervisor": WORKER, "supervisor_pin": PIN},
        {"newcomer": Newcomer(worker=BOSS, name="赵强")},
        {"newcomer": Newcomer(worker="B-2", name="孙丽")},
    ],
)
def test_only_a_supervisor_enrols_and_neither_himself_nor_another_supervisor(
    tmp_path: Path, wrong: dict[str, Any]
) -> None:
    with without_camera(tmp_path) as kiosk:
        kiosk.enrol_pin(permission("B-2", "孙丽", "supervisor"), "111222")
        before = kiosk.journal.head.seq
        with pytest.raises(NotAuthorised):
            kiosk.operations.enrol(by_supervisor(**wrong), print)
        assert kiosk.journal.head.seq == before


def test_a_supervisor_s_enrolments_are_limited(tmp_path: Path) -> None:
    with without_camera(tmp_path) as kiosk:
        for number in range(10):
            kiosk.operations.enrol(by_supervisor(f"N-{number}"), print)
        with pytest.raises(NotAuthorised, match="hour"):
            kiosk.operations.enrol(by_supervisor("N-10"), print)


def test_a_supervisor_is_seen_first_and_then_the_newcomer_not_the_supervisor_again(
    tmp_path: Path, scene: Scene
) -> None:
    with terminal(tmp_path, scene.open_camera, collector_keys=(COLLECTOR.public.text(),)) as kiosk:
        enrol_boss(kiosk, scene)
        said: list[str] = []

        def say(text: str) -> None:
            said.append(text)
            if text == "next_person":
                scene.stand("stranger")

        wanted = by_supervisor("W-2", supervisor_pin=None, consent=CONSENT, excused=(Ask.TURN_LEFT,))
        for _ in range(3):
            try:
                done = while_looking(kiosk, scene, lambda: kiosk.operations.enrol(wanted, say))
                break
            except NotAuthorised:
                scene.stand("worker")  # a living face may be refused once
        assert said[0] == "supervisor_first"
        assert "next_person" in said
        assert said[-1] == "5/5"
        body = events(kiosk)[done.seq][1]
        assert isinstance(body, WorkerEnrolledBody)
        assert (body.frames, body.authorised_by, body.excused) == (5, f"supervisor:{BOSS}", (Ask.TURN_LEFT,))
        held = kiosk.gallery.get("W-2")
        assert held is not None
        assert held.excused == (Ask.TURN_LEFT,)
        assert kiosk.attendant.view().phase is Phase.IDLE

        face = kiosk._face
        assert face is not None

        def asked_of(badge: str | None) -> set[Ask]:
            sessions = [face.session(badge, 0, fps=25, rng=secrets.SystemRandom()) for _ in range(60)]
            return {ask for session in sessions for ask in session._request.asks}

        assert Ask.TURN_LEFT not in asked_of("W-2")
        assert Ask.TURN_LEFT in asked_of(BOSS) & asked_of(None)  # 1 in 2^60 says otherwise

        # the excuse is obeyed and stands in the event; without the badge nobody knows whom to excuse
        for _ in range(3):
            result = result_of(kiosk, scene, lambda: kiosk.attendant.tap(LogType.IN, "W-2"))
            body = last_punch(kiosk)
            assert body.challenge is not None
            assert body.challenge.excused == (Ask.TURN_LEFT,)
            assert Ask.TURN_LEFT not in [one.ask for one in body.challenge.prompts]
            if result.verdict is Verdict.VERIFIED:
                break
        assert result.verdict is Verdict.VERIFIED


# the terminal between workers and operators


def test_an_enrolment_shows_itself_waits_for_nobody_and_can_be_cancelled_on_the_screen(
    tmp_path: Path, scene: Scene
) -> None:
    with terminal(tmp_path, scene.open_camera, collector_keys=(COLLECTOR.public.text(),)) as kiosk:
        scene.stand("nobody")
        until(lambda: kiosk.attendant.view().face_available, "the camera")
        failed: list[BaseException] = []

        def enrol() -> None:
            try:
                kiosk.enrol_face(permission(), CONSENT, pin=PIN, say=lambda _: None)
            except EnrolmentCancelled as error:
                failed.append(error)

        running = threading.Thread(target=enrol)
        running.start()
        view = until(lambda: (v := kiosk.attendant.view()).purpose is Purpose.ENROL and v.hint and v, "the enrolment")
        assert (view.phase, view.hint) == (Phase.LOOKING, "no_face")
        kiosk.attendant.tap(LogType.IN, None)  # a worker's tap meanwhile is no punch
        with pytest.raises(TerminalBusy):
            kiosk.attendant.lend(lambda: None, patience_s=0)
        kiosk.attendant.cancel()
        running.join(10)
        assert failed
        assert kiosk.gallery.get(WORKER) is None
        assert kiosk.attendant.view().phase is Phase.IDLE
        assert not any(isinstance(body, PunchBody) for _, body in events(kiosk))


def test_a_face_is_enrolled_once_under_one_code_and_again_under_the_same(tmp_path: Path, scene: Scene) -> None:
    with terminal(tmp_path, scene.open_camera, collector_keys=(COLLECTOR.public.text(),)) as kiosk:
        enrol_boss(kiosk, scene)
        first = kiosk.gallery.get(BOSS)
        with pytest.raises(DuplicateFace):
            kiosk.enrol_face(permission("W-5"), CONSENT, pin=PIN, say=lambda _: None)
        enrol_boss(kiosk, scene)
        assert first is not None
        erased, enrolled = events(kiosk)[-2:]
        assert (erased[0], enrolled[0]) == (Kind.WORKER_ERASED, Kind.WORKER_ENROLLED)
        assert (erased[1].enrolment, erased[1].template, erased[1].reason) == (
            first.enrolment,
            first.commitment,
            "replaced",
        )


def test_too_many_failed_faces_close_that_way_and_no_other(tmp_path: Path, scene: Scene) -> None:
    with terminal(tmp_path, scene.open_camera, collector_keys=(COLLECTOR.public.text(),)) as kiosk:
        enrol_boss(kiosk, scene)
        scene.stand("stranger")
        until(lambda: kiosk.attendant.view().face_available, "the camera")
        for _ in range(12):
            result = result_of(kiosk, scene, lambda: kiosk.attendant.tap(LogType.IN, BOSS))
            assert result.verdict is not Verdict.VERIFIED
            if result.reasons[0] == "face_locked":
                break
        assert result.reasons[0] == "face_locked"
        assert result_of(kiosk, None, lambda: kiosk.attendant.badge_pin(LogType.IN, BOSS, BOSS_PIN)).verdict is (
            Verdict.VERIFIED
        )


def test_leaving_at_prompts_until_one_fits_is_counted_as_trying(tmp_path: Path, scene: Scene) -> None:
    with terminal(tmp_path, scene.open_camera, collector_keys=(COLLECTOR.public.text(),)) as kiosk:
        enrol_boss(kiosk, scene)
        scene.stand("worker")
        until(lambda: kiosk.attendant.view().face_available, "the camera")
        for _ in range(12):
            kiosk.attendant.dismiss()
            kiosk.attendant.tap(LogType.IN, BOSS)
            until(lambda: kiosk.attendant.view().ask or kiosk.attendant.view().result, "a prompt, or the end")
            kiosk.attendant.cancel()
            result = until(lambda: kiosk.attendant.view().result, "the end of the attempt")
            assert result.verdict is not Verdict.VERIFIED
            if result.reasons[0] == "face_locked":
                break
        assert result.reasons[0] == "face_locked"


def test_nobody_is_excused_from_everything(tmp_path: Path) -> None:
    with without_camera(tmp_path) as kiosk:
        before = kiosk.journal.head.seq
        with pytest.raises(ExcusedFromAll):
            kiosk.operations._enrol(
                _desk(kiosk), Enrolment(authorisation=permission("W-8"), consent=CONSENT, excused=tuple(Ask)), print
            )
        assert kiosk.journal.head.seq == before


def _desk(kiosk: Kiosk) -> Any:
    from kiosk.enrolment import EnrolmentDesk

    return EnrolmentDesk(
        "gate-1",
        "east",
        (COLLECTOR.public,),
        lambda: "2026-01-01T00:00:00.000Z",
        kiosk.journal,
        kiosk.gallery,
        kiosk._owed,
    )


def enrol_boss(kiosk: Kiosk, scene: Scene) -> Enrolled:
    scene.stand("worker")
    for _ in range(2):
        with contextlib.suppress(NotOnePerson):  # a slow machine's first frame still shows whoever stood there before
            return kiosk.enrol_face(permission(BOSS, "赵强", "supervisor"), CONSENT, pin=BOSS_PIN, say=lambda _: None)
    return kiosk.enrol_face(permission(BOSS, "赵强", "supervisor"), CONSENT, pin=BOSS_PIN, say=lambda _: None)


def while_looking(kiosk: Kiosk, scene: Scene, work: Callable[[], Enrolled]) -> Enrolled:
    """Do `work` in a thread of its own while whoever stands there follows the screen."""
    outcome: list[Enrolled] = []
    failed: list[BaseException] = []

    def run() -> None:
        try:
            outcome.append(work())
        except BaseException as error:
            failed.append(error)

    running = threading.Thread(target=run)
    running.start()

    def looked() -> bool:
        scene.look_at(kiosk.attendant.view())
        return not running.is_alive()

    until(looked, "the end of the enrolment")
    if failed:
        raise failed[0]
    return outcome[0]
