"""OpenCV's SFace network (FaceRecognizerSF) behind the Embedder protocol, fed through MediaPipe's landmarks.

The operator brings the ONNX file and its SHA-256; nothing is fetched. OpenCV compares SFace vectors by their cosine. At
length 1 Euclidean distance says the same, d = sqrt(2 - 2 cos), so vectors leave here with length 1 and the matcher
needs no second measure; the mean of several is brought back to length 1 (`MatchLimits.unit_length`), else it would lie
nearer to everybody. No real weights were ever run here: tests use a small network of the same shape.
"""

from __future__ import annotations

import hashlib
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from kiosk.verify.embedder import EmbeddingFailed
from kiosk.verify.errors import LibraryMissing, ModelCorrupted, ModelMissing
from kiosk.verify.model_limits import SFACE
from kiosk.verify.native_noise import native_noise_filtered

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from kiosk.verify.landmarks import Landmarks

PREPROCESSING = "mp5.1"  # raise it with any change to the points: templates made before do not compare
DIMENSIONS = 128
CHIP_PX = 112  # FaceRecognizerSF.alignCrop's, what the network was trained on
# YuNet's five points, which alignCrop wants in this order: the eye on the image's left, the one on its right, nose tip,
# corner of the mouth on the image's left, on its right. An eye is midway between its corners: an iris follows the gaze.
LEFT_EYE, RIGHT_EYE = (33, 133), (362, 263)
NOSE_TIP, LEFT_MOUTH, RIGHT_MOUTH = 1, 61, 291
SHORTEST = 1e-6  # a vector that short has no direction


class SFaceEmbedder:
    """FaceRecognizerSF on the CPU.

    `sha256`: 64 hex digits that the file must have; exactly the bytes that were checked are loaded. Raises
    ModelMissing, ModelCorrupted (another hash, or no network of this shape), LibraryMissing.
    """

    def __init__(self, weights: Path, sha256: str) -> None:
        content = _checked(weights, sha256)
        try:
            import cv2

            create = cv2.FaceRecognizerSF.create
        except (ImportError, AttributeError) as error:
            raise LibraryMissing("this OpenCV has no FaceRecognizerSF: pip install 'zaigang[kiosk]'") from error
        self._cv_error: type[Exception] = cv2.error
        try:
            with native_noise_filtered():
                self._network: Any = create("onnx", np.frombuffer(content, np.uint8), np.zeros(0, np.uint8))
            self._describe(np.full((CHIP_PX, CHIP_PX, 3), 128, np.uint8))
        except (cv2.error, EmbeddingFailed) as error:
            raise ModelCorrupted(
                f"{weights} is no SFace network that OpenCV {cv2.__version__} runs: {error}"
            ) from error
        self._model_id = f"{SFACE}/{sha256.lower()[:12]}/{PREPROCESSING}"

    @property
    def model_id(self) -> str:
        """Names weights and preprocessing."""
        return self._model_id

    def embed(self, image_bgr: NDArray[np.uint8], face: Landmarks) -> NDArray[np.float32]:
        """Return the vector (128,), of length 1, of one face of the image (H, W, 3). Raises EmbeddingFailed."""
        try:
            chip = self._network.alignCrop(image_bgr, yunet_row(face))
            vector = self._describe(chip)
        except self._cv_error as error:
            raise EmbeddingFailed(f"OpenCV could not describe the face: {error}") from error
        length = float(np.linalg.norm(vector))
        if length < SHORTEST:
            raise EmbeddingFailed("SFace gave a vector without a direction")
        return vector / np.float32(length)

    def _describe(self, chip: NDArray[np.uint8]) -> NDArray[np.float32]:
        vector = np.asarray(self._network.feature(chip), np.float32).reshape(-1)
        if vector.shape != (DIMENSIONS,) or not np.isfinite(vector).all():
            raise EmbeddingFailed(f"SFace gives {DIMENSIONS} finite numbers, this network does not")
        return vector


def yunet_row(face: Landmarks) -> NDArray[np.float32]:
    """Return the face as YuNet would: x, y, width, height, five points, score, (1, 15) in px."""
    pixels = face.pixels
    x0, y0, x1, y1 = np.array(face.box) * ([face.width, face.height] * 2)
    eyes = [pixels[list(corners)].mean(axis=0) for corners in (LEFT_EYE, RIGHT_EYE)]
    points = np.stack([*eyes, *pixels[[NOSE_TIP, LEFT_MOUTH, RIGHT_MOUTH]]])
    row = np.concatenate([[x0, y0, x1 - x0, y1 - y0], points.ravel(), [1.0]])
    return np.asarray(row, np.float32)[np.newaxis]


def _checked(weights: Path, sha256: str) -> bytes:
    try:
        content = weights.read_bytes()
    except OSError as error:
        raise ModelMissing(f"the SFace network {weights} cannot be read: {error.strerror or error}") from error
    found = hashlib.sha256(content).hexdigest()
    if found != sha256.lower():
        raise ModelCorrupted(
            f"{weights} is not the file of sface_sha256: its SHA-256 is {found}; bring the right file, or correct the "
            "setting if you trust this one"
        )
    return content
