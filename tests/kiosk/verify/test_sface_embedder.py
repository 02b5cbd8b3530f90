"""OpenCV's FaceRecognizerSF itself, on a small network of SFace's shape; SFace's own weights were never run here."""

from __future__ import annotations

from pathlib import Path

import cv2
import numpy as np
import pytest

from kiosk.verify.embedder import EmbeddingFailed
from kiosk.verify.embedder_choice import EmbedderChoice, open_embedder
from kiosk.verify.errors import ModelCorrupted, ModelMissing
from kiosk.verify.landmarks import Landmarks
from kiosk.verify.lineup import distance
from kiosk.verify.model_limits import limits_of
from kiosk.verify.sface_embedder import DIMENSIONS, SFaceEmbedder, yunet_row
from tests.support.faces import still_detector
from tests.support.small_onnx import write_small_sface
from zaigang.synthetic.person import LivingPerson
from zaigang.synthetic.portraits import Portrait, astronaut, grace_hopper
from zaigang.synthetic.pose import Pose

# Where alignCrop puts the five points, px of the 112x112 chip: InsightFace's standard, which SFace was trained on.
STANDARD = np.array([(38.29, 51.70), (73.53, 51.50), (56.03, 71.74), (41.55, 92.37), (70.73, 92.20)])


@pytest.fixture(scope="module")
def network(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, str]:
    path = tmp_path_factory.mktemp("sface") / "small.onnx"
    return path, write_small_sface(path)


@pytest.fixture(scope="module")
def embedder(network: tuple[Path, str]) -> SFaceEmbedder:
    return SFaceEmbedder(*network)


def picture(portrait: Portrait, pose: Pose = Pose(), light: float = 1) -> tuple[np.ndarray, Landmarks]:  # noqa: B008
    image = LivingPerson(portrait, still_detector()).render(pose, light)
    return image, still_detector().detect(image, 0)[0]


def test_a_face_is_128_numbers_of_length_one(embedder: SFaceEmbedder) -> None:
    vector = embedder.embed(*picture(astronaut()))
    assert (vector.shape, vector.dtype) == ((DIMENSIONS,), np.float32)
    assert np.linalg.norm(vector) == pytest.approx(1, abs=1e-6)


def test_a_vector_is_not_overwritten_by_the_next_face(embedder: SFaceEmbedder) -> None:
    first = embedder.embed(*picture(astronaut()))
    kept = first.copy()
    embedder.embed(*picture(grace_hopper()))
    assert np.array_equal(first, kept)


def test_our_euclidean_distance_is_opencvs_own_and_its_cosine(
    embedder: SFaceEmbedder, network: tuple[Path, str]
) -> None:
    theirs = cv2.FaceRecognizerSF.create(str(network[0]), "")
    faces = [picture(astronaut()), picture(grace_hopper())]
    one, other = (embedder.embed(*face) for face in faces)
    raw = [theirs.feature(theirs.alignCrop(image, yunet_row(face))).copy() for image, face in faces]
    apart = distance(one, other)
    assert apart == pytest.approx(theirs.match(*(r.copy() for r in raw), cv2.FaceRecognizerSF_FR_NORM_L2), abs=1e-5)
    cosine = theirs.match(*(r.copy() for r in raw), cv2.FaceRecognizerSF_FR_COSINE)
    assert apart == pytest.approx((2 - 2 * cosine) ** 0.5, abs=1e-5)


def test_the_limit_is_opencvs_cosine_as_a_distance() -> None:
    assert limits_of("sface/0123456789ab/mp5.1").threshold == pytest.approx((2 - 2 * 0.363) ** 0.5, abs=1e-3)


@pytest.mark.parametrize("portrait", [astronaut(), grace_hopper()], ids=["astronaut", "hopper"])
def test_mediapipes_points_lie_on_the_crop_where_the_network_expects_them(portrait: Portrait) -> None:
    _, face = picture(portrait)
    points = yunet_row(face)[0, 4:14].reshape(5, 2)
    # The similarity that brings the points to the standard, without OpenCV: a complex factor and an offset.
    here, there = points @ [1, 1j], STANDARD @ [1, 1j]
    system = np.stack([here, np.ones(5)], axis=1)
    (factor, offset), *_ = np.linalg.lstsq(system, there, rcond=None)
    assert np.abs(here * factor + offset - there).max() < 8  # px of 112: these two people have no standard face
    assert abs(np.degrees(np.angle(factor))) < 15


def test_one_person_is_nearer_than_another(embedder: SFaceEmbedder) -> None:
    """Of the small network only that: what it is given is the same crop of the same face."""
    same = distance(
        embedder.embed(*picture(astronaut())),
        embedder.embed(*picture(astronaut(), Pose(scale=0.8, shift=(40, 10)), 0.8)),
    )
    assert same < 0.5 * distance(embedder.embed(*picture(astronaut())), embedder.embed(*picture(grace_hopper())))


def test_the_model_id_names_weights_and_preprocessing(embedder: SFaceEmbedder, network: tuple[Path, str]) -> None:
    assert embedder.model_id == f"sface/{network[1][:12]}/mp5.1"
    assert SFaceEmbedder(network[0], network[1].upper()).model_id == embedder.model_id


def test_a_missing_file_and_a_wrong_hash_are_named(network: tuple[Path, str], tmp_path: Path) -> None:
    with pytest.raises(ModelMissing, match=r"nowhere\.onnx cannot be read: No such file"):
        SFaceEmbedder(tmp_path / "nowhere.onnx", network[1])
    with pytest.raises(ModelCorrupted, match=rf"sface_sha256: its SHA-256 is {network[1]}"):
        SFaceEmbedder(network[0], "0" * 64)


@pytest.mark.parametrize("content", [b"", b"no network", bytes(5000)])
def test_a_file_that_is_no_network_is_named(tmp_path: Path, content: bytes) -> None:
    import hashlib

    path = tmp_path / "x.onnx"
    path.write_bytes(content)
    with pytest.raises(ModelCorrupted, match=r"x\.onnx is no SFace network"):
        SFaceEmbedder(path, hashlib.sha256(content).hexdigest())


@pytest.mark.parametrize(("outputs", "scale"), [(64, 1.0), (128, float("nan"))])
def test_a_network_of_another_shape_or_without_numbers_is_refused(tmp_path: Path, outputs: int, scale: float) -> None:
    path = tmp_path / "x.onnx"
    with pytest.raises(ModelCorrupted, match="128 finite numbers"):
        SFaceEmbedder(path, write_small_sface(path, outputs, scale))


def test_a_vector_without_a_direction_is_no_face(tmp_path: Path) -> None:
    path = tmp_path / "x.onnx"
    embedder = SFaceEmbedder(path, write_small_sface(path, scale=0))
    with pytest.raises(EmbeddingFailed, match="direction"):
        embedder.embed(*picture(astronaut()))


def test_the_choice_opens_what_it_names(network: tuple[Path, str]) -> None:
    assert open_embedder(EmbedderChoice()).model_id.startswith("dlib-resnet-v1/")
    assert open_embedder(EmbedderChoice("sface", *network)).model_id.startswith("sface/")
    with pytest.raises(ModelMissing, match="sface_sha256"):
        open_embedder(EmbedderChoice("sface", network[0]))
