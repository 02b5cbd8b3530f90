"""A camera that looks at the gate: nobody there, or whoever has been put there. The demo's and the tests' camera.

It satisfies `kiosk.sensors.camera.Camera`, so that the terminal runs the very code it runs on site.
"""

from __future__ import annotations

import threading
import time
from functools import lru_cache
from typing import Protocol

import cv2
import numpy as np

from evidence.events import Ask
from kiosk.sensors.camera import CameraFailed, CameraStalled, Frame
from zaigang.synthetic.pose import Image
from zaigang.synthetic.scene import HEIGHT, WIDTH, empty_scene

FPS = 25
GRAIN = 1.6  # standard deviation of the sensor's noise, of 255
GAMMA = 2.2  # of screen and camera
NEAR_GLOW = 0.3  # what a white screen at arm's length adds to a face in a room, as a share, linear
WALL_GLOW = 0.04  # and to a wall two metres behind
WALL_DIFFERS = 6  # grey levels from the empty scene: somebody stands there
GRAINS = 5  # pictures of noise, taken in turn


class Subject(Protocol):
    """Who can stand at the gate; `performance.Actor` is one."""

    name: str

    def hear(self, ask: Ask | None, mono_us: int) -> None:
        """Take note of what the screen asks now."""

    def picture(self, mono_us: int, light: float = 1.0) -> Image:
        """Return what the camera sees, 640x480 BGR."""


class Clock(Protocol):
    """Monotonic microseconds and how to wait for them."""

    def now_us(self) -> int:
        """Return the time."""

    def wait_until(self, mono_us: int) -> None:
        """Return when that time has come."""


class RealClock:
    """The machine's monotonic clock."""

    def now_us(self) -> int:
        """Return the time."""
        return time.monotonic_ns() // 1000

    def wait_until(self, mono_us: int) -> None:
        """Sleep until then."""
        time.sleep(max(0, mono_us - self.now_us()) / 1e6)


class VirtualClock:
    """A clock for tests: waiting moves it on at once."""

    def __init__(self, start_us: int = 1_000_000) -> None:
        self._now_us = start_us

    def now_us(self) -> int:
        """Return the time."""
        return self._now_us

    def wait_until(self, mono_us: int) -> None:
        """Make it that time, unless it is later already."""
        self._now_us = max(self._now_us, mono_us)


class StageCamera:
    """25 pictures a second of the gate, or `fps`. Whoever stands there hears what `show` says the screen asks.

    `grain`: standard deviation of the sensor's noise, of 255.
    """

    def __init__(
        self, clock: Clock | None = None, name: str = "synthetic stage", fps: float = FPS, grain: float = GRAIN
    ) -> None:
        self._name = name
        self._frame_us = round(1_000_000 / fps)
        self._clock: Clock = clock or RealClock()
        self._lock = threading.Lock()
        self._subject: Subject | None = None
        self._ask: Ask | None = None
        self._light = 1.0
        self._colour: tuple[int, int, int] | None = None
        self._index = 0
        self._next_us = self._clock.now_us()
        self._closed = False
        self._grain = _grain(grain)

    @property
    def name(self) -> str:
        """What to call it in a message."""
        return self._name

    def stand(self, subject: Subject) -> None:
        """Put somebody at the gate, in the place of whoever stood there."""
        with self._lock:
            self._subject = subject
            subject.hear(self._ask, self._clock.now_us())

    def show(self, ask: Ask | None) -> None:
        """Say what the screen asks now; None: nothing."""
        with self._lock:
            self._ask = ask
            if self._subject is not None:
                self._subject.hear(ask, self._clock.now_us())

    def paint(self, colour: tuple[int, int, int] | None) -> None:
        """Light the gate with the terminal's screen in a colour (red, green, blue); None: the screen is dark."""
        with self._lock:
            self._colour = colour

    def lock_exposure(self) -> None:
        """Hold the exposure: this camera has no other way."""

    def unlock_exposure(self) -> None:
        """Let it go: nothing changes."""

    def leave(self) -> None:
        """Leave the gate empty."""
        with self._lock:
            self._subject = None

    def light(self, light: float) -> None:
        """Set how bright it is; 1 is an ordinary day."""
        with self._lock:
            self._light = light

    def read(self, timeout_s: float) -> Frame:
        """Return the next picture when its time has come. Raises CameraStalled, CameraFailed after `close`."""
        if self._closed:
            raise CameraFailed(f"{self._name} has been closed")
        now_us = self._clock.now_us()
        if self._next_us - now_us > timeout_s * 1e6:
            self._clock.wait_until(now_us + int(timeout_s * 1e6))
            raise CameraStalled(f"{self._name} gave no picture within {timeout_s} s")
        self._clock.wait_until(self._next_us)
        taken_us = self._clock.now_us()
        # A reader that comes late has missed pictures: they are not made up for.
        self._next_us = max(self._next_us, taken_us - self._frame_us) + self._frame_us
        with self._lock:
            image = empty_scene(self._light) if self._subject is None else self._subject.picture(taken_us, self._light)
            if self._colour is not None:
                image = _glow(image, empty_scene(self._light), self._colour, getattr(self._subject, "reflects", 1.0))
        self._index += 1
        more, less = self._grain[self._index % GRAINS]
        return Frame(self._index, taken_us, np.asarray(cv2.subtract(cv2.add(image, more), less), np.uint8))

    def close(self) -> None:
        """Give no more pictures."""
        self._closed = True


def _glow(image: Image, empty: Image, colour: tuple[int, int, int], reflects: float) -> Image:
    """Return the picture as the screen lights it: what stands before the wall answers more than the wall."""
    lit = (np.array(colour[::-1], np.float32) / 255) ** GAMMA
    before = (cv2.absdiff(image, empty).max(axis=2) > WALL_DIFFERS)[:, :, None]
    gain = 1 + lit * np.where(before, NEAR_GLOW * reflects, WALL_GLOW).astype(np.float32)
    return np.asarray(np.clip(image * gain ** (1 / GAMMA), 0, 255), np.uint8)


@lru_cache(maxsize=8)
def _grain(strength: float) -> list[tuple[Image, Image]]:
    """Return what to add and what to take away, so that flat surfaces look as a sensor sees them."""
    source = np.random.default_rng(1)
    noise = [source.normal(0, strength, (HEIGHT, WIDTH, 3)) for _ in range(GRAINS)]
    return [(np.clip(one, 0, 255).astype(np.uint8), np.clip(-one, 0, 255).astype(np.uint8)) for one in noise]
