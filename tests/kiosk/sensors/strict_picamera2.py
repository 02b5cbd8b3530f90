"""A strict stand-in for Picamera2 on a Pi 5: it does what the source of the real class does, down to its silences.

Each call is bound to the signature that `tools/picamera2_signatures.py` has read from the real wheel. Rows are padded
as on a Pi 5 and buffers reused once released, `RGB888` lies as blue, green, red, frames wait in a queue and grow
stale, and a request is released once.
"""

from __future__ import annotations

import inspect
import json
import threading
import time
from collections import deque
from collections.abc import Iterator
from concurrent.futures import TimeoutError as FutureTimeout
from contextlib import contextmanager
from dataclasses import dataclass, field
from functools import wraps
from pathlib import Path
from typing import Any, ClassVar

import numpy as np
from numpy.typing import NDArray

RECORD = json.loads((Path(__file__).parent / "picamera2_signatures.json").read_text())
ALIGN = 64  # bytes a row on a Pi 5
ADVERTISED = frozenset(
    {
        "AeEnable",
        "AwbEnable",
        "ExposureTime",
        "AnalogueGain",
        "ColourGains",
        "FrameDurationLimits",
        "NoiseReductionMode",
    }
)


def signature(of: str, method: str) -> inspect.Signature:
    """The real method's signature."""
    return inspect.Signature(
        [
            inspect.Parameter(
                name,
                inspect.Parameter.POSITIONAL_OR_KEYWORD,
                default=inspect.Parameter.empty if kind == "required" else None,
            )
            for name, kind in RECORD[of][method]
        ]
    )


def as_recorded(of: str) -> Any:
    """Refuse calls that the real method would refuse."""

    def decorate(method: Any) -> Any:
        real = signature(of, method.__name__)

        @wraps(method)
        def checked(*args: Any, **kwargs: Any) -> Any:
            real.bind(*args, **kwargs)
            return method(*args, **kwargs)

        return checked

    return decorate


@dataclass
class Sensor:
    """What stands before the lens, and what the driver does. Time is the test's: a frame is taken when it is told."""

    colour: tuple[int, int, int] = (200, 30, 60)  # blue, green, red
    exists: bool = True
    gives: tuple[int, int] | None = None  # a size that libcamera puts in the place of the wanted one
    held: dict[str, Any] = field(default_factory=dict)  # controls in force
    opened: int = 0
    closed: int = 0
    waiting: deque[CompletedRequest] = field(default_factory=deque)  # finished and not yet asked for
    out: int = 0  # requests that somebody holds
    came: threading.Condition = field(default_factory=threading.Condition)
    exposure_us: int = 10_000
    noisy: bool = False  # no two pictures in a row are the same to the last bit, as those of a sensor
    taken: int = 0
    metadata: dict[str, Any] = field(default_factory=lambda: {"AnalogueGain": 2.5, "ColourGains": (1.5, 1.9)})


