"""Lamps and buzzer of the case, over gpiozero: the end of a punch, seen and heard without reading the screen; a call.

Nothing depends on them: a thread of its own drives the pins, and what fails is a state and tried again with the next
punch. Green and one beep: verified; both lamps and two: recorded, to be checked; red and three: refused or not kept.
Lamps differ in place and beeps in number, for those who do not tell red from green. Two long tones call a worker.
"""

from __future__ import annotations

import queue
import threading
import time
from collections.abc import Callable
from typing import TYPE_CHECKING, Literal

import structlog

from evidence.events import Verdict

if TYPE_CHECKING:
    from gpiozero import DigitalOutputDevice, Factory

LIT_S = 3.0  # about as long as the screen shows an accepted punch
BEEP_S = 0.08  # short beside a queue of forty
PAUSE_S = 0.12  # so that two beeps are not one
TONE_S = 0.5  # of a call: six times a beep, so that nobody takes it for the end of a punch
TONES = 2
_PATTERNS: dict[Verdict | None, tuple[tuple[str, ...], int]] = {
    Verdict.VERIFIED: (("green",), 1),
    Verdict.REVIEW: (("green", "red"), 2),
    Verdict.REFUSED: (("red",), 3),
    None: (("red",), 3),  # nothing was recorded
}

log = structlog.get_logger(__name__)


class Lamps:
    """Drives the pins named (BCM numbers), None for what is not there; `pins` makes the pin factory."""

    def __init__(
        self,
        *,
        green: int | None,
        red: int | None,
        buzzer: int | None,
        pins: Callable[[], Factory],
        lit_s: float = LIT_S,
    ) -> None:
        wanted = {"green": green, "red": red, "buzzer": buzzer}
        self._wanted = {name: pin for name, pin in wanted.items() if pin is not None}
        self._pins, self._lit_s = pins, lit_s
        self._devices: dict[str, DigitalOutputDevice] = {}
        self._asked: queue.Queue[Verdict | Literal["call"] | None] = queue.Queue()
        self._stop = threading.Event()
        self._trouble: str | None = None
        self._driven = False
        self._thread = threading.Thread(target=self._run, name="lamps", daemon=True)

    def start(self) -> None:
        """Begin; returns at once."""
        self._thread.start()

    def stop(self) -> None:
        """Put everything out."""
        self._stop.set()
        self._asked.put(None)
        if self._thread.is_alive():
            self._thread.join(5)

    def show(self, verdict: Verdict | None) -> None:
        """Show how a punch ended, None: it was not recorded. Returns at once and never raises."""
        self._asked.put(verdict)

    def call(self) -> None:
        """Sound the buzzer once for a worker who is called; the lamps stay as they are. Returns at once, never raises.

        The end of a punch goes before: what it finds waiting is dropped, and what sounds is cut short.
        """
        if "buzzer" in self._wanted:
            self._asked.put("call")

    @property
    def driven(self) -> bool:
        """Whether the pins were asked for anything yet: before that nobody knows of a trouble."""
        return self._driven

    @property
    def trouble(self) -> str | None:
        """Why the pins could not be driven last time."""
        return self._trouble

    def _run(self) -> None:
        dark_s: float | None = None  # when the lamps go out, by time.monotonic; None: they are out
        while not self._stop.is_set():
            try:
                asked = self._next(dark_s)
            except queue.Empty:
                self._drive(self._dark)
                dark_s = None
                continue
            if self._stop.is_set():
                break
            if asked == "call":
                if not self._drive(self._ring):
                    dark_s = None
                continue
            dark_s = time.monotonic() + self._lit_s if self._drive(self._play, *_PATTERNS[asked]) else None
        self._drive(self._close)

    def _next(self, until_s: float | None) -> Verdict | Literal["call"] | None:
        """Return what is to be shown next. Raises queue.Empty where nobody asks until then."""
        asked = [self._asked.get(timeout=None if until_s is None else max(0.0, until_s - time.monotonic()))]
        while not self._asked.empty():  # pins that hung have made a queue: only the last one is news
            asked.append(self._asked.get())
        ends = [one for one in asked if one != "call"]
        return ends[-1] if ends else "call"

    def _drive(self, act: Callable[..., bool], *values: object) -> bool:
        """Do something with the pins and say whether a lamp may be on; a failure lets go of all of them."""
        try:
            lit = act(*values)
            self._trouble, self._driven = None, True
        except Exception as error:
            self._trouble, self._driven = f"lamps_failed: {type(error).__name__}: {error}"[:400], True
            log.error("lamps_failed", why=self._trouble)
            try:
                self._close()
            except Exception:
                log.exception("lamps_not_closed")
            return False
        return lit

    def _play(self, lamps: tuple[str, ...], beeps: int) -> bool:
        self._open()
        for name in ("green", "red"):
            if name in self._devices:
                self._devices[name].value = name in lamps
        if "buzzer" in self._devices:
            self._beep(self._devices["buzzer"], beeps)
        return True

    def _open(self) -> None:
        from gpiozero import DigitalOutputDevice

        for name, pin in self._wanted.items():
            if name not in self._devices:
                self._devices[name] = DigitalOutputDevice(pin, pin_factory=self._pins())

    def _beep(self, buzzer: DigitalOutputDevice, times: int) -> None:
        for _ in range(times):
            buzzer.on()
            self._stop.wait(BEEP_S)
            buzzer.off()
            self._stop.wait(PAUSE_S)

    def _ring(self) -> bool:
        """Call; a punch that ends meanwhile is shown after the tone that sounds."""
        self._open()
        for _ in range(TONES):
            if not self._asked.empty():
                break
            self._devices["buzzer"].on()
            self._stop.wait(TONE_S)
            self._devices["buzzer"].off()
            self._stop.wait(PAUSE_S)
        return True

    def _dark(self) -> bool:
        for device in self._devices.values():
            device.off()
        return False

    def _close(self) -> bool:
        devices, self._devices = self._devices, {}
        for device in devices.values():
            device.off()  # a pin that is let go floats
            device.close()
        return False
