"""The V4L2 camera against a strict stand-in, which itself is held against OpenCV's own signatures."""

from __future__ import annotations

import ast
import inspect
import time
from itertools import pairwise
from pathlib import Path

import cv2
import pytest

from kiosk.sensors.camera import CameraFailed, CameraStalled
from kiosk.sensors.v4l2 import V4l2Camera
from tests.kiosk.sensors.strict_capture import Device, StrictCapture


@pytest.fixture
def device(monkeypatch: pytest.MonkeyPatch) -> Device:
    StrictCapture.device = Device()
    monkeypatch.setattr(cv2, "VideoCapture", StrictCapture)
    return StrictCapture.device


def real_signatures() -> dict[str, list[list[str]]]:
    """Parameter names of every overload of every method, from the type stubs that OpenCV ships for its C++ class."""
    stub = ast.parse((Path(cv2.__file__).parent / "__init__.pyi").read_text(encoding="utf-8"))
    (real,) = [node for node in stub.body if isinstance(node, ast.ClassDef) and node.name == "VideoCapture"]
    found: dict[str, list[list[str]]] = {}
    for node in real.body:
        if isinstance(node, ast.FunctionDef):
            found.setdefault(node.name, []).append([argument.arg for argument in node.args.args])
    return found


def test_the_stand_in_has_the_signatures_of_the_real_class() -> None:
    real = real_signatures()
    for name, method in inspect.getmembers(StrictCapture, inspect.isfunction):
        assert list(inspect.signature(method).parameters) in real[name], name
        assert hasattr(cv2.VideoCapture, name)


def test_the_real_class_does_not_open_a_device_that_is_not_there() -> None:
    with pytest.raises(CameraFailed, match="cannot be opened"):
        V4l2Camera("/dev/video-that-is-not-there")


def test_frames_are_numbered_and_carry_the_drivers_rising_monotonic_time(device: Device) -> None:
    camera = V4l2Camera("/dev/video0", fps=30)
    frames = [camera.read(1) for _ in range(5)]
    assert [frame.index for frame in frames] == [0, 1, 2, 3, 4]
    assert all(a.mono_us < b.mono_us for a, b in pairwise(frames))
    assert time.monotonic_ns() // 1000 - frames[-1].mono_us >= 5000
    assert device.settings[cv2.CAP_PROP_FPS] == 30
    assert device.settings[cv2.CAP_PROP_FRAME_WIDTH] == 640


def test_a_driver_stamp_from_another_clock_is_not_believed(device: Device) -> None:
    device.stamp_age_us = None
    before = time.monotonic_ns() // 1000
    frame = V4l2Camera(0).read(1)
    assert before <= frame.mono_us <= time.monotonic_ns() // 1000


def test_a_device_that_fails_to_open_is_released_and_said(device: Device) -> None:
    device.opens = False
    with pytest.raises(CameraFailed, match=r"/dev/video7 cannot be opened"):
        V4l2Camera("/dev/video7")
    assert device.released == 1


def test_a_device_that_gives_another_size_is_refused_and_released(device: Device) -> None:
    device.size = (320, 240)
    with pytest.raises(CameraFailed, match="320 x 240 and not 640 x 480"):
        V4l2Camera(0)
    assert device.released == 1


@pytest.mark.parametrize("what", ["small", "grey"])
def test_a_picture_that_is_not_as_agreed_is_a_failure(device: Device, what: str) -> None:
    device.script = ["frame", what]
    camera = V4l2Camera(0)
    camera.read(1)
    with pytest.raises(CameraFailed):
        camera.read(1)


def test_a_read_that_returns_nothing_is_tried_again_until_the_time_is_up(device: Device) -> None:
    device.script = ["none", "none", "frame", "none"]
    camera = V4l2Camera(0)
    assert camera.read(5).index == 0
    with pytest.raises(CameraStalled):
        camera.read(0.05)
    assert device.reads < 20, "a camera that says nothing must not be asked in a busy loop"


def test_a_frame_that_comes_too_late_is_a_stall(device: Device) -> None:
    device.script = ["late", "frame"]
    camera = V4l2Camera(0)
    with pytest.raises(CameraStalled):
        camera.read(0.02)
    assert camera.read(1).index == 0


def test_a_device_that_is_unplugged_is_a_failure_at_once(device: Device) -> None:
    device.script = ["frame", "unplug"]
    camera = V4l2Camera(0)
    camera.read(1)
    with pytest.raises(CameraFailed, match="gone"):
        camera.read(60)
