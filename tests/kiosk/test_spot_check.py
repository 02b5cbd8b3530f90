"""A called worker is checked or the time runs out, and either is answered exactly once."""

from __future__ import annotations

import stat
from pathlib import Path

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from evidence.command import Command
from evidence.events import Check, Method, Outcome, PunchBody, Verdict
from kiosk.commands import Done
from kiosk.errors import JournalFull
from kiosk.journal_author import Recorded
from kiosk.spot_check import MOST_ATTEMPTS, GoesOn, SpotChecks
from kiosk.spot_check_file import AttemptsFile

MINUTE_US = 60_000_000


class Terminal:
    """Spot checks with a time and a pen."""

    def __init__(self, file: Path | None = None) -> None:
        self.now_us = 5_000_000
        self.full = False
        self.answers: list[tuple[int, Done]] = []
        self.checks = SpotChecks(
            name_of={"E1": "王芳", "E2": "李雷"}.get,
            now_us=lambda: self.now_us,
            answer=self._answer,
            kept=None if file is None else AttemptsFile(file),
        )

    def order(
        self, counter: int = 1, worker: object = "E1", minutes: object = 5, *, restarted: bool = False
    ) -> Done | None:
        command = Command.model_construct(
            id=f"{counter:032x}", counter=counter, body={"worker": worker, "minutes": minutes}
        )
        return self.checks.order(command, restarted=restarted)

    def attempt(self, verdict: Verdict, at: str = "08:00") -> Recorded | GoesOn | None:
        call = self.checks.begin()
        assert call is not None
        return self.checks.finish(call, body(verdict, at))

    def _answer(self, command: Command, done: Done) -> Recorded | None:
        if self.full:
            raise JournalFull("disk_full: no room")
        self.answers.append((command.counter, done))
        return None

    @property
    def said(self) -> list[tuple[int, str, str]]:
        return [(counter, done.outcome, done.reason.partition(":")[0]) for counter, done in self.answers]


CHECKS = {
    Verdict.VERIFIED: Check(name="face_match", outcome=Outcome.PASSED, reason="ok: near"),
    Verdict.REVIEW: Check(name="face_match", outcome=Outcome.NOT_RUN, reason="camera_stalled: no picture"),
    Verdict.REFUSED: Check(name="face_match", outcome=Outcome.FAILED, reason="no_match: somebody else"),
}


def body(verdict: Verdict, at: str = "08:00") -> PunchBody:
    return PunchBody(
        worker="E1",
        log_type=None,
        method=Method.FACE,
        verdict=verdict,
        checks=(CHECKS[verdict],),
        policy="ab" * 32,
        receipt="0123ABCD",
        tapped_at=f"2026-03-01T{at}:00.000Z",
    )


def test_a_worker_who_shows_up_is_answered_with_what_was_seen() -> None:
    terminal = Terminal()
    assert terminal.order() is None
    call = terminal.checks.begin()
    assert call is not None and (call.worker, call.name) == ("E1", "王芳")
    terminal.checks.finish(call, body(Verdict.VERIFIED))
    assert terminal.said == [(1, "done", "ok")]
    result = terminal.answers[0][1].result
    assert (result["worker"], result["verdict"], result["method"]) == ("E1", "verified", "face")
    assert result["attempts"] == [
        {"at": "2026-03-01T08:00:00.000Z", "method": "face", "verdict": "verified", "why": []}
    ]
    assert terminal.checks.call is None


def test_who_was_refused_tries_again_and_both_attempts_are_signed_with_the_answer() -> None:
    terminal = Terminal()
    terminal.order(minutes=5)
    terminal.now_us += MINUTE_US
    assert terminal.attempt(Verdict.REFUSED, "08:01") == GoesOn(240)
    assert terminal.answers == [] and terminal.checks.call is not None
    terminal.attempt(Verdict.VERIFIED, "08:02")
    assert terminal.said == [(1, "done", "ok")]
    assert terminal.answers[0][1].result["verdict"] == "verified"
    assert terminal.answers[0][1].result["attempts"] == [
        {"at": "2026-03-01T08:01:00.000Z", "method": "face", "verdict": "refused", "why": ["no_match"]},
        {"at": "2026-03-01T08:02:00.000Z", "method": "face", "verdict": "verified", "why": []},
    ]


