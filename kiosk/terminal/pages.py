"""The page: a header that never goes away and one scene below it, drawn anew only when the view has changed.

Each browser looks at the service several times a second; it holds no state of a punch itself, so a reload in the
middle shows the same, and two browsers show the same.
"""

from __future__ import annotations

from dataclasses import replace
from datetime import UTC, datetime
from pathlib import Path
from zoneinfo import ZoneInfo

import structlog
from fastapi import FastAPI
from nicegui import ui
from starlette.middleware.trustedhost import TrustedHostMiddleware

from kiosk.terminal.call import CallScene
from kiosk.terminal.consent import ConsentScene
from kiosk.terminal.ending import Deadline, ResultScene
from kiosk.terminal.icons import icon
from kiosk.terminal.idle import IdleScene
from kiosk.terminal.lamp import HEAD as LAMP_HEAD
from kiosk.terminal.live import LiveScene
from kiosk.terminal.notices import CheckingScene, OutOfOrderScene
from kiosk.terminal.stream import picture_router
from kiosk.terminal.texts import LANGUAGES, WORDS, Language, date_text, say
from kiosk.terminal.view import Phase, TerminalService, TerminalView
from kiosk.terminal.widgets import Scene, Stage, block, button, label, picture

LOOK_S = 0.15  # the page looks at the service about seven times a second
LANGUAGE_KEPT_S = 60.0  # then an idle screen returns to the site's own language
CALLING = "calling"  # the kind of scene that an idle terminal shows while a worker is called
LIVE_PHASES = (Phase.LOOKING, Phase.HOLD, Phase.PROMPT)
# A name that another site's page could point at 127.0.0.1 (DNS rebinding) is not answered.
HOSTS = ["127.0.0.1", "localhost", "[::1]"]
VIEWPORT = "width=device-width, initial-scale=1, maximum-scale=1, user-scalable=no"
_BROKEN = TerminalView(
    version=-1, phase=Phase.OUT_OF_ORDER, site="", device="", face_available=False, troubles=("error",)
)

log = structlog.get_logger(__name__)


def attach(app: FastAPI, service: TerminalService, language: Language) -> None:
    """Put the terminal's screen on `app` at `/` and its live picture beside it.

    `language` is the site's own; every screen has a switch. NiceGUI allows one such application a process.
    """
    deadline = Deadline()
    css = Path(__file__).with_name("style.css").read_text(encoding="utf-8")
    reconnecting = " · ".join(WORDS["reconnecting"][one] for one in LANGUAGES)
    head = f'<style>{css}\n:root {{ --reconnecting: "{reconnecting}"; }}</style>{_HEAD}{LAMP_HEAD}'

    @ui.page("/", title=WORDS["title"][language], viewport=VIEWPORT)
    def terminal(lang: str = "") -> None:
        ui.add_head_html(head)
        chosen: Language = "zh" if lang == "zh" else "en" if lang == "en" else language
        Screen(service, chosen, language, deadline)

    app.add_middleware(TrustedHostMiddleware, allowed_hosts=HOSTS)
    app.include_router(picture_router(service))
    ui.run_with(app, tailwind=False, show_welcome_message=False, dark=False)


