"""The Pi's camera against a strict fake, which itself is held against the signatures of the real wheel."""

from __future__ import annotations

import inspect
import sys
import threading
import time
import types
from collections.abc import Callable, Iterator
from typing import Any

import numpy as np
import pytest

from kiosk.app import open_camera
from kiosk.sensors.camera import CameraFailed, CameraStalled
from kiosk.sensors.newest_frame import MOST_BARREN_OPENINGS, NewestFrame
from kiosk.sensors.picamera2_camera import Picamera2Camera
from kiosk.settings import KioskSettings
from tests.kiosk.sensors.strict_picamera2 import RECORD, CompletedRequest, Picamera2, Sensor
from tests.support.waiting import until

MS = 1_000_000  # nanoseconds
WIDE = (704, 528)  # 704 is no multiple of 128: rows are padded to 768


@pytest.fixture
def sensor(monkeypatch: pytest.MonkeyPatch) -> Sensor:
    Picamera2.sensor = Sensor()
    module = types.ModuleType("picamera2")
    module.Picamera2 = Picamera2  # type: ignore[attr-defined]
    monkeypatch.setitem(sys.modules, "picamera2", module)
    return Picamera2.sensor


def opened(**changes: Any) -> tuple[Picamera2Camera, Picamera2]:
    camera = Picamera2Camera(**changes)
    return camera, camera._camera


# The fake is the real class's


@pytest.mark.parametrize("fake", [Picamera2, CompletedRequest])
def test_the_fake_takes_what_the_real_class_takes(fake: type) -> None:
    public = {name: one for name, one in vars(fake).items() if inspect.isfunction(one) and not name.startswith("_")}
    public["__init__"] = fake.__init__
    public.pop("take", None)  # the test's hand on the sensor
    for name, method in public.items():
        assert list(inspect.signature(method).parameters) == [one for one, _ in RECORD[fake.__name__][name]], name


def test_the_record_names_the_version_that_the_adapter_was_written_against() -> None:
    assert Picamera2Camera.__module__ in sys.modules
    assert RECORD["version"] in (sys.modules[Picamera2Camera.__module__].__doc__ or "")


def test_a_call_that_the_real_class_would_refuse_is_refused_by_the_fake(sensor: Sensor) -> None:
    with pytest.raises(TypeError):
        Picamera2().captured_request(timeout=1)
    with pytest.raises(RuntimeError, match="not advertised"):
        Picamera2.sensor = Sensor()
        Picamera2().set_controls({"AeLocked": True})


# Pictures


@pytest.mark.parametrize("main", [None, (1280, 960)])
@pytest.mark.parametrize("size", [(640, 480), WIDE])
def test_colours_and_size_are_right_whatever_the_padding(
    sensor: Sensor, main: tuple[int, int] | None, size: tuple[int, int]
) -> None:
    camera, real = opened(width=size[0], height=size[1], main=main)
    real.take()
    frame = camera.read(5)
    assert frame.image.shape == (size[1], size[0], 3)
    assert frame.image.flags.c_contiguous
    assert np.abs(frame.image.astype(int) - np.array(sensor.colour)).max() <= 4  # YUV rounds
    if main is None:
        assert frame.main is None
    else:
        assert frame.main is not None
        assert frame.main.shape == (main[1], main[0], 3)
        assert (frame.main == sensor.colour).all()


def test_both_sizes_show_the_same_instant(sensor: Sensor) -> None:
    camera, real = opened(main=(1280, 960))
    for colour in [(10, 200, 90), (240, 20, 20)]:
        sensor.colour = colour
        real.take()
    sensor.colour = (1, 1, 1)
    for colour in [(10, 200, 90), (240, 20, 20)]:
        frame = camera.read(5)
        assert frame.main is not None
        assert tuple(frame.main[7, 7]) == colour
        assert np.abs(frame.image[7, 7].astype(int) - np.array(colour)).max() <= 4


