"""The face path of one terminal, put together once: detector, embedder, gallery; a session for each attempt.

The detector is created once and kept, since mediapipe does not return memory on close; one that raised is built anew
before the next attempt. Enrolment has one of its own in IMAGE mode, created when the first worker is enrolled.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from evidence.events import Ask, Outcome
from evidence.status import Part
from kiosk.verify.caution import Caution
from kiosk.verify.challenge import Random, choose_asks
from kiosk.verify.embedder_choice import EmbedderChoice, open_embedder
from kiosk.verify.errors import GalleryError, VerifyError
from kiosk.verify.flash import COLOURS, ROUNDS, choose_colours
from kiosk.verify.gallery import Gallery, Template
from kiosk.verify.landmarks import LandmarkDetector
from kiosk.verify.matcher import Likeness, verify
from kiosk.verify.model_watch import WatchedDetector, WatchedEmbedder
from kiosk.verify.models import landmark_bundle
from kiosk.verify.quality import ENROLMENT, VERIFICATION, Quality, assess
from kiosk.verify.recent_clips import RecentClips
from kiosk.verify.session import FaceRequest, FaceSession, FaceSettings


@dataclass(frozen=True, slots=True)
class EnrolmentView:
    """What one frame gives to an enrolment: a template vector (128,) float32, or the code of what is wrong."""

    vector: NDArray[np.float32] | None
    hint: str | None
    box: tuple[float, float, float, float] | None = None  # the face: x0, y0, x1, y1, normalised to the image


class Face:
    """The face path, ready. Used by one attempt or enrolment at a time."""

    def __init__(
        self,
        bundle: Path,
        gallery: Gallery,
        settings: FaceSettings | None = None,
        embedder: EmbedderChoice = EmbedderChoice(),  # noqa: B008  frozen
    ) -> None:
        """`bundle`: a checked face landmarker. Raises a VerifyError."""
        self.embedder = WatchedEmbedder(lambda: open_embedder(embedder))
        self._bundle, self._gallery = bundle, gallery
        self._settings = settings or FaceSettings()
        self._limits = self._settings.match_limits_for(self.embedder.model_id)
        self._video = WatchedDetector(lambda: LandmarkDetector(bundle, mode="video"))
        self._image: WatchedDetector | None = None
        self._recent = RecentClips()
        self._caution = Caution()
        self._last: tuple[str | None, int, FaceSession] | None = None

    @property
    def part(self) -> Part:
        """`failed` while one of the models of an attempt raised when it was last asked; from any thread."""
        error = self._video.error or self.embedder.error
        return Part(state="working") if error is None else Part(state="failed", reason=f"face_failed: {error}"[:400])

    def session(self, badge: str | None, tapped_us: int, *, fps: float, rng: Random) -> FaceSession:
        """Begin one attempt; `badge` None recognises among the enrolled. A model that raised is built anew first."""
        self._note_last()
        self._video.renew()
        self.embedder.renew()
        excused = self._excused(badge)
        flash = self._settings.flash  # nobody can know yet whether the page will acknowledge: two prompts at once
        asks, delays_ms = choose_asks(rng, fps, excused, careful=flash or self._caution.careful(badge, tapped_us))
        unlit = flash and self._never_lit(badge)
        request = FaceRequest(
            badge=badge,
            asks=asks,
            delays_ms=delays_ms,
            tapped_us=tapped_us,
            excused=excused,
            colours=choose_colours(rng, ROUNDS * COLOURS) if flash and not unlit else (),
            unlit=unlit,
        )
        session = FaceSession(self._video, self.embedder, self._gallery, self._settings, request, recent=self._recent)
        self._last = (badge, tapped_us, session)
        return session

    def _note_last(self) -> None:
        """Take note of how the attempt before ended: after one that failed, or was left at a prompt, more is asked."""
        if self._last is None:
            return
        badge, tapped_us, session = self._last
        self._last = None
        result = session.result
        if result is None:
            return
        if result.left_unanswered or any(check.outcome is Outcome.FAILED for check in result.checks):
            self._caution.note(badge, tapped_us, failed=True)
        elif any(check.name == "challenge" and check.outcome is Outcome.PASSED for check in result.checks):
            self._caution.note(badge, tapped_us, failed=False)
        # Otherwise nothing was answered, and nothing is forgotten: cancelling at once must not buy a single prompt.

    def enrolment_view(self, mono_us: int, image_bgr: NDArray[np.uint8]) -> EnrolmentView:
        """Judge one frame (H, W, 3 BGR) by the enrolment limits and embed it. Raises a VerifyError."""
        if self._image is None:
            self._image = WatchedDetector(lambda: LandmarkDetector(self._bundle, mode="image"))
        self._image.renew()
        quality = assess(self._image.detect(image_bgr, mono_us), image_bgr, ENROLMENT)
        if not quality.ok or quality.face is None:
            return EnrolmentView(None, quality.code, quality.box)
        return EnrolmentView(self.embedder.embed(image_bgr, quality.face), None, quality.box)

    def look(self, mono_us: int, image_bgr: NDArray[np.uint8]) -> Quality:
        """Judge one frame (H, W, 3 BGR) by the limits of a punch; `mono_us` later than before. Raises a VerifyError."""
        return assess(self._video.detect(image_bgr, mono_us), image_bgr, VERIFICATION)

    def same_person(self, vector: NDArray[np.float32], others: Sequence[NDArray[np.float32]]) -> bool:
        """True if a vector (128,) matches a template made of `others`."""
        template = Template("", "", self.embedder.model_id, np.stack(others))
        return verify(vector, template, self._limits).likeness is Likeness.NEAR

    def _excused(self, badge: str | None) -> tuple[Ask, ...]:
        """What the worker of this badge is not asked; without a badge nobody knows whom to excuse."""
        try:
            held = self._gallery.get(badge) if badge is not None else None
        except GalleryError:
            return ()  # the match will say what is wrong with the gallery
        return held.excused if held else ()

    def _never_lit(self, badge: str | None) -> bool:
        """Whether the screen must not flash at whoever stands there; without a badge it may be somebody excused."""
        excused = self._settings.flash_excused
        return badge in excused or (badge is None and bool(excused))

    def close(self) -> None:
        """Release the detectors."""
        for detector in (self._video, self._image):
            if detector is not None:
                detector.close()


def open_face(
    official_bundle: Path | None,
    gallery: Gallery,
    settings: FaceSettings | None = None,
    embedder: EmbedderChoice = EmbedderChoice(),  # noqa: B008  frozen
) -> tuple[Face | None, Part]:
    """Make the face path; where that fails, None and a state that says why. Badge and PIN go on without it."""
    try:
        return Face(landmark_bundle(official_bundle), gallery, settings, embedder), Part(state="working")
    except VerifyError as error:
        return None, Part(state="failed", reason=f"models_missing: {error}"[:400])
