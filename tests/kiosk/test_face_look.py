"""What an attempt is shown of the camera's frames, with the real reader of the camera and the real session."""

from __future__ import annotations

import threading
import time
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from evidence.events import Ask, ClockReading, Method, Verdict
from kiosk.clock import Stamp
from kiosk.face_look import FaceLook
from kiosk.policy import PROFILES, judge
from kiosk.screen_light import ScreenLight
from kiosk.sensors.camera import Frame
from kiosk.sensors.newest_frame import NewestFrame
from kiosk.standing_in import left, no_face
from kiosk.verify.face_settings import FaceSettings
from kiosk.verify.gallery import Gallery
from kiosk.verify.session import FaceRequest, FaceSession

ON_ITS_WAY_US = 400_000  # from exposure to delivery: ten frames
PICTURE = np.full((48, 64, 3), 90, np.uint8)


@dataclass
class SlowCable:
    """A camera whose frames arrive long after they were exposed."""

    name: str = "slow cable"
    sent: list[tuple[int, int]] = field(default_factory=list)  # exposed, arrived

    def read(self, timeout_s: float) -> Frame:
        time.sleep(0.04)
        arrived_us = time.monotonic_ns() // 1000
        self.sent.append((arrived_us - ON_ITS_WAY_US, arrived_us))
        return Frame(0, arrived_us - ON_ITS_WAY_US, PICTURE)

    def close(self) -> None:
        pass


@dataclass
class NobodyThere:
    """A detector that finds no face, and notes when what it was shown was exposed."""

    shown_us: list[int] = field(default_factory=list)

    def detect(self, image_bgr: Any, mono_us: int) -> Sequence[Any]:
        self.shown_us.append(mono_us)
        return ()


@pytest.fixture
def gallery(tmp_path: Path) -> Iterator[Gallery]:
    one = Gallery(tmp_path / "gallery.db", bytes(32))
    yield one
    one.close()


@pytest.mark.parametrize("reason", ["cancelled: the worker ended it", "face_locked: too many attempts"])
def test_what_its_worker_ended_and_what_comes_after_too_many_is_refused_not_reviewed(reason: str) -> None:
    """Under review it would be a punch of whomever's code was typed."""
    ended = left(no_face(reason))
    assert {one.name: one.outcome for one in ended.checks if one.outcome != "not_run"} == {"face_match": "failed"}
    assert {one.reason for one in ended.checks} == {reason}
    for profile in ("demo", "outdoor", "indoor"):
        assert judge(ended.checks, PROFILES[profile], Method.FACE) is Verdict.REFUSED


@pytest.mark.parametrize("reason", ["camera_failed: no picture", "timeout: it took too long", "error: of ours"])
def test_what_could_not_run_is_left_to_a_reviewer(reason: str) -> None:
    assert judge(left(no_face(reason)).checks, PROFILES["demo"], Method.FACE) is Verdict.REVIEW


def looked_at(gallery: Gallery, detector: NobodyThere, camera: SlowCable, *, stopped: bool = False) -> tuple[int, Any]:
    """One attempt before this camera; return when it was tapped for (monotonic µs), and what came of it."""
    eyes = NewestFrame(lambda: camera)

    def session(badge: str | None, tapped_us: int) -> FaceSession:
        settings = FaceSettings(looking_ms=1000)
        request = FaceRequest(badge, (Ask.BLINK,), (500,), tapped_us)
        return FaceSession(detector, None, gallery, settings, request)  # type: ignore[arg-type]  # nobody is matched

    cancelled = threading.Event()
    look = FaceLook(
        PROFILES["demo"],
        gallery,
        eyes,
        session,
        light=ScreenLight(),
        cancelled=cancelled,
        follow=lambda frame, progress, left_s: None,
    )
    if stopped:  # as the attendant's stop does
        look.stopping = True
        cancelled.set()
    eyes.start()
    try:
        assert eyes.wait_newer(3, 10) is not None
        tap_us = time.monotonic_ns() // 1000
        clock = ClockReading(source="none", synced=False)
        stamp = Stamp("2026-05-04T08:00:00.000Z", clock, "0" * 32, tap_us)
        return tap_us, look.look(None, stamp, tap_us, None)
    finally:
        eyes.stop()


def test_an_attempt_that_a_stop_of_the_terminal_ends_was_not_left_by_its_worker(gallery: Gallery) -> None:
    _, result = looked_at(gallery, NobodyThere(), SlowCable(), stopped=True)
    assert {one.reason for one in result.checks} == {"error: the terminal was stopped meanwhile"}
    assert judge(result.checks, PROFILES["demo"], Method.FACE) is Verdict.REVIEW


def test_no_frame_from_before_the_tap_is_judged(gallery: Gallery) -> None:
    camera, detector = SlowCable(), NobodyThere()
    tap_us, result = looked_at(gallery, detector, camera)
    assert result.checks[0].reason.startswith("no_face")
    assert detector.shown_us
    assert min(detector.shown_us) >= tap_us
    assert any(exposed < tap_us < arrived for exposed, arrived in camera.sent)  # there were some to pass over