class Screen:
    """One browser's screen."""

    def __init__(self, service: TerminalService, language: Language, home: Language, deadline: Deadline) -> None:
        self.stage = Stage(service, language)
        self.home, self.deadline = home, deadline
        self.chosen_s = self.stage.now_s
        self.shown: TerminalView | None = None
        self.last_good: TerminalView | None = None
        self.scene: Scene | None = None
        self.scene_of: object = None
        self.failing = False
        self.root = block("screen")
        self._build()
        ui.timer(LOOK_S, self._look, immediate=False)

    def _build(self) -> None:
        """Draw header and scene from nothing, in the language of the stage."""
        self.shown = self.scene = self.scene_of = None
        self.root.clear()
        self.root.props(f'lang="{"zh-CN" if self.stage.language == "zh" else "en"}"')
        with self.root:
            with block("header"):
                with block("where"):
                    self.site = label("where-site")
                    self.device = label("where-device")
                with block("clock"):
                    self.time = label("clock-time")
                    self.day = label("clock-day")
                with block("net") as self.net:
                    self.net_icon = picture("net-icon", "offline")
                    with block("net-words"):
                        self.net_word = label("net-word")
                        self.queue = label("net-queue")
                with button("language", self._switch_language).props(
                    f'data-act="language" aria-label="{say("language_aria", self.stage.language)}"'
                ):
                    label("language-name", say("language", self.stage.language))
            self.body = block("body")
        self._look()

    def _look(self) -> None:
        view = self._read()
        if view.phase is not Phase.RESULT:
            self.deadline.reset()
        called = view.call is not None  # put aside and back by this browser, without a change of the view
        if self.shown is None or view.version != self.shown.version or view.phase is not self.shown.phase or called:
            self.shown = view
            self._draw(view)
        self._draw_clock(view)
        if self.scene is not None:
            self.scene.tick()
        self._return_home(view)

    def _read(self) -> TerminalView:
        """The service's view; out of order where it cannot give one or a call of this page has just failed."""
        try:
            view = self.stage.service.view()
        except Exception:
            if not self.failing:
                log.exception("the terminal's state cannot be had")
            self.failing = True
            known = self.last_good
            return (
                _BROKEN
                if known is None
                else replace(_BROKEN, site=known.site, device=known.device, tz=known.tz, contact=known.contact)
            )
        self.failing = False
        self.last_good = view
        if self.stage.call_failed:
            return replace(view, version=-1, phase=Phase.OUT_OF_ORDER, troubles=("error",))
        return view

    def _draw(self, view: TerminalView) -> None:
        self.root.props(f'data-version="{view.version}" data-phase="{view.phase.value}"')
        self._draw_header(view)
        called = view.call is not None and self.stage.now_s >= self.stage.aside_until_s
        kind = _scene_kind(view, called=called)
        if kind != self.scene_of:
            self.scene_of = kind
            self.body.clear()
            with self.body:
                self.scene = CallScene(self.stage) if kind == CALLING else self._scene(view)
        if self.scene is not None:
            self.scene.show(view)

    def _scene(self, view: TerminalView) -> Scene:
        if view.phase is Phase.IDLE:
            return IdleScene(self.stage)
        if view.phase in LIVE_PHASES:
            return LiveScene(self.stage)
        if view.phase is Phase.CHECKING:
            return CheckingScene(self.stage)
        if view.phase is Phase.CONSENT:
            return ConsentScene(self.stage)
        if view.phase is Phase.RESULT and view.result is not None:
            return ResultScene(self.stage, view.result, self.deadline)
        return OutOfOrderScene(self.stage)

    def _draw_header(self, view: TerminalView) -> None:
        language = self.stage.language
        self.site.set_text(view.site)
        self.device.set_text(view.device)
        state = "online" if view.online else "offline"
        self.net.classes(replace=f"net net-{state}")
        self.net_icon.set_content(icon(state))
        self.net_word.set_text(say("over_https" if view.online and view.over_https else state, language))
        self.queue.set_text(say("unsent", language, count=view.unsent) if view.unsent else say("all_sent", language))

    def _draw_clock(self, view: TerminalView) -> None:
        now = _local_now(view.tz)
        self.time.set_text(now.strftime("%H:%M:%S"))
        self.day.set_text(
            date_text(now, self.stage.language) if view.clock_synced else say("clock_unsure", self.stage.language)
        )

    def _switch_language(self) -> None:
        self._speak("en" if self.stage.language == "zh" else "zh")

    def _speak(self, language: Language) -> None:
        self.stage.language = language
        self.chosen_s = self.stage.now_s
        ui.run_javascript(f"history.replaceState(null, '', '/?lang={language}')")  # a reload keeps the choice
        self._build()

    def _return_home(self, view: TerminalView) -> None:
        """The next worker finds the site's language, not that of the one before."""
        touched_s = max(self.chosen_s, self.stage.entry.touched_s)
        if view.phase is not Phase.IDLE:
            self.chosen_s = self.stage.now_s
        elif self.stage.language != self.home and self.stage.now_s - touched_s > LANGUAGE_KEPT_S:
            self._speak(self.home)


def _scene_kind(view: TerminalView, *, called: bool) -> object:
    """What, when it changes, needs another scene."""
    if view.phase is Phase.IDLE and called:
        return CALLING
    if view.phase in LIVE_PHASES:
        return Phase.LOOKING
    if view.phase is Phase.RESULT:
        return view.result
    return view.phase


def _local_now(zone: str) -> datetime:
    try:
        return datetime.now(ZoneInfo(zone))
    except (KeyError, ValueError, OSError):  # no such zone, or no zone files: better UTC than no clock
        return datetime.now(UTC)


_HEAD = "<script>document.addEventListener('contextmenu', e => e.preventDefault());</script>"
