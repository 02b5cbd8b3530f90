"""RESULT: what came of the punch, the proof to take along, and after a refusal the other ways on the same screen."""

from __future__ import annotations

from dataclasses import dataclass

from nicegui import ui

from evidence.events import Method, Verdict
from kiosk.terminal.qr import qr_svg
from kiosk.terminal.texts import DIRECTIONS, METHODS, VERDICTS, reason, say
from kiosk.terminal.view import Phase, Result, TerminalView
from kiosk.terminal.widgets import Stage, block, button, label, picture

ACCEPTED_SHOWN_S = 8.0  # time to take a picture of the QR code
REFUSED_SHOWN_S = 20.0  # of whatever offers other ways: time to read the reasons and choose another way
TAP_GUARD_S = 0.7  # the second half of a double tap on IN must not close a result that nobody has seen
REASONS_SHOWN, REASONS_BESIDE_WAYS = 3, 2  # a refusal also needs room for the other ways
QR_BIG_PX, QR_SMALL_PX = 250, 231


def offers_more(result: Result) -> bool:
    """Whether the worker is not done: refused, or called and not verified yet."""
    return result.verdict is Verdict.REFUSED or "call_goes_on" in result.reasons


def shown_for_s(result: Result) -> float:
    """How long a result stays on the screen by itself, in seconds."""
    return REFUSED_SHOWN_S if offers_more(result) else ACCEPTED_SHOWN_S


@dataclass(slots=True)
class Deadline:
    """When the result on show goes away: one for all browsers, so that a reload does not begin again."""

    result: Result | None = None
    since_s: float = 0.0

    def left_s(self, view: TerminalView, now_s: float) -> float:
        """Seconds that this result still has."""
        if view.result is None:
            return 0.0
        if view.result is not self.result and view.result != self.result:
            self.result, self.since_s = view.result, now_s
        return shown_for_s(view.result) - (now_s - self.since_s)

    def reset(self) -> None:
        """No result is on show: the next one, even an equal one, has its full time."""
        self.result = None


