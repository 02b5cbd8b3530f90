"""A model that is built anew where it raised: what it last did says whether it works.

A MediaPipe graph or a network that breaks goes on raising until another one is made; a new one costs 5 MB that are not
given back (mediapipe 1.2), so the number is bounded.
"""

from __future__ import annotations

import time
from collections import deque
from collections.abc import Callable, Sequence
from typing import TYPE_CHECKING, Generic, TypeVar

import structlog

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

    from kiosk.verify.embedder import Embedder
    from kiosk.verify.landmarks import LandmarkDetector, Landmarks

log = structlog.get_logger(__name__)

M = TypeVar("M")
R = TypeVar("R")

MOST_REBUILDS = 3  # within REBUILDS_WITHIN_S: whoever raises after the third will after the fourth
REBUILDS_WITHIN_S = 3600.0  # at 5 MB each, 0.4 GB a day where nothing helps and everybody tries


class Watched(Generic[M]):
    """One model. `make` builds it and may raise; `close` lets one go. Called by one thread; `error` by any."""

    def __init__(self, name: str, make: Callable[[], M], close: Callable[[M], object] = lambda model: None) -> None:
        self._name, self._make, self._close = name, make, close
        self._model = make()
        self._rebuilt_s: deque[float] = deque(maxlen=MOST_REBUILDS)
        self._error: str | None = None

    @property
    def error(self) -> str | None:
        """What it raised when it was last asked; None: it answered."""
        return self._error

    def ask(self, question: Callable[[M], R]) -> R:
        """Let it work; what it raises is noted and raised."""
        try:
            answer = question(self._model)
        except Exception as error:
            self._error = f"{self._name}: {type(error).__name__}: {error}"
            raise
        self._error = None
        return answer

    def renew(self) -> None:
        """Build it anew if it raised when it was last asked. Never raises: where that fails, the old one stays."""
        now_s = time.monotonic()
        full = len(self._rebuilt_s) == MOST_REBUILDS
        if self._error is None or (full and now_s - self._rebuilt_s[0] < REBUILDS_WITHIN_S):
            return
        self._rebuilt_s.append(now_s)
        old, why = self._model, self._error
        try:
            self._model = self._make()
        except Exception:
            log.exception("model_not_rebuilt", model=self._name)
            return
        log.warning("model_rebuilt", model=self._name, why=why)
        try:
            self._close(old)
        except Exception:  # a graph that broke raises once more when it is closed
            log.exception("model_not_closed", model=self._name)

    def close(self) -> None:
        """Let it go. Raises what its own close raises."""
        self._close(self._model)


class WatchedDetector(Watched["LandmarkDetector"]):
    """A landmark detector, as a face session uses it."""

    def __init__(self, make: Callable[[], LandmarkDetector]) -> None:
        super().__init__("detector", make, lambda detector: detector.close())

    def detect(self, image_bgr: NDArray[np.uint8], mono_us: int) -> Sequence[Landmarks]:
        """Faces of the image, the largest first."""
        return self.ask(lambda detector: detector.detect(image_bgr, mono_us))


class WatchedEmbedder(Watched["Embedder"]):
    """An embedder, as everybody uses it."""

    def __init__(self, make: Callable[[], Embedder]) -> None:
        super().__init__("embedder", make)

    @property
    def model_id(self) -> str:
        """Names weights and preprocessing."""
        return self._model.model_id

    def embed(self, image_bgr: NDArray[np.uint8], face: Landmarks) -> NDArray[np.float32]:
        """Return the vector (D,) of one face of the image (H, W, 3). Raises EmbeddingFailed."""
        return self.ask(lambda embedder: embedder.embed(image_bgr, face))
