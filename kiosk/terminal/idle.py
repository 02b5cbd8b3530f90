"""IDLE: IN and OUT, the pad, and the choice between the ways to punch, all at the same distance from the thumb."""

from __future__ import annotations

from collections.abc import Callable

from nicegui import ui
from nicegui.events import KeyEventArguments

from evidence.events import LogType, Method
from kiosk.terminal.entry import FIELDS, OF_METHOD, ByFace, BySupervisor, Field, Missing
from kiosk.terminal.texts import DIRECTIONS, METHODS, OTHER_TONGUE, reason, say
from kiosk.terminal.view import TerminalView
from kiosk.terminal.widgets import Stage, block, button, label, picture

TROUBLES_SHOWN = 2  # what fits above the two buttons; the rest is counted
METHOD_ICONS = {Method.FACE: "face", Method.BADGE_PIN: "badge", Method.SUPERVISOR: "supervisor"}
PAD = ("1", "2", "3", "erase", "4", "5", "6", "other", "7", "8", "9", "0")
KEYBOARD = (*"1234567890ABCDEFGHIJKLMNOPQRSTUVWXYZ-", "erase", "clear", "done")  # four rows of ten


class IdleScene:
    """The scene of Phase.IDLE."""

    def __init__(self, stage: Stage) -> None:
        self.stage = stage
        self.face_available = True
        self.supervisor_available: bool | None = None
        self.troubles: tuple[str, ...] | None = None
        with block("idle") as self.whole:
            with block("choice") as self.choice:
                self.banner = block("banner")
                self.ways = {log_type: self._direction(log_type) for log_type in LogType}
                self.presence = label("presence-notice", say("presence_notice", stage.language))
            with block("pad-side"):
                with block("methods").props(f'role="group" aria-label="{say("method", stage.language)}"') as self.row:
                    self.methods = {method: self._method(method, name) for method, name in METHOD_ICONS.items()}
                with block("fields") as self.field_row:
                    self.fields: dict[Field, tuple[ui.element, ui.label, ui.label]] = {
                        which: self._field(which) for which in FIELDS
                    }
                with block("pad"):
                    for key in PAD:
                        self._key(key)
                with block("keyboard"):
                    for key in KEYBOARD:
                        self._key(key)
        ui.keyboard(on_key=self._typed, ignore=[])
        self._redraw()

    def show(self, view: TerminalView) -> None:
        """Follow the troubles, the badge reader and whether there is a camera."""
        entry = self.stage.entry
        if view.face_available != self.face_available:
            self.face_available = view.face_available
            typed = entry.badge or entry.pin or entry.supervisor
            if not typed or (not self.face_available and entry.method is Method.FACE):
                entry.choose(self._default, self.stage.now_s)
        if view.supervisor_available != self.supervisor_available:
            self.supervisor_available = view.supervisor_available
            self.methods[Method.SUPERVISOR].set_visibility(view.supervisor_available)
            self.row.classes(add="three" if view.supervisor_available else "", remove="three")
            if entry.method is Method.SUPERVISOR and not view.supervisor_available:
                entry.choose(self._default, self.stage.now_s)
        self.presence.set_visibility(view.presence)
        if view.badge is not None and view.badge.number != self.stage.badge_taken:
            self.stage.badge_taken = view.badge.number
            entry.take(view.badge.worker, self._default, self.stage.now_s)
        if view.troubles != self.troubles:
            self.troubles = view.troubles
            self._draw_troubles()
        crowded = view.presence and bool(view.troubles)
        self.choice.classes(add="crowded" if crowded else "", remove="" if crowded else "crowded")
        self._redraw()

    def tick(self) -> None:
        """Forget what nobody has touched for a while."""
        if self.stage.entry.expire(self.stage.now_s, self._default):
            self._redraw()

    @property
    def _default(self) -> Method:
        return Method.FACE if self.face_available else Method.BADGE_PIN

    def _direction(self, log_type: LogType) -> ui.label:
        language = self.stage.language
        with button(f"go go-{log_type.value.lower()}", lambda: self._go(log_type)).props(
            f'data-direction="{log_type.value}"'
        ):
            picture("go-icon", log_type.value.lower())
            with block("go-words"):
                with block("go-names"):
                    label("go-name", DIRECTIONS[log_type][language])
                    label("go-other", OTHER_TONGUE[log_type][language])
                return label("go-way")

    def _method(self, method: Method, name: str) -> ui.element:
        with button("method", self._then(lambda: self._choose(method))).props(f'data-method="{method.value}"') as one:
            picture("method-icon", name)
            label("method-name", METHODS[method][self.stage.language])
        return one

    def _field(self, which: Field) -> tuple[ui.element, ui.label, ui.label]:
        focus = self._then(lambda: self.stage.entry.focus(which, self.stage.now_s))
        with button(f"field field-{which}", focus).props(f'data-field="{which}"') as one:
            name = label("field-name")
            value = label("field-value")
        return one, name, value

    def _key(self, key: str) -> None:
        entry, stage = self.stage.entry, self.stage
        if key == "erase":
            with button("digit soft", self._then(lambda: entry.erase(stage.now_s))) as one:
                picture("digit-icon", "erase")
            one.props(f'data-key="erase" aria-label="{say("erase", stage.language)}"')
        elif key == "other":
            with button("digit soft", self._then(self._other)).props('data-key="other"'):
                self.other_key = label("digit-word")
        elif key == "clear":
            with button("digit soft", self._then(entry.clear_field)).props('data-key="clear"'):
                label("digit-word", say("clear", stage.language))
        elif key == "done":
            with button("digit soft", self._then(lambda: entry.hide_letters(stage.now_s))).props('data-key="done"'):
                label("digit-word", say("done", stage.language))
        else:
            with button("digit", self._then(lambda: entry.press(key, stage.now_s))).props(f'data-key="{key}"'):
                label("digit-number", key)

    def _then(self, act: Callable[[], None]) -> Callable[[], None]:
        def both() -> None:
            act()
            self._redraw()

        return both

    def _choose(self, method: Method) -> None:
        if method is Method.FACE and not self.face_available:
            return
        self.stage.entry.choose(method, self.stage.now_s)

    def _other(self) -> None:
        """The key that is what the field needs: on to the next one, letters where a number begins, or none of it."""
        entry = self.stage.entry
        following = entry.next_field()
        if following is not None:
            entry.focus(following, self.stage.now_s)
        elif entry.letters_offered:
            entry.show_letters(self.stage.now_s)
        else:
            self._clear()

    def _clear(self) -> None:
        entry = self.stage.entry
        if entry.field == "badge":
            entry.clear()
        else:
            entry.clear_field()

    def _go(self, log_type: LogType) -> None:
        service = self.stage.service
        wanted = self.stage.entry.submit(self.stage.now_s, face=self.face_available)
        self._redraw()
        if isinstance(wanted, Missing):
            return
        if isinstance(wanted, ByFace):
            self.stage.call(lambda: service.tap(log_type, wanted.badge))
            return
        if isinstance(wanted, BySupervisor):
            self.stage.call(lambda: service.confirm(log_type, wanted.badge, wanted.supervisor, wanted.pin))
            return
        self.stage.call(lambda: service.badge_pin(log_type, wanted.badge, wanted.pin))

    def _typed(self, event: KeyEventArguments) -> None:
        """A keyboard, or a badge reader that acts as one."""
        if not event.action.keydown or event.modifiers.ctrl or event.modifiers.alt or event.modifiers.meta:
            return
        entry, now_s, name = self.stage.entry, self.stage.now_s, str(event.key.name)
        if name == "Backspace":
            entry.erase(now_s)
        elif name == "Enter" and (following := entry.next_field()) is not None:
            entry.focus(following, now_s)
        elif len(name) == 1:
            entry.press(name, now_s)
        self._redraw()

    def _draw_troubles(self) -> None:
        language, troubles = self.stage.language, self.troubles or ()
        self.banner.set_visibility(bool(troubles))
        self.banner.clear()
        with self.banner:
            for code in troubles[:TROUBLES_SHOWN]:
                texts = reason(code)
                with block("trouble"):
                    picture("trouble-icon", "warning")
                    with block("trouble-words"):
                        label("trouble-what", texts.what[language])
                        label("trouble-do", texts.do[language])
            if len(troubles) > TROUBLES_SHOWN:
                label("trouble-more", say("more_troubles", language, count=len(troubles) - TROUBLES_SHOWN))

    def _redraw(self) -> None:
        entry, language = self.stage.entry, self.stage.language
        shown = OF_METHOD[entry.method]
        for method, one in self.methods.items():
            chosen = method is entry.method
            one.classes(add="chosen" if chosen else "", remove="" if chosen else "chosen")
            one.props(f'aria-pressed="{str(chosen).lower()}"')
        face = self.methods[Method.FACE]
        face.props("disabled") if not self.face_available else face.props(remove="disabled")
        for way in self.ways.values():
            way.set_text(METHODS[entry.method][language])
        for which, (one, name, value) in self.fields.items():
            active, missing = entry.field == which, entry.missing == which
            one.classes(add="active" if active else "", remove="" if active else "active")
            one.classes(add="missing" if missing else "", remove="" if missing else "missing")
            name.set_text(self._field_name(which))
            value.set_text("●" * len(entry.pin) if which == "pin" else entry.value(which))
            one.set_visibility(which in shown)
        self.field_row.classes(add="three" if len(shown) > 2 else "", remove="" if len(shown) > 2 else "three")
        other = "next" if entry.next_field() else "letters" if entry.letters_offered else "clear"
        self.other_key.set_text(say(other, language))
        self.whole.classes(add="lettering" if entry.letters else "", remove="" if entry.letters else "lettering")

    def _field_name(self, which: Field) -> str:
        entry, language = self.stage.entry, self.stage.language
        if entry.missing == which:
            return say(_TYPE_IT[which], language)
        if entry.method is Method.SUPERVISOR:
            optional_pin = which == "pin" and self.face_available
            return say("pin_or_face" if optional_pin else _THREE_NAMES[which], language)
        if which == "badge" and entry.method is Method.FACE:
            return say("badge_optional", language)
        return say(which, language)


_TYPE_IT = {"badge": "type_badge", "supervisor": "type_supervisor", "pin": "type_pin"}
_THREE_NAMES = {"badge": "badge_of_worker", "supervisor": "supervisor", "pin": "pin"}
