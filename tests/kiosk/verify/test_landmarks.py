from __future__ import annotations

import os
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import cv2
import numpy as np
import pytest

from kiosk.verify.errors import (
    DetectorClosed,
    FrameOutOfOrder,
    LibraryMissing,
    ModelMissing,
    WrongProcessor,
)
from kiosk.verify.landmarks import LandmarkDetector
from kiosk.verify.native_noise import native_noise_filtered
from kiosk.verify.processor import check_processor, explain_import_failure
from tests.support.faces import ROOT, bundle, still_detector
from zaigang.synthetic.portraits import astronaut, grace_hopper

NOSE_TIP = 1
SECOND_US = 1_000_000


@pytest.fixture(scope="module")
def tracker() -> Iterator[LandmarkDetector]:
    with LandmarkDetector(bundle(), "video") as detector:
        yield detector


@pytest.fixture(scope="module")
def later() -> Iterator[int]:
    return iter(range(SECOND_US, 10_000 * SECOND_US, 40_000))


class TestTheLandmarks:
    def test_are_those_of_the_old_face_mesh_with_refined_eyes_and_lips(self) -> None:
        (face,) = still_detector().detect(astronaut().image, 0)
        assert face.points.shape == (478, 3)
        assert face.points.dtype == np.float32
        # Measured with mediapipe 0.10.18, mp.solutions.face_mesh, refine_landmarks=True.
        assert face.points[NOSE_TIP] == pytest.approx([0.436425, 0.253937, -0.044681], abs=5e-5)

    def test_say_where_the_face_is_and_how_large(self) -> None:
        (face,) = still_detector().detect(astronaut().image, 0)
        x0, y0, x1, y1 = face.box
        assert (x0, y0, x1, y1) == pytest.approx((0.35, 0.14, 0.53, 0.35), abs=0.01)
        assert face.area == pytest.approx((x1 - x0) * (y1 - y0))
        assert face.eye_distance_px == pytest.approx(42.2, abs=0.5)
        assert face.pixels[NOSE_TIP] == pytest.approx([223.4, 130.0], abs=0.5)

    def test_of_two_people_come_the_larger_first(self) -> None:
        head = cv2.resize(astronaut().image[:240, 100:340], (400, 400))
        wide = np.full((600, 912, 3), 128, np.uint8)
        wide[100:500, :400], wide[:, 400:] = head, grace_hopper().image
        first, second = still_detector().detect(wide, 0)
        assert first.box[0] > 0.45 > second.box[2]
        assert first.area > second.area

    def test_of_an_empty_room_are_none(self) -> None:
        assert still_detector().detect(np.full((480, 640, 3), 128, np.uint8), 0) == ()


class TestTheDetector:
    def test_finds_the_same_face_in_a_video(self, tracker: LandmarkDetector, later: Iterator[int]) -> None:
        for _ in range(3):
            (face,) = tracker.detect(astronaut().image, next(later))
        assert face.points[NOSE_TIP] == pytest.approx([0.436425, 0.253937, -0.044681], abs=2e-3)

    def test_refuses_a_frame_that_is_not_newer_and_goes_on(
        self, tracker: LandmarkDetector, later: Iterator[int]
    ) -> None:
        now_us = next(later)
        tracker.detect(astronaut().image, now_us)
        for stale_us in (now_us, now_us - 1, 0):
            with pytest.raises(FrameOutOfOrder):
                tracker.detect(astronaut().image, stale_us)
        assert tracker.detect(astronaut().image, next(later))

    def test_takes_frames_of_the_same_millisecond(self, tracker: LandmarkDetector, later: Iterator[int]) -> None:
        now_us = next(later)
        for microsecond in range(5):
            assert tracker.detect(astronaut().image, now_us + microsecond)
        assert tracker.detect(astronaut().image, next(later))

    def test_without_its_model_says_what_to_run(self, tmp_path: Path) -> None:
        with pytest.raises(ModelMissing, match=r"python -m kiosk\.verify\.models"):
            LandmarkDetector(tmp_path / "none.task")

    def test_names_a_file_that_is_no_model(self, tmp_path: Path) -> None:
        (tmp_path / "wrong.task").write_bytes(b"not a model")
        with pytest.raises(ModelMissing, match=r"wrong\.task"):
            LandmarkDetector(tmp_path / "wrong.task")

    def test_says_when_it_has_been_closed(self) -> None:
        detector = LandmarkDetector(bundle(), "image")
        detector.close()
        detector.close()
        with pytest.raises(DetectorClosed):
            detector.detect(astronaut().image, 0)

    @pytest.mark.parametrize("mode", ["video", "image"])
    def test_left_open_says_nothing_when_the_program_ends(self, mode: str) -> None:
        code = (
            "from kiosk.verify.landmarks import LandmarkDetector; from pathlib import Path; import numpy, sys\n"
            "detector = LandmarkDetector(Path(sys.argv[1]), sys.argv[2])\n"
            "detector.detect(numpy.zeros((480, 640, 3), numpy.uint8), 1000)"
        )
        done = subprocess.run(
            [sys.executable, "-c", code, bundle(), mode],
            env={**os.environ, "PYTHONPATH": str(ROOT)},
            capture_output=True,
            text=True,
            timeout=60,
        )
        assert (done.returncode, done.stdout, done.stderr) == (0, "", "")