def test_a_picture_outlives_its_request_and_every_request_is_given_back_once(sensor: Sensor) -> None:
    camera, real = opened(main=(1280, 960))
    real.take()
    first = camera.read(5)
    real.take()
    camera.read(5)
    assert sensor.out == 0
    assert first.main is not None
    assert (first.main == sensor.colour).all()


def test_the_time_is_the_sensors_in_microseconds(sensor: Sensor) -> None:
    camera, real = opened()
    stamp_ns = time.monotonic_ns() - 80 * MS
    real.take(stamp_ns)
    assert camera.read(5).mono_us == stamp_ns // 1000


def test_a_stamp_of_another_clock_is_not_believed(sensor: Sensor) -> None:
    camera, real = opened()
    real.take(time.monotonic_ns() + 3_600_000 * MS)
    before_us = time.monotonic_ns() // 1000
    assert before_us - 1_000_000 < camera.read(5).mono_us <= time.monotonic_ns() // 1000


def test_the_same_picture_again_is_no_picture(sensor: Sensor) -> None:
    camera, real = opened()
    stamp_ns = time.monotonic_ns()
    real.take(stamp_ns)
    camera.read(5)
    real.take(stamp_ns)
    with pytest.raises(CameraStalled):
        camera.read(0.05)
    assert sensor.out == 0


def test_after_a_prompt_only_a_picture_exposed_after_it_counts(sensor: Sensor) -> None:
    camera, real = opened()
    real.take()
    camera.read(5)
    real.take()  # waits in the queue: from before the prompt
    camera.flush()
    real.take(time.monotonic_ns() + 1 * MS)  # finished after it, begun before it
    real.take(time.monotonic_ns() + 30 * MS)
    last_ns = sensor.waiting[-1].get_metadata()["SensorTimestamp"]
    camera.read(5)
    assert camera._latest["SensorTimestamp"] == last_ns
    assert sensor.out == 0
    real.take(last_ns + 1 * MS)
    assert camera.read(5) is not None  # once: the next is any picture again


def test_exposure_and_white_balance_are_held_as_they_are_and_let_go(sensor: Sensor) -> None:
    camera, real = opened()
    real.take()
    camera.read(5)
    camera.lock_exposure()
    assert sensor.held == {
        "AeEnable": False,
        "AwbEnable": False,
        "ExposureTime": 10_000,
        "AnalogueGain": 2.5,
        "ColourGains": (1.5, 1.9),
    }
    camera.unlock_exposure()
    assert (sensor.held["AeEnable"], sensor.held["AwbEnable"], sensor.held["ExposureTime"]) == (True, True, 0)


# What goes wrong


def test_without_picamera2_it_is_said_how_to_install_it(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "picamera2", None)
    with pytest.raises(CameraFailed, match="python3-picamera2"):
        Picamera2Camera()


def test_no_camera_is_a_failed_camera(sensor: Sensor) -> None:
    sensor.exists = False
    with pytest.raises(CameraFailed, match="ribbon"):
        Picamera2Camera()


def test_another_size_than_the_wanted_one_is_refused_and_the_camera_let_go(sensor: Sensor) -> None:
    sensor.gives = (320, 240)
    with pytest.raises(CameraFailed, match="size"):
        Picamera2Camera()
    assert (sensor.opened, sensor.closed) == (1, 1)


def test_no_picture_in_time_is_a_stalled_camera(sensor: Sensor) -> None:
    camera, _ = opened()
    with pytest.raises(CameraStalled):
        camera.read(0.05)


@pytest.mark.parametrize(
    ("setting", "number"), [("picamera2", "picamera2:0"), ("picamera2:0", "picamera2:0"), ("picamera2:1", None)]
)
def test_the_settings_name_the_camera(sensor: Sensor, setting: str, number: str | None) -> None:
    settings = KioskSettings(device="gate-1", site="east", camera=setting)
    if number is None:
        with pytest.raises(CameraFailed):
            open_camera(settings)  # there is only one
    else:
        assert open_camera(settings).name == number


# Under the watchdog

REOPEN_S = 0.3


