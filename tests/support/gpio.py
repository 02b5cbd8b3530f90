"""GPIO pins for tests: gpiozero's own MockFactory, with what is wired to a pin deciding its level."""

from __future__ import annotations

import threading
from typing import Any

from gpiozero.pins.mock import MockFactory, MockPin


class WiredPin(MockPin):
    """A pin with a tamper loop to ground behind it: low while the wire is whole, whatever the pull-up wants."""

    def __init__(self, factory: Any, info: Any) -> None:
        super().__init__(factory, info)
        self.whole = True
        self.broken: Exception | None = None  # raised by every reading
        self.answers = threading.Event()  # while it is not set no reading returns
        self.answers.set()

    def cut(self) -> None:
        """Open the case."""
        self.whole = False
        self.drive_high()

    def mend(self) -> None:
        """Close it again."""
        self.whole = True
        self.drive_low()

    def _set_pull(self, value: str) -> None:
        super()._set_pull(value)
        if self.whole and value == "up":
            self.drive_low()

    def _get_state(self) -> bool:
        self.answers.wait()
        if self.broken is not None:
            raise self.broken
        return bool(super()._get_state())


class Pins:
    """Makes the factory, as a terminal asks for it; the same pins again after a restart."""

    def __init__(self) -> None:
        self.factory = MockFactory(pin_class=WiredPin)
        self.failing: Exception | None = None

    def __call__(self) -> MockFactory:
        if self.failing is not None:
            raise self.failing
        return self.factory

    def pin(self, number: int) -> WiredPin:
        """The pin with this BCM number."""
        found: WiredPin = self.factory.pin(number)
        return found
