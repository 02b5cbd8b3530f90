"""A GPS receiver made of a pseudo-terminal, for demos and tests: real serial code reads what it sends.

`standing_still` writes the sentences of a receiver that stands under an open sky; `PtyGps` plays any sentences into a
pseudo-terminal whose path a serial reader opens like a device.
"""

from __future__ import annotations

import os
import random
import select
import threading
import tty
from collections.abc import Iterable, Iterator
from datetime import UTC, datetime, timedelta
from functools import reduce
from operator import xor

METRES_PER_DEGREE = 111_195.0
WANDER_M = 1.5  # standard deviation of a consumer receiver that stands still
WEAKEST_DB_HZ, STRONGEST_DB_HZ = 24, 46
SETTLE_S = 0.1  # a reader that has just opened the port still empties its buffer
POLL_S = 0.02  # how soon a reader that opens or empties the port is seen


def sentence(body: str) -> bytes:
    """Return `body` (`GPGGA,…`) as a line with its dollar, checksum and line end."""
    return f"${body}*{reduce(xor, body.encode('ascii'), 0):02X}\r\n".encode("ascii")


def standing_still(
    latitude: float,
    longitude: float,
    start: datetime | None = None,
    satellites: int = 9,
    *,
    seconds_before: int = 0,
    seed: int = 1,
    spread_db: float = 5.0,
    quality: int = 1,
    mode: str = "A",
    altitude_m: float = 47.2,
    knots: float = 0.03,
) -> Iterator[bytes]:
    """Yield one second after the other as one bytes of RMC, GGA, GSA and GSV lines, without end.

    Degrees in, WGS 84. `start` None: each second carries the real UTC of the moment at which it is asked for, after
    `seconds_before` seconds that have already passed (play those with `PtyGps(at_once=…)`: a receiver that was there).
    `spread_db` is the standard deviation of the satellites' strengths; 0 makes a simulator of it, as do `quality` 8 and
    `mode` S.
    """
    dice = random.Random(seed)  # noqa: S311
    sky = [(number + 2, dice.randrange(15, 85), dice.randrange(360)) for number in range(satellites)]
    mean_db = (WEAKEST_DB_HZ + STRONGEST_DB_HZ) / 2
    strengths = _spread(satellites, mean_db, spread_db)
    second = -seconds_before
    while True:
        moment = datetime.now(UTC) if start is None else start.astimezone(UTC)
        moment += timedelta(seconds=second if start is not None else min(0, second))
        north_m, east_m = dice.gauss(0, WANDER_M), dice.gauss(0, WANDER_M)
        here = latitude + north_m / METRES_PER_DEGREE, longitude + east_m / METRES_PER_DEGREE
        seen = strengths if spread_db == 0 else [round(one + dice.gauss(0, 0.7)) for one in strengths]
        yield b"".join(_second(moment, *here, sky, seen, quality, mode, altitude_m, knots))
        second += 1


def without_antenna(start: datetime, satellites: int = 9) -> Iterator[bytes]:
    """Yield the seconds of a receiver whose antenna was torn off: it still lists its sky and hears none of it."""
    second = 0
    while True:
        moment = start.astimezone(UTC) + timedelta(seconds=second)
        clock, day = f"{moment:%H%M%S}.00", f"{moment:%d%m%y}"
        views = ",".join(f"{number + 2:02d},40,100," for number in range(min(4, satellites)))
        yield (
            sentence(f"GPRMC,{clock},V,,,,,,,{day},,,N")
            + sentence(f"GPGGA,{clock},,,,,0,00,99.99,,,,,,")
            + sentence("GPGSA,A,1,,,,,,,,,,,,,99.99,99.99,99.99")
            + sentence(f"GPGSV,1,1,04,{views}")
        )
        second += 1


def _spread(count: int, mean_db: float, spread_db: float) -> list[int]:
    """Strengths with the wanted standard deviation, evenly spaced about the mean."""
    middle = (count - 1) / 2
    step = spread_db / (((count * count - 1) / 12) ** 0.5) if count > 1 else 0.0
    return [round(mean_db + (number - middle) * step) for number in range(count)]


