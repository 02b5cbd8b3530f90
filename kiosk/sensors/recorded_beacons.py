"""Advertisements from a recording, through the same decoder as those from the air.

The format is JSON Lines, one advertisement a line:
`{"at_ms": 1200, "address": "c0:ff:ee:00:00:01", "rssi": -55, "manufacturer": {"76": "0215…"}, "services": {}}`
with `at_ms` since the start of the recording, company ids in decimal and data in hexadecimal, without the company id.
"""

from __future__ import annotations

import threading
import time
from collections.abc import Callable, Iterable
from pathlib import Path
from typing import Annotated

from pydantic import BaseModel, ConfigDict, Field, ValidationError

from evidence.status import Part
from kiosk.sensors.advertisement import Advertisement
from kiosk.sensors.errors import RecordingUnreadable

Hex = Annotated[str, Field(pattern=r"^([0-9a-fA-F]{2})*$", max_length=2 * 255)]  # 255: an extended advertisement's AD


class RecordedLine(BaseModel):
    """One line of a recording."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    at_ms: Annotated[int, Field(ge=0)]
    address: Annotated[str, Field(max_length=64)]
    rssi: int
    manufacturer: dict[Annotated[int, Field(ge=0, le=0xFFFF)], Hex] = {}
    services: dict[str, Hex] = {}


def recording_line(advertisement: Advertisement, start_us: int) -> str:
    """Write one line of a recording that began at `start_us`, without its line end."""
    return RecordedLine(
        at_ms=(advertisement.mono_us - start_us) // 1000,
        address=advertisement.address,
        rssi=advertisement.rssi,
        manufacturer={company: data.hex() for company, data in advertisement.manufacturer.items()},
        services={service: data.hex() for service, data in advertisement.services.items()},
    ).model_dump_json()


class RecordedBeacons:
    """Plays a file or lines; raises RecordingUnreadable at once, naming the line, before anything is played.

    With `realtime`, advertisements come at their time; without it all at once, carrying the times of the recording.
    `loop` starts again a second after the last one.
    """

    def __init__(self, path_or_lines: Path | str | Iterable[str], realtime: bool = True, loop: bool = False) -> None:
        self._name = str(path_or_lines) if isinstance(path_or_lines, Path | str) else "recording"
        if isinstance(path_or_lines, Path | str):
            try:
                text = Path(path_or_lines).read_text(encoding="utf-8")
            except (OSError, UnicodeDecodeError) as error:
                raise RecordingUnreadable(f"{self._name} cannot be read: {error}.") from error
            path_or_lines = text.splitlines()
        self._lines = [self._read(number, line) for number, line in enumerate(path_or_lines, 1) if line.strip()]
        if loop and not self._lines:
            raise RecordingUnreadable(f"{self._name} is empty and cannot be played in a loop.")
        self._realtime = realtime
        self._loop = loop
        self._stop = threading.Event()
        self._thread: threading.Thread | None = None
        self._over = False
        self._error: Exception | None = None  # of whoever took the latest advertisement

    def start(self, callback: Callable[[Advertisement], None]) -> None:
        """Begin to play."""
        if self._thread is not None:
            raise RuntimeError("This recording plays already: make a new RecordedBeacons to play it again.")
        self._thread = threading.Thread(target=self._play, args=(callback,), name="beacons", daemon=True)
        self._thread.start()

    def stop(self) -> None:
        """Stop playing."""
        self._stop.set()
        if self._thread is not None:
            self._thread.join()

    @property
    def state(self) -> Part:
        """`working` while it plays, `failed` when it is over or what it plays cannot be taken."""
        if self._thread is None or self._stop.is_set():
            return Part(state="unknown", reason="no_scanner: The recording is not being played.")
        if self._over:
            return Part(state="failed", reason="no_scanner: The recording is over.")
        if self._error is not None:
            what = f"{type(self._error).__name__}: {self._error}"
            return Part(state="failed", reason=f"no_scanner: An advertisement cannot be taken ({what})."[:400])
        return Part(state="working")

    def _play(self, callback: Callable[[Advertisement], None]) -> None:
        start_us = time.monotonic_ns() // 1000
        while True:
            for line in self._lines:
                at_us = start_us + line.at_ms * 1000
                wait_s = (at_us - time.monotonic_ns() // 1000) / 1e6 if self._realtime else 0.0
                if self._stop.wait(max(0.0, wait_s)):
                    return
                try:
                    callback(_advertisement(line, at_us))
                    self._error = None
                except Exception as error:  # a thread that dies unseen would leave `working` behind
                    self._error = error
            if not self._loop:
                self._over = True
                return
            start_us += (self._lines[-1].at_ms + 1000) * 1000

    def _read(self, number: int, line: str) -> RecordedLine:
        try:
            return RecordedLine.model_validate_json(line)
        except ValidationError as error:
            first = error.errors()[0]
            where = ".".join(str(part) for part in first["loc"]) or "line"
            raise RecordingUnreadable(f"{self._name}, line {number}: {where}: {first['msg']}.") from error


def _advertisement(line: RecordedLine, mono_us: int) -> Advertisement:
    return Advertisement(
        address=line.address,
        rssi=line.rssi,
        mono_us=mono_us,
        manufacturer={company: bytes.fromhex(data) for company, data in line.manufacturer.items()},
        services={service: bytes.fromhex(data) for service, data in line.services.items()},
    )
