"""The newest frame and the truth about it: a camera that stalls, hangs, fails or ends never blocks the program."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import numpy as np
import pytest

from kiosk.sensors.camera import Camera, CameraFailed, CameraStalled, Frame
from kiosk.sensors.newest_frame import MOST_STUCK_READERS, NewestFrame
from kiosk.sensors.video_file import VideoFileCamera
from tests.kiosk.sensors.videos import write_video
from tests.support.waiting import until

REOPEN_S = 0.3


class ScriptedCamera:
    """Gives `frames` frames ten milliseconds apart, then does what `then` says; a released event frees a hung read."""

    name = "scripted"

    def __init__(self, frames: int, then: str, release: threading.Event) -> None:
        self.frames, self.then, self.release = frames, then, release
        self.index = -1
        self.closed = threading.Event()

    def read(self, timeout_s: float) -> Frame:
        self.release.wait(0.01)
        if self.index + 1 < self.frames:
            self.index += 1
            return Frame(self.index, time.monotonic_ns() // 1000, np.zeros((2, 2, 3), np.uint8))
        if self.then == "hang":
            self.release.wait()
            raise CameraStalled("came back")
        if self.then == "stall":
            self.release.wait(timeout_s)
            raise CameraStalled("scripted gave no picture.")
        if self.then == "fail":
            raise CameraFailed("scripted is broken.")
        raise OSError(19, "No such device")

    def close(self) -> None:
        self.closed.set()


class Cameras:
    """A factory that opens the scripted cameras in turn, then endless good ones."""

    def __init__(self, *scripts: tuple[int, str]) -> None:
        self.scripts = list(scripts)
        self.release = threading.Event()
        self.opened: list[ScriptedCamera] = []

    def __call__(self) -> Camera:
        script = self.scripts[len(self.opened)] if len(self.opened) < len(self.scripts) else (10**9, "hang")
        self.opened.append(ScriptedCamera(*script, self.release))
        return self.opened[-1]


@pytest.fixture
def run() -> Iterator[Callable[..., NewestFrame]]:
    running: list[tuple[NewestFrame, threading.Event | None]] = []

    def start(factory: Callable[[], Camera]) -> NewestFrame:
        newest = NewestFrame(factory, REOPEN_S)
        running.append((newest, getattr(factory, "release", None)))
        newest.start()
        return newest

    yield start
    for newest, release in running:
        if release is not None:
            release.set()
        newest.stop()


def test_who_waits_gets_each_newer_frame_as_it_comes(run: Callable[..., NewestFrame]) -> None:
    newest = run(Cameras())
    seen = -1
    for _ in range(5):
        frame = newest.wait_newer(seen, 10)
        assert frame is not None
        assert frame.index > seen
        seen = frame.index
    assert newest.state.state == "working"
    assert newest.newest is not None


def test_waiting_ends_without_a_frame_when_none_comes(run: Callable[..., NewestFrame]) -> None:
    newest = run(Cameras((0, "hang")))
    assert newest.wait_newer(-1, 0.05) is None
    assert newest.state.state in ("unknown", "failed")


@pytest.mark.parametrize("then", ["stall", "hang", "fail", "surprise"])
def test_a_camera_that_breaks_is_opened_again_and_the_numbers_go_on(run: Callable[..., NewestFrame], then: str) -> None:
    cameras = Cameras((3, then))
    newest = run(cameras)
    until(lambda: len(cameras.opened) == 2)
    frame = newest.wait_newer(2, 10)
    assert frame is not None
    assert frame.index > 2
    until(lambda: newest.state.state == "working")


@pytest.mark.parametrize(
    ("then", "code"),
    [("stall", "camera_stalled"), ("hang", "camera_stalled"), ("fail", "camera_failed"), ("surprise", "camera_failed")],
)
def test_the_state_says_within_the_time_what_is_wrong(run: Callable[..., NewestFrame], then: str, code: str) -> None:
    newest = run(Cameras(*[(2, then)] + [(0, then)] * 50))
    until(lambda: newest.state.state == "failed")
    assert newest.state.reason.startswith(f"{code}: ")
    until(lambda: newest.newest is None)  # a frozen picture is never shown as the present


def test_a_read_that_never_returns_does_not_block_stop(run: Callable[..., NewestFrame]) -> None:
    cameras = Cameras((1, "hang"))
    newest = NewestFrame(cameras, 0.2)
    newest.start()
    assert newest.wait_newer(-1, 10) is not None
    stopped = threading.Thread(target=newest.stop)
    stopped.start()
    stopped.join(20)
    assert not stopped.is_alive()
    assert newest.state.state == "unknown"
    cameras.release.set()
    until(cameras.opened[0].closed.is_set)


def test_a_driver_that_hangs_every_time_is_given_up_and_taken_back_when_it_returns(
    run: Callable[..., NewestFrame],
) -> None:
    cameras = Cameras(*[(0, "hang")] * MOST_STUCK_READERS)
    newest = run(cameras)
    until(lambda: newest.stuck)
    assert len(cameras.opened) == MOST_STUCK_READERS
    assert "restart" in newest.state.reason
    cameras.release.set()  # the driver comes back by itself
    until(lambda: newest.state.state == "working")
    assert all(camera.closed.is_set() for camera in cameras.opened[:MOST_STUCK_READERS])


def test_a_late_frame_of_a_reader_left_behind_is_not_shown(run: Callable[..., NewestFrame]) -> None:
    class Sleeper(ScriptedCamera):
        def read(self, timeout_s: float) -> Frame:
            self.release.wait()
            return Frame(0, 1, np.full((2, 2, 3), 99, np.uint8))

    release = threading.Event()
    opened: list[Camera] = []

    def factory() -> Camera:
        opened.append(Sleeper(0, "hang", release) if not opened else ScriptedCamera(10**9, "hang", threading.Event()))
        return opened[-1]

    newest = run(factory)
    assert newest.wait_newer(-1, 20) is not None
    release.set()
    until(opened[0].closed.is_set)  # type: ignore[attr-defined]
    for _ in range(5):
        frame = newest.wait_newer(-1, 10)
        assert frame is not None
        assert frame.image.max() == 0


def test_a_video_that_is_over_says_so_and_is_not_started_again(run: Callable[..., NewestFrame], tmp_path: Path) -> None:
    video = write_video(tmp_path / "clip.avi", frames=4)
    opened: list[VideoFileCamera] = []

    def factory() -> Camera:
        opened.append(VideoFileCamera(video))
        return opened[-1]

    newest = run(factory)
    assert newest.wait_newer(-1, 10) is not None
    until(lambda: newest.state.reason.startswith("camera_ended: "))
    assert newest.state.state == "failed"
    assert newest.wait_newer(10, REOPEN_S * 3) is None
    assert len(opened) == 1


def test_a_missing_video_is_a_failed_camera(run: Callable[..., NewestFrame], tmp_path: Path) -> None:
    newest = run(lambda: VideoFileCamera(tmp_path / "missing.mp4"))
    until(lambda: newest.state.state == "failed")
    assert newest.state.reason.startswith("camera_failed: There is no video file")


# A light that changes needs an exposure that does not


class HoldableCamera(ScriptedCamera):
    """Its exposure can be locked; `broken` refuses as a driver does."""

    def __init__(self, *arguments: object) -> None:
        super().__init__(*arguments)  # type: ignore[arg-type]
        self.asked: list[str] = []
        self.broken = False

    def lock_exposure(self) -> None:
        if self.broken:
            raise CameraFailed("scripted has no such control.")
        self.asked.append("lock")

    def unlock_exposure(self) -> None:
        self.asked.append("unlock")


def test_the_exposure_of_a_camera_that_can_is_held_and_freed(run: Callable[..., NewestFrame]) -> None:
    release = threading.Event()
    camera = HoldableCamera(10**9, "hang", release)
    newest = run(lambda: camera)
    assert newest.wait_newer(-1, 2) is not None
    assert newest.hold_exposure(True)
    assert newest.hold_exposure(False)
    assert camera.asked == ["lock", "unlock"]
    camera.broken = True
    assert not newest.hold_exposure(True)
    release.set()


def test_a_camera_that_cannot_hold_its_exposure_says_so(run: Callable[..., NewestFrame]) -> None:
    newest = run(Cameras((10**9, "hang")))
    assert newest.wait_newer(-1, 2) is not None
    assert not newest.hold_exposure(True)


def test_before_a_camera_is_there_nothing_is_held() -> None:
    assert not NewestFrame(Cameras(), REOPEN_S).hold_exposure(True)


class SensorCamera(ScriptedCamera):
    """Has a sensor: its pictures have noise, from the `frozen`th on none, while new times go on coming."""

    never_repeats = True
    noise = np.random.default_rng(5)

    def __init__(self, frozen: int, release: threading.Event) -> None:
        super().__init__(10**9, "hang", release)
        self.frozen = frozen

    def read(self, timeout_s: float) -> Frame:
        frame = super().read(timeout_s)
        if frame.index >= self.frozen:
            return frame
        return Frame(frame.index, frame.mono_us, self.noise.integers(0, 255, (48, 64, 3), np.uint8))


def test_a_driver_that_hands_out_its_last_picture_is_failed_and_opened_again_until_pictures_change() -> None:
    release = threading.Event()
    scripts = [3, 0, 10**9]
    opened: list[SensorCamera] = []

    def open_camera() -> Camera:
        opened.append(SensorCamera(scripts[min(len(opened), 2)], release))
        return opened[-1]

    newest = NewestFrame(open_camera, REOPEN_S, frozen_after_s=0.3)
    newest.start()
    try:
        until(lambda: newest.state.state == "failed")
        assert newest.state.reason.startswith("camera_stalled: The very same picture for ")
        assert newest.wait_newer(-1, 0.05) is None  # nobody is enrolled from it, nobody is looked at in it
        assert newest.newest is not None  # what the scene is judged by: a covered lens may be black to the last bit
        until(lambda: len(opened) == 2)
        assert newest.state.state == "failed"  # a new opening with the old picture is no working camera
        until(lambda: newest.state.state == "working")
        assert len(opened) == 3
    finally:
        release.set()
        newest.stop()


def test_a_recording_may_stand_still(run: Callable[..., NewestFrame]) -> None:
    newest = NewestFrame(cameras := Cameras(), REOPEN_S, frozen_after_s=0.1)
    newest.start()
    try:
        assert newest.wait_newer(40, 10) is not None
        assert newest.state.state == "working"
        assert len(cameras.opened) == 1
    finally:
        cameras.release.set()
        newest.stop()


def test_a_lens_that_is_covered_all_night_is_opened_again_ever_more_rarely_and_restarts_nothing() -> None:
    release = threading.Event()
    opened: list[SensorCamera] = []

    def open_camera() -> Camera:
        opened.append(SensorCamera(0, release))
        return opened[-1]

    newest = NewestFrame(open_camera, REOPEN_S, frozen_after_s=0.1)
    newest.start()
    try:
        until(lambda: len(opened) == 4)  # after 0.15, 0.3 and 0.6 seconds
        begun_s = time.monotonic()
        until(lambda: len(opened) == 5)
        assert time.monotonic() - begun_s > 1.0
        assert not newest.stuck
    finally:
        release.set()
        newest.stop()


def test_a_driver_whose_openings_give_their_last_picture_and_then_nothing_ends_in_a_new_process() -> None:
    release = threading.Event()

    def open_camera() -> Camera:
        camera = SensorCamera(0, release)
        camera.frames, camera.then = 2, "stall"
        return camera

    newest = NewestFrame(open_camera, 0.1, frozen_after_s=0.2)
    newest.start()
    try:
        until(lambda: newest.stuck)
    finally:
        release.set()
        newest.stop()
