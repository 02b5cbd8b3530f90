"""What a badge reader puts into its device file: struct input_event, key down, key up and a report after each."""

from __future__ import annotations

from kiosk.sensors.badges import INPUT_EVENT

EV_SYN, EV_KEY, EV_MSC = 0, 1, 4
UP, DOWN, REPEAT = 0, 1, 2
ENTER, LEFT_SHIFT, RIGHT_SHIFT, CAPS_LOCK, LEFT_CTRL, LEFT_ALT, F1, KP_ENTER = 28, 42, 54, 58, 29, 56, 59, 96
# From linux/input-event-codes.h, written down key by key: the decoder's own table is made of rows.
KEYS = {
    "1": 2,
    "2": 3,
    "3": 4,
    "4": 5,
    "5": 6,
    "6": 7,
    "7": 8,
    "8": 9,
    "9": 10,
    "0": 11,
    "-": 12,
    "q": 16,
    "w": 17,
    "e": 18,
    "r": 19,
    "t": 20,
    "y": 21,
    "u": 22,
    "i": 23,
    "o": 24,
    "p": 25,
    "a": 30,
    "s": 31,
    "d": 32,
    "f": 33,
    "g": 34,
    "h": 35,
    "j": 36,
    "k": 37,
    "l": 38,
    "z": 44,
    "x": 45,
    "c": 46,
    "v": 47,
    "b": 48,
    "n": 49,
    "m": 50,
    ".": 52,
}
KEYPAD = {"7": 71, "8": 72, "9": 73, "4": 75, "5": 76, "6": 77, "1": 79, "2": 80, "3": 81, "0": 82, ".": 83, "-": 74}
KEY_US = 4_000  # a usual reader


class Keyboard:
    """A reader with a clock of its own."""

    def __init__(self, at_us: int = 1_000_000_000) -> None:
        self.at_us = at_us

    def event(self, kind: int, code: int, value: int) -> bytes:
        return INPUT_EVENT.pack(self.at_us // 1_000_000, self.at_us % 1_000_000, kind, code, value)

    def key(self, code: int, value: int) -> bytes:
        """One change of a key as the kernel reports it: scan code, key, end of report."""
        self.at_us += KEY_US
        return self.event(EV_MSC, 4, 0x70000 + code) + self.event(EV_KEY, code, value) + self.event(EV_SYN, 0, 0)

    def press(self, code: int) -> bytes:
        return self.key(code, DOWN) + self.key(code, UP)

    def type(self, text: str, *, keypad: bool = False, end: int | None = ENTER) -> bytes:
        """Type `text` and end it."""
        done = b""
        for one in text:
            if keypad and one in KEYPAD:
                done += self.press(KEYPAD[one])
            elif one == "_" or one.isupper():
                code = KEYS["-" if one == "_" else one.lower()]
                done += self.key(LEFT_SHIFT, DOWN) + self.press(code) + self.key(LEFT_SHIFT, UP)
            else:
                done += self.press(KEYS[one])
        return done + (b"" if end is None else self.press(end))
