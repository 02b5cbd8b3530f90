"""Films the synthetic attempts and lets the terminal's own face path judge each; several processes, a clock of its own.

The face path gets pixels, times, prompts and nothing else. Every process has one detector, as a terminal has; which
attempts it films is settled beforehand, so a seed gives the same figures again.
"""

from __future__ import annotations

import multiprocessing
import queue as queues
import tempfile
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from typing import Any, TypeAlias

import cv2
import numpy as np
from numpy.typing import NDArray

from kiosk.verify.embedder import DlibEmbedder
from kiosk.verify.gallery import Gallery
from kiosk.verify.landmarks import LandmarkDetector
from kiosk.verify.models import landmark_bundle
from kiosk.verify.quality import ENROLMENT, assess
from kiosk.verify.session import FaceProgress, FaceRequest, FaceSession, FaceSettings
from zaigang.evaluation.liveness_report import FACE, Judged, decide
from zaigang.synthetic.camera import StageCamera, VirtualClock
from zaigang.synthetic.casting import HARD, LIVING, SPECIES, Attempt, Company, Scene, cast
from zaigang.synthetic.pose import Pose

COUNTS = {"small": (12, 4), "medium": (60, 30), "full": (300, 150)}  # living attempts, attempts of each attack species
PROCESSES = 2  # a fixed number: the figures of a seed depend on who films what, not on the machine
LONGEST_US = 25_000_000  # longer than any session looks and asks
ENROLLED_YAWS = (0, -6, 6)
EMPTY_FRAMES = 2  # of the gate between two attempts, so that the detector follows nobody from one to the next


def attempts(seed: int, count: str, *, beyond: bool = False, flash: bool = False) -> list[Attempt]:
    """Return the attempts of a suite; `count` is a key of COUNTS.

    `beyond`: the living and the two hard replays alone. `flash`: the terminal lights everybody with its screen.
    """
    living, attacks = COUNTS[count]
    species = HARD if beyond else SPECIES
    return [Attempt(LIVING, number, seed, flash) for number in range(living)] + [
        Attempt(one, number, seed, flash) for one in species for number in range(attacks)
    ]


def run(
    wanted: Sequence[Attempt], progress: Callable[[Judged], None] | None = None, processes: int = PROCESSES
) -> list[Judged]:
    """Film and judge every attempt; results come back in the order of `wanted`."""
    shares = [list(wanted[start::processes]) for start in range(processes)]
    context = multiprocessing.get_context("spawn")  # mediapipe's threads do not survive a fork
    queue: Channel = context.Queue()
    workers = [context.Process(target=_work, args=(share, queue), daemon=True) for share in shares if share]
    for worker in workers:
        worker.start()
    found: dict[Attempt, Judged] = {}
    try:
        while len(found) < len(wanted):
            attempt, one = _next(queue, workers)
            found[attempt] = one
            if progress is not None:
                progress(one)
    finally:
        for worker in workers:
            worker.terminate() if len(found) < len(wanted) else worker.join()
    return [found[attempt] for attempt in wanted]


Channel: TypeAlias = "multiprocessing.Queue[tuple[str, Any]]"


class SuiteFailed(Exception):
    """A process of the suite ended before its attempts did."""


def _next(queue: Channel, workers: Sequence[multiprocessing.process.BaseProcess]) -> tuple[Attempt, Judged]:
    while True:
        try:
            kind, said = queue.get(timeout=5)
        except queues.Empty:
            if any(worker.exitcode not in (None, 0) for worker in workers):
                raise SuiteFailed("a process that films the attempts has died; run the suite again") from None
            continue
        if kind == "failed":
            raise SuiteFailed(f"an attempt could not be filmed: {said}")
        attempt, one = said
        return attempt, one


def _work(share: Sequence[Attempt], queue: Channel) -> None:
    cv2.setNumThreads(1)  # the processes share the cores already
    try:
        for attempt, one in film(share):
            queue.put(("judged", (attempt, one)))
    except Exception as error:
        queue.put(("failed", f"{type(error).__name__}: {error}"))
        raise


def film(share: Sequence[Attempt]) -> Iterator[tuple[Attempt, Judged]]:
    """Film attempts one after the other in this process."""
    bundle = landmark_bundle()
    with (
        tempfile.TemporaryDirectory() as folder,
        LandmarkDetector(bundle, "image") as still,
        LandmarkDetector(bundle, "video") as detector,
    ):
        company, embedder = Company(still), DlibEmbedder()
        gallery = Gallery(Path(folder) / "gallery.db", bytes(32))
        try:
            for name in company.portraits:
                gallery.enrol(name, name, embedder.model_id, _vectors(company, name, still, embedder))
            studio = Studio(detector, embedder, gallery)
            for attempt in share:
                yield attempt, studio.film(attempt, cast(attempt, company))
        finally:
            gallery.close()


def _vectors(company: Company, name: str, still: LandmarkDetector, embedder: DlibEmbedder) -> list[NDArray[np.float32]]:
    vectors = []
    for yaw in ENROLLED_YAWS:
        picture = company.person(name).render(Pose(yaw_deg=yaw))
        found = assess(still.detect(picture, 0), picture, ENROLMENT)
        if found.face is None or not found.ok:
            raise SuiteFailed(f"{name} cannot be enrolled: {found.reason}")
        vectors.append(embedder.embed(picture, found.face))
    return vectors


class Studio:
    """The terminal's face path and a stage before it, on a clock that only goes on with the pictures."""

    def __init__(self, detector: LandmarkDetector, embedder: DlibEmbedder, gallery: Gallery) -> None:
        self._detector, self._embedder, self._gallery = detector, embedder, gallery
        self._clock = VirtualClock()

    def film(self, attempt: Attempt, scene: Scene) -> Judged:
        """Let one scene be played and judged to its end."""
        self._clock.wait_until(self._clock.now_us() + 1_000_000 // scene.fps)
        camera = StageCamera(self._clock, fps=scene.fps, grain=scene.grain)
        camera.light(scene.light)
        for _ in range(EMPTY_FRAMES):
            frame = camera.read(1)
            self._detector.detect(frame.image, frame.mono_us)
        camera.stand(scene.subject)
        start_us = self._clock.now_us()
        request = FaceRequest(scene.claimed, scene.asks, scene.delays_ms, start_us, colours=scene.colours)
        session = FaceSession(self._detector, self._embedder, self._gallery, FaceSettings(), request, match_anyway=True)
        while session.result is None:
            frame = camera.read(1)
            if frame.mono_us - start_us > LONGEST_US:
                session.give_up(frame.mono_us, "timeout: the attempt took too long")
                break
            progress = session.feed(frame.mono_us, frame.image)
            camera.show(progress.ask)
            self._light(camera, session, progress)
        assert session.result is not None
        checks = session.result.checks
        return Judged(
            species=attempt.species,
            clip=str(attempt.number),
            checks=checks,
            decision=decide(checks, FACE),
            judged_by="all checks",
            policy=FACE,
            told=scene.told,
            fps=scene.fps,
            took_ms=(self._clock.now_us() - start_us) // 1000,
        )

    def _light(self, camera: StageCamera, session: FaceSession, progress: FaceProgress) -> None:
        """Be the page that paints the flash: at once, and it says so."""
        if progress.flash is None:
            camera.paint(None)
            return
        number, colour = progress.flash
        camera.paint(colour)
        session.exposure_held(held=True)
        session.painted(number, self._clock.now_us())
