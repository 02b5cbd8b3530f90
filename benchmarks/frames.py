"""The face path a frame against MediaPipe alone: what everything around `detect_for_video` costs, in one run.

An attempt is filmed beforehand (a synthetic worker who stands still, turns, and comes back); the bare call and the
session see the same frames in turn, frame by frame, each with a landmarker of its own, so that a busy machine slows
both alike. What is done once an attempt, when no more frames are wanted, is a figure of its own: the plane's fit, the
screen signs and the comparison, against the two embeddings in it.
"""

from __future__ import annotations

import tempfile
import time
from pathlib import Path
from statistics import median
from typing import Any
from unittest import mock

import cv2
import mediapipe
import numpy as np
from mediapipe.tasks import python as tasks
from numpy.typing import NDArray

from benchmarks.ratio import Ratio
from evidence.events import Ask
from kiosk.verify.embedder import DlibEmbedder
from kiosk.verify.gallery import Gallery
from kiosk.verify.landmarks import LandmarkDetector
from kiosk.verify.models import landmark_bundle
from kiosk.verify.recent_clips import RecentClips
from kiosk.verify.session import FacePhase, FaceRequest, FaceSession, FaceSettings
from zaigang.synthetic.camera import StageCamera, VirtualClock
from zaigang.synthetic.performance import living_person
from zaigang.synthetic.person import LivingPerson
from zaigang.synthetic.portraits import grace_hopper

FACES = 2  # as the terminal has it: with a second face sought, the bare call seeks it too
ATTEMPTS, SMOKE_ATTEMPTS = 12, 2
FRAMES = 45  # of one attempt
ASK_AT, DELAY_MS = 18, 600
FRAME_US = 40_000

Image = NDArray[np.uint8]


def run(smoke: bool = False) -> list[Ratio]:
    """Return the ratio over all frames, and over those of a turn alone, where the flow of planarity is added."""
    bundle = landmark_bundle(fetch=True)
    options = tasks.vision.FaceLandmarkerOptions(
        base_options=tasks.BaseOptions(model_asset_path=str(bundle)),
        running_mode=tasks.vision.RunningMode.VIDEO,
        num_faces=FACES,
    )
    with (
        tempfile.TemporaryDirectory() as folder,
        LandmarkDetector(bundle, "video", FACES) as detector,
        tasks.vision.FaceLandmarker.create_from_options(options) as bare,
    ):
        embedder = DlibEmbedder()
        gallery = Gallery(Path(folder) / "gallery.db", bytes(32))
        film, now_us, times, recent = _film(bundle), 1_000_000, _Times(), RecentClips()
        for attempt in range(SMOKE_ATTEMPTS if smoke else ATTEMPTS):
            request = FaceRequest("bench", (Ask.TURN_LEFT,), (DELAY_MS,), now_us)
            session = FaceSession(
                detector, embedder, gallery, FaceSettings(), request, recent=recent, match_anyway=True
            )
            for image in film:
                now_us += FRAME_US
                times.take(session, bare, image, now_us, bare_first=attempt % 2 == 0)
        gallery.close()
    return times.ratios()


class _Times:
    """Pairs of seconds, (ours, bare), of the frames at rest and of those of a turn."""

    def __init__(self) -> None:
        self.rest: list[tuple[float, float]] = []
        self.turn: list[tuple[float, float]] = []
        self.end: list[tuple[float, float]] = []  # of whole attempts; the embeddings alone are the limit

    def take(self, session: FaceSession, bare: object, image: Image, now_us: int, *, bare_first: bool) -> None:
        prompted = _ours_next(session)
        if prompted is None:
            if session.phase is FacePhase.MATCHING:
                self._take_end(session, image, now_us)
            return
        alone = _bare(bare, image, now_us) if bare_first else 0.0
        start = time.perf_counter()
        session.feed(now_us, image)
        ours = time.perf_counter() - start
        if not bare_first:
            alone = _bare(bare, image, now_us)
        (self.turn if prompted else self.rest).append((ours, alone))

    def _take_end(self, session: FaceSession, image: Image, now_us: int) -> None:
        alone = 0.0
        embed = session.embedder.embed

        def timed(*seen: Any) -> Any:
            nonlocal alone
            start = time.perf_counter()
            vector = embed(*seen)
            alone += time.perf_counter() - start
            return vector

        with mock.patch.object(session.embedder, "embed", timed):
            start = time.perf_counter()
            session.feed(now_us, image)
            self.end.append((time.perf_counter() - start, alone))

    def _whole(self) -> Ratio:
        """Everything of the attempts but the embeddings, whose model is another: the looks at their end included."""
        every = self.rest + self.turn
        ours = sum(pair[0] for pair in every) + sum(whole - embeddings for whole, embeddings in self.end)
        bare = sum(pair[1] for pair in every)
        count = max(len(self.end), 1)
        return Ratio(
            "a whole attempt, what is looked at after its frames too",
            ours / count * 1000,
            bare / count * 1000,
            "ms",
            "",
            f"mean of {count} attempts of {len(every) // count} frames, without the embeddings",
        )

    def ratios(self) -> list[Ratio]:
        every = self.rest + self.turn
        ours, bare = (sum(pair[place] for pair in every) / len(every) * 1000 for place in (0, 1))
        end, embeddings = (median(pair[place] for pair in self.end) * 1000 for place in (0, 1))
        return [
            _ratio("face path a frame / bare detect_for_video", every, "<= 1.25"),
            _ratio("the same, frames of a turn (optical flow)", self.turn, ""),
            Ratio("the same, mean of all frames", ours, bare, "ms/frame", "", "a busy machine shows here"),
            self._whole(),
            Ratio("end of an attempt / its two embeddings", end, embeddings, "ms", "", f"median of {len(self.end)}"),
        ]


def _ours_next(session: FaceSession) -> bool | None:
    """Say whether the next frame is one of a turn; None: the next feed is no frame but the match."""
    phase = session.phase
    return None if phase in (FacePhase.MATCHING, FacePhase.DONE) else phase is FacePhase.PROMPTED


def _ratio(name: str, pairs: list[tuple[float, float]], wanted: str) -> Ratio:
    ours, bare = (median(pair[place] for pair in pairs) * 1000 for place in (0, 1))
    return Ratio(name, ours, bare, "ms/frame", wanted, f"median of {len(pairs)} frames, 640x480, interleaved")


def _bare(landmarker: object, image: Image, now_us: int) -> float:
    """Seconds of the call alone: the conversion to RGB is ours to pay."""
    picture = mediapipe.Image(mediapipe.ImageFormat.SRGB, np.ascontiguousarray(cv2.cvtColor(image, cv2.COLOR_BGR2RGB)))
    start = time.perf_counter()
    landmarker.detect_for_video(picture, now_us // 1000)  # type: ignore[attr-defined]
    return time.perf_counter() - start


def _film(bundle: Path) -> list[Image]:
    with LandmarkDetector(bundle, "image") as still:
        person = living_person(LivingPerson(grace_hopper(), still), seed=1)
    camera = StageCamera(VirtualClock())
    camera.stand(person)
    film = []
    for number in range(FRAMES):
        if number == ASK_AT:
            camera.show(Ask.TURN_LEFT)
        film.append(camera.read(1).image)
    return film


if __name__ == "__main__":
    for one in run():
        print(f"{one.name}: {one.ours:.2f} / {one.limit:.2f} {one.unit} = {one.ratio:.3f} {one.wanted}")
