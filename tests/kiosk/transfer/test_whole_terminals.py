"""Two whole terminals with cameras, a broker and a collector: enrolled at one gate, let in by face at the other."""

from __future__ import annotations

import threading
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

from collector.app import Collector
from evidence.events import Kind, LogType, Verdict
from kiosk.app import Kiosk
from kiosk.control import answer
from kiosk.enrolment import Enrolled
from kiosk.operations import Enrolment
from kiosk.settings_tables import TransferSettings
from kiosk.terminal.texts import TRANSFER_TEXT
from kiosk.terminal.view import Phase
from tests.kiosk.small_terminal import small_terminal
from tests.kiosk.test_app import (
    COLLECTOR,
    CONSENT,
    NAME,
    PIN,
    TRIES,
    WORKER,
    Scene,
    authorisation,
    events,
    result_of,
    terminal,
)
from tests.kiosk.transfer.test_by_broker import mosquitto_url, register_kiosk, running
from tests.support.waiting import until

__all__ = ["running"]  # the fixture


def ask(kiosk: Kiosk, **request: Any) -> dict[str, Any]:
    """What an operator's command would be answered."""
    return answer(kiosk.operations, {"do": "peers"} | request, lambda _: None)


def states(kiosk: Kiosk) -> dict[str, str]:
    return {row["device"]: row["state"] for row in ask(kiosk)["peers"]}


def enrol_and_answer(kiosk: Kiosk, scene: Scene, decide: Callable[[], None]) -> Enrolled:
    """Enrol whoever stands there, as on a terminal with a screen; `decide` is done when the question stands on it."""
    scene.stand("worker")
    wanted = Enrolment(authorisation=authorisation(), consent=CONSENT, pin=PIN)
    done: list[Enrolled] = []
    operations = replace(kiosk.operations, asks=True)
    thread = threading.Thread(target=lambda: done.append(operations.enrol(wanted, lambda _: None)))
    thread.start()
    until(lambda: kiosk.attendant.view().phase is Phase.CONSENT, "the question")
    assert WORKER in kiosk.gallery.workers()  # whatever he says, he is enrolled here
    decide()
    thread.join(60)
    return done[0]


def test_a_worker_who_agreed_on_the_screen_of_one_gate_is_let_in_by_face_at_the_other(
    running: Collector, tmp_path: Path
) -> None:
    first, second = Scene(), Scene()
    given: dict[str, Any] = {
        "broker": (mosquitto_url(running),),
        "collector_keys": (COLLECTOR.public.text(), running.keys.receipt.public.text()),
        "transfer": TransferSettings(),
    }
    for name in ("one", "two"):
        (tmp_path / name).mkdir()
    with (
        terminal(tmp_path / "one", first.open_camera, **given) as here,
        terminal(tmp_path / "two", second.open_camera, device="gate-2", **given) as there,
    ):
        for kiosk in (here, there):
            register_kiosk(running, kiosk)
        assert here.parts()["transfer"].reason.startswith("no_peers")
        for kiosk in (here, there):
            assert kiosk.exchange is not None
            kiosk.exchange.greeted()  # as after a minute: the first cards came before the registration
        until(lambda: states(here) and states(there), "cards")
        for one, other in ((here, there), (there, here)):
            ask(one, confirm=other.settings.device, fingerprint=other.key.public.fingerprint, by="Li")
        done = enrol_and_answer(here, first, lambda: here.attendant.answer_consent(agreed=True, language="zh"))
        assert done.transfer is True
        (given_here,) = [body for kind, body in events(here) if kind == Kind.CONSENT_GIVEN and body.scope == "transfer"]
        assert (given_here.text_version, given_here.language) == (TRANSFER_TEXT, "zh")
        until(lambda: WORKER in there.gallery.workers(), "the face at the other gate")
        second.stand("worker")
        for _ in range(TRIES):
            result = result_of(there, second, lambda: there.attendant.tap(LogType.IN, None))
            if result.verdict is Verdict.VERIFIED:
                break
        assert (result.verdict, result.worker, result.name) == (Verdict.VERIFIED, WORKER, NAME)
        assert here.parts()["transfer"].state == "working"
        ask(there, remove="gate-1", by="Li")
        until(lambda: not there.gallery.workers(), "the copy's end")
        assert WORKER in here.gallery.workers()


def test_no_answer_and_a_no_leave_the_enrolment_and_give_no_consent(tmp_path: Path) -> None:
    with small_terminal(tmp_path, transfer=TransferSettings()) as kiosk:
        for decide in (
            lambda: kiosk.attendant.answer_consent(agreed=False, language="zh"),
            lambda: kiosk.attendant.cancel(),
        ):
            said: list[str | None] = []
            thread = threading.Thread(
                target=lambda said=said: said.append(kiosk.attendant.lend(kiosk.attendant.ask_consent))  # type: ignore[misc]
            )
            thread.start()
            until(lambda: kiosk.attendant.view().phase is Phase.CONSENT, "the question")
            decide()
            thread.join(60)
            assert said == [None]
            until(lambda: kiosk.attendant.view().phase is Phase.IDLE, "an idle terminal")
        kiosk.attendant.answer_consent(agreed=True, language="zh")  # nobody was asked
        assert kiosk.attendant.view().phase is Phase.IDLE


def test_without_the_setting_there_is_no_exchange_no_topic_and_no_file(tmp_path: Path) -> None:
    with small_terminal(tmp_path) as kiosk:
        assert kiosk.exchange is None
        assert kiosk.parts()["transfer"].state == "absent"
        assert not (kiosk.settings.data_dir / "transfers.db").exists()
        assert not (kiosk.settings.data_dir / "transfer.key").exists()
