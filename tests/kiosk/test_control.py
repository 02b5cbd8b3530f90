"""Operators ask a running terminal through its socket, and nobody else is answered."""

from __future__ import annotations

import os
import socket
import stat
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest

from evidence.chain import read_event
from evidence.events import Kind
from kiosk import control
from kiosk.app import Kiosk
from kiosk.control import Asked, ControlServer, ask
from kiosk.errors import JournalBusy, NotAnswering
from kiosk.settings import KioskSettings
from tests.kiosk.small_terminal import settings_of
from tests.support.permissions import COLLECTOR, permission

WORKER, PIN = "W-1", "246810"


def settings(folder: Path) -> KioskSettings:
    return settings_of(
        folder,
        collector_keys=(COLLECTOR.public.text(),),
        profile="badge-only",
    )


@contextmanager
def terminal(folder: Path) -> Iterator[Kiosk]:
    with Kiosk(settings(folder), screen=False) as kiosk:
        server = ControlServer(kiosk.settings.data_dir, kiosk.operations)
        server.start()
        yield kiosk
        server.stop()


def asked(kiosk: Kiosk, **request: Any) -> dict[str, Any]:
    return ask(kiosk.settings.data_dir, request, lambda _: None)


def kinds(kiosk: Kiosk) -> list[str]:
    keys = {"gate-1": kiosk.key.public}
    return [read_event(envelope, keys)[0].kind for _, envelope in kiosk.journal.unsent(-1, 100)]


def test_a_running_terminal_enrols_and_erases_and_tells_its_status(tmp_path: Path) -> None:
    with terminal(tmp_path) as kiosk:
        done = asked(kiosk, do="enrol", enrolment={"authorisation": permission(), "pin": PIN})
        assert (done["worker"], done["frames"], done["seq"]) == (WORKER, 0, kiosk.journal.head.seq)
        status = asked(kiosk, do="status")
        assert (status["enrolled"], status["supervisors"], status["owed"]) == (1, 0, 0)
        assert status["parts"]["keys"]["state"] == "degraded"
        assert status["parts"]["keys"]["reason"].startswith("keys_unprotected:")
        assert "keys_unprotected" not in kiosk.attendant.view().troubles  # nothing that a worker could do about it
        assert asked(kiosk, do="erase", worker=WORKER)["seqs"] == [kiosk.journal.head.seq]
        assert kinds(kiosk)[-2:] == [Kind.WORKER_ENROLLED, Kind.WORKER_ERASED]
        assert asked(kiosk, do="status")["enrolled"] == 0


def test_a_refusal_carries_its_code_and_sentence(tmp_path: Path) -> None:
    with terminal(tmp_path) as kiosk:
        for request, code in [
            ({"do": "erase", "worker": "W-9"}, "nobody_there"),
            ({"do": "enrol", "enrolment": {"pin": PIN}}, "bad_request"),
            ({"do": "enrol", "enrolment": {"authorisation": "x", "pin": PIN}}, "not_authorised"),
            ({"do": "withdraw", "worker": "W-9", "scope": "soul"}, "bad_request"),
            ({"do": "dance"}, "bad_request"),
            ({}, "bad_request"),
        ]:
            with pytest.raises(Asked) as refused:
                asked(kiosk, **request)
            assert refused.value.code == code, request
            assert str(refused.value)


def test_the_socket_is_its_owners_alone_and_others_get_no_answer(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    with terminal(tmp_path) as kiosk:
        path = kiosk.settings.data_dir / control.SOCKET_NAME
        assert stat.S_IMODE(path.stat().st_mode) == 0o600
        monkeypatch.setattr(control, "_is_own", lambda _: False)  # as root sees another user: no second user is needed
        with pytest.raises(control.ControlError):
            asked(kiosk, do="status")


def test_no_service_is_said_and_a_socket_left_by_a_crash_is_no_service(tmp_path: Path) -> None:
    folder = settings(tmp_path).data_dir
    folder.mkdir()
    with pytest.raises(NotAnswering):
        ask(folder, {"do": "status"}, print)
    left = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
    left.bind(str(folder / control.SOCKET_NAME))
    left.close()
    with pytest.raises(NotAnswering):
        ask(folder, {"do": "status"}, print)
    with terminal(tmp_path) as kiosk:
        assert asked(kiosk, do="status")["enrolled"] == 0
    assert not (folder / control.SOCKET_NAME).exists()


def test_while_a_service_holds_the_data_nobody_else_opens_it(tmp_path: Path) -> None:
    with terminal(tmp_path), pytest.raises(JournalBusy):
        Kiosk(settings(tmp_path), screen=False)


def test_a_path_longer_than_a_socket_s_name_may_be_is_no_trouble(tmp_path: Path) -> None:
    deep = tmp_path / ("d" * 100)
    deep.mkdir()
    with terminal(deep) as kiosk:
        assert len(os.fsencode(kiosk.settings.data_dir / control.SOCKET_NAME)) > 108
        assert asked(kiosk, do="status")["device"] == "gate-1"


def test_garbage_and_silence_hold_nobody_up(tmp_path: Path) -> None:
    with terminal(tmp_path) as kiosk:
        silent = []
        for _ in range(3):
            one = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
            one.connect(str(kiosk.settings.data_dir / control.SOCKET_NAME))
            silent.append(one)
        silent[0].sendall(b"\xff\xfe not json\n")
        assert b"bad_request" in silent[0].recv(1000)
        assert asked(kiosk, do="status")["device"] == "gate-1"
        for one in silent:
            one.close()


def test_what_was_broken_off_is_signed_when_the_terminal_starts(tmp_path: Path) -> None:
    kiosk = Kiosk(settings(tmp_path), screen=False)
    kiosk.enrol_pin(permission(), PIN)
    held = kiosk.gallery.get(WORKER)
    assert held is not None
    kiosk.gallery.erase(WORKER, [control_statement(held)])
    kiosk.stop()
    with terminal(tmp_path) as again:
        assert kinds(again)[-1] == Kind.WORKER_ERASED
        assert asked(again, do="status")["owed"] == 0


def control_statement(held: Any) -> Any:
    from kiosk.erasure import erased_statement

    return erased_statement(held, "all", "erased")
