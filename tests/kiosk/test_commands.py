"""Commands: believed only from the collector, taken once, answered once, through restarts and full disks."""

from __future__ import annotations

import sqlite3
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from evidence.command import Command, sign_command
from evidence.envelope import Envelope
from evidence.events import CommandDoneBody, Kind, parse_body, parse_event
from evidence.keys import Ed25519Key
from kiosk.clock import SystemClock
from kiosk.commands import CommandDesk, Done
from kiosk.errors import JournalFull
from kiosk.journal import Journal

DEVICE, SITE, NOW = "gate-1", "riverside", "2026-03-01T08:00:00.000Z"
KEY, COLLECTOR = Ed25519Key.generate(), Ed25519Key.generate()


class Terminal:
    """A journal, a desk on it, and what the desk was asked to do."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.done: list[tuple[int, bool]] = []
        self.says: Done | Exception | None = Done("done", "ok: done", {})
        self.woken = 0
        self.open()

    def open(self) -> None:
        self.journal = Journal(self.folder / "journal.db", KEY, DEVICE, SITE, "Asia/Shanghai", SystemClock())
        self.desk = CommandDesk(
            self.journal, site=SITE, keys=[COLLECTOR.public], now=lambda: NOW, wake=lambda: self._wake()
        )
        self.desk.handle("ring", self._ring)

    def restart(self) -> None:
        self.journal.close()
        self.open()
        self.desk.resume()

    def answers(self) -> list[CommandDoneBody]:
        found = []
        for _, data in self.journal.unsent(-1, 1000):
            event = parse_event(Envelope.decode(data).payload)
            if event.kind == Kind.COMMAND_DONE:
                body = parse_body(event)
                assert isinstance(body, CommandDoneBody)
                found.append(body)
        return found

    def _wake(self) -> None:
        self.woken += 1

    def _ring(self, command: Command, *, restarted: bool) -> Done | None:
        self.done.append((command.counter, restarted))
        if isinstance(self.says, Exception):
            raise self.says
        return self.says


@pytest.fixture
def terminal(tmp_path: Path) -> Iterator[Terminal]:
    one = Terminal(tmp_path)
    yield one
    one.journal.close()


def command(counter: int = 1, **changes: Any) -> Command:
    fields: dict[str, Any] = {
        "id": f"{counter:032x}",
        "device": DEVICE,
        "site": SITE,
        "counter": counter,
        "action": "ring",
        "body": {},
        "issued_by": "hr",
        "issued": NOW,
        "expires": "2026-03-01T08:10:00.000Z",
    }
    return Command.model_validate(fields | changes)


def signed(counter: int = 1, key: Ed25519Key = COLLECTOR, **changes: Any) -> bytes:
    return sign_command(command(counter, **changes), key)


def outcomes(terminal: Terminal) -> list[tuple[int, str, str]]:
    return [(one.counter, one.outcome, one.reason.partition(":")[0]) for one in terminal.answers()]


def test_a_command_is_done_once_and_answered_once_however_often_it_comes(terminal: Terminal) -> None:
    for _ in range(3):
        terminal.desk.receive(signed())
    assert terminal.done == [(1, False)]
    assert outcomes(terminal) == [(1, "done", "ok")]
    assert terminal.woken == 1
    assert terminal.desk.counts["repeated"] == 2


@pytest.mark.parametrize(
    "data",
    [
        b"",
        b"{}",
        b"\xff" * 1_000_000,
        signed(key=Ed25519Key.generate()),
        signed(device="gate-2"),
        signed(site="harbour"),
        signed()[:-9],
    ],
    ids=["nothing", "no envelope", "a megabyte", "a stranger's", "another terminal's", "another site's", "cut"],
)
def test_what_the_collector_did_not_say_to_this_terminal_is_counted_and_not_answered(
    terminal: Terminal, data: bytes
) -> None:
    terminal.desk.receive(data)
    assert terminal.done == []
    assert terminal.answers() == []
    assert terminal.desk.counts["refused"] == 1
    assert terminal.journal.last_command == 0


def test_an_older_command_behind_a_later_one_is_not_done(terminal: Terminal) -> None:
    terminal.desk.receive(signed(5))
    for counter in (4, 1):
        terminal.desk.receive(signed(counter))
    terminal.desk.receive(signed(5, id="ff" * 16))
    assert terminal.done == [(5, False)]
    assert outcomes(terminal) == [(5, "done", "ok")]
    assert terminal.desk.counts["refused"] == 3


def test_a_late_command_is_answered_and_not_done(terminal: Terminal) -> None:
    terminal.desk.receive(signed(expires=NOW))
    assert terminal.done == []
    assert outcomes(terminal) == [(1, "refused", "expired")]


def test_an_unknown_action_is_answered_as_refused(terminal: Terminal) -> None:
    terminal.desk.receive(signed(action="explode"))
    assert outcomes(terminal) == [(1, "refused", "unknown_action")]


def test_a_handler_that_breaks_is_an_answer(terminal: Terminal) -> None:
    terminal.says = OSError("no bell")
    terminal.desk.receive(signed())
    assert outcomes(terminal) == [(1, "refused", "error")]


def test_a_restart_before_the_answer_goes_on_with_the_command_and_answers_it_once(terminal: Terminal) -> None:
    terminal.says = None  # later
    terminal.desk.receive(signed(3))
    assert terminal.answers() == []
    terminal.says = Done("failed", "restarted: the bell was cut off", {})
    terminal.restart()
    assert terminal.done == [(3, False), (3, True)]
    assert outcomes(terminal) == [(3, "failed", "restarted")]
    terminal.restart()
    terminal.desk.receive(signed(3))
    terminal.desk.receive(signed(2))
    assert terminal.done == [(3, False), (3, True)]
    assert outcomes(terminal) == [(3, "failed", "restarted")]


def test_answer_and_mark_are_one_commit(terminal: Terminal, monkeypatch: pytest.MonkeyPatch) -> None:
    """Break the event's statement: the mark is not there either, and the next start answers."""
    terminal.says = None
    terminal.desk.receive(signed())
    with sqlite3.connect(terminal.journal.path) as other:
        other.execute("CREATE TRIGGER no BEFORE INSERT ON events BEGIN SELECT RAISE(ABORT, 'no'); END")
    other.close()
    head = terminal.journal.head
    with pytest.raises(Exception, match="no"):
        terminal.desk.answer(command(), Done("done", "ok: done", {}))
    assert terminal.answers() == []
    with sqlite3.connect(terminal.journal.path) as other:
        other.execute("DROP TRIGGER no")
    other.close()
    terminal.says = Done("done", "ok: done", {})
    terminal.restart()
    assert terminal.journal.head.seq == head.seq + 1
    assert outcomes(terminal) == [(1, "done", "ok")]


