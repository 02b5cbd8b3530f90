"""What is typed on the pad: badge number, supervisor's number and PIN, as a value that no page or clock stands behind.

A PIN lives here for twenty seconds at most and is gone as soon as it has been used.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

from evidence.events import Method

Field = Literal["badge", "supervisor", "pin"]
FIELDS: tuple[Field, ...] = ("badge", "supervisor", "pin")
OF_METHOD: dict[Method, tuple[Field, ...]] = {  # which are shown, in the order of typing
    Method.FACE: ("badge",),
    Method.BADGE_PIN: ("badge", "pin"),
    Method.SUPERVISOR: FIELDS,
}

FORGET_AFTER_S = 20.0  # long enough to look up a number on a badge, too short for the next in the queue to use it
MAX_BADGE = 16  # characters; what fits the field
MAX_PIN = 8  # as kiosk.verify.pin takes them; tests hold the two together
BADGE_PUNCTUATION = "-_."


@dataclass(frozen=True, slots=True)
class ByFace:
    """Start the face path."""

    badge: str | None


@dataclass(frozen=True, slots=True)
class ByPin:
    """Punch with badge number and PIN."""

    badge: str
    pin: str


@dataclass(frozen=True, slots=True)
class BySupervisor:
    """Let a supervisor stand for the worker; without his PIN the camera looks at him."""

    badge: str
    supervisor: str
    pin: str | None


@dataclass(frozen=True, slots=True)
class Missing:
    """Something has to be typed first."""

    field: Field


@dataclass(slots=True)
class Entry:
    """The state of one pad. Times are seconds of a monotonic clock, passed in."""

    method: Method = Method.FACE
    field: Field = "badge"
    badge: str = ""
    supervisor: str = ""
    pin: str = ""
    missing: Field | None = None  # what the worker was told to type
    letters: bool = False  # a keyboard with letters stands in place of everything else
    touched_s: float = 0.0

    def press(self, character: str, now_s: float) -> None:
        """Type one character; what does not fit the field is ignored."""
        self._touch(now_s)
        if self.field == "pin":
            if character in "0123456789" and len(self.pin) < MAX_PIN:
                self.pin += character
        elif _fits_badge(character):
            self._set((self._value + character)[:MAX_BADGE])

    def take(self, badge: str, method: Method, now_s: float) -> None:
        """Put in a badge that was read, in place of whatever was typed; with `method` PIN, the PIN comes next."""
        self.clear()
        self.badge = badge
        self.choose(method, now_s)

    def erase(self, now_s: float) -> None:
        """Take back the last character of the field; of an empty one, go back to the field before."""
        self._touch(now_s)
        shown = OF_METHOD[self.method]
        if not self._value and self.field != shown[0]:
            self.field = shown[shown.index(self.field) - 1]
        else:
            self._set(self._value[:-1])

    def choose(self, method: Method, now_s: float) -> None:
        """Take another way; a number already typed is kept."""
        self._touch(now_s)
        self.method, self.pin, self.supervisor, self.letters = method, "", "", False
        shown = OF_METHOD[method]
        self.field = shown[1] if self.badge and len(shown) > 1 else "badge"

    def show_letters(self, now_s: float) -> None:
        """Show the keyboard with letters. A PIN has none."""
        self._touch(now_s)
        self.letters = self.field != "pin"

    def hide_letters(self, now_s: float) -> None:
        """Show the pad again."""
        self._touch(now_s)
        self.letters = False

    @property
    def letters_offered(self) -> bool:
        """True where a number begins, which may have letters."""
        return self.field != "pin" and not self._value

    def next_field(self) -> Field | None:
        """Where to type next, once this field is filled; None at the last one."""
        shown = OF_METHOD[self.method]
        place = shown.index(self.field) + 1
        return shown[place] if self._value and place < len(shown) else None

    def focus(self, field: Field, now_s: float) -> None:
        """Type into `field` from now on."""
        self._touch(now_s)
        self.field, self.letters = field, False

    def clear(self) -> None:
        """Forget everything typed."""
        self.badge = self.supervisor = self.pin = ""
        self.field, self.missing, self.letters = "badge", None, False

    def clear_field(self) -> None:
        """Forget what is in the field."""
        self._set("")

    def submit(self, now_s: float, *, face: bool = True) -> ByFace | ByPin | BySupervisor | Missing:
        """Say what pressing IN or OUT means now; whatever is used is forgotten.

        `face` False: there is no camera, so that a supervisor, too, needs a PIN.
        """
        self._touch(now_s)
        missing = next((field for field in OF_METHOD[self.method] if self._needs(field, face=face)), None)
        if missing is not None:
            self.field, self.letters = missing, False
            self.missing = missing
            return Missing(missing)
        used: ByFace | ByPin | BySupervisor
        if self.method is Method.SUPERVISOR:
            used = BySupervisor(self.badge, self.supervisor, self.pin or None)
        elif self.method is Method.BADGE_PIN:
            used = ByPin(self.badge, self.pin)
        else:
            used = ByFace(self.badge or None)
        self.clear()
        return used

    def _needs(self, field: Field, *, face: bool) -> bool:
        optional = self.method is Method.FACE or (self.method is Method.SUPERVISOR and field == "pin" and face)
        return not optional and not self.value(field)

    def value(self, field: Field) -> str:
        """What is typed in a field."""
        return {"badge": self.badge, "supervisor": self.supervisor, "pin": self.pin}[field]

    @property
    def _value(self) -> str:
        return self.value(self.field)

    def _set(self, value: str) -> None:
        if self.field == "pin":
            self.pin = value
        elif self.field == "supervisor":
            self.supervisor = value
        else:
            self.badge = value

    def expire(self, now_s: float, default: Method) -> bool:
        """Forget what nobody has touched for twenty seconds and return to `default`; True if something changed."""
        untouched = self == Entry(method=default, touched_s=self.touched_s)
        if untouched or now_s - self.touched_s < FORGET_AFTER_S:
            return False
        self.clear()
        self.method = default
        return True

    def _touch(self, now_s: float) -> None:
        self.touched_s, self.missing = now_s, None


def _fits_badge(character: str) -> bool:
    return len(character) == 1 and character.isascii() and (character.isalnum() or character in BADGE_PUNCTUATION)
