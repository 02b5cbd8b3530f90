"""The same landmark code under mediapipe 0.10.18, which a Raspberry Pi 4 needs."""

from __future__ import annotations

import json
from pathlib import Path

import cv2
import numpy as np
import pytest

from tests.support.faces import bundle, run_with_other_mediapipe, still_detector
from zaigang.synthetic.portraits import astronaut

JUDGE = """
import json, sys
from pathlib import Path
import mediapipe, numpy
from kiosk.verify.errors import FrameOutOfOrder
from kiosk.verify.landmarks import LandmarkDetector

image = numpy.load(sys.argv[2])
still = LandmarkDetector(Path(sys.argv[1]), "image")
video = LandmarkDetector(Path(sys.argv[1]), "video")
(face,) = still.detect(image, 0)
(followed,) = [video.detect(image, us) for us in (40_000, 40_001, 80_000)][-1]
try:
    video.detect(image, 80_000)
    refused = False
except FrameOutOfOrder:
    refused = True
print(json.dumps({"version": mediapipe.__version__, "points": face.points.tolist(), "nose": followed.points[1].tolist(),
                  "refused": refused}))
"""


def judged(image: np.ndarray, folder: Path) -> dict[str, object]:
    np.save(folder / "image.npy", image)
    done = run_with_other_mediapipe("-c", JUDGE, str(bundle()), str(folder / "image.npy"))
    assert done.returncode == 0, done.stderr
    assert "Traceback" not in done.stderr
    answer: dict[str, object] = json.loads(done.stdout)
    assert answer["version"] == "0.10.18"
    return answer


def test_a_face_has_the_same_landmarks_under_both(tmp_path: Path) -> None:
    (here,) = still_detector().detect(astronaut().image, 0)
    there = judged(astronaut().image, tmp_path)
    assert there["points"][1] == pytest.approx([0.436425, 0.253937, -0.044681], abs=5e-5)  # type: ignore[index]
    assert np.abs(np.array(there["points"]) - here.points).max() < 2e-4
    assert there["nose"] == pytest.approx([0.436425, 0.253937, -0.044681], abs=2e-3)
    assert there["refused"] is True


def test_a_tilted_face_in_a_wide_picture_lies_in_the_same_place_under_both(tmp_path: Path) -> None:
    """0.10.18 warns that it projects as if pictures were square; x and y must hold all the same, z is not used."""
    tilt = cv2.getRotationMatrix2D((224, 112), 25, 1.0)
    tilt[:, 2] += 100
    image = cv2.warpAffine(astronaut().image, tilt, (640, 480))
    (here,) = still_detector().detect(image, 0)
    there = np.array(judged(image, tmp_path)["points"])
    assert np.abs((there - here.points)[:, :2] * (640, 480)).max() < 1.0  # px


def test_the_bundle_of_the_older_flatbuffers_gives_the_same_landmarks(tmp_path: Path) -> None:
    from kiosk.verify.landmarks import LandmarkDetector
    from kiosk.verify.models import landmark_bundle

    done = run_with_other_mediapipe("-m", "kiosk.verify.models", ZAIGANG_MODELS=str(tmp_path))
    assert "landmarks" in done.stdout, done.stderr
    assert landmark_bundle(folder=tmp_path).read_bytes() != bundle().read_bytes()
    with LandmarkDetector(landmark_bundle(folder=tmp_path), "image") as detector:
        (other,) = detector.detect(astronaut().image, 0)
    (usual,) = still_detector().detect(astronaut().image, 0)
    assert np.array_equal(other.points, usual.points)