class ResultScene:
    """The scene of one result."""

    def __init__(self, stage: Stage, result: Result, deadline: Deadline) -> None:
        self.stage, self.result, self.deadline = stage, result, deadline
        self.built_s = stage.now_s
        self.view: TerminalView | None = None
        verdict = result.verdict
        with block(f"result result-{verdict.value}").on("click", lambda _: self._tapped()):
            with block("verdict"):
                with block("verdict-head"):
                    with block("verdict-mark"):
                        picture("verdict-icon", _MARKS[verdict])
                    label("verdict-word", VERDICTS[verdict][stage.language])
                self._facts()
                if verdict is not Verdict.VERIFIED:
                    self._receipt(QR_SMALL_PX)
            with block("verdict-side"):
                if verdict is Verdict.VERIFIED:
                    self._receipt(QR_BIG_PX)
                    label("scan", say("scan", stage.language))
                else:
                    self._reasons()
                with block("result-keys" + (" many" if len(result.other_methods) > 2 else "")):
                    self._keys()
            self.bar = block("time-bar")

    def show(self, view: TerminalView) -> None:
        """Start the bar that shows how long this stays."""
        if self.view is None:
            left = max(0.0, self.deadline.left_s(view, self.stage.now_s))
            gone = shown_for_s(self.result) - left
            self.bar.style(f"animation-duration: {shown_for_s(self.result)}s; animation-delay: -{gone:.1f}s")
        self.view = view

    def tick(self) -> None:
        """Return to idle when the time is over."""
        if self.view is not None and self.deadline.left_s(self.view, self.stage.now_s) <= 0:
            self._dismiss()

    def _facts(self) -> None:
        result, language = self.result, self.stage.language
        with block("facts"):
            label("fact-name", result.name or result.worker or say("unknown_worker", language))
            day, _, time_of_day = result.local_time.partition(" ")
            with block("fact-line"):
                if result.log_type:
                    label("fact-direction", DIRECTIONS[result.log_type][language])
                label("fact-time", time_of_day)
                label("fact-day", day)
            if result.verdict is Verdict.VERIFIED:
                label("fact-method", METHODS[result.method][language])
                self._unsure()

    def _unsure(self) -> None:
        """Say that the time may be wrong, where it may."""
        if not self.result.clock_synced:
            with block("fact-unsure"):
                picture("fact-icon", "clock")
                label("", say("time_unsure", self.stage.language))

    def _receipt(self, size_px: int) -> None:
        result, language = self.result, self.stage.language
        with block("receipt"):
            if result.receipt_qr:
                ui.html(qr_svg(result.receipt_qr, size_px), sanitize=False).classes("qr-box")
            if result.receipt_code:
                with block("receipt-line"):
                    label("receipt-name", say("receipt", language))
                    label("receipt-code", f"{result.receipt_code[:4]} {result.receipt_code[4:]}".strip())
            elif not result.receipt_qr:
                label("receipt-name", say("no_receipt", language))

    def _reasons(self) -> None:
        result, language = self.result, self.stage.language
        with block("reasons"):
            self._unsure()
            shown = REASONS_BESIDE_WAYS if offers_more(result) else REASONS_SHOWN
            texts = [reason(code) for code in result.reasons[:shown]]
            for place, text in enumerate(texts):
                same_below = any(later.do == text.do for later in texts[place + 1 :])
                with block("reason"):
                    label("reason-what", text.what[language])
                    if not same_below:  # what to do is said once, below the last reason it answers
                        label("reason-do", text.do[language])
            if result.verdict is Verdict.REFUSED:
                kept = result.receipt_code is not None or "call_goes_on" in result.reasons
                label("kept", say("refused_kept" if kept else "refused_not_kept", language))

    def _keys(self) -> None:
        result, language = self.result, self.stage.language
        if not offers_more(result):
            with button("strong", self._dismiss).props('data-act="done"'):
                label("", say("done", language))
            return
        for method in result.other_methods:
            self._way(method)
        with button("quiet", self._dismiss).props('data-act="done"'):
            label("quiet-name", say("done", language))

    def _way(self, method: Method) -> None:
        again, language = method is self.result.method, self.stage.language
        with button("strong", lambda: self._other(method)).props(f'data-other="{method.value}"'):
            picture("strong-icon", "again" if again else _METHOD_ICONS[method])
            label("", say("again", language) if again else METHODS[method][language])

    def _other(self, method: Method) -> None:
        """Begin again another way, with the badge number as it was typed; a face attempt keeps the direction too.

        A called worker, whose attempts have no direction, finds the pad for the PIN in the call that comes back.
        """
        stage, result = self.stage, self.result
        log_type = result.log_type
        self._dismiss()
        if method is Method.FACE and log_type is not None:
            stage.call(lambda: stage.service.tap(log_type, result.worker))
        elif method is Method.FACE:
            stage.call(lambda: stage.service.answer_call(None))
        elif log_type is not None:
            stage.entry.badge = result.worker or ""
            stage.entry.choose(method, stage.now_s)

    def _tapped(self) -> None:
        if self.stage.now_s - self.built_s > TAP_GUARD_S:
            self._dismiss()

    def _dismiss(self) -> None:
        """Close this result, unless another browser has done so and something else is on show already."""
        try:
            now = self.stage.service.view()
        except Exception:
            now = None  # the next look at the service draws the out-of-order screen
        if now is not None and now.phase is Phase.RESULT and now.result == self.result:
            self.stage.call(self.stage.service.dismiss)


_MARKS = {Verdict.VERIFIED: "passed", Verdict.REVIEW: "review", Verdict.REFUSED: "refused"}
_METHOD_ICONS = {Method.FACE: "face", Method.BADGE_PIN: "badge", Method.SUPERVISOR: "supervisor"}
