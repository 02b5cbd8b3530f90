"""The screen as a lamp: while a face is looked at, the page shows the colours it is told and says since when it does.

A colour counts from the second animation frame after it was set: by then the browser has drawn the first. Changes are
as slow as the terminal asks for them; the page never makes one of its own.
"""

from __future__ import annotations

import json
import time
from typing import Any

from nicegui import ui

from kiosk.terminal.view import Light
from kiosk.terminal.widgets import Stage

LOOK_S = 0.05  # while a picture is on the screen; a colour that comes up late makes the worker wait
BELIEVED_MS = 2000  # a word older than this is a stopped page's, or the clock was set in between
DARK_INK, LIGHT_INK = "#0f1b2a", "#ffffff"
DARK_BELOW = 0.18  # relative luminance (WCAG) of a ground on which white ink has the better contrast

# Runs in the worker's browser: set the ground, wait until it has been drawn, say so to the element's listener.
HEAD = """<script>
window.zaigangLamp = (attempt, number, ground, ink) => {
  const lamp = document.querySelector('.lamp');
  if (!lamp) return;
  lamp.style.setProperty('--lamp', ground);
  lamp.parentElement.style.setProperty('--lamp-ink', ink);
  lamp.classList.add('on');
  requestAnimationFrame(() => requestAnimationFrame(() => lamp.dispatchEvent(
    new CustomEvent('painted', {detail: {attempt, number, at: Date.now()}}))));
};
window.zaigangDark = () => document.querySelector('.lamp')?.classList.remove('on');
</script>"""


class Lamp:
    """Part of one live scene; made inside it, it goes with it."""

    def __init__(self, stage: Stage) -> None:
        self._stage = stage
        self._shown: Light | None = None
        self._lamp = ui.element("div").classes("lamp")
        self._lamp.on("painted", lambda event: self._painted(event.args), args=["detail"])
        ui.timer(LOOK_S, self._look)

    def _look(self) -> None:
        due = self._stage.service.light()
        if due == self._shown:
            return
        self._shown = due
        if due is None:
            ui.run_javascript("zaigangDark()")
            return
        words = (due.attempt, due.number, css_colour(due.colour), ink_on(due.colour))
        ui.run_javascript(f"zaigangLamp({', '.join(json.dumps(word) for word in words)})")

    def _painted(self, args: dict[str, Any]) -> None:
        """Pass on a word that makes sense; what does not is no word."""
        detail = args.get("detail") if isinstance(args, dict) else None
        if not isinstance(detail, dict) or not all(
            isinstance(detail.get(name), int) for name in ("attempt", "number", "at")
        ):
            return
        age_ms = time.time_ns() // 1_000_000 - detail["at"]
        if -BELIEVED_MS <= age_ms <= BELIEVED_MS:
            self._stage.call(
                lambda: self._stage.service.painted(detail["attempt"], detail["number"], max(0, age_ms) * 1000)
            )


def css_colour(colour: tuple[int, int, int]) -> str:
    """Return red, green, blue 0..255 as CSS has it."""
    return f"rgb({colour[0]},{colour[1]},{colour[2]})"


def ink_on(colour: tuple[int, int, int]) -> str:
    """Return the ink that can be read on this ground."""
    red, green, blue = (((part / 255 + 0.055) / 1.055) ** 2.4 if part > 10 else part / 3294.6 for part in colour)
    return LIGHT_INK if 0.2126 * red + 0.7152 * green + 0.0722 * blue < DARK_BELOW else DARK_INK
