"""A video file as a camera: every frame, in order, at its time; and what is wrong with a bad file is said."""

from __future__ import annotations

import time
from pathlib import Path

import numpy as np
import pytest

from kiosk.sensors.camera import CameraEnded, CameraFailed, CameraStalled, Frame
from kiosk.sensors.video_file import VideoFileCamera
from tests.kiosk.sensors.videos import FPS, FRAMES, write_video


def number_of(frame: Frame) -> int:
    return round((float(frame.image.mean()) - 10) / 15)


@pytest.fixture
def video(tmp_path: Path) -> Path:
    return write_video(tmp_path / "clip.avi")


def test_as_fast_as_asked_every_frame_comes_in_order_and_the_end_is_said(video: Path) -> None:
    camera = VideoFileCamera(video, realtime=False)
    frames = [camera.read(1) for _ in range(FRAMES)]
    assert [number_of(frame) for frame in frames] == list(range(FRAMES))
    assert [frame.index for frame in frames] == list(range(FRAMES))
    assert frames[0].image.shape == (48, 64, 3)
    with pytest.raises(CameraEnded, match="after 12 of 12"):
        camera.read(1)
    camera.close()


def test_as_fast_as_asked_time_follows_the_video_and_not_the_wall(video: Path) -> None:
    camera = VideoFileCamera(video, realtime=False)
    times = [camera.read(1).mono_us for _ in range(FRAMES)]
    steps = np.diff(times)
    assert np.all(np.abs(steps - 1e6 / FPS) < 1500)


def test_in_real_time_no_frame_comes_before_it_is_due(video: Path) -> None:
    camera = VideoFileCamera(video)
    first = camera.read(1)
    last = first
    for _ in range(5):
        last = camera.read(1)
        assert time.monotonic_ns() // 1000 >= last.mono_us
    # Frames may be skipped on a busy machine, but none is early and each carries the time of its place in the video.
    assert last.mono_us - first.mono_us == pytest.approx(number_of(last) / FPS * 1e6, abs=3000)


def test_in_real_time_a_reader_who_was_away_gets_the_picture_of_now(video: Path) -> None:
    camera = VideoFileCamera(video)
    camera.read(1)
    camera._start_us -= 300_000  # type: ignore[operator]  # as if the reader had been away for six frames
    camera._media_us = 0
    assert number_of(camera.read(1)) >= 4


def test_a_frame_that_is_due_after_the_time_given_is_a_stall_and_not_lost(tmp_path: Path) -> None:
    camera = VideoFileCamera(write_video(tmp_path / "slow.avi", frames=3, fps=2))
    assert number_of(camera.read(1)) == 0
    with pytest.raises(CameraStalled):
        camera.read(0.01)
    assert number_of(camera.read(2)) == 1


def test_a_loop_goes_on_with_rising_numbers_and_times(video: Path) -> None:
    camera = VideoFileCamera(video, realtime=False, loop=True)
    frames = [camera.read(1) for _ in range(3 * FRAMES)]
    assert [number_of(frame) for frame in frames] == list(range(FRAMES)) * 3
    assert [frame.index for frame in frames] == list(range(3 * FRAMES))
    assert np.all(np.diff([frame.mono_us for frame in frames]) > 0)


def test_a_video_cut_short_ends_where_its_pictures_end(video: Path) -> None:
    whole = video.read_bytes()
    video.write_bytes(whole[: (whole.index(b"movi") + whole.index(b"idx1")) // 2])
    camera = VideoFileCamera(video, realtime=False)
    seen = 0
    with pytest.raises(CameraEnded):
        for _ in range(FRAMES + 1):
            camera.read(1)
            seen += 1
    assert 0 < seen < FRAMES


@pytest.mark.parametrize("content", [b"", b"not a video at all" * 50])
def test_a_file_that_is_no_video_fails_with_what_to_do(tmp_path: Path, content: bytes) -> None:
    path = tmp_path / "clip.mp4"
    path.write_bytes(content)
    with pytest.raises(CameraFailed, match=r"convert it|no frame"):
        VideoFileCamera(path).read(1)


def test_a_missing_file_fails_by_name(tmp_path: Path) -> None:
    with pytest.raises(CameraFailed, match=r"missing\.mp4"):
        VideoFileCamera(tmp_path / "missing.mp4")


def test_a_closed_file_fails_and_closing_twice_is_harmless(video: Path) -> None:
    camera = VideoFileCamera(video)
    camera.close()
    camera.close()
    with pytest.raises(CameraFailed):
        camera.read(1)
