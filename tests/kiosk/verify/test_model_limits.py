from __future__ import annotations

import pytest

from kiosk.verify.face_settings import FaceSettings
from kiosk.verify.matcher import MatchLimits
from kiosk.verify.model_limits import MODEL_LIMITS, LimitTooWide, UnknownModel, limits_of

DLIB, SFACE = "dlib-resnet-v1/55533b28a958/mp5.1", "sface/0123456789ab/mp5.1"


def test_a_threshold_belongs_to_the_model_that_made_the_vectors() -> None:
    assert FaceSettings().match_limits_for(DLIB) == MatchLimits(0.54, 0.06, unit_length=False)
    assert FaceSettings().match_limits_for(SFACE) == MatchLimits(1.128, 0.125, unit_length=True)


def test_a_site_narrows_it_and_cannot_widen_it_beyond_the_models_own_bound() -> None:
    assert FaceSettings(match_distance=0.5).match_limits_for(DLIB).threshold == 0.5
    assert FaceSettings(match_distance=0.6).match_limits_for(DLIB).threshold == 0.6
    with pytest.raises(LimitTooWide, match=r"0\.61 is beyond 0\.6"):
        FaceSettings(match_distance=0.61).match_limits_for(DLIB)
    with pytest.raises(LimitTooWide, match=r"1\.2 is beyond 1\.128"):
        FaceSettings(match_distance=1.2).match_limits_for(SFACE)


@pytest.mark.parametrize("model_id", ["", "dlib", "dlib-resnet-v2/x/y", "facenet/0123/mp5.1"])
def test_vectors_of_a_model_without_a_limit_are_not_compared(model_id: str) -> None:
    with pytest.raises(UnknownModel):
        limits_of(model_id)
    with pytest.raises(UnknownModel):
        FaceSettings(match_distance=0.5).match_limits_for(model_id)


def test_every_figure_has_its_source() -> None:
    assert all(one.source and 0 < one.margin < one.threshold <= one.widest for one in MODEL_LIMITS.values())
