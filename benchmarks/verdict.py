"""From tap to verdict: living attempts at 25 pictures a second, every prompt begun to be answered after 600 ms.

The seconds are those of the stage's own clock, so they are the challenge's, plus the time that matching really took.
"""

from __future__ import annotations

import random
import tempfile
import time
from pathlib import Path
from statistics import median

from benchmarks.ratio import Ratio
from kiosk.verify.challenge import choose_asks
from kiosk.verify.embedder import DlibEmbedder
from kiosk.verify.gallery import Gallery
from kiosk.verify.landmarks import LandmarkDetector
from kiosk.verify.models import landmark_bundle
from kiosk.verify.session import FacePhase, FaceRequest, FaceSession, FaceSettings
from zaigang.synthetic.camera import StageCamera, VirtualClock
from zaigang.synthetic.performance import Actor
from zaigang.synthetic.person import LivingPerson
from zaigang.synthetic.portraits import astronaut

WANTED_S = 3.0
ATTEMPTS, SMOKE_ATTEMPTS = 20, 2
FPS = 25
ANSWERED_MS = 600


def run(smoke: bool = False) -> list[Ratio]:
    """Return the median of the attempts against what is wanted."""
    bundle = landmark_bundle(fetch=True)
    with (
        tempfile.TemporaryDirectory() as folder,
        LandmarkDetector(bundle, "image") as still,
        LandmarkDetector(bundle, "video") as detector,
    ):
        person, embedder = LivingPerson(astronaut(), still), DlibEmbedder()
        gallery = Gallery(Path(folder) / "gallery.db", bytes(32))
        clock, took = VirtualClock(), []
        for number in range(SMOKE_ATTEMPTS if smoke else ATTEMPTS):
            clock.wait_until(clock.now_us() + 1_000_000)
            camera = StageCamera(clock, fps=FPS)
            camera.stand(Actor(person, number, reaction_ms=(ANSWERED_MS, ANSWERED_MS)))
            asks, delays_ms = choose_asks(random.Random(number), FPS)
            request = FaceRequest("bench", asks, delays_ms, clock.now_us())
            session = FaceSession(detector, embedder, gallery, FaceSettings(), request)
            took.append(_seconds(session, camera, clock))
        gallery.close()
    note = f"median of {len(took)}, longest {max(took):.1f} s; one prompt or two, as drawn"
    return [Ratio("tap to verdict, prompts answered after 600 ms", median(took), WANTED_S, "s", "<= 1", note)]


def _seconds(session: FaceSession, camera: StageCamera, clock: VirtualClock) -> float:
    start_us = clock.now_us()
    while session.phase is not FacePhase.MATCHING and session.result is None:
        frame = camera.read(1)
        camera.show(session.feed(frame.mono_us, frame.image).ask)
    frame = camera.read(1)
    before = time.perf_counter()
    session.feed(frame.mono_us, frame.image)
    return (clock.now_us() - start_us) / 1e6 + time.perf_counter() - before


if __name__ == "__main__":
    for one in run():
        print(f"{one.name}: {one.ours:.2f} / {one.limit:.2f} {one.unit} = {one.ratio:.2f} {one.wanted} ({one.note})")