class CompletedRequest:
    """One finished request: two pictures of the same instant."""

    def __init__(self, request: Any, picam2: Picamera2) -> None:
        self.picam2 = picam2
        self.ref_count = 1
        self._stamp_ns = int(request)
        self._colour = picam2.sensor.colour
        self._buffers = {name: _buffer(config, self._colour) for name, config in picam2.streams.items()}
        if picam2.sensor.noisy:
            for buffer in self._buffers.values():
                buffer.reshape(-1)[0] = picam2.sensor.taken % 251
        picam2.sensor.taken += 1

    @as_recorded("CompletedRequest")
    def get_metadata(self) -> dict[str, Any]:
        self._alive()
        sensor = self.picam2.sensor
        return {"SensorTimestamp": self._stamp_ns, "ExposureTime": sensor.exposure_us, **sensor.metadata}

    @as_recorded("CompletedRequest")
    def make_array(self, name: str) -> NDArray[np.uint8]:
        self._alive()
        if name not in self._buffers:
            raise RuntimeError(f"Stream {name!r} is not defined")
        buffer, config = self._buffers[name], self.picam2.streams[name]
        (width, height), stride = config["size"], config["stride"]
        if config["format"] == "RGB888":  # the real class cuts the padding of RGB, not of YUV420
            return np.copy(buffer.reshape(height, stride)[:, : width * 3].reshape(height, width, 3))
        return np.copy(buffer.reshape(height * 3 // 2, stride))

    @as_recorded("CompletedRequest")
    def release(self) -> None:
        self.ref_count -= 1
        if self.ref_count < 0:
            raise RuntimeError("CompletedRequest: lock now has negative ref_count")
        self.picam2.sensor.out -= 1
        for buffer in self._buffers.values():
            buffer[:] = 0xAA  # the next frame is written here: who has kept no copy sees it

    def _alive(self) -> None:
        assert self.ref_count > 0, "the request has been given back to the camera"


class Picamera2:
    """The class as `picamera2` exports it."""

    sensor: ClassVar[Sensor]

    @as_recorded("Picamera2")
    def __init__(
        self, camera_num: int = 0, verbose_console: Any = None, tuning: Any = None, allocator: Any = None
    ) -> None:
        if camera_num > 0 or not self.sensor.exists:
            raise RuntimeError(f"No camera number {camera_num} found")
        if self.sensor.opened > self.sensor.closed:
            raise RuntimeError("Camera __init__ sequence did not complete.")  # one opener at a time
        self.sensor.opened += 1
        self.streams: dict[str, dict[str, Any]] = {}
        self._open, self._started = True, False

    @as_recorded("Picamera2")
    def create_video_configuration(
        self,
        main: Any = None,
        lores: Any = None,
        raw: Any = None,
        transform: Any = None,
        colour_space: Any = None,
        buffer_count: int = 6,
        controls: Any = None,
        display: Any = "main",
        encode: Any = "main",
        queue: bool = True,
        sensor: Any = None,
        use_case: str = "video",
    ) -> dict[str, Any]:
        assert buffer_count >= 2, "one buffer stops at every frame"
        self._advertised(controls or {})
        return {"main": dict(main), "lores": None if lores is None else dict(lores), "controls": dict(controls or {})}

    @as_recorded("Picamera2")
    def configure(self, camera_config: Any = None) -> None:
        assert not self._started
        main, lores = camera_config["main"], camera_config["lores"]
        for name, config in (("main", main), ("lores", lores)):
            if config is None:
                continue
            width, height = config["size"] if self.sensor.gives is None else self.sensor.gives
            if type(config["size"]) is not tuple or width % 2 or height % 2:
                raise RuntimeError("width and height should be even")
            row = width * 3 if config["format"] == "RGB888" else width
            align = ALIGN if config["format"] == "RGB888" else 2 * ALIGN
            self.streams[name] = {**config, "size": (width, height), "stride": -(-row // align) * align}
        if lores is not None:
            if lores["size"] > main["size"]:
                raise RuntimeError("lores stream dimensions may not exceed main stream")
            if lores["format"] != "YUV420":
                raise RuntimeError("lores stream must be YUV")  # as on a Pi 4

    @as_recorded("Picamera2")
    def stream_configuration(self, name: str = "main") -> dict[str, Any]:
        return self.streams[name]

    @as_recorded("Picamera2")
    def start(self, config: Any = None, show_preview: Any = False) -> None:
        if not self.streams:
            raise RuntimeError("Camera has not been configured")
        self._started = True

    @as_recorded("Picamera2")
    def set_controls(self, controls: Any) -> None:
        self._advertised(controls)
        self.sensor.held.update(controls)

    @contextmanager
    def _captured(self, wait: float | None, flush: Any) -> Iterator[CompletedRequest]:
        assert self._started and self._open
        request = self._next(wait, time.monotonic_ns() if flush is True else flush)
        try:
            yield request
        finally:
            request.release()

    @as_recorded("Picamera2")
    def captured_request(self, wait: Any = None, flush: Any = None) -> Any:
        return self._captured(wait, flush)

    @as_recorded("Picamera2")
    def close(self) -> None:
        if self._open:
            self._open = self._started = False
            self.sensor.closed += 1

    def take(self, stamp_ns: int | None = None) -> None:
        """The sensor has finished a frame, now or at `stamp_ns`: it waits in the queue until somebody asks."""
        with self.sensor.came:
            request = CompletedRequest(time.monotonic_ns() if stamp_ns is None else stamp_ns, self)
            self.sensor.out += 1
            self.sensor.waiting.append(request)
            self.sensor.came.notify_all()

    def _next(self, wait: float | None, flush_ns: int | None) -> CompletedRequest:
        sensor = self.sensor
        deadline = None if wait is None else time.monotonic() + wait
        with sensor.came:
            while True:
                while sensor.waiting:
                    request = sensor.waiting.popleft()
                    begun_ns = request.get_metadata()["SensorTimestamp"] - 1000 * sensor.exposure_us
                    if not flush_ns or begun_ns >= flush_ns:
                        return request
                    request.release()
                left_s = None if deadline is None else deadline - time.monotonic()
                if left_s is not None and left_s <= 0:
                    raise FutureTimeout
                sensor.came.wait(left_s)

    @staticmethod
    def _advertised(controls: dict[str, Any]) -> None:
        for name in controls:
            if name not in ADVERTISED:
                raise RuntimeError(f"Control {name} is not advertised by libcamera")


def _buffer(config: dict[str, Any], colour: tuple[int, int, int]) -> NDArray[np.uint8]:
    """Memory of one stream: the picture in one colour, and what is left over at the end of each row is not it."""
    (width, height), stride = config["size"], config["stride"]
    if config["format"] == "RGB888":
        rows = np.full((height, stride), 0x55, np.uint8)
        rows[:, : width * 3] = np.tile(np.array(colour, np.uint8), width)  # blue, green, red
        return rows.reshape(-1)
    blue, green, red = (float(part) for part in colour)
    luma = 0.299 * red + 0.587 * green + 0.114 * blue
    y = 16 + luma * 219 / 255
    u = 128 + (blue - luma) * 0.564 * 224 / 255
    v = 128 + (red - luma) * 0.713 * 224 / 255
    whole = np.full((height * 3 // 2, stride), 0x55, np.uint8)
    whole[:height, :width] = round(y)
    halves = whole[height:].reshape(height, stride // 2)  # the planes of U and V, half as wide and half as high
    halves[: height // 2, : width // 2] = round(u)
    halves[height // 2 :, : width // 2] = round(v)
    return whole.reshape(-1)