def test_a_command_that_the_disk_had_no_room_for_is_taken_when_it_comes_again(
    terminal: Terminal, monkeypatch: pytest.MonkeyPatch
) -> None:
    def full(*_: object) -> bool:
        raise JournalFull("disk_full: no room")

    with monkeypatch.context() as patch:
        patch.setattr(terminal.journal, "take_command", full)
        terminal.desk.receive(signed())
    assert terminal.done == []
    terminal.desk.receive(signed())
    assert outcomes(terminal) == [(1, "done", "ok")]


def test_a_journal_of_the_version_before_learns_to_keep_commands(tmp_path: Path) -> None:
    one = Terminal(tmp_path)
    seq = one.journal.head.seq
    one.journal.close()
    with sqlite3.connect(tmp_path / "journal.db") as old:
        old.executescript("DROP TABLE commands; PRAGMA user_version = 1;")
    old.close()
    one.open()
    one.desk.receive(signed())
    assert one.journal.head.seq == seq + 1
    assert outcomes(one) == [(1, "done", "ok")]
    one.journal.close()


def test_a_kept_command_that_cannot_be_read_any_more_stops_no_start(terminal: Terminal) -> None:
    """A damaged row, or one by a key that was handed over since: workers stand at the gate all the same."""
    old = Ed25519Key.generate()
    terminal.journal.take_command(1, "a" * 32, b"")
    terminal.journal.take_command(2, "b" * 32, sign_command(command(2, id="b" * 32), old))
    terminal.journal.take_command(3, "c" * 32, sign_command(command(3, id="c" * 32), COLLECTOR))
    terminal.restart()
    assert terminal.done == [(3, True)]


def test_an_answer_that_the_disk_had_no_room_for_is_signed_when_the_command_comes_again(
    terminal: Terminal, monkeypatch: pytest.MonkeyPatch
) -> None:
    def full(*_: object) -> None:
        raise JournalFull("no room")

    with monkeypatch.context() as now:
        now.setattr(terminal.journal, "append_once", full)
        terminal.desk.receive(sign_command(command(1), COLLECTOR))
        terminal.desk.receive(sign_command(command(1), COLLECTOR))
    assert terminal.answers() == [] and len(terminal.done) == 1
    terminal.desk.receive(sign_command(command(1), COLLECTOR))
    terminal.desk.receive(sign_command(command(1), COLLECTOR))
    assert [one.outcome for one in terminal.answers()] == ["done"]
    assert len(terminal.done) == 1
