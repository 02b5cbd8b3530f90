from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from kiosk.verify.embedder import DIMENSIONS, DlibEmbedder
from kiosk.verify.errors import ModelMissing
from kiosk.verify.matcher import THRESHOLD, distance
from kiosk.verify.models import EMBEDDING_SHA256, face_embedding_model
from tests.support.faces import still_detector
from zaigang.synthetic.person import LivingPerson
from zaigang.synthetic.portraits import Portrait, astronaut, grace_hopper
from zaigang.synthetic.pose import Pose


@pytest.fixture(scope="module")
def embedder() -> DlibEmbedder:
    return DlibEmbedder()


def vector(embedder: DlibEmbedder, portrait: Portrait, pose: Pose = Pose(), light: float = 1) -> np.ndarray:  # noqa: B008
    picture = LivingPerson(portrait, still_detector()).render(pose, light)
    return embedder.embed(picture, still_detector().detect(picture, 0)[0])


def test_a_face_is_128_finite_numbers(embedder: DlibEmbedder) -> None:
    one = vector(embedder, astronaut())
    assert (one.shape, one.dtype) == ((DIMENSIONS,), np.float32)
    assert np.isfinite(one).all()


@pytest.mark.parametrize("portrait", [astronaut(), grace_hopper()], ids=["astronaut", "hopper"])
@pytest.mark.parametrize(
    ("pose", "light"),
    [(Pose(yaw_deg=15), 1), (Pose(yaw_deg=-15), 1), (Pose(scale=0.7, shift=(60, 20)), 1), (Pose(), 0.6)],
    ids=["left", "right", "further away", "dimmer"],
)
def test_one_person_stays_near_turned_further_away_and_in_dimmer_light(
    embedder: DlibEmbedder, portrait: Portrait, pose: Pose, light: float
) -> None:
    assert distance(vector(embedder, portrait), vector(embedder, portrait, pose, light)) <= THRESHOLD


def test_two_people_are_far_apart(embedder: DlibEmbedder) -> None:
    assert distance(vector(embedder, astronaut()), vector(embedder, grace_hopper())) > THRESHOLD


def test_the_model_id_names_weights_and_preprocessing(embedder: DlibEmbedder, tmp_path: Path) -> None:
    assert embedder.model_id == f"dlib-resnet-v1/{EMBEDDING_SHA256[:12]}/mp5.1"
    copy = tmp_path / "weights.dat"
    copy.write_bytes(face_embedding_model().read_bytes())
    assert DlibEmbedder(copy).model_id == embedder.model_id


@pytest.mark.parametrize("content", [None, b"no weights"])
def test_weights_that_cannot_be_read_are_named(tmp_path: Path, content: bytes | None) -> None:
    path = tmp_path / "weights.dat"
    if content is not None:
        path.write_bytes(content)
    with pytest.raises(ModelMissing, match=r"weights\.dat"):
        DlibEmbedder(path)
