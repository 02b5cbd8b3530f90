"""The tamper loop: a wire through the case from a GPIO pin to ground, read with gpiozero.

Closed pulls the pin low; opened or cut, the pull-up raises it. A loop that cannot be read raises LoopUnreadable and
never reads as closed. What an opening means is kiosk.enclosure's part.
"""

from __future__ import annotations

import threading
from collections.abc import Callable
from typing import TYPE_CHECKING, Protocol

from kiosk.sensors.errors import LoopUnreadable

if TYPE_CHECKING:
    from gpiozero import DigitalInputDevice, Factory

BOUNCE_S = 0.02  # a contact rattles some milliseconds when a lid is shut; nobody opens and closes a case in 20 ms


class TamperLoop(Protocol):
    """Whatever says whether the case is closed."""

    def open(self, on_opened: Callable[[], None]) -> None:
        """Begin; `on_opened` is called from any thread when the loop opens. Raises LoopUnreadable."""
        ...

    def closed(self) -> bool:
        """Say whether the loop is closed now. Raises LoopUnreadable."""
        ...

    def close(self) -> None:
        """End; `open` may follow."""
        ...


def lgpio_pins() -> Factory:
    """The pins of a Raspberry Pi; on a Pi 5 no other library than lgpio reaches them. Raises LoopUnreadable."""
    try:
        from gpiozero.pins.lgpio import LGPIOFactory

        return LGPIOFactory()
    except Exception as error:  # no library, no chip, no permission: lgpio has errors of its own
        raise LoopUnreadable(
            f"the GPIO pins cannot be had ({type(error).__name__}: {error}): install zaigang[pi] and put the "
            "terminal's user into the group gpio"
        ) from error


class GpioTamperLoop:
    """The loop on pin `pin` (BCM number); `pins` makes the pin factory when the loop is opened."""

    def __init__(self, pin: int, pins: Callable[[], Factory] = lgpio_pins) -> None:
        self._pin, self._pins = pin, pins
        self._lock = threading.Lock()
        self._device: DigitalInputDevice | None = None

    def open(self, on_opened: Callable[[], None]) -> None:
        """Begin to watch. Raises LoopUnreadable."""
        from gpiozero import DigitalInputDevice

        self.close()
        pins = self._pins()
        try:
            device = DigitalInputDevice(self._pin, pull_up=True, bounce_time=BOUNCE_S, pin_factory=pins)
            device.when_deactivated = on_opened
        except Exception as error:
            raise self._unreadable(error) from error
        with self._lock:
            self._device = device

    def closed(self) -> bool:
        """Say whether the pin is low. Raises LoopUnreadable."""
        with self._lock:
            device = self._device
        if device is None:
            raise LoopUnreadable(f"the tamper loop on GPIO {self._pin} is not open")
        try:
            return bool(device.is_active)
        except Exception as error:
            raise self._unreadable(error) from error

    def close(self) -> None:
        """Let the pin go."""
        with self._lock:
            device, self._device = self._device, None
        if device is not None:
            device.when_deactivated = None
            device.close()

    def _unreadable(self, error: Exception) -> LoopUnreadable:
        what = f"{type(error).__name__}: {error}"
        return LoopUnreadable(f"the tamper loop on GPIO {self._pin} cannot be read ({what}); check pin and wiring")