@pytest.fixture
def watch() -> Iterator[Callable[[Callable[[], Any]], NewestFrame]]:
    running: list[NewestFrame] = []

    def start(factory: Callable[[], Any]) -> NewestFrame:
        running.append(NewestFrame(factory, REOPEN_S))
        running[-1].start()
        return running[-1]

    yield start
    for one in running:
        one.stop()


def opened_in_turn() -> tuple[list[Picamera2Camera], Callable[[], Picamera2Camera]]:
    """Return what opens a camera, and the list of those that it has opened."""
    cameras: list[Picamera2Camera] = []

    def factory() -> Picamera2Camera:
        cameras.append(Picamera2Camera())
        return cameras[-1]

    return cameras, factory


def test_a_camera_without_new_pictures_is_opened_again(
    sensor: Sensor, watch: Callable[[Callable[[], Any]], NewestFrame]
) -> None:
    cameras, factory = opened_in_turn()
    newest = watch(factory)
    until(lambda: len(cameras) == 2)
    assert sensor.closed >= 1
    cameras[-1]._camera.take()
    until(lambda: newest.newest is not None or sensor.opened > 2)


def test_a_close_that_hangs_and_a_camera_that_is_then_refused_end_the_process(
    sensor: Sensor, watch: Callable[[Callable[[], Any]], NewestFrame], monkeypatch: pytest.MonkeyPatch
) -> None:
    free = threading.Event()
    close = Picamera2.close

    def hang(self: Picamera2) -> None:
        free.wait()
        close(self)

    monkeypatch.setattr(Picamera2, "close", hang)
    newest = watch(Picamera2Camera)
    until(lambda: newest.stuck)
    assert sensor.opened == 1  # every later opener was refused: libcamera gives a camera to one
    free.set()


def pictures(cameras: list[Picamera2Camera], *, until_: Callable[[], bool]) -> None:
    """Let the newest opening of the camera take pictures until `until_` holds."""

    def took() -> bool:
        if cameras and cameras[-1]._camera._started:
            cameras[-1]._camera.take()
        return until_()

    until(took, "a picture")


def test_a_camera_that_stops_for_good_and_stalls_in_time_ends_the_process(
    sensor: Sensor, watch: Callable[[Callable[[], Any]], NewestFrame]
) -> None:
    sensor.noisy = True
    cameras, factory = opened_in_turn()
    newest = watch(factory)
    pictures(cameras, until_=lambda: newest.newest is not None)
    had = len(cameras)
    assert not newest.stuck
    until(lambda: newest.stuck)
    assert len(cameras) >= had + MOST_BARREN_OPENINGS  # each was closed in time: nobody hangs
    assert sensor.opened - sensor.closed <= 1
    assert "restart" in newest.state.reason
    pictures(cameras, until_=lambda: newest.state.state == "working")  # it comes back by itself
    assert not newest.stuck


def test_a_camera_that_is_unplugged_ends_no_process(
    sensor: Sensor, watch: Callable[[Callable[[], Any]], NewestFrame]
) -> None:
    cameras: list[Picamera2Camera] = []
    tried: list[int] = []

    def factory() -> Picamera2Camera:
        tried.append(1)
        cameras.append(Picamera2Camera())
        return cameras[-1]

    newest = watch(factory)
    pictures(cameras, until_=lambda: newest.newest is not None)
    sensor.exists = False
    before = len(tried)
    until(lambda: len(tried) > before + 3 * MOST_BARREN_OPENINGS)
    assert not newest.stuck
    assert newest.state.reason.startswith("camera_failed: ")


def test_a_camera_that_gave_no_picture_since_the_start_ends_no_process(
    sensor: Sensor, watch: Callable[[Callable[[], Any]], NewestFrame]
) -> None:
    """The process before may have ended for it: a loop of restarts would take badge and PIN away, too."""
    newest = watch(Picamera2Camera)
    until(lambda: sensor.closed > 3 * MOST_BARREN_OPENINGS)
    assert not newest.stuck
    assert newest.state.reason.startswith("camera_stalled: ")
