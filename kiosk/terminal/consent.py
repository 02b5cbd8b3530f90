"""CONSENT: whoever has just been enrolled is asked whether the face may lie on the site's other terminals, too.

Both answers are of one size, and no answer is a no.
"""

from __future__ import annotations

from kiosk.terminal.ending import TAP_GUARD_S
from kiosk.terminal.texts import say
from kiosk.terminal.view import TerminalView
from kiosk.terminal.widgets import Stage, block, button, label


class ConsentScene:
    """The scene of Phase.CONSENT."""

    def __init__(self, stage: Stage) -> None:
        self.stage, self.built_s = stage, stage.now_s
        language = stage.language
        with block("consent"):
            label("consent-main", say("consent_transfer", language))
            label("consent-more", say("consent_why", language))
            label("consent-more", say("consent_free", language))
            with block("consent-keys"):
                self._key("consent_no", agreed=False)
                self._key("consent_yes", agreed=True)
            self.left = label("consent-left")

    def show(self, view: TerminalView) -> None:
        """Follow the time."""
        left = view.seconds_left
        self.left.set_text("" if left is None else say("seconds_left", self.stage.language, count=left))

    def tick(self) -> None:
        """Nothing here moves by itself."""

    def _key(self, text: str, *, agreed: bool) -> None:
        with button("strong consent-key", lambda: self._answer(agreed=agreed)).props(f'data-act="{text}"'):
            label("", say(text, self.stage.language))

    def _answer(self, *, agreed: bool) -> None:
        if self.stage.now_s - self.built_s < TAP_GUARD_S:
            return  # the tap was meant for what stood here before
        stage = self.stage
        stage.call(lambda: stage.service.answer_consent(agreed=agreed, language=stage.language))
