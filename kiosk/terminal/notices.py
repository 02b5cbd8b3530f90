"""The two scenes without a choice: CHECKING, and OUT_OF_ORDER with what is wrong and whom to call."""

from __future__ import annotations

from kiosk.terminal.texts import DIRECTIONS, PHASES, reason, say
from kiosk.terminal.view import Phase, TerminalView
from kiosk.terminal.widgets import Stage, block, label, picture

TROUBLES_SHOWN = 3


class CheckingScene:
    """Calm progress: nothing to read twice, nothing to press."""

    def __init__(self, stage: Stage) -> None:
        self.stage = stage
        with block("checking"):
            with block("pulse"):
                picture("pulse-icon", "person")
            label("checking-main", PHASES[Phase.CHECKING][stage.language])
            label("checking-more", say("please_wait", stage.language))
            self.direction = label("checking-direction")

    def show(self, view: TerminalView) -> None:
        """Say which direction is being recorded."""
        self.direction.set_text(DIRECTIONS[view.log_type][self.stage.language] if view.log_type else "")

    def tick(self) -> None:
        """Nothing here moves by itself."""


class OutOfOrderScene:
    """Nothing can be recorded here."""

    def __init__(self, stage: Stage) -> None:
        self.stage = stage
        language = stage.language
        with block("broken"):
            with block("broken-mark"):
                picture("broken-icon", "warning")
            with block("broken-words"):
                label("broken-main", PHASES[Phase.OUT_OF_ORDER][language])
                self.list = block("broken-list")
                label("broken-do", say("use_other", language))
                with block("broken-call"):
                    picture("broken-call-icon", "phone")
                    self.contact = label("")
                self.device = label("broken-device")

    def show(self, view: TerminalView) -> None:
        """Name the troubles, the contact and the terminal."""
        language = self.stage.language
        self.list.clear()
        with self.list:
            for code in (view.troubles or ("error",))[:TROUBLES_SHOWN]:
                label("broken-what", reason(code).what[language])
        self.contact.set_text(f"{say('call', language)}: {view.contact or say('site_manager', language)}")
        self.device.set_text(f"{say('terminal', language)}: {view.device}" if view.device else "")

    def tick(self) -> None:
        """Nothing here moves by itself."""
