"""The few building blocks that every scene draws with, and what all scenes of one browser share."""

from __future__ import annotations

import time
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Protocol

import structlog
from nicegui import ui

from kiosk.terminal.entry import Entry
from kiosk.terminal.icons import icon
from kiosk.terminal.texts import Language
from kiosk.terminal.view import TerminalService, TerminalView

CALL_FAILED_SHOWN_S = 5.0  # how long the screen says out of order after a tap that failed

log = structlog.get_logger(__name__)


@dataclass(slots=True)
class Stage:
    """What the scenes of one browser share."""

    service: TerminalService
    language: Language
    entry: Entry = field(default_factory=Entry)
    badge_taken: int | None = None  # number of the last BadgeRead that went into `entry`
    failed_s: float | None = None  # when a call to the service last raised
    aside_until_s: float = 0.0  # until when this browser shows the pad although a worker is called

    @property
    def now_s(self) -> float:
        """Monotonic seconds."""
        return time.monotonic()

    @property
    def call_failed(self) -> bool:
        """True shortly after a call to the service raised."""
        return self.failed_s is not None and self.now_s - self.failed_s < CALL_FAILED_SHOWN_S

    def call(self, what: Callable[[], None]) -> None:
        """Call the service; if it raises, the screen says so instead of doing nothing."""
        try:
            what()
        except Exception:
            log.exception("a call from the screen failed")
            self.failed_s = self.now_s


class Scene(Protocol):
    """One picture of the screen; built once, then shown newer views of the same phase."""

    def show(self, view: TerminalView) -> None:
        """Draw what has changed."""
        ...

    def tick(self) -> None:
        """Called several times a second whether or not the view has changed."""
        ...


def block(css: str, text: str = "") -> ui.element:
    """A div; use it as a context to fill it."""
    return ui.label(text).classes(css) if text else ui.element("div").classes(css)


def label(css: str, text: str = "") -> ui.label:
    """A line of text that can change."""
    return ui.label(text).classes(css)


def picture(css: str, name: str) -> ui.html:
    """An icon."""
    return ui.html(icon(name), sanitize=False).classes(css)


def button(css: str, on_tap: Callable[[], None]) -> ui.element:
    """A native button; `on_tap` alone hears the tap, nothing behind it does."""
    one = ui.element("button").classes(f"key {css}").props('type="button"')
    one.on("click.stop", lambda _: on_tap())
    return one
