"""A badge reader under /dev/input: one thread reads its events, holds it for this program and survives a pulled plug.

The device is grabbed, so that what it types reaches neither the browser nor a console. Linux's own interface
(linux/input.h), without a library (docs/adr/0019).
"""

from __future__ import annotations

import fcntl
import os
import select
import struct
import threading
from collections.abc import Callable

import structlog

from evidence.status import Part
from kiosk.sensors.badges import INPUT_EVENT, BadgeDecoder
from kiosk.sensors.errors import BadgeReaderFailed

EVIOCGRAB = 0x40044590  # _IOW('E', 0x90, int)
EVIOCSCLOCKID = 0x400445A0  # _IOW('E', 0xa0, int)
CLOCK_MONOTONIC = 1  # so that a clock that is set does not tear a code
REOPEN_AFTER_S = 1.0  # a reader that is plugged in again works before its owner has found his badge
READ_EVENTS = 64  # a code of twenty digits is 80 events

log = structlog.get_logger(__name__)


def grab(handle: int) -> None:
    """Take an input device for this process alone. Raises OSError: EBUSY where another program has it."""
    fcntl.ioctl(handle, EVIOCGRAB, 1)
    fcntl.ioctl(handle, EVIOCSCLOCKID, struct.pack("i", CLOCK_MONOTONIC))


class EvdevBadges:
    """Reads the device at `path`, best a name under /dev/input/by-id, which stays when others are plugged in.

    `on_code` is called with each code in the reader's thread. `take` is how a device is grabbed.
    """

    def __init__(
        self,
        path: str,
        on_code: Callable[[str], None],
        *,
        take: Callable[[int], None] = grab,
        reopen_after_s: float = REOPEN_AFTER_S,
    ) -> None:
        self.path = path
        self._on_code, self._take, self._reopen_after_s = on_code, take, reopen_after_s
        self._trouble: str | None = "the reader has not been opened yet"
        self._stop = threading.Event()
        self._wake: tuple[int, int] | None = None  # a pipe that ends a wait for keys at once
        self._thread = threading.Thread(target=self._run, name="badges", daemon=True)

    def start(self) -> None:
        """Open the reader and begin; returns at once."""
        self._wake = os.pipe()
        self._thread.start()

    def stop(self) -> None:
        """Let the reader go."""
        self._stop.set()
        if self._wake is None:
            return
        os.write(self._wake[1], b"x")
        self._thread.join(5)
        for handle in self._wake:
            os.close(handle)
        self._wake = None

    @property
    def state(self) -> Part:
        """`working` while the device is held. A reader that is there and dead cannot be told from a quiet one."""
        trouble = self._trouble
        if trouble is None:
            return Part(state="working")
        return Part(state="failed", reason=f"no_badge_reader: {trouble}"[:400])

    def _run(self) -> None:
        while not self._stop.is_set():
            try:
                self._read_until_gone()
            except (OSError, BadgeReaderFailed) as error:
                if self._trouble is None:
                    log.warning("badge_reader_gone", why=str(error))
                self._trouble = f"{self.path} cannot be read ({error}); check the plug and the group input"
            except Exception as error:  # of whoever is called back: the reader goes on
                log.exception("badge_reader_failed")
                self._trouble = f"{type(error).__name__}: {error}"
            self._stop.wait(self._reopen_after_s)

    def _read_until_gone(self) -> None:
        assert self._wake is not None
        wake, _ = self._wake
        decoder = BadgeDecoder()  # what a pulled plug cut in two is gone with it
        handle = os.open(self.path, os.O_RDONLY | os.O_NONBLOCK | os.O_CLOEXEC)
        try:
            self._take(handle)
            self._trouble = None
            while not self._stop.is_set():
                ready, _, _ = select.select([handle, wake], [], [])
                if handle not in ready:
                    continue
                data = os.read(handle, READ_EVENTS * INPUT_EVENT.size)
                if not data:
                    raise BadgeReaderFailed("it has ended")
                for code in decoder.feed(data):
                    self._on_code(code)
        finally:
            os.close(handle)