def _second(
    moment: datetime,
    latitude: float,
    longitude: float,
    sky: list[tuple[int, int, int]],
    strengths: list[int],
    quality: int,
    mode: str,
    altitude_m: float,
    knots: float,
) -> Iterator[bytes]:
    clock, day = f"{moment:%H%M%S}.{moment.microsecond // 10_000:02d}", f"{moment:%d%m%y}"
    place = f"{_degrees(latitude, 2)},{'N' if latitude >= 0 else 'S'},"
    place += f"{_degrees(longitude, 3)},{'E' if longitude >= 0 else 'W'}"
    yield sentence(f"GPRMC,{clock},A,{place},{knots:.2f},,{day},,,{mode}")
    yield sentence(f"GPGGA,{clock},{place},{quality},{len(sky):02d},0.9,{altitude_m:.1f},M,8.1,M,,")
    used = ",".join([f"{number:02d}" for number, _, _ in sky[:12]] + [""] * (12 - len(sky[:12])))
    yield sentence(f"GPGSA,A,3,{used},1.7,0.9,1.4")
    groups = [list(zip(sky, strengths, strict=True))[at : at + 4] for at in range(0, len(sky), 4)]
    for number, group in enumerate(groups, 1):
        views = ",".join(f"{prn:02d},{up:02d},{azimuth:03d},{db:02d}" for (prn, up, azimuth), db in group)
        yield sentence(f"GPGSV,{len(groups)},{number},{len(sky):02d},{views}")


def _degrees(value: float, digits: int) -> str:
    minutes_e5 = round(abs(value) * 60 * 100_000)
    whole, rest = divmod(minutes_e5, 60 * 100_000)
    return f"{whole:0{digits}d}{rest / 100_000:08.5f}"


class PtyGps:
    """Plays `lines` into a pseudo-terminal, `rate_hz` items a second; give `port` to whoever reads a serial port.

    One item is one write, so a bytes of several sentences is one second of a receiver; the first `at_once` items come
    without pauses. It plays while somebody has the port open. `unplug` closes the pseudo-terminal as pulling the plug
    would; `start` after it opens a new one with a new `port`.
    """

    def __init__(self, lines: Iterable[bytes], rate_hz: float = 1.0, at_once: int = 0) -> None:
        self._lines = iter(lines)
        self._pause_s = 1.0 / rate_hz
        self._at_once = at_once
        self._stop = threading.Event()
        self._thread: threading.Thread | None = None
        self._master: int | None = None
        self.port = ""
        self._open()

    def start(self) -> PtyGps:
        """Begin to play, on a new pseudo-terminal where the last one was unplugged."""
        if self._master is None:
            self._open()
        self._stop.clear()
        self._thread = threading.Thread(target=self._play, name="pty-gps", daemon=True)
        self._thread.start()
        return self

    def stop(self) -> None:
        """Stop playing and close the pseudo-terminal."""
        self.unplug()

    def unplug(self) -> None:
        """Pull the plug: the reader gets an error from its next read."""
        self._stop.set()
        if self._thread is not None:
            self._thread.join()
            self._thread = None
        if self._master is not None:
            os.close(self._master)
        self._master = None

    def send(self, data: bytes) -> None:
        """Write `data` besides what plays (noise, a cut line); waits while the reader's buffer is full."""
        if self._master is None:
            raise OSError("The pseudo-terminal is unplugged: start it again first.")
        while data:
            try:
                data = data[os.write(self._master, data) :]
            except BlockingIOError:
                if self._stop.wait(POLL_S):
                    return

    def _open(self) -> None:
        self._master, slave = os.openpty()
        tty.setraw(slave)  # no echo, no translation of line ends
        os.set_blocking(self._master, False)
        self.port = os.ttyname(slave)
        os.close(slave)  # from now on the master says "hung up" until a reader opens the port

    def _play(self) -> None:
        played = 0
        while self._wait_for_a_reader():
            item = next(self._lines, None)
            if item is None:
                return
            self.send(item)
            played += 1
            if self._stop.wait(0 if played < self._at_once else self._pause_s):
                return

    def _wait_for_a_reader(self) -> bool:
        """Return True once somebody has the port open, False when the plug is pulled before."""
        if self._master is None:
            return False
        poll = select.poll()
        poll.register(self._master, 0)
        waited = False
        while any(event & select.POLLHUP for _, event in poll.poll(0)):
            waited = True
            if self._stop.wait(POLL_S):
                return False
        return not self._stop.wait(SETTLE_S if waited else 0)