def test_with_the_time_over_the_last_of_the_best_attempts_is_the_answer() -> None:
    terminal = Terminal()
    terminal.order(minutes=5)
    for at, verdict in [("08:01", Verdict.REVIEW), ("08:02", Verdict.REVIEW), ("08:03", Verdict.REFUSED)]:
        assert isinstance(terminal.attempt(verdict, at), GoesOn)
    terminal.now_us += 5 * MINUTE_US
    terminal.checks.tick()
    terminal.checks.tick()
    assert terminal.said == [(1, "failed", "not_verified")]
    result = terminal.answers[0][1].result
    assert (result["verdict"], result["tapped_at"]) == ("review", "2026-03-01T08:02:00.000Z")
    assert isinstance(result["attempts"], list) and len(result["attempts"]) == 3


def test_an_attempt_that_the_time_ran_out_under_ends_the_call() -> None:
    terminal = Terminal()
    terminal.order(minutes=1)
    call = terminal.checks.begin()
    assert call is not None
    terminal.now_us += MINUTE_US
    terminal.checks.finish(call, body(Verdict.REFUSED))
    assert terminal.said == [(1, "failed", "not_verified")]


def test_attempts_without_end_end_the_call_so_that_none_is_left_out() -> None:
    terminal = Terminal()
    terminal.order()
    for _ in range(MOST_ATTEMPTS - 1):
        assert isinstance(terminal.attempt(Verdict.REFUSED), GoesOn)
    terminal.attempt(Verdict.REFUSED)
    assert terminal.said == [(1, "failed", "not_verified")]
    attempts = terminal.answers[0][1].result["attempts"]
    assert isinstance(attempts, list) and len(attempts) == MOST_ATTEMPTS


def test_the_next_call_begins_with_no_attempt() -> None:
    terminal = Terminal()
    terminal.order(1)
    terminal.attempt(Verdict.VERIFIED)
    terminal.order(2, worker="E2", minutes=1)
    terminal.now_us += MINUTE_US
    terminal.checks.tick()
    assert terminal.said == [(1, "done", "ok"), (2, "failed", "no_answer")]
    assert terminal.answers[1][1].result["attempts"] == []


def test_attempts_outlive_the_program_and_are_forgotten_once_signed(tmp_path: Path) -> None:
    file = tmp_path / "spot-check.json"
    first = Terminal(file)
    first.order()
    first.attempt(Verdict.REFUSED)
    assert stat.S_IMODE(file.stat().st_mode) == 0o600
    assert "E1" not in file.read_text() and "王芳" not in file.read_text()

    done = Terminal(file).order(restarted=True)
    assert done is not None and done.reason.startswith("restarted: ")
    (attempt,) = done.result["attempts"]  # type: ignore[union-attr,misc]
    assert (attempt["verdict"], attempt["why"]) == ("refused", ["no_match"])  # type: ignore[index,call-overload]
    other = Terminal(file).order(2, restarted=True)
    assert other is not None and other.result["attempts"] == []

    first.attempt(Verdict.VERIFIED)
    assert not file.exists()


@pytest.mark.parametrize("content", [b"", b"{", b"[]", b'{"command": 1}', b"\xff"])
def test_a_file_of_attempts_that_nobody_can_read_costs_only_them(tmp_path: Path, content: bytes) -> None:
    file = tmp_path / "spot-check.json"
    file.write_bytes(content)
    done = Terminal(file).order(restarted=True)
    assert done is not None and done.result["attempts"] == []


def test_a_folder_that_takes_no_file_costs_no_attempt(tmp_path: Path) -> None:
    terminal = Terminal(tmp_path / "gone" / "spot-check.json")
    terminal.order()
    terminal.attempt(Verdict.REFUSED)
    terminal.attempt(Verdict.VERIFIED)
    attempts = terminal.answers[0][1].result["attempts"]
    assert isinstance(attempts, list) and len(attempts) == 2


