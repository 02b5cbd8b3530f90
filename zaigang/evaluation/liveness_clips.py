"""Recorded clips through the terminal's own face path: one clip is one attempt, judged as if it stood at the gate.

A sidecar says what the person in the clip was asked, and when; the session then asks it at that moment. Without one
only what needs no prompt is judged, and the row says so. What cannot be decoded is a non-response.
"""

from __future__ import annotations

import tempfile
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import cv2
import numpy as np
from pydantic import BaseModel, BeforeValidator, Field, ValidationError

from evidence.events import Ask, Check, Outcome, Verdict
from kiosk.verify.embedder import DlibEmbedder
from kiosk.verify.errors import VerifyError
from kiosk.verify.face_settings import FaceSettings
from kiosk.verify.gallery import Gallery
from kiosk.verify.landmarks import LandmarkDetector
from kiosk.verify.models import landmark_bundle
from kiosk.verify.session import FaceRequest, FaceSession
from zaigang.evaluation.liveness_report import CLIP, NON_RESPONSE, Judged, decide
from zaigang.evaluation.unprompted import Unprompted

if TYPE_CHECKING:
    from numpy.typing import NDArray

DEFAULT_FPS = 25.0  # where the file does not say, or says what no camera does
SANE_FPS = (1.0, 240.0)
NO_CLIPS = (".json", ".txt", ".md")  # everything else in a folder is taken for a clip: nothing is dropped silently
BETWEEN_US = 1_000_000  # from one clip to the next, on the detector's clock
EMPTY_FRAMES = 2  # grey ones between clips, so that the detector follows nobody from one to the next
# A clip begins when it begins: nobody waits before it. Who filmed it may have held the camera in a hand. Who was filmed
# saw no screen that asks until the turn is large enough: the smallest turn that planarity can judge will do.
CLIP_SETTINGS = FaceSettings(looking_ms=600_000, bolted=False, turn_deg=16)
OTHER_NAMES = {"blink_twice": Ask.BLINK, "blinks": Ask.BLINK}


class ClipPrompt(BaseModel):
    """One prompt that the person in a clip answers."""

    at_ms: int = Field(ge=0)  # from the clip's first frame
    ask: Annotated[Ask, BeforeValidator(lambda told: OTHER_NAMES.get(told, told) if isinstance(told, str) else told)]


class Sidecar(BaseModel):
    """`CLIP.json` beside CLIP.mp4, or `clip.json` in its folder."""

    prompts: tuple[ClipPrompt, ...] = ()


@dataclass(frozen=True, slots=True)
class ClipFolder:
    """A folder of clips of one kind: "living", or an attack species."""

    species: str
    folder: Path

    def clips(self) -> list[Path]:
        """Return its clips, subfolders included, in order of their names."""
        return sorted(
            path
            for path in self.folder.rglob("*")
            if path.is_file() and path.suffix.lower() not in NO_CLIPS and not path.name.startswith(".")
        )


class ClipUndecodable(Exception):
    """No picture comes out of the file."""


