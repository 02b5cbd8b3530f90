"""An erasure is complete, proved without a name, and survives the power going at any step."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from numpy.typing import NDArray

from evidence.chain import read_event
from evidence.events import ConsentBody, Event, Kind, WorkerErasedBody, parse_body
from evidence.keys import Ed25519Key
from kiosk.clock import SystemClock
from kiosk.erasure import ErasureDesk, NobodyThere
from kiosk.errors import JournalFull
from kiosk.journal import Journal
from kiosk.owed import Owed
from kiosk.verify.gallery import Gallery
from kiosk.verify.gallery_record import Agreement

KEY = Ed25519Key.generate()
MODEL, BOOT = "dlib-resnet-v1/0123456789ab/mp5.1", "a" * 32
ENROLMENT, COMMITMENT = "ab" * 16, "cd" * 32
CONSENT = Agreement("face", "v3", "zh", "2026-11-22T00:00:00.000Z")


class PowerCut(BaseException):
    """Nothing of the program goes on."""


class Terminal:
    """Journal, gallery and the desk over them, in one folder; opened again after the power came back."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.clock = SystemClock()
        self.journal = Journal(folder / "journal.db", KEY, "gate-1", "east", "UTC", self.clock)
        self.gallery = Gallery(folder / "gallery.db", bytes(32))
        self.owed = Owed(self.gallery, self.journal)
        self.desk = ErasureDesk(self.gallery, self.owed, lambda: self.clock.stamp().time, "zh")

    def close(self) -> None:
        self.gallery.close()
        self.journal.close()

    def statements(self) -> list[Event]:
        events = [read_event(envelope, {"gate-1": KEY.public})[0] for _, envelope in self.journal.unsent(-1, 1000)]
        return [event for event in events if event.kind != Kind.DEVICE_ENROLLED]


def face(seed: int = 1) -> list[NDArray[np.float32]]:
    random = np.random.default_rng(seed)
    return [random.normal(size=128).astype(np.float32) for _ in range(3)]


def enrol(terminal: Terminal, worker: str = "E-17") -> None:
    terminal.gallery.enrol(
        worker, "Wang Fang", MODEL, face(), "4711", enrolment=ENROLMENT, commitment=COMMITMENT, consent=CONSENT
    )


@pytest.fixture
def terminal(tmp_path: Path) -> Iterator[Terminal]:
    one = Terminal(tmp_path)
    enrol(one)
    yield one
    one.close()


def test_a_withdrawn_face_is_gone_at_once_and_badge_and_pin_stay(terminal: Terminal) -> None:
    done = terminal.desk.withdraw("E-17", "face")
    assert terminal.gallery.templates(MODEL) == ()
    held = terminal.gallery.get("E-17")
    assert held is not None
    assert (held.models, held.consents, held.has_pin) == ((), (), True)
    assert terminal.gallery.check_pin("E-17", "4711", boot=BOOT, mono_us=0).outcome == "passed"
    withdrawn, erased = terminal.statements()
    assert done.seqs == (withdrawn.seq, erased.seq)
    assert parse_body(withdrawn) == ConsentBody(worker="E-17", scope="face", text_version="v3", language="zh")
    assert parse_body(erased) == WorkerErasedBody(
        scope="face", enrolment=ENROLMENT, template=COMMITMENT, reason="consent_withdrawn"
    )


def test_an_erased_worker_leaves_no_byte_and_the_proof_does_not_name_him(terminal: Terminal, tmp_path: Path) -> None:
    terminal.desk.erase("E-17")
    assert terminal.gallery.get("E-17") is None
    assert b"E-17" not in (tmp_path / "gallery.db").read_bytes()
    erased = terminal.statements()[-1]
    assert erased.kind == Kind.WORKER_ERASED
    assert b"E-17" not in erased.payload() and b"Wang" not in erased.payload()
    with pytest.raises(NobodyThere):
        terminal.desk.erase("E-17")
    assert [event.kind for event in terminal.statements()] == [Kind.CONSENT_WITHDRAWN, Kind.WORKER_ERASED]


def test_a_consent_that_was_never_given_cannot_be_withdrawn(terminal: Terminal) -> None:
    with pytest.raises(NobodyThere):
        terminal.desk.withdraw("E-17", "clip")
    with pytest.raises(NobodyThere):
        terminal.desk.withdraw("E-99", "face")
    assert terminal.statements() == []


def test_a_further_consent_is_given_and_withdrawn_and_touches_no_face(terminal: Terminal) -> None:
    terminal.desk.agree("E-17", "clip", "c1", "en")
    held = terminal.gallery.get("E-17")
    assert held is not None and [one.scope for one in held.consents] == ["face", "clip"]
    terminal.desk.withdraw("E-17", "clip")
    assert len(terminal.gallery.templates(MODEL)) == 1
    assert [event.kind for event in terminal.statements()] == [Kind.CONSENT_GIVEN, Kind.CONSENT_WITHDRAWN]