def test_nobody_came_is_an_answer() -> None:
    terminal = Terminal()
    terminal.order(minutes=2)
    terminal.now_us += 2 * MINUTE_US - 1
    terminal.checks.tick()
    assert terminal.answers == []
    terminal.now_us += 1
    terminal.checks.tick()
    terminal.checks.tick()
    assert terminal.said == [(1, "failed", "no_answer")]
    assert terminal.checks.begin() is None


def test_the_time_does_not_run_out_under_a_worker_who_stands_there() -> None:
    terminal = Terminal()
    terminal.order(minutes=1)
    terminal.now_us += MINUTE_US - 1
    call = terminal.checks.begin()
    assert call is not None
    terminal.now_us += MINUTE_US
    terminal.checks.tick()
    assert terminal.answers == []
    terminal.checks.finish(call, body(Verdict.VERIFIED))
    assert terminal.said == [(1, "done", "ok")]


def test_a_check_that_could_not_be_made_gives_the_time_back() -> None:
    terminal = Terminal()
    terminal.order(minutes=1)
    call = terminal.checks.begin()
    assert call is not None
    assert terminal.checks.begin() is None
    terminal.checks.give_back(call)
    assert terminal.checks.begin() == call


@pytest.mark.parametrize(
    ("worker", "minutes", "code"),
    [("E9", 5, "not_enrolled"), ("E1", 0, "invalid"), ("", 5, "invalid"), (None, 5, "invalid")],
)
def test_what_cannot_be_asked_is_refused_at_once(worker: object, minutes: object, code: str) -> None:
    done = Terminal().order(worker=worker, minutes=minutes)
    assert done is not None
    assert (done.outcome, done.reason.partition(":")[0]) == ("refused", code)


def test_one_worker_is_called_at_a_time() -> None:
    terminal = Terminal()
    terminal.order(1)
    done = terminal.order(2, worker="E2")
    assert done is not None and done.reason.startswith("busy: ")
    assert terminal.checks.call is not None and terminal.checks.call.worker == "E1"


def test_a_call_that_a_restart_cut_short_says_so() -> None:
    done = Terminal().order(restarted=True)
    assert done is not None
    assert (done.outcome, done.reason.partition(":")[0]) == ("failed", "restarted")


def test_an_answer_that_the_disk_had_no_room_for_is_signed_later_as_it_was() -> None:
    terminal = Terminal()
    terminal.order()
    call = terminal.checks.begin()
    assert call is not None
    terminal.full = True
    with pytest.raises(JournalFull):
        terminal.checks.finish(call, body(Verdict.VERIFIED))
    with pytest.raises(JournalFull):
        terminal.checks.tick()
    terminal.full = False
    terminal.now_us += 100 * MINUTE_US
    terminal.checks.tick()
    terminal.checks.tick()
    assert terminal.said == [(1, "done", "ok")]


@example(["full", "order", "begin", "finish", "order", "begin", "finish"])
@given(st.lists(st.sampled_from(["order", "begin", "finish", "fail", "back", "wait", "tick", "full"]), max_size=40))
def test_every_accepted_order_is_answered_at_most_once_and_in_the_end(steps: list[str]) -> None:
    terminal, accepted, call = Terminal(), [], None
    for number, step in enumerate(steps, 1):
        try:
            if step == "order" and terminal.order(number) is None:
                accepted.append(number)
            elif step == "begin":
                call = terminal.checks.begin() or call
            elif step == "finish" and call is not None:
                terminal.checks.finish(call, body(Verdict.VERIFIED))
                call = None
            elif step == "fail" and call is not None:
                terminal.checks.finish(call, body(Verdict.REFUSED))
                call = None
            elif step == "back" and call is not None:
                terminal.checks.give_back(call)
            elif step == "wait":
                terminal.now_us += MINUTE_US
            elif step == "tick":
                terminal.checks.tick()
            elif step == "full":
                terminal.full = not terminal.full
        except JournalFull:
            pass
    terminal.full = False
    if call is not None:
        terminal.checks.give_back(call)
    terminal.now_us += 100 * MINUTE_US
    terminal.checks.tick()
    terminal.checks.tick()
    assert [counter for counter, _ in terminal.answers] == accepted
