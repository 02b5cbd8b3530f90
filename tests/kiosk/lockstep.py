"""The whole terminal with a camera that takes the next picture when the attempt asks for it.

Everything is real but the time between two frames: a living person answers the screen frame by frame, so that an
attempt ends the same way on a busy machine as on an idle one, and a fault that is injected is all that changes.
"""

from __future__ import annotations

import random
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest

from evidence.events import ClockReading, LogType
from kiosk import standing_in
from kiosk.app import Kiosk
from kiosk.clock import Stamp, SystemClock
from kiosk.policy import FACE_SIGNS, PROFILES, Demand, Policy
from kiosk.sensors.camera import Camera, Frame
from kiosk.terminal.view import Phase
from kiosk.verify.landmarks import LandmarkDetector
from kiosk.verify.models import landmark_bundle
from tests.kiosk.test_app import enrol, terminal
from zaigang.synthetic.camera import StageCamera, VirtualClock
from zaigang.synthetic.performance import Actor, living_person
from zaigang.synthetic.person import LivingPerson
from zaigang.synthetic.portraits import astronaut

IDLE_FRAME_S = 0.1  # between pictures that nobody asks for; NewestFrame calls a camera dead after 3 s
SLOW_FRAME_S = 2.0
AGAIN_S = 0.02
PATIENCE_S = 60.0
SEED = 7  # of the prompts: every attempt asks for the same


def strict(policy: Policy) -> Policy:
    """The policy with every optional check required, so that one that did not run shows in the verdict.

    But for the flash, which is switched off where nobody has switched it on.
    """
    demands = {"face": policy.face, "badge_pin": policy.badge_pin}
    return policy.model_copy(
        update={
            name: Demand(required=(*one.required, *(name for name in one.optional if name not in FACE_SIGNS)))
            for name, one in demands.items()
            if one
        }
    )


def strict_profiles(patch: pytest.MonkeyPatch, **changes: Any) -> None:
    """Make the demo's policy strict for every Kiosk from now on, and give it a synchronised clock."""
    patch.setattr("kiosk.app.PROFILES", {"demo": strict(PROFILES["demo"]).model_copy(update=changes)})
    for limit in ("FACE_BY_BADGE", "FACE_OF_ANYONE"):  # a hundred faults in a minute are no attack
        generous = replace(getattr(standing_in, limit), most=10_000)
        patch.setattr(standing_in, limit, generous)
    patch.setattr(SystemClock, "_ask", lambda self: ClockReading(source="ntp", synced=True, error_ms=1))


class Stage:
    """A living person before a camera that waits to be asked. `scene.open_camera` and `scene.stand`, as in the demo."""

    def __init__(self, fps: float = 25.0) -> None:
        self.fps = fps
        with LandmarkDetector(landmark_bundle(), mode="image") as detector:
            self.person = LivingPerson(astronaut(), detector)
        self.clock = VirtualClock(time.monotonic_ns() // 1000)
        self.wanted = threading.Event()  # an attempt waits for the next picture
        self.rested = threading.Event()  # whoever stands there has begun anew since the last attempt
        self.kiosk: Kiosk | None = None
        self.seed = SEED  # of the person; another one for each attempt

    def stand(self, who: str) -> None:
        """The worker is always there."""

    def open_camera(self) -> Camera:
        """Open the camera; the person stands there anew, at rest."""
        return _LockstepCamera(self)

    @property
    def attempt_runs(self) -> bool:
        """Whether somebody is being looked at."""
        return self.kiosk is not None and self.kiosk.attendant._view.phase not in (Phase.IDLE, Phase.RESULT)

    def actor(self) -> Actor:
        """Somebody who moves a little differently each time, as the living do: the same movement again is a replay."""
        return living_person(self.person, seed=self.seed)


class _LockstepCamera:
    def __init__(self, stage: Stage) -> None:
        self._stage = stage
        self._camera = StageCamera(stage.clock, fps=stage.fps)

    @property
    def name(self) -> str:
        return "lockstep"

    def read(self, timeout_s: float) -> Frame:
        stage = self._stage
        asked, until = stage.wanted.wait(IDLE_FRAME_S), time.monotonic() + SLOW_FRAME_S
        while not asked and stage.attempt_runs and time.monotonic() < until:
            asked = stage.wanted.wait(AGAIN_S)  # a busy machine is still looking at the last one
        stage.wanted.clear()
        if asked or stage.attempt_runs:
            stage.rested.clear()
            self._camera.show(stage.kiosk.attendant._view.ask if stage.kiosk is not None else None)
            self._light()
            return self._camera.read(timeout_s)
        stage.clock.wait_until(time.monotonic_ns() // 1000)  # taps are stamped with the machine's clock
        self._camera.show(None)
        self._camera.stand(stage.actor())
        frame = self._camera.read(timeout_s)
        stage.rested.set()
        return frame

    def _light(self) -> None:
        """Be the page that paints the flash: at once, and it says so."""
        attendant = self._stage.kiosk.attendant if self._stage.kiosk is not None else None
        due = attendant.light() if attendant is not None else None
        self._camera.paint(None if due is None else due.colour)
        if attendant is not None and due is not None:
            attendant.painted(due.attempt, due.number, 0)

    def lock_exposure(self) -> None:
        self._camera.lock_exposure()

    def unlock_exposure(self) -> None:
        self._camera.unlock_exposure()

    def close(self) -> None:
        self._camera.close()


@contextmanager
def lockstep_terminal(folder: Path, stage: Stage, patch: pytest.MonkeyPatch, **changes: Any) -> Iterator[Kiosk]:
    """Run a terminal on which the worker W-1 is enrolled, whose clock is synchronised and whose policy is strict."""
    strict_profiles(patch)
    patch.setattr("secrets.SystemRandom", lambda: random.Random(SEED))
    # The page's word is stamped with the machine's clock, and the pictures have one of their own.
    patch.setattr("kiosk.screen_light.time", SimpleNamespace(monotonic_ns=lambda: stage.clock.now_us() * 1000))
    with terminal(folder, stage.open_camera, **changes) as kiosk:
        stage.kiosk = kiosk
        eyes = kiosk.eyes
        assert eyes is not None
        wait_newer = eyes.wait_newer

        def ask_and_wait(index: int, timeout_s: float) -> Frame | None:
            stage.wanted.set()
            return wait_newer(index, timeout_s)

        tap = kiosk.attendant.tap

        def tap_at_rest(log_type: LogType, badge: str | None) -> None:
            assert stage.rested.wait(PATIENCE_S), "the camera gives no pictures"
            stage.seed += 1  # whoever stands there next
            tap(log_type, badge)

        eyes.wait_newer = ask_and_wait  # type: ignore[method-assign]
        assert stage.rested.wait(PATIENCE_S), "the camera gives no pictures"
        enrol(kiosk, stage)  # type: ignore[arg-type]  # all that it asks of a scene is to stand there
        kiosk.attendant.tap = tap_at_rest  # type: ignore[method-assign]
        around = kiosk.attendant._around
        real_stamp = around.stamp

        def stamp() -> Stamp:
            """The pictures' clock runs ahead where an attempt is over sooner than it shows: no tap lies before it."""
            now = real_stamp()
            return replace(now, mono_us=max(now.mono_us, stage.clock.now_us()))

        object.__setattr__(around, "stamp", stamp)
        yield kiosk
    stage.kiosk = None
