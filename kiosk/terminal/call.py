"""IDLE while a worker is called: who is to show up, how long there is, and the two ways to be checked.

Whoever else wants to punch puts the call aside for a moment; it comes back by itself.
"""

from __future__ import annotations

from collections.abc import Callable

from kiosk.terminal.entry import MAX_PIN
from kiosk.terminal.texts import say
from kiosk.terminal.view import TerminalView
from kiosk.terminal.widgets import Stage, block, button, label, picture

PUT_ASIDE_S = 30.0  # a punch of somebody else takes three seconds to begin
PAD = ("1", "2", "3", "erase", "4", "5", "6", "ok", "7", "8", "9", "0")


class CallScene:
    """The scene of Phase.IDLE with a call."""

    def __init__(self, stage: Stage) -> None:
        self.stage = stage
        self.pin = ""
        language = stage.language
        with block("call"):
            with block("call-side"):
                label("call-main", say("call_please", language))
                self.name = label("call-name")
                self.left = label("call-left")
                with button("strong call-here", lambda: self._answer(None)).props('data-act="here"') as self.here:
                    picture("strong-icon", "face")
                    label("", say("call_here", language))
                with button("quiet call-aside", self._put_aside).props('data-act="aside"'):
                    label("quiet-name", say("call_aside", language))
            with block("pad-side"):
                with block("fields"), block("field active"):
                    label("field-name", say("call_pin", language))
                    self.typed = label("field-value")
                with block("pad"):
                    for key in PAD:
                        self._key(key)

    def show(self, view: TerminalView) -> None:
        """Follow the time; without a camera the PIN remains."""
        if view.call is not None:
            self.name.set_text(view.call.name)
            minutes, seconds = divmod(view.call.seconds_left, 60)
            self.left.set_text(say("call_left", self.stage.language, time=f"{minutes}:{seconds:02d}"))
        self.here.set_visibility(view.face_available)

    def tick(self) -> None:
        """Nothing here moves by itself."""

    def _key(self, key: str) -> None:
        act: Callable[[], None]
        if key == "erase":
            act = self._erase
        elif key == "ok":
            act = self._ok
        else:
            act = lambda: self._press(key)  # noqa: E731
        with button("digit soft" if key in ("erase", "ok") else "digit", act).props(f'data-key="{key}"') as one:
            if key == "erase":
                picture("digit-icon", "erase")
                one.props(f'aria-label="{say("erase", self.stage.language)}"')
            elif key == "ok":
                label("digit-word", say("call_ok", self.stage.language))
            else:
                label("digit-number", key)

    def _press(self, digit: str) -> None:
        if len(self.pin) < MAX_PIN:
            self.pin += digit
        self._draw()

    def _erase(self) -> None:
        self.pin = self.pin[:-1]
        self._draw()

    def _ok(self) -> None:
        if self.pin:
            self._answer(self.pin)

    def _draw(self) -> None:
        self.typed.set_text("●" * len(self.pin))

    def _answer(self, pin: str | None) -> None:
        self.pin = ""
        self._draw()
        self.stage.call(lambda: self.stage.service.answer_call(pin))

    def _put_aside(self) -> None:
        self.stage.aside_until_s = self.stage.now_s + PUT_ASIDE_S
