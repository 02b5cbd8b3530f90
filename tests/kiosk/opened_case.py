"""A whole terminal whose case is opened and cleared: the pins are gpiozero's mock ones, with a wire behind them."""

from __future__ import annotations

import base64
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from evidence.authorisation import EnrolmentAuthorisation, sign_authorisation
from evidence.chain import read_event
from evidence.clearance import Clearance, sign_clearance
from evidence.events import (
    Check,
    Kind,
    LogType,
    PunchBody,
    parse_body,
)
from evidence.keys import Ed25519Key
from kiosk.app import Kiosk
from kiosk.settings import KioskSettings
from kiosk.settings_tables import EnclosureSettings
from kiosk.terminal.view import Phase, Result
from tests.support.gpio import Pins
from tests.support.waiting import until

TAMPER = 17
WORKER, PIN = "W-1", "246810"
COLLECTOR, STRANGER = Ed25519Key.generate(), Ed25519Key.generate()


@contextmanager
def terminal(folder: Path, pins: Pins, **changes: Any) -> Iterator[Kiosk]:
    with Kiosk(settings(folder, **changes), pins=pins, screen=False) as kiosk:  # type: ignore[arg-type]
        yield kiosk


def settings(folder: Path, **changes: Any) -> KioskSettings:
    given: dict[str, Any] = {
        "device": "gate-1",
        "site": "east",
        "data_dir": folder / "terminal",
        "broker": ("mqtt://127.0.0.1:9",),
        "collector_keys": (COLLECTOR.public.text(),),
        "enclosure": EnclosureSettings(tamper_pin=TAMPER),
        "profile": "badge-only",
    }
    return KioskSettings(**(given | changes))


def never(probe: Callable[[], Any]) -> None:
    """Give what must not happen a moment in which it would happen at once."""
    deadline = time.monotonic() + 0.3
    while time.monotonic() < deadline:
        assert not probe()
        time.sleep(0.01)


def enrol(kiosk: Kiosk) -> None:
    permission = EnrolmentAuthorisation(
        id="ab" * 16,
        worker=WORKER,
        name="王芳",
        device="gate-1",
        site="east",
        authorised_by="HR",
        expires="2099-01-01T00:00:00.000Z",
    )
    kiosk.enrol_pin(base64.b64encode(sign_authorisation(permission, COLLECTOR)).decode(), PIN)


def punch(kiosk: Kiosk) -> Result:
    until(lambda: kiosk.attendant.view().phase in (Phase.IDLE, Phase.RESULT, Phase.OUT_OF_ORDER), "an idle terminal")
    kiosk.attendant.dismiss()
    kiosk.attendant.badge_pin(LogType.IN, WORKER, PIN)
    result: Result = until(lambda: kiosk.attendant.view().result, "a result")
    return result


def bodies(kiosk: Kiosk, kind: Kind) -> list[tuple[int, Any]]:
    keys = {"gate-1": kiosk.key.public}
    read = [read_event(envelope, keys)[0] for _, envelope in kiosk.journal.unsent(-1, 1000)]
    return [(event.seq, parse_body(event)) for event in read if event.kind == kind]


def enclosure_check(kiosk: Kiosk) -> Check:
    _, body = bodies(kiosk, Kind.PUNCH_RECORDED)[-1]
    assert isinstance(body, PunchBody)
    return next(check for check in body.checks if check.name == "enclosure")


def opened(kiosk: Kiosk) -> int:
    """Wait until the opening is signed and return its seq."""
    until(lambda: kiosk.journal.opening is not None and not kiosk.key.held, "a signed opening")
    assert kiosk.journal.opening is not None
    return kiosk.journal.opening


def cut(kiosk: Kiosk, pins: Pins) -> int:
    pins.pin(TAMPER).cut()
    return opened(kiosk)


def clearance(kiosk: Kiosk, opening: int, key: Ed25519Key = COLLECTOR, **changes: Any) -> str:
    given: dict[str, Any] = {
        "id": "cd" * 16,
        "device": "gate-1",
        "site": "east",
        "chain": kiosk.journal.head.chain,
        "opening": opening,
        "authorised_by": "boss",
        "expires": "2099-01-01T00:00:00.000Z",
    }
    return base64.b64encode(sign_clearance(Clearance(**(given | changes)), key)).decode()


def clear(folder: Path, pins: Pins, text: Callable[[Kiosk], str]) -> int:
    """As `zaigang kiosk clear-enclosure` does it: the service is stopped, another process opens the journal."""
    kiosk = Kiosk(settings(folder), pins=pins, screen=False)  # type: ignore[arg-type]
    try:
        return kiosk.clear_enclosure(text(kiosk))
    finally:
        kiosk.stop()
