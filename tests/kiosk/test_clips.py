"""A clip is kept whole or not at all, opens for its key alone, and goes when its time or its consent is over."""

from __future__ import annotations

import hashlib
import os
import stat
from pathlib import Path

import cv2
import numpy as np
import pytest
from numpy.typing import NDArray

from evidence.events import ClockReading
from kiosk.clip_recording import EVERY_US, LASTS_US, Recording, Video
from kiosk.clip_store import ClipError, ClipMissing, ClipStore, ClipUnreadable, NoRoomForClip
from kiosk.clips import Clips
from kiosk.clock import Stamp, format_time

KEY = bytes(range(32))
CALL, OTHER = "ab" * 16, "cd" * 16
MADE = "2026-03-01T08:00:00.000Z"
VIDEO = Video(b"\xff\xd8 a picture \xff\xd9" * 20, 20, 3800)


def store(folder: Path, key: bytes = KEY, **limits: int) -> ClipStore:
    return ClipStore(folder / "clips", lambda: key, **limits)


def picture(seed: int, height: int = 480, width: int = 640) -> NDArray[np.uint8]:
    return np.random.default_rng(seed).integers(0, 255, (height, width, 3), np.uint8)


# --- recording


def test_a_recording_is_the_last_15_seconds_at_five_pictures_a_second() -> None:
    recording = Recording()
    for number in range(25 * 20):  # 20 s at 25 frames a second
        recording.add(7_000_000 + number * 40_000, picture(number % 3, 48, 64), None)
    video = recording.video()
    assert video is not None
    assert (video.frames, video.duration_ms) == (LASTS_US // EVERY_US + 1, 15_000)


def test_a_recording_plays_as_motion_jpeg_and_each_picture_tells_its_time(tmp_path: Path) -> None:
    recording = Recording()
    for number in range(10):
        recording.add(number * EVERY_US, picture(number), None)
    video = recording.video()
    assert video is not None
    file = tmp_path / "clip.mjpeg"
    file.write_bytes(video.data)
    film = cv2.VideoCapture(str(file))
    count = 0
    while film.read()[0]:
        count += 1
    assert count == video.frames == 10
    assert [video.data.count(f"ms={200 * number}".encode()) for number in (0, 1, 9)] == [1, 1, 1]


def test_bystanders_are_blurred_before_anything_is_kept() -> None:
    recording, image = Recording(), picture(1)
    recording.add(0, image, (0.4, 0.4, 0.6, 0.6))
    video = recording.video()
    assert video is not None
    kept = cv2.imdecode(np.frombuffer(video.data, np.uint8), cv2.IMREAD_COLOR)
    assert kept is not None
    corner, face = kept[:100, :100].astype(float), kept[220:260, 300:340].astype(float)
    assert corner.std() < 0.25 * image.std()
    assert face.std() > 0.6 * image.std()


def test_pictures_that_do_not_fit_the_memory_push_out_the_oldest(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("kiosk.clip_recording.MOST_BYTES", 1_000_000)
    recording = Recording()
    for number in range(20):
        recording.add(number * EVERY_US, picture(number), (0.1, 0.1, 0.9, 0.9))
    video = recording.video()
    assert video is not None and 100_000 < len(video.data) < 1_001_000


def test_without_a_picture_there_is_no_video() -> None:
    assert Recording().video() is None


# --- the store


def test_a_clip_opens_with_its_key_and_its_commitment_can_be_checked(tmp_path: Path) -> None:
    held = store(tmp_path).put(CALL, "E-17", MADE, VIDEO)
    opened = store(tmp_path).open(CALL)
    assert (opened.video, opened.held) == (VIDEO.data, held)
    assert hashlib.sha256(opened.salt + opened.video).hexdigest() == held.commitment
    file = tmp_path / "clips" / f"{CALL}.clip"
    assert stat.S_IMODE(file.stat().st_mode) == 0o600 and stat.S_IMODE(file.parent.stat().st_mode) == 0o700
    assert b"a picture" not in file.read_bytes()


def test_the_same_pictures_are_committed_to_differently_each_time(tmp_path: Path) -> None:
    one, other = (store(tmp_path).put(call, "E-17", MADE, VIDEO).commitment for call in (CALL, OTHER))
    assert one != other


def test_another_key_opens_nothing_and_says_so(tmp_path: Path) -> None:
    store(tmp_path).put(CALL, "E-17", MADE, VIDEO)
    with pytest.raises(ClipUnreadable, match="another key"):
        store(tmp_path, bytes(32)).open(CALL)
    assert [one.command for one in store(tmp_path, bytes(32)).held()] == [CALL]


@pytest.mark.parametrize("place", [3, 40, 120, 260, 300, -1])
def test_a_flipped_bit_anywhere_is_found(tmp_path: Path, place: int) -> None:
    store(tmp_path).put(CALL, "E-17", MADE, VIDEO)
    file = tmp_path / "clips" / f"{CALL}.clip"
    content = bytearray(file.read_bytes())
    content[place] ^= 1
    file.write_bytes(content)
    with pytest.raises(ClipUnreadable):
        store(tmp_path).open(CALL)
    store(tmp_path).held()


@pytest.mark.parametrize("size", [0, 1, 100, 300])
def test_a_cut_file_is_found(tmp_path: Path, size: int) -> None:
    store(tmp_path).put(CALL, "E-17", MADE, VIDEO)
    os.truncate(tmp_path / "clips" / f"{CALL}.clip", size)
    with pytest.raises(ClipUnreadable):
        store(tmp_path).open(CALL)


def test_a_clip_under_another_name_is_found(tmp_path: Path) -> None:
    store(tmp_path).put(CALL, "E-17", MADE, VIDEO)
    (tmp_path / "clips" / f"{CALL}.clip").rename(tmp_path / "clips" / f"{OTHER}.clip")
    with pytest.raises(ClipUnreadable, match="another call"):
        store(tmp_path).open(OTHER)


@pytest.mark.parametrize("name", ["", "..", "../journal", "AB" * 16, CALL + "0"])
def test_no_name_leads_out_of_the_folder(tmp_path: Path, name: str) -> None:
    with pytest.raises(ClipMissing):
        store(tmp_path).open(name)
    with pytest.raises(ClipMissing):
        store(tmp_path).drop(name)


class PowerCut(BaseException):
    """Nothing of the program goes on."""


@pytest.mark.parametrize("step", ["fsync", "replace"])
def test_power_that_goes_in_mid_write_leaves_the_old_clip_or_none_and_no_rest(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, step: str
) -> None:
    clips = store(tmp_path)
    clips.put(CALL, "E-17", MADE, VIDEO)

    def cut(*_: object, **__: object) -> None:
        raise PowerCut

    with monkeypatch.context() as patch:
        patch.setattr("os.fsync" if step == "fsync" else "pathlib.Path.replace", cut)
        for call in (CALL, OTHER):
            with pytest.raises(PowerCut):
                clips.put(call, "E-17", MADE, Video(b"new", 1, 0))
    assert len(list((tmp_path / "clips").glob(".*.new"))) == 2
    again = store(tmp_path)
    assert list((tmp_path / "clips").glob(".*.new")) == []
    assert [one.command for one in again.held()] == [CALL]
    assert again.open(CALL).video == VIDEO.data


def test_a_full_store_refuses_a_clip_and_throws_none_away(tmp_path: Path) -> None:
    clips = store(tmp_path, most=2)
    for number in range(2):
        clips.put(f"{number:032x}", "E-17", MADE, VIDEO)
    with pytest.raises(NoRoomForClip):
        clips.put(CALL, "E-17", MADE, VIDEO)
    clips.put(f"{1:032x}", "E-17", MADE, VIDEO)  # in the place of its own
    assert len(clips.held()) == 2


def test_a_disk_that_is_nearly_full_is_left_to_the_punches(tmp_path: Path) -> None:
    with pytest.raises(NoRoomForClip):
        store(tmp_path, low_space_bytes=1 << 60).put(CALL, "E-17", MADE, VIDEO)
    assert list((tmp_path / "clips").iterdir()) == []


def test_a_clip_goes_when_its_time_is_over(tmp_path: Path) -> None:
    clips = store(tmp_path, kept_s=1000)
    clips.put(CALL, "E-17", MADE, VIDEO)
    since_s = (tmp_path / "clips" / f"{CALL}.clip").stat().st_mtime
    assert clips.prune(since_s + 999) == 0
    assert clips.prune(since_s + 1001) == 1
    assert clips.held() == ()


@pytest.mark.parametrize(
    ("synced", "receipt_after_s", "left"), [(False, 0, 1), (False, 1001, 0), (True, 0, 0), (False, None, 0)]
)
def test_a_clock_that_nothing_sets_erases_no_clip_before_its_time(
    tmp_path: Path, synced: bool, receipt_after_s: int | None, left: int
) -> None:
    held = store(tmp_path, kept_s=1000)
    held.put(CALL, "E-17", MADE, VIDEO)
    since_s = (tmp_path / "clips" / f"{CALL}.clip").stat().st_mtime

    class Receipts:
        def newest_receipt(self) -> str | None:
            return None if receipt_after_s is None else format_time(int((since_s + receipt_after_s) * 1e9))

    clips = Clips(held, None, Receipts(), lambda: MADE)  # type: ignore[arg-type]  # what is asked of a journal
    reading = ClockReading(source="ntp" if synced else "none", synced=synced)
    clips.prune(Stamp(format_time(int((since_s + 31 * 86_400) * 1e9)), reading, "0" * 32, 0))
    assert len(held.held()) == left


def test_a_workers_clips_go_and_those_of_others_stay(tmp_path: Path) -> None:
    clips = store(tmp_path)
    clips.put(CALL, "E-17", MADE, VIDEO)
    clips.put(OTHER, "E-18", MADE, VIDEO)
    assert clips.drop_worker("E-17") == 1
    assert [one.worker for one in clips.held()] == ["E-18"]
    with pytest.raises(ClipMissing):
        clips.open(CALL)


def test_a_file_that_no_longer_says_whose_it_is_goes_with_any_erasure(tmp_path: Path) -> None:
    clips = store(tmp_path)
    clips.put(CALL, "E-17", MADE, VIDEO)
    (tmp_path / "clips" / f"{CALL}.clip").write_bytes(b"garbage")
    assert clips.drop_worker("E-99") == 1


def test_a_folder_that_cannot_be_made_is_an_error_of_ours(tmp_path: Path) -> None:
    (tmp_path / "clips").write_bytes(b"a file")
    with pytest.raises(ClipError):
        store(tmp_path)
