"""A whole terminal without a camera, for what has nothing to do with faces: badge and PIN, journal, sensors."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from evidence.chain import read_event
from evidence.events import Check, Event, LogType, PunchBody, parse_body
from evidence.keys import PublicKey
from kiosk.app import Kiosk
from kiosk.settings import KioskSettings
from kiosk.settings_tables import FenceSettings
from tests.support.waiting import until

LATITUDE, LONGITUDE = 31.2304, 121.4737


def settings_of(folder: Path, **changes: Any) -> KioskSettings:
    """Settings of gate-1, whose broker nobody serves: punches do not need a network."""
    given: dict[str, Any] = {
        "device": "gate-1",
        "site": "east",
        "data_dir": folder / "terminal",
        "broker": ("mqtt://127.0.0.1:9",),
    }
    return KioskSettings(**(given | changes))


@contextmanager
def small_terminal(folder: Path, **changes: Any) -> Iterator[Kiosk]:
    """A running terminal whose site asks for badge and PIN; settings as in docs/examples/kiosk.toml."""
    given: dict[str, Any] = {
        "fence": FenceSettings(latitude=LATITUDE, longitude=LONGITUDE, radius_m=100),
        "profile": "badge-only",
    }
    with Kiosk(settings_of(folder, **(given | changes)), screen=False) as kiosk:
        yield kiosk


def events(kiosk: Kiosk) -> list[Event]:
    """Everything that this terminal has signed and nobody has receipted, in order."""
    keys: dict[str, PublicKey] = {kiosk.settings.device: kiosk.key.public}
    return [read_event(envelope, keys)[0] for _, envelope in kiosk.journal.unsent(-1, 1000)]


def punch(kiosk: Kiosk) -> tuple[Event, PunchBody]:
    """Punch with a code that nobody has; return the event that the terminal signed for it."""
    kiosk.attendant.dismiss()
    kiosk.attendant.badge_pin(LogType.IN, "W-9", "000000")
    until(lambda: kiosk.attendant.view().result, "a result")
    event = events(kiosk)[-1]
    body = parse_body(event)
    assert isinstance(body, PunchBody)
    return event, body


def check(body: PunchBody, name: str) -> Check:
    """The check of that name."""
    return next(one for one in body.checks if one.name == name)
