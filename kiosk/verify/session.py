"""One attempt of one worker in front of the camera: frames in, checks out.

Synchronous, without threads, camera or clock: the caller feeds frames with their monotonic time and reads `result`.
Every result carries all of `CHECKS`; what was not reached or broke is `not_run` with the reason, never `passed`.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Protocol

from evidence.events import ChallengeRecord, Check, Outcome
from kiosk.verify import liveness, quality
from kiosk.verify.challenge import TURNS, Challenge, Reading, Stage
from kiosk.verify.continuity import Continuity
from kiosk.verify.face_attempt import CHECKS, FacePhase, FaceProgress, FaceRequest, FaceResult
from kiosk.verify.face_settings import FaceSettings
from kiosk.verify.flash import Colour, FlashMeter
from kiosk.verify.identity_check import Identity, identity_check
from kiosk.verify.matcher import distance
from kiosk.verify.pose import eye_aspect_ratio, pitch_deg, yaw_deg
from kiosk.verify.screen_signs import ScreenSigns
from kiosk.verify.turns import Turns

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

    from kiosk.verify.embedder import Embedder
    from kiosk.verify.gallery import Gallery
    from kiosk.verify.landmarks import Landmarks
    from kiosk.verify.recent_clips import RecentClips

__all__ = ["CHECKS", "FacePhase", "FaceProgress", "FaceRequest", "FaceResult", "FaceSession", "FaceSettings"]

LIGHT_EVERY_FRAMES = 3  # of HOLD: light and sharpness take a quarter millisecond, and change slower than 120 ms


class Detector(Protocol):
    """What is used of LandmarkDetector."""

    def detect(self, image_bgr: NDArray[np.uint8], mono_us: int) -> Sequence[Landmarks]:
        """Faces of the image, the largest first."""
        ...


@dataclass(frozen=True, slots=True)
class _Candidate:
    """The frame to match on: from inside a prompt, the most frontal good one so far."""

    image: NDArray[np.uint8]
    face: Landmarks
    yaw_deg: float


class FaceSession:
    """Feed frames until `result` is there. `detector` is in video mode and may be shared by attempts in turn."""

    def __init__(
        self,
        detector: Detector,
        embedder: Embedder,
        gallery: Gallery,
        settings: FaceSettings,
        request: FaceRequest,
        *,
        recent: RecentClips | None = None,
        match_anyway: bool = False,
    ) -> None:
        """`recent`: the terminal's last attempts; None looks for no replay. `match_anyway`: compare the face even where
        liveness has failed, to measure each check by itself; never at a gate.
        """
        self._match_anyway = match_anyway
        self._detector, self._gallery = detector, gallery
        self.embedder = embedder
        self._settings, self._request = settings, request
        rules = settings.challenge_rules
        self._challenge: Challenge | None = None
        if request.asks:
            self._challenge = Challenge(request.asks, request.delays_ms, rules, request.shown_us)
        self._continuity = Continuity()
        self._signs: ScreenSigns | None = ScreenSigns(recent, bolted=settings.bolted)
        self._flash = FlashMeter(request.colours) if request.colours else None
        self._flash_due: tuple[int, Colour] | None = None
        self._quality: quality.Quality | None = None
        self._good_frames = 0
        self._turns = Turns()
        self._candidate: _Candidate | None = None
        self._answered: list[_Candidate] = []  # the frame of each answer
        self._lit: _Candidate | None = None  # the last frame before the first colour
        self._checks: dict[str, Check] = {}
        self._phase = FacePhase.LOOKING
        self._hint: str | None = None
        self._box: tuple[float, float, float, float] | None = None
        self.result: FaceResult | None = None

    @property
    def phase(self) -> FacePhase:
        """Where the attempt is."""
        return self._phase

    def feed(self, mono_us: int, image: NDArray[np.uint8]) -> FaceProgress:
        """Take one frame (H, W, 3 BGR) of `mono_us`, later than the one before. Never raises: what breaks is not_run.

        In MATCHING the frame is not looked at: the face kept from the challenge is embedded (0.2 s) and compared.
        """
        if self._phase is FacePhase.DONE:
            return self._progress()
        part = "challenge" if self._prompted else "face_quality"
        try:
            if self._phase is FacePhase.MATCHING:
                part = "face_match"
                self._finish(self._match())
                return self._progress()
            faces = self._detector.detect(image, mono_us)
            self._continuity.frame(mono_us)
            if self._prompted:
                self._judge(mono_us, image, faces)
            else:
                self._look(mono_us, image, faces)
        except Exception as error:  # fail closed and say why: whatever breaks, the attempt ends without a pass
            self._broken(part, error)
            self._finish()
        return self._progress()

    def give_up(self, mono_us: int, reason: str) -> None:
        """End the attempt now; `reason` is `code: sentence` and becomes the reason of what was not reached."""
        if self._phase is not FacePhase.DONE:
            self._finish(otherwise=reason if ": " in reason else f"cancelled: {reason}")

    # Looking and holding still

    def _look(self, mono_us: int, image: NDArray[np.uint8], faces: Sequence[Landmarks]) -> None:
        """Wait for one good face, then for the challenge's delay; a face that is gone or bad starts this over."""
        # In HOLD the light has just been good, and the frame that is matched is judged whole by itself.
        place_alone = self._phase is FacePhase.HOLD and self._good_frames % LIGHT_EVERY_FRAMES != 0
        self._quality = found = quality.assess(faces, image, quality.VERIFICATION, place_alone=place_alone)
        self._box = found.box
        self._hint = None if found.ok else found.code
        if mono_us - self._request.tapped_us > self._settings.looking_ms * 1000:
            self._out_of_time(found)
            return
        if self._challenge is None:
            self._checks["face_quality"] = quality.quality_check(found, quality.VERIFICATION)
            self._checks["challenge"] = _not_run("challenge", "not_asked: this worker can do nothing of what is asked")
            self._finish()
            return
        if self._phase is FacePhase.HOLD and found.face and _turned_aside(found):
            self._rest(mono_us, found.face, image)  # the challenge counts those who keep moving
            return
        if not found.ok or found.face is None:
            self._good_frames, self._phase = 0, FacePhase.LOOKING
            self._forget_rest()
            return
        self._good_frames += 1
        if self._good_frames >= self._settings.good_frames:
            self._phase = FacePhase.HOLD
            self._rest(mono_us, found.face, image)

    def _rest(self, mono_us: int, face: Landmarks, image: NDArray[np.uint8]) -> None:
        assert self._challenge is not None
        reading = _reading(mono_us, face)
        stage = self._challenge.feed(reading)
        if stage is Stage.FAILED:
            self._finish()
            return
        if stage is Stage.ASKED:
            assert self._quality is not None
            self._checks["face_quality"] = quality.quality_check(self._quality, quality.VERIFICATION)
            self._continuity.begin(mono_us, face)
            self._prompt_shown(face, image, reading.yaw_deg)
        self._look_for_signs(mono_us, face, image)

    def _forget_rest(self) -> None:
        """Whoever comes next may be somebody else."""
        assert self._challenge is not None
        self._challenge.forget_rest()
        if self._signs is not None:
            self._signs.forget_rest()
        if self._flash is not None:
            self._flash.forget()
            self._lit = None

    def _out_of_time(self, found: quality.Quality) -> None:
        self._checks["face_quality"] = quality.quality_check(found, quality.VERIFICATION)
        restless = "timeout: the head was not still long enough for a prompt"
        self._finish(otherwise=restless if found.ok else "not_reached: no face was good enough in time")

    # From the first prompt to the last answer

    @property
    def _prompted(self) -> bool:
        return self._challenge is not None and bool(self._challenge.prompts)

    def _judge(self, mono_us: int, image: NDArray[np.uint8], faces: Sequence[Landmarks]) -> None:
        assert self._challenge is not None
        face = self._continuity.follow(mono_us, faces)
        if self._continuity.code:
            self._finish()
            return
        if face is None:
            return  # unseen for a moment, still within the allowed gap
        self._box = self._continuity.box
        self._look_for_signs(mono_us, face, image)
        before = self._challenge.stage
        reading = _reading(mono_us, face)
        stage = self._challenge.feed(reading)
        if before is Stage.ASKED:
            if self._turns.follow(mono_us, image, reading.yaw_deg):
                self._consider(face, image, reading.yaw_deg)
            if stage is not Stage.ASKED:
                self._answered.append(_Candidate(image.copy(), face, abs(reading.yaw_deg)))
                self._turns.end()
        elif stage is Stage.ASKED:
            self._prompt_shown(face, image, reading.yaw_deg)
        self._phase = FacePhase.PROMPTED if stage is Stage.ASKED else FacePhase.HOLD
        if stage is Stage.FAILED:
            self._finish()
        elif stage is Stage.PASSED:
            self._phase = FacePhase.MATCHING

    def _prompt_shown(self, face: Landmarks, image: NDArray[np.uint8], yaw: float) -> None:
        assert self._challenge is not None
        self._phase, self._hint = FacePhase.PROMPTED, None
        if self._signs is not None:
            self._signs.prompted()
        if self._challenge.ask in TURNS:
            self._turns.begin(image, face, yaw)
        self._consider(face, image, yaw)

    def painted(self, number: int, mono_us: int) -> None:
        """Take the page's word that it showed colour `number` of the flash from `mono_us` on."""
        if self._flash is not None:
            self._flash.painted(number, mono_us)

    def exposure_held(self, *, held: bool) -> None:
        """Say whether the camera's exposure is locked while colours are on; if not, no failure is drawn from them."""
        if self._flash is not None:
            self._flash.held = held

    def _look_for_signs(self, mono_us: int, face: Landmarks, image: NDArray[np.uint8]) -> None:
        self._measure_flash(mono_us, face, image)
        if self._signs is None:
            return
        try:
            lit = self._flash_due is not None
            self._signs.offer(mono_us, image, face, at_rest=not self._prompted, lit=lit)
        except Exception as error:  # the attempt goes on; this check cannot pass any more
            self._signs = None
            self._broken("screen_signs", error)

    def _measure_flash(self, mono_us: int, face: Landmarks, image: NDArray[np.uint8]) -> None:
        if self._flash is None:
            return
        try:
            if not self._flash.begun:
                self._lit = _Candidate(image.copy(), face, 0.0)
            self._flash_due = self._flash.due(mono_us)
            self._flash.feed(mono_us, image, face)
        except Exception as error:
            self._flash, self._flash_due = None, None
            self._broken("flash", error)

    def _consider(self, face: Landmarks, image: NDArray[np.uint8], yaw: float) -> None:
        """Keep the most frontal good frame of the prompts, of the turn's where there is one.

        Points are followed from pixel to pixel only through the turn, so a face matched from there is the face that
        planarity has judged.
        """
        if self._turns.tracker is None and any(ask in TURNS for ask in self._request.asks):
            return
        if self._candidate is not None and abs(yaw) > self._candidate.yaw_deg - 1:
            return
        if quality.assess_face(face, image, quality.VERIFICATION).ok:
            self._candidate = _Candidate(image.copy(), face, abs(yaw))

    # The end

    def _match(self) -> Identity | None:
        """Compare the kept face, unless liveness has failed: nobody may probe the gallery with pictures."""
        self._judge_liveness()
        if liveness.alive(self._checks.values()) is Outcome.FAILED and not self._match_anyway:
            return None
        if self._candidate is None:
            self._checks["face_match"] = _not_run("face_match", "not_reached: no frame of the prompt was good enough")
            return None
        at_most = self._settings.identify_at_most
        try:
            limits = self._settings.match_limits_for(self.embedder.model_id)
            vector = self.embedder.embed(self._candidate.image, self._candidate.face)
            if not self._same_as_answered(vector) and not self._match_anyway:
                return None
            identity = identity_check(
                vector, self.embedder.model_id, self._gallery, self._request.badge, limits, at_most
            )
        except Exception as error:
            self._broken("face_match", error)
            return None
        self._checks["face_match"] = identity.check
        return identity

    def _same_as_answered(self, vector: NDArray[np.float32]) -> bool:
        """Whether the face to match gave every answer and was lit; if not, or if nobody can say, continuity says so."""
        others = self._answered if self._lit is None else [*self._answered, self._lit]
        try:
            at_most = self._settings.same_face_distance_for(self.embedder.model_id)
            apart = [distance(vector, self.embedder.embed(one.image, one.face)) for one in others]
        except Exception as error:
            self._broken("continuity", error)
            return True  # not_run is never verified; the match may still tell who it was
        if all(one <= at_most for one in apart):
            return True
        self._checks["continuity"] = liveness.continuity_check(self._continuity, changed=True)
        return False

    def _judge_liveness(self) -> None:
        """Fill in the checks of liveness that have been reached and have not broken."""
        if self._challenge is None or not (self._challenge.prompts or self._challenge.stage is Stage.FAILED):
            return
        if self._challenge.stage in (Stage.PASSED, Stage.FAILED):
            self._checks.setdefault("challenge", liveness.challenge_check(self._challenge))
        if not self._challenge.prompts:
            return
        self._judge_signs()
        self._judge_flash()
        self._judge_turns()
        if self._challenge.stage in (Stage.PASSED, Stage.FAILED) or self._continuity.code:
            self._checks.setdefault("continuity", liveness.continuity_check(self._continuity))

    def _judge_turns(self) -> None:
        assert self._challenge is not None
        fits = self._turns.fits()
        error, self._turns.error = self._turns.error, None
        if error is not None:
            self._broken("planarity", error)
        if not fits and self._challenge.stage is not Stage.PASSED:
            return
        check = liveness.turns_check(fits, self._settings.planarity_limits)
        if check.outcome is Outcome.FAILED:
            self._checks["planarity"] = check  # whatever broke in another turn
        self._checks.setdefault("planarity", check)

    @property
    def _challenge_over(self) -> bool:
        """Whether the challenge came to its end, passed or failed."""
        return self._challenge is not None and self._challenge.stage in (Stage.PASSED, Stage.FAILED)

    def _judge_flash(self) -> None:
        flash, self._flash = self._flash, None
        try:
            response = flash.response() if flash is not None else None
            check = liveness.flash_check(response, self._settings.flash_limits, excused=self._request.unlit)
            if self._challenge_over or check.outcome is Outcome.FAILED:
                self._checks.setdefault("flash", check)
        except Exception as error:
            self._broken("flash", error)

    def _judge_signs(self) -> None:
        signs, self._signs = self._signs, None
        if signs is None:
            return
        try:
            check = liveness.screen_check(signs.seen(), self._settings.screen_limits)
            if self._challenge_over or check.outcome is Outcome.FAILED:  # nothing seen until it was cut off is no pass
                self._checks.setdefault("screen_signs", check)
        except Exception as error:
            self._broken("screen_signs", error)

    def _finish(
        self, identity: Identity | None = None, otherwise: str = "not_reached: the attempt ended before"
    ) -> None:
        self._judge_liveness()
        if self._match_anyway and identity is None and "face_match" not in self._checks and self._candidate:
            identity = self._match()
        checks = tuple(self._checks.get(name) or _not_run(name, otherwise) for name in CHECKS)
        worker = identity.worker if identity else None
        name = identity.name if identity else None
        record = self._challenge.record(self._request.tapped_us) if self._challenge else None
        if self._request.excused:  # also where nothing was asked: whoever reviews a refusal is to know of it
            prompts = record.prompts if record is not None else ()
            record = ChallengeRecord(prompts=prompts, excused=self._request.excused)
        self.result = FaceResult(worker, name, checks, record)
        self._phase, self._hint, self._candidate, self._answered = FacePhase.DONE, None, None, []
        self._lit = None
        self._turns.forget()

    def _broken(self, name: str, error: Exception) -> None:
        self._checks[name] = _not_run(name, f"error: {type(error).__name__}: {error}"[:400])

    def _progress(self) -> FaceProgress:
        challenge, asks = self._challenge, len(self._request.asks)
        ask = challenge.ask if challenge and self._phase is FacePhase.PROMPTED else None
        step = (len(challenge.prompts) if challenge else 0, asks)
        flash = None if self._phase is FacePhase.DONE else self._flash_due
        return FaceProgress(self._phase, self._hint, ask, self._box, step, flash)


def _turned_aside(found: quality.Quality) -> bool:
    """Whether the yaw is too large: that is moving to the challenge, while a face looking down would be at rest."""
    too_far = found.yaw_deg is not None and abs(found.yaw_deg) > quality.VERIFICATION.yaw_deg
    return found.code == "turned_away" and too_far


def _reading(mono_us: int, face: Landmarks) -> Reading:
    yaw = yaw_deg(face)
    # A turned face's eyes are nearer to each other by the cosine: taken out, so that turning is not coming closer.
    size = face.eye_distance_px / max(math.cos(math.radians(yaw)), 0.5)
    return Reading(mono_us, yaw, pitch_deg(face), eye_aspect_ratio(face), size)


def _not_run(name: str, reason: str) -> Check:
    return Check(name=name, outcome=Outcome.NOT_RUN, reason=reason[:400])
