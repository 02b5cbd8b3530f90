"""LOOKING, HOLD, PROMPT: the worker sees himself as in a mirror and reads what to do.

The picture is mirrored, so the worker's own left is on the left of the screen, and the arrow for `turn_left` points
left: the way he sees himself turn.
"""

from __future__ import annotations

import itertools

from nicegui import ui

from evidence.events import Ask, Method
from kiosk.terminal.lamp import Lamp
from kiosk.terminal.stream import PICTURE_PATH
from kiosk.terminal.texts import ASKS, DIRECTIONS, METHODS, PHASES, reason, say
from kiosk.terminal.view import Phase, Purpose, TerminalView
from kiosk.terminal.widgets import Stage, block, button, label, picture

ASK_ICONS = {
    Ask.TURN_LEFT: "left",
    Ask.TURN_RIGHT: "right",
    Ask.LOOK_UP: "up",
    Ask.BLINK: "eye",
    Ask.MOVE_CLOSER: "closer",
}
SIDE_WORDS = {Ask.TURN_LEFT: "your_left", Ask.TURN_RIGHT: "your_right"}
_opened = itertools.count(1)  # a browser may hold on to an ended stream of the same address


class LiveScene:
    """The scene of the three phases with a picture; the picture element lives through all of them."""

    def __init__(self, stage: Stage) -> None:
        self.stage = stage
        language = stage.language
        with block("live"):
            Lamp(stage)
            with block("mirror") as self.mirror:
                with block("mirror-wait"):
                    picture("mirror-wait-icon", "camera")
                    label("mirror-wait-text", say("opening_camera", language))
                ui.element("img").classes("mirror-picture").props(f'src="{PICTURE_PATH}?n={next(_opened)}" alt=""')
                block("oval")
                self.cue = block("cue")
            with block("guide"):
                self.direction = label("guide-direction")
                with block("guide-words"):
                    self.main = label("guide-main")
                    self.more = label("guide-more")
                with block("guide-count"):
                    self.step = label("guide-step")
                    self.seconds = label("guide-seconds")
                with block("guide-keys"):
                    with button("quiet", self._by_pin).props('data-act="pin"') as self.pin_key:
                        label("quiet-name", METHODS[Method.BADGE_PIN][language])
                    with button("quiet", self._cancel).props('data-act="cancel"'):
                        label("quiet-name", say("cancel", language))
        self.ask: Ask | None = None
        self.phase: Phase | None = None

    def show(self, view: TerminalView) -> None:
        """Change the words, the arrow and the counts; leave the picture alone."""
        language = self.stage.language
        if view.purpose is Purpose.ENROL:
            self.direction.set_text(say("enrolling", language))
        else:
            self.direction.set_text(DIRECTIONS[view.log_type][language] if view.log_type else "")
        self.pin_key.set_visibility(view.purpose is Purpose.PUNCH)  # a supervisor and a newcomer have chosen already
        main, more = self._words(view)
        self.main.set_text(main)
        self.more.set_text(more)
        step, steps = view.prompt_step
        if view.purpose is Purpose.ENROL and steps and view.ask is None:
            self.step.set_text(say("pictures_taken", language, step=step, steps=steps))
        else:
            self.step.set_text(say("step", language, step=step, steps=steps) if steps and view.ask else "")
        left = view.seconds_left
        self.seconds.set_text("" if left is None else say("seconds_left", language, count=left))
        if view.phase is not self.phase:
            self.phase = view.phase
            self.mirror.classes(remove="looking hold prompt", add=view.phase.value)
        ask = view.ask if view.phase is Phase.PROMPT else None
        if ask is not self.ask:
            self.ask = ask
            self._draw_cue(ask)

    def tick(self) -> None:
        """Nothing here moves by itself."""

    def _words(self, view: TerminalView) -> tuple[str, str]:
        language = self.stage.language
        if view.phase is Phase.PROMPT and view.ask is not None:
            side = SIDE_WORDS.get(view.ask)
            return ASKS[view.ask][language], say(side, language) if side else ""
        if view.phase is Phase.LOOKING and view.hint:
            texts = reason(view.hint)
            return texts.do[language], texts.what[language]
        if view.phase is Phase.LOOKING and view.purpose is Purpose.CONFIRM:
            return say("supervisor_looks", language), say("look_hint", language)
        more = "wait_for_prompt" if view.phase is Phase.HOLD else "look_hint"
        return PHASES[view.phase][language], say(more, language)

    def _draw_cue(self, ask: Ask | None) -> None:
        self.cue.clear()
        self.cue.classes(replace="cue" if ask is None else f"cue cue-{ASK_ICONS[ask]}")
        if ask is None:
            return
        with self.cue:
            picture("cue-icon", ASK_ICONS[ask])
            if ask in SIDE_WORDS:
                picture("cue-icon", ASK_ICONS[ask])

    def _cancel(self) -> None:
        self.stage.call(self.stage.service.cancel)

    def _by_pin(self) -> None:
        self.stage.entry.choose(Method.BADGE_PIN, self.stage.now_s)
        self._cancel()
