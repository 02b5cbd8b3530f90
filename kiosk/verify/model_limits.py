"""How near is near enough, for each embedding model: a distance belongs to one model and means nothing under another.

These are starting points. A site measures its own people with `zaigang calibrate` (docs/calibration.md) and sets
`match_distance`.
"""

from __future__ import annotations

from dataclasses import dataclass

from kiosk.verify.errors import VerifyError


class UnknownModel(VerifyError):
    """Vectors of a model that nobody has set a limit for: they are not compared."""


class LimitTooWide(VerifyError):
    """A site's distance is beyond what the model's authors call one person."""


@dataclass(frozen=True, slots=True)
class ModelLimits:
    """Of one model: Euclidean distances."""

    threshold: float
    margin: float  # 1:N: how much nearer than the second best
    widest: float  # a site may not set more
    unit_length: bool  # its vectors have length 1, and so must their mean
    source: str  # where the figures come from


DLIB = "dlib-resnet-v1"
SFACE = "sface"

MODEL_LIMITS = {
    DLIB: ModelLimits(
        threshold=0.54,
        margin=0.06,
        widest=0.6,
        unit_length=False,
        source=(
            "20 real photos through this alignment: mates 0.03-0.51 apart, nearest non-mates 0.607. dlib's own 0.6 is "
            "where both errors are alike; the threshold stands close to the mates, since a terminal must rather refuse "
            "a worker once than let a stranger in. The margin is two thirds of the gap."
        ),
    ),
    SFACE: ModelLimits(
        threshold=1.128,
        margin=0.125,
        widest=1.128,
        unit_length=True,
        source=(
            "opencv_zoo's sface.py: a cosine of 0.363, 1.128 apart at length 1, its best accuracy on LFW after YuNet's "
            "landmarks. Never run here, and never with MediaPipe's landmarks: calibrate before use. The margin is "
            "dlib's in proportion."
        ),
    ),
}


def limits_of(model_id: str) -> ModelLimits:
    """Return the limits of the model that made a vector. Raises UnknownModel."""
    name = model_id.partition("/")[0]
    if name not in MODEL_LIMITS:
        raise UnknownModel(
            f"there is no match limit for the model {model_id!r}; enrol with {' or '.join(MODEL_LIMITS)}"
        )
    return MODEL_LIMITS[name]
