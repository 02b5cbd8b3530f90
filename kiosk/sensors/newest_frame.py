"""The latest picture of a camera, and the truth about whether there is one.

A driver may block for ever inside a read (picamera2 #1090, #1392), so the reading thread is never waited for: a second
thread watches the clock, leaves a stuck reader behind and opens the camera again.
"""

from __future__ import annotations

import threading
import time
from collections import deque
from collections.abc import Callable
from dataclasses import replace

from evidence.status import Part
from kiosk.sensors.camera import Camera, CameraEnded, CameraStalled, Frame, HoldsExposure, NeverRepeats
from kiosk.sensors.errors import SensorError
from kiosk.sensors.frozen import FROZEN_AFTER_S, FrozenPicture

REOPEN_AFTER_S = 3.0  # picamera2 #1090: captures hang after hours; three seconds are 75 frames
LEAVE_FACTOR = 1.5  # a reader gets this many times REOPEN_AFTER_S to come back by itself before it counts as stuck
LONGEST_THAWING_S = 600.0  # a lens that is covered all night gives black pictures, and no opening changes that
RATE_OVER_FRAMES = 25  # a second or two: a camera that slows down in the dusk is noticed
MOST_STUCK_READERS = 3  # each holds a thread and a device; beyond that only a restart of the process helps
# Openings in a row, in a process that had pictures, whose every read came back in time without one: as picamera2's do
# where libcamera delivers nothing more. A process that never had one is not ended: another one has just not helped.
MOST_BARREN_OPENINGS = 3


class _Reader:
    """One opening of the camera: a thread that delivers frames until it is left, the camera ends or fails."""

    def __init__(
        self,
        open_camera: Callable[[], Camera],
        timeout_s: float,
        deliver: Callable[[_Reader, Frame], bool],
        over: Callable[[_Reader], None],
    ) -> None:
        self._open_camera = open_camera
        self._timeout_s = timeout_s
        self._deliver = deliver
        self._over = over
        self.error: Exception | None = None
        self.camera: Camera | None = None
        self.delivered = False  # a picture
        self.opened_s = time.monotonic()
        self.left = threading.Event()
        # Daemon: a read that never returns must not keep the process from ending.
        self.thread = threading.Thread(target=self._run, name="camera", daemon=True)

    def _run(self) -> None:
        camera: Camera | None = None
        try:
            camera = self.camera = self._open_camera()
            while not self.left.is_set() and self._deliver(self, camera.read(self._timeout_s)):
                pass
        except Exception as error:  # whatever a driver throws is a failed camera, never a silently dead thread
            self.error = error
        finally:
            try:
                if camera is not None:
                    camera.close()
            except Exception as error:
                self.error = self.error or error
            self._over(self)