class TestTheNoiseFilter:
    def test_lets_through_what_is_not_habitual(self, capfd: pytest.CaptureFixture[str]) -> None:
        with native_noise_filtered():
            os.write(2, b"INFO: Created TensorFlow Lite XNNPACK delegate for CPU.\nE0000 out of memory\n")
        assert capfd.readouterr().err == "E0000 out of memory\n"

    def test_gives_standard_error_back_after_an_exception(self, capfd: pytest.CaptureFixture[str]) -> None:
        with pytest.raises(ZeroDivisionError), native_noise_filtered():
            os.write(2, b"before\n")
            raise ZeroDivisionError
        os.write(2, b"after\n")
        assert capfd.readouterr().err == "before\nafter\n"


PI_5 = "processor : 0\nFeatures\t: fp asimd crc32 atomics fphp asimdhp cpuid asimdrdm lrcpc dcpop asimddp\n"
PI_4 = "processor : 0\nFeatures\t: fp asimd evtstrm crc32 cpuid\n"


class TestTheProcessor:
    def test_of_a_pi_4_is_told_which_mediapipe_it_needs(self, tmp_path: Path) -> None:
        (tmp_path / "cpuinfo").write_text(PI_4)
        with pytest.raises(WrongProcessor, match=r"atomics and lrcpc.*requirements/mediapipe-0\.10\.18\.txt"):
            check_processor("1.2.2", "aarch64", tmp_path / "cpuinfo")

    def test_with_one_small_core_is_as_good_as_that_core(self, tmp_path: Path) -> None:
        (tmp_path / "cpuinfo").write_text(PI_5 + PI_4)
        with pytest.raises(WrongProcessor):
            check_processor("1.2.2", "aarch64", tmp_path / "cpuinfo")

    @pytest.mark.parametrize(
        ("version", "machine", "cpuinfo"),
        [("1.2.2", "aarch64", PI_5), ("0.10.18", "aarch64", PI_4), ("1.2.2", "x86_64", ""), ("1.2.2", "aarch64", "")],
    )
    def test_that_can_is_let_through(self, tmp_path: Path, version: str, machine: str, cpuinfo: str) -> None:
        (tmp_path / "cpuinfo").write_text(cpuinfo)
        check_processor(version, machine, tmp_path / "cpuinfo")

    @pytest.mark.parametrize("library", ["libGL.so.1", "libEGL.so.1", "libGLESv2.so.2"])
    def test_without_a_graphics_library_is_told_the_debian_packages(self, library: str) -> None:
        failure = OSError(f"{library}: cannot open shared object file: No such file or directory")
        error = explain_import_failure(failure)
        assert isinstance(error, LibraryMissing)
        assert "apt install libgl1 libglib2.0-0 libgles2 libegl1" in str(error)
