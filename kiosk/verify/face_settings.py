"""What a site can set of the face path. Every default's reason stands where the figure is defined."""

from __future__ import annotations

from pydantic import BaseModel, ConfigDict, Field

from kiosk.verify.challenge import ChallengeRules
from kiosk.verify.liveness import FlashLimits, PlanarityLimits, ScreenLimits
from kiosk.verify.matcher import MatchLimits
from kiosk.verify.model_limits import DLIB, MODEL_LIMITS, LimitTooWide, limits_of


class FaceSettings(BaseModel):
    """Bounds keep a setting from switching a check off in all but name."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    # From the tap to the first prompt; then face_quality fails and says why. Half of the policy's 20 s an attempt: at
    # as much, the attempt is cut off first, and "nobody there" or "too dark" ends unnamed, in review.
    looking_ms: int = Field(10_000, ge=1000)
    good_frames: int = Field(3, ge=1)  # in a row before HOLD: one lucky frame is no still face
    answer_window_ms: int = Field(ChallengeRules().window_ms, ge=1000)
    turn_deg: float = Field(ChallengeRules().turn_deg, ge=16, le=40)  # below 16 a turn proves nothing
    match_distance: float | None = Field(None, gt=0)  # Euclidean; None: as model_limits has it for the embedder's model
    match_margin: float | None = Field(None, ge=0)  # Euclidean; None: likewise
    # Euclidean under dlib's model, between the face that is matched and the one that answered, turned by 20-30 degrees.
    # One person: 0.20 to 0.43 on the real clip, up to 0.50 on synthetic heads at 30 degrees; the two portraits across:
    # 0.61 and more. Another model's limit stands to it as the two models' match limits do.
    same_face_distance: float = Field(0.56, gt=0, le=0.6)
    # Light the face with the screen's colours. A page that does not acknowledge them leaves the check not_run, and two
    # prompts are asked in its place. Off until it has been calibrated on a real screen and a real camera.
    flash: bool = False
    flash_excused: tuple[str, ...] = ()  # employee codes that are never lit, by agreement
    # False: the camera is not bolted down (a recorded clip), and what is behind a face may move.
    bolted: bool = True
    identify_at_most: int = Field(100, ge=0)  # workers; false matches grow with the number (1:N)
    planarity_residual: float = Field(PlanarityLimits().residual, ge=0.025)  # eye distances
    planarity_outliers: float = Field(PlanarityLimits().outliers, ge=0.55, le=0.9)  # share

    @property
    def challenge_rules(self) -> ChallengeRules:
        """When an answer counts."""
        return ChallengeRules(turn_deg=self.turn_deg, window_ms=self.answer_window_ms)

    @property
    def planarity_limits(self) -> PlanarityLimits:
        """When movement is a head's."""
        return PlanarityLimits(residual=self.planarity_residual, outliers=self.planarity_outliers)

    @property
    def flash_limits(self) -> FlashLimits:
        """When a face answers the screen's colours."""
        return FlashLimits()

    @property
    def screen_limits(self) -> ScreenLimits:
        """When a sign of a screen is one."""
        return ScreenLimits()

    def same_face_distance_for(self, model_id: str) -> float:
        """How near the matched face must be to the one that answered. Raises UnknownModel."""
        return self.same_face_distance * limits_of(model_id).threshold / MODEL_LIMITS[DLIB].threshold

    def match_limits_for(self, model_id: str) -> MatchLimits:
        """How near a face must be under this model. Raises UnknownModel, LimitTooWide."""
        model = limits_of(model_id)
        distance = model.threshold if self.match_distance is None else self.match_distance
        if distance > model.widest:
            raise LimitTooWide(f"match_distance {distance:g} is beyond {model.widest:g}, the widest for {model_id}")
        margin = model.margin if self.match_margin is None else self.match_margin
        return MatchLimits(distance, margin, model.unit_length)
