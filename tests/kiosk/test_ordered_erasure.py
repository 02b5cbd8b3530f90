"""A signed order to erase, from the collector's command to the gallery and the answer."""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path

import pytest

from evidence.command import ERASE_WORKER, Command, sign_command
from evidence.events import Event, Kind
from evidence.keys import Ed25519Key
from kiosk.commands import CommandDesk
from kiosk.journal import COMMAND_ANSWER
from kiosk.ordered_erasure import OrderedErasure
from tests.kiosk.test_erasure import Terminal, enrol

COLLECTOR = Ed25519Key.generate()


@pytest.fixture
def terminal(tmp_path: Path) -> Iterator[Terminal]:
    one = Terminal(tmp_path)
    enrol(one)
    yield one
    one.close()


def order(terminal: Terminal, counter: int, body: dict[str, str]) -> None:
    """Receive a command as the uplink would hand it over."""
    desk = CommandDesk(
        terminal.journal,
        site="east",
        keys=[COLLECTOR.public],
        now=lambda: "2026-11-24T00:00:00.000Z",
        wake=lambda: None,
    )
    desk.handle(ERASE_WORKER, OrderedErasure(lambda: terminal.desk))
    command = Command(
        id=f"{counter:032x}",
        device="gate-1",
        site="east",
        counter=counter,
        action=ERASE_WORKER,
        body=dict(body),
        issued_by="boss",
        issued="2026-11-24T00:00:00.000Z",
        expires="2027-02-24T00:00:00.000Z",
    )
    desk.receive(sign_command(command, COLLECTOR))


def last(terminal: Terminal) -> Event:
    return terminal.statements()[-1]


def test_everything_of_the_worker_goes_and_the_answer_names_nobody(terminal: Terminal) -> None:
    order(terminal, 1, {"worker": "E-17", "scope": "all"})
    assert terminal.gallery.get("E-17") is None
    assert [one.kind for one in terminal.statements()][-2:] == [Kind.WORKER_ERASED, Kind.COMMAND_DONE]
    ordered_at = next(place for place, one in enumerate(terminal.statements()) if one.kind == Kind.WORKER_ERASED)
    assert Kind.CONSENT_WITHDRAWN not in [one.kind for one in terminal.statements()]
    assert "E-17" not in json.dumps([one.body for one in terminal.statements()[ordered_at:]])
    assert last(terminal).body["outcome"] == "done" and "E-17" not in json.dumps(last(terminal).body)


def test_no_byte_of_the_order_stays_in_the_journal_once_it_is_answered(terminal: Terminal) -> None:
    taken = terminal.journal.take_command(7, "b" * 32, b"erase E-17-and-no-other")
    assert taken and terminal.journal.open_commands() == [b"erase E-17-and-no-other"]
    terminal.journal.append_once(COMMAND_ANSWER + "b" * 32, "test.noted", {})
    assert terminal.journal.open_commands() == []
    assert not terminal.journal.take_command(7, "b" * 32, b"again")
    path = terminal.journal.path
    terminal.journal.close()  # folds the log into the file
    assert b"E-17-and-no-other" not in path.read_bytes()


def test_the_scope_face_takes_the_template_alone(terminal: Terminal) -> None:
    order(terminal, 1, {"worker": "E-17", "scope": "face"})
    held = terminal.gallery.get("E-17")
    assert held is not None and not held.models
    assert last(terminal).body["outcome"] == "done"


def test_where_nobody_is_enrolled_the_order_is_done_all_the_same(terminal: Terminal) -> None:
    order(terminal, 1, {"worker": "E-99", "scope": "all"})
    assert last(terminal).body["outcome"] == "done" and "E-99" not in json.dumps(last(terminal).body)
    assert last(terminal).body["reason"].startswith("nobody_there")


def test_an_order_that_cannot_be_read_is_refused(terminal: Terminal) -> None:
    order(terminal, 1, {"worker": "E-17", "scope": "everything"})
    assert last(terminal).body["outcome"] == "refused" and terminal.gallery.get("E-17") is not None