class NewestFrame:
    """Keeps the newest frame of the camera that `open_camera` opens; `reopen_after_s` without one reopens it.

    Frames are numbered from 0 and go on rising over a reopening. A frame older than `reopen_after_s` is not shown to
    anybody: a frozen picture is a lie. So is one that comes again and again from a camera with a sensor: it is `failed`
    after some seconds, and the camera is opened again. A video file that is over is not opened again.

    There is no flush, as a camera has one: the reader takes every frame as it comes, so nothing waits here, and what
    was still on its way at a tap, a prompt or a colour says so by its own `mono_us`. The face path passes over frames
    from before the tap (kiosk/face_look.py), an answer within 250 ms of its prompt counts as too early, and the flash
    compares times. A V4L2 driver without monotonic stamps has `mono_us` of the arrival: there a frame that its
    buffers held (one, where they obey) passes for a later one.
    """

    def __init__(
        self,
        open_camera: Callable[[], Camera],
        reopen_after_s: float = REOPEN_AFTER_S,
        frozen_after_s: float = FROZEN_AFTER_S,
    ) -> None:
        self._open_camera = open_camera
        self._reopen_after_s = reopen_after_s
        self._changed = threading.Condition()
        self._reader: _Reader | None = None
        self._stuck: list[_Reader] = []
        self._barren = 0  # openings in a row that stalled before their first picture
        self._newest: Frame | None = None
        self._index = -1
        self._times_us: deque[int] = deque(maxlen=RATE_OVER_FRAMES)
        self._arrived_s = 0.0  # when the newest frame came, by time.monotonic
        self._frozen = FrozenPicture(frozen_after_s)
        self._thawing_s = LEAVE_FACTOR * frozen_after_s  # how long an opening may go on with the very same picture
        self._error: Exception | None = None  # why the camera does not deliver
        self._stopping = False
        self._watcher: threading.Thread | None = None

    def start(self) -> None:
        """Open the camera and begin; returns at once."""
        if self._watcher is not None:
            raise RuntimeError("This camera runs already: make a new NewestFrame to run it again.")
        self._arrived_s = time.monotonic()
        self._watcher = threading.Thread(target=self._watch, name="camera-watch", daemon=True)
        self._watcher.start()

    def stop(self) -> None:
        """End and close the camera; waits as long as a reopening would take, then leaves a stuck driver behind."""
        with self._changed:
            self._stopping = True
            self._changed.notify_all()
            readers = [*self._stuck, *([self._reader] if self._reader else [])]
        for reader in readers:
            reader.left.set()
        if self._watcher is not None:
            self._watcher.join(self._reopen_after_s)
        for reader in readers:
            reader.thread.join(0 if reader in self._stuck else self._reopen_after_s)

    @property
    def newest(self) -> Frame | None:
        """The latest frame, or None when it is older than the time to reopen."""
        with self._changed:
            return self._newest if self._fresh() else None

    def wait_newer(self, index: int, timeout_s: float) -> Frame | None:
        """Return a frame with a higher index than `index` as soon as there is one, None after `timeout_s`."""
        with self._changed:
            self._changed.wait_for(lambda: self._stopping or self._newer(index), timeout_s)
            return self._newest if self._newer(index) else None

    def _newer(self, index: int) -> bool:
        return self._index > index and self._fresh() and not self._frozen.frozen(time.monotonic())

    def hold_exposure(self, held: bool) -> bool:
        """Lock exposure and white balance where the camera can, or free them; whether it was done. Never raises."""
        with self._changed:
            camera = self._reader.camera if self._reader is not None else None
        if not isinstance(camera, HoldsExposure):
            return False
        try:
            camera.lock_exposure() if held else camera.unlock_exposure()
        except SensorError:
            return False
        return True

    @property
    def delivered(self) -> int:
        """How many frames have come since the start."""
        with self._changed:
            return self._index + 1

    @property
    def fps(self) -> float:
        """Frames a second over the latest frames, by their own times; 0.0 before there are two fresh ones."""
        with self._changed:
            if len(self._times_us) < 2 or not self._fresh():
                return 0.0
            span_us = self._times_us[-1] - self._times_us[0]
            return (len(self._times_us) - 1) * 1e6 / span_us if span_us > 0 else 0.0

    @property
    def state(self) -> Part:
        """`working` only while fresh pictures come; otherwise a reason that begins with its code."""
        with self._changed:
            if self._watcher is None or self._stopping:
                return Part(state="unknown", reason="camera_failed: The camera is not running.")
            if self._hopeless():
                return _failed("camera_stalled", "The camera's driver does not answer any more: restart the terminal.")
            if isinstance(self._error, SensorError):
                return _failed(self._error.code, str(self._error))
            if self._error is not None:
                return _failed("camera_failed", f"{type(self._error).__name__}: {self._error}")
            if not self._fresh():
                return _failed("camera_stalled", f"No new picture for {self._reopen_after_s:g} s.")
            if self._newest is None:
                return Part(state="unknown", reason="camera_stalled: The camera is being opened.")
            if self._frozen.frozen(now_s := time.monotonic()):
                lasted = f"The very same picture for {self._frozen.lasted_s(now_s):.0f} s"
                return _failed("camera_stalled", f"{lasted}: the camera hangs, or is covered and sees nothing at all.")
            return Part(state="working")

    @property
    def stuck(self) -> bool:
        """True when readers hang in the driver, or open it again and again in vain: only a new process can help.

        One is enough where nothing has come for as long as the others would have taken: libcamera gives a camera to
        one opener, so that behind a reader that hangs every other is refused at once and none joins it.
        """
        with self._changed:
            return self._hopeless()

    def _hopeless(self) -> bool:
        silent_s = time.monotonic() - self._arrived_s
        too_long_s = (MOST_STUCK_READERS + 1) * LEAVE_FACTOR * self._reopen_after_s
        in_vain = self._index >= 0 and self._barren >= MOST_BARREN_OPENINGS
        return in_vain or len(self._stuck) >= MOST_STUCK_READERS or (bool(self._stuck) and silent_s > too_long_s)

    def _fresh(self) -> bool:
        return time.monotonic() - self._arrived_s <= self._reopen_after_s

    def _deliver(self, reader: _Reader, frame: Frame) -> bool:
        with self._changed:
            if reader is not self._reader or self._stopping:
                return False
            self._index += 1
            self._newest = replace(frame, index=self._index)
            self._times_us.append(frame.mono_us)
            self._arrived_s = time.monotonic()
            self._error = None
            if not isinstance(reader.camera, NeverRepeats) or self._frozen.look(frame.image, self._arrived_s):
                reader.delivered = True
                self._barren = 0
                self._thawing_s = LEAVE_FACTOR * self._frozen.after_s
            self._changed.notify_all()
            return not self._hangs(reader)

    def _hangs(self, reader: _Reader) -> bool:
        """Say whether to open the camera again, whose pictures no longer come from its sensor: ever more rarely."""
        now_s = self._arrived_s
        if not self._frozen.frozen(now_s) or now_s - reader.opened_s <= self._thawing_s:
            return False
        self._thawing_s = min(2 * self._thawing_s, LONGEST_THAWING_S)
        return True

    def _over(self, reader: _Reader) -> None:
        with self._changed:
            if reader in self._stuck:
                self._stuck.remove(reader)
            if reader is self._reader:
                self._reader = None
                self._error = reader.error
                if not reader.delivered:  # one that fails is unplugged or refused, which no restart of ours mends
                    self._barren = self._barren + 1 if isinstance(reader.error, CameraStalled) else 0
            self._changed.notify_all()

    def _watch(self) -> None:
        with self._changed:
            while not self._stopping and not isinstance(self._error, CameraEnded):
                if len(self._stuck) >= MOST_STUCK_READERS:
                    self._changed.wait(self._reopen_after_s)
                    continue
                opened_s = time.monotonic()
                self._read_once(opened_s)
                if self._error is not None and not isinstance(self._error, CameraEnded):
                    pause_s = opened_s + self._reopen_after_s - time.monotonic()
                    self._changed.wait_for(lambda: self._stopping, max(0.0, pause_s))

    def _read_once(self, opened_s: float) -> None:
        """Open the camera and stay until its reader is over or has been silent for too long. Holds the condition."""
        reader = _Reader(self._open_camera, self._reopen_after_s, self._deliver, self._over)
        self._reader = reader
        reader.thread.start()
        patience_s = LEAVE_FACTOR * self._reopen_after_s
        while self._reader is reader and not self._stopping:
            silent_s = time.monotonic() - max(opened_s, self._arrived_s)
            if silent_s > patience_s:
                reader.left.set()
                self._stuck.append(reader)
                self._reader = None
                return
            self._changed.wait(patience_s - silent_s + 0.01)


def _failed(code: str, sentence: str) -> Part:
    return Part(state="failed", reason=f"{code}: {sentence}"[:400])
