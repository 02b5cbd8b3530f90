"""A badge reader's device file that comes and goes: a pseudo-terminal behind a name, as udev gives it."""

from __future__ import annotations

import fcntl
import os
import termios
import tty
from pathlib import Path

from tests.kiosk.sensors.key_events import Keyboard


class Plug:
    """A reader that can be plugged in and pulled out."""

    def __init__(self, path: Path) -> None:
        self.path, self.keyboard = path, Keyboard()
        self._ends: tuple[int, int] | None = None

    def insert(self) -> None:
        self._ends = os.openpty()
        tty.setraw(self._ends[1])
        self.path.symlink_to(os.ttyname(self._ends[1]))

    def pull(self) -> None:
        if self._ends is not None:
            self.path.unlink()
            for end in self._ends:
                os.close(end)
            self._ends = None

    def write(self, data: bytes) -> None:
        assert self._ends is not None
        os.write(self._ends[0], data)

    @property
    def read_out(self) -> bool:
        """True once everything that was written has been read."""
        assert self._ends is not None
        return fcntl.ioctl(self._ends[1], termios.FIONREAD, bytes(4)) == bytes(4)

    def type(self, code: str) -> None:
        self.write(self.keyboard.type(code))