class ClipJudge:
    """Judges clips one after the other with one detector, as a terminal has one."""

    def __init__(self, detector: LandmarkDetector, embedder: DlibEmbedder, gallery: Gallery) -> None:
        self._detector, self._embedder, self._gallery = detector, embedder, gallery
        self._now_us = BETWEEN_US

    def judge(self, species: str, path: Path, name: str) -> Judged:
        """Judge one clip; it never raises for what is wrong with the clip."""
        try:
            prompts = _prompts(path)
            checks, by, fps = self._judge(path, prompts)
        except (ClipUndecodable, VerifyError, ValidationError, OSError, cv2.error) as error:
            told = f"{type(error).__name__}: {error}".splitlines()[0][:300]
            return Judged(species, name, (), NON_RESPONSE, "nothing", told=told)
        if by == "all checks":
            return Judged(species, name, checks, decide(checks, CLIP), by, CLIP, fps=fps)
        refused = any(check.outcome is Outcome.FAILED for check in checks)
        alive = any(check.name == "life" and check.outcome is Outcome.PASSED for check in checks)
        decision = "accepted" if alive and not refused else Verdict.REFUSED.value
        return Judged(species, name, checks, decision, by, told="no prompts are known", fps=fps)

    def _judge(self, path: Path, prompts: Sequence[ClipPrompt]) -> tuple[tuple[Check, ...], str, float]:
        start_us = self._now_us = self._now_us + BETWEEN_US
        self._forget()
        start_us = self._now_us + BETWEEN_US
        fps, frames = _open(path)
        if not prompts:
            judge = Unprompted(self._detector, fps)
            for at_us, image in frames:
                self._now_us = start_us + at_us
                judge.feed(self._now_us, image)
            return judge.checks(), "signals without a prompt", fps
        request = FaceRequest(
            badge="clip",
            asks=tuple(prompt.ask for prompt in prompts),
            delays_ms=(0,) * len(prompts),
            tapped_us=start_us,
            shown_us=tuple(start_us + prompt.at_ms * 1000 for prompt in prompts),
        )
        session = FaceSession(self._detector, self._embedder, self._gallery, CLIP_SETTINGS, request, match_anyway=True)
        image = np.zeros((0, 0, 3), np.uint8)
        for at_us, image in frames:
            self._now_us = start_us + at_us
            session.feed(self._now_us, image)
            if session.result is not None:
                break
        if session.result is None:
            session.feed(self._now_us + 1, image)  # an answer in the last frame is judged one feed later
        session.give_up(self._now_us, "clip_ended: the clip was over before the attempt was")
        assert session.result is not None
        return session.result.checks, "all checks", fps

    def _forget(self) -> None:
        for _ in range(EMPTY_FRAMES):
            self._now_us += 40_000
            self._detector.detect(np.full((480, 640, 3), 128, np.uint8), self._now_us)


def judge_folders(folders: Sequence[ClipFolder]) -> Iterator[Judged]:
    """Judge every clip of every folder."""
    with (
        tempfile.TemporaryDirectory() as scratch,
        LandmarkDetector(landmark_bundle(), "video") as detector,
    ):
        gallery = Gallery(Path(scratch) / "gallery.db", bytes(32))
        try:
            judge = ClipJudge(detector, DlibEmbedder(), gallery)
            for one in folders:
                for path in one.clips():
                    yield judge.judge(one.species, path, str(path.relative_to(one.folder)))
        finally:
            gallery.close()


def _prompts(path: Path) -> tuple[ClipPrompt, ...]:
    for sidecar in (path.with_suffix(".json"), path.parent / "clip.json"):
        if sidecar.is_file():
            prompts = Sidecar.model_validate_json(sidecar.read_bytes()).prompts
            return tuple(sorted(prompts, key=lambda prompt: prompt.at_ms))
    return ()


def _open(path: Path) -> tuple[float, Iterator[tuple[int, NDArray[np.uint8]]]]:
    """Return the frame rate and the frames with their microseconds. Raises ClipUndecodable without a first frame."""
    video = cv2.VideoCapture(str(path))
    more, first = video.read()
    if not more or first is None:
        video.release()
        raise ClipUndecodable("no picture comes out of the file")
    fps = float(video.get(cv2.CAP_PROP_FPS))
    if not SANE_FPS[0] <= fps <= SANE_FPS[1]:
        fps = DEFAULT_FPS
    return fps, _frames(video, np.asarray(first, np.uint8), fps)


def _frames(video: cv2.VideoCapture, image: NDArray[np.uint8], fps: float) -> Iterator[tuple[int, NDArray[np.uint8]]]:
    at_us = 0
    try:
        while True:
            yield at_us, image
            more, picture = video.read()
            if not more or picture is None:
                return
            image = np.asarray(picture, np.uint8)
            # Phones film at an uneven rate: the container's own times where they rise, else the mean rate's.
            stamp_us = round(video.get(cv2.CAP_PROP_POS_MSEC) * 1000)
            at_us = stamp_us if stamp_us > at_us else at_us + round(1_000_000 / fps)
    finally:
        video.release()