def test_a_record_that_nobody_can_read_is_erased_all_the_same(terminal: Terminal) -> None:
    terminal.gallery._database.execute("update person set sealed = zeroblob(60)")
    terminal.desk.erase("E-17")
    assert terminal.gallery.workers() == ()
    (erased,) = terminal.statements()
    assert parse_body(erased) == WorkerErasedBody(scope="all", enrolment=None, template=None, reason="erased")


def test_a_full_journal_does_not_keep_a_face_alive(terminal: Terminal, monkeypatch: pytest.MonkeyPatch) -> None:
    with monkeypatch.context() as patch:
        patch.setattr(terminal.journal, "append", _full)
        done = terminal.desk.withdraw("E-17", "face")
        assert done.seqs == ()
        assert terminal.gallery.templates(MODEL) == ()
    terminal.owed.sign()
    assert [event.kind for event in terminal.statements()] == [Kind.CONSENT_WITHDRAWN, Kind.WORKER_ERASED]


def _full(*_: object) -> None:
    raise JournalFull("disk_full: no room")


STEPS = [  # every call between the wish and the end, and how many times it happens
    ("gallery", "clean", 1),
    ("journal", "append", 1),
    ("journal", "append", 2),
    ("gallery", "settle", 1),
]


@pytest.mark.parametrize("moment", ["before", "after"])
@pytest.mark.parametrize(("part", "name", "time"), STEPS)
@pytest.mark.parametrize("wish", ["erase", "withdraw"])
def test_wherever_the_power_goes_the_erasure_is_completed_and_signed_once(
    tmp_path: Path, wish: str, part: str, name: str, time: int, moment: str
) -> None:
    first = Terminal(tmp_path)
    enrol(first)
    cut(first, part, name, time, moment)
    with pytest.raises(PowerCut):
        first.desk.erase("E-17") if wish == "erase" else first.desk.withdraw("E-17", "face")
    first.close()

    again = Terminal(tmp_path)
    again.owed.sign()
    assert again.gallery.templates(MODEL) == ()
    assert (again.gallery.get("E-17") is None) == (wish == "erase")
    assert [event.kind for event in again.statements()] == [Kind.CONSENT_WITHDRAWN, Kind.WORKER_ERASED]
    assert again.gallery.pending() == ()
    again.owed.sign()
    assert len(again.statements()) == 2
    again.close()


def test_no_erasure_is_signed_before_the_file_is_clean(terminal: Terminal, monkeypatch: pytest.MonkeyPatch) -> None:
    cut(terminal, "gallery", "clean", 1, "before")
    with pytest.raises(PowerCut):
        terminal.desk.erase("E-17")
    cleaned: list[bool] = []
    real = terminal.journal.append_once
    monkeypatch.setattr(terminal.gallery, "clean", lambda: cleaned.append(True))

    def signed(*values: Any) -> Any:
        assert cleaned
        return real(*values)

    monkeypatch.setattr(terminal.journal, "append_once", signed)
    terminal.owed.sign()
    assert len(terminal.statements()) == 2


def test_power_that_goes_before_the_erasure_is_on_disk_leaves_all_as_it_was(terminal: Terminal) -> None:
    cut(terminal, "gallery", "_owe", 1, "after")
    with pytest.raises(PowerCut):
        terminal.desk.erase("E-17")
    assert len(terminal.gallery.templates(MODEL)) == 1
    assert terminal.gallery.pending() == ()
    assert terminal.statements() == []


def cut(terminal: Terminal, part: str, name: str, time: int, moment: str) -> None:
    """Let the power go before or after the `time`-th call of a method."""
    owner = getattr(terminal, part)
    real: Callable[..., Any] = getattr(owner, name)
    calls = []

    def call(*values: Any, **named: Any) -> Any:
        calls.append(1)
        if len(calls) == time and moment == "before":
            raise PowerCut
        result = real(*values, **named)
        if len(calls) == time:
            raise PowerCut
        return result

    setattr(owner, name, call)


def test_presence_is_forgotten_before_the_erasure_is_signed(terminal: Terminal) -> None:
    signed_then: list[int] = []
    forget = lambda worker: signed_then.append(len(terminal.statements()))  # noqa: E731
    desk = ErasureDesk(terminal.gallery, terminal.owed, lambda: terminal.clock.stamp().time, "zh", forget=forget)
    desk.erase("E-17")
    assert signed_then == [0]
    assert [event.kind for event in terminal.statements()] == [Kind.CONSENT_WITHDRAWN, Kind.WORKER_ERASED]
