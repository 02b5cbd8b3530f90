"""What is typed on the pad: badge number and PIN, as a value that no page and no clock stands behind.

A PIN lives here for twenty seconds at most and is gone as soon as it has been used.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

from evidence.events import Method

Field = Literal["badge", "pin"]
FIELDS: tuple[Field, ...] = ("badge", "pin")

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
class Missing:
    """Something has to be typed first."""

    field: Field


@dataclass(slots=True)
class Entry:
    """The state of one pad. Times are seconds of a monotonic clock, passed in."""

    method: Method = Method.FACE
    field: Field = "badge"
    badge: str = ""
    pin: str = ""
    missing: Field | None = None  # what the worker was told to type
    touched_s: float = 0.0

    def press(self, character: str, now_s: float) -> None:
        """Type one character; what does not fit the field is ignored."""
        self._touch(now_s)
        if self.field == "pin":
            if character in "0123456789" and len(self.pin) < MAX_PIN:
                self.pin += character
        elif _fits_badge(character) and len(self.badge) < MAX_BADGE:
            self.badge += character

    def take(self, badge: str, method: Method, now_s: float) -> None:
        """Put in a badge that was read, in place of whatever was typed; with `method` PIN, the PIN comes next."""
        self.clear()
        self.badge = badge
        self.choose(method, now_s)

    def erase(self, now_s: float) -> None:
        """Take back the last character of the field; of an empty PIN, go back to the badge."""
        self._touch(now_s)
        if self.field == "pin" and not self.pin:
            self.field = "badge"
        elif self.field == "pin":
            self.pin = self.pin[:-1]
        else:
            self.badge = self.badge[:-1]

    def choose(self, method: Method, now_s: float) -> None:
        """Take face or badge and PIN; a number already typed is kept."""
        self._touch(now_s)
        self.method, self.pin = method, ""
        self.field = "pin" if method is Method.BADGE_PIN and self.badge else "badge"

    def focus(self, field: Field, now_s: float) -> None:
        """Type into `field` from now on."""
        self._touch(now_s)
        self.field = field

    def clear(self) -> None:
        """Forget everything typed."""
        self.badge, self.pin, self.field, self.missing = "", "", "badge", None

    def submit(self, now_s: float) -> ByFace | ByPin | Missing:
        """Say what pressing IN or OUT means now; whatever is used is forgotten."""
        self._touch(now_s)
        if self.method is Method.BADGE_PIN and not (self.badge and self.pin):
            self.field = self.missing = "pin" if self.badge else "badge"
            return Missing(self.field)
        used = ByPin(self.badge, self.pin) if self.method is Method.BADGE_PIN else ByFace(self.badge or None)
        self.clear()
        return used

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
