"""One look at a face: from the tap, frame by frame, to what the session makes of them.

The attendant's own thread runs this, and with it the detector (docs/adr/0010). Whatever breaks costs the face, never
the attempt's record.
"""

from __future__ import annotations

import threading
import time
from collections.abc import Callable
from typing import Protocol

import structlog

from evidence.status import Part
from kiosk.clock import Stamp
from kiosk.health import state_of
from kiosk.policy import Policy
from kiosk.punch import Punch, Step
from kiosk.screen_light import ScreenLight
from kiosk.sensors.camera import Frame
from kiosk.standing_in import counted, left, no_face
from kiosk.verify.face_attempt import FacePhase, FaceProgress, FaceResult
from kiosk.verify.gallery import Gallery
from kiosk.verify.session import FaceSession

log = structlog.get_logger()

FRAME_TIMEOUT_S = 0.5  # how long one wait for a frame lasts before the attempt looks at the clock again
_LOCKED = "enclosure_opened: nobody can be recognised, for the faces' key left the memory when the case was opened"
STEPS = {
    FacePhase.LOOKING: Step.LOOKING,
    FacePhase.HOLD: Step.HOLD,
    FacePhase.PROMPTED: Step.PROMPT,
    FacePhase.MATCHING: Step.CHECKING,
    FacePhase.DONE: Step.CHECKING,
}


class Eyes(Protocol):
    """Where frames come from: kiosk.sensors.newest_frame.NewestFrame."""

    def wait_newer(self, index: int, timeout_s: float) -> Frame | None:
        """The newest frame after `index`, or None when none comes in time."""
        ...

    @property
    def newest(self) -> Frame | None:
        """The newest frame."""
        ...

    @property
    def state(self) -> Part:
        """How the camera is."""
        ...


class FaceLook:
    """A terminal's face path. `new_session(badge, tapped_us)` makes a session; None where there is no face path.

    `follow` is told of every frame that was judged, how far it brought the session and how many seconds are left;
    `cancelled` ends the look. Used by one thread, but for `works`, `running` and `light`.
    """

    def __init__(
        self,
        policy: Policy,
        gallery: Gallery,
        eyes: Eyes | None,
        new_session: Callable[[str | None, int], FaceSession] | None,
        *,
        light: ScreenLight,
        cancelled: threading.Event,
        follow: Callable[[Frame, FaceProgress, int], None],
    ) -> None:
        self._policy, self._gallery = policy, gallery
        self._eyes, self._new_session = eyes, new_session
        self._light, self._cancelled, self._follow = light, cancelled, follow
        self.stopping = False  # set by whoever stops the terminal: an attempt that this ends was not left by its worker
        self.running = False  # a look is going on

    @property
    def works(self) -> bool:
        """Whether a face can be looked at and compared now."""
        return (
            self._new_session is not None
            and self._eyes is not None
            and self._policy.face is not None
            and not self._locked()
            and state_of(self._eyes).state in ("working", "degraded")
        )

    def look(self, badge: str | None, stamp: Stamp, since_us: int, punch: Punch | None) -> FaceResult:
        """Look at whoever stands there and claims to be `badge`, None: at anybody. Never raises.

        `since_us`: monotonic microseconds of the tap; `punch` None: work that was lent the attendant's thread.
        """
        if self._locked():
            return no_face(_LOCKED)
        return left(counted(self._gallery, badge, stamp, lambda: self._attempt(badge, since_us, punch)))

    def _attempt(self, badge: str | None, since_us: int, punch: Punch | None) -> FaceResult:
        if self._new_session is None or self._eyes is None or not self.works:
            return no_face(state_of(self._eyes).reason or "camera_failed: no picture")
        self.running = True
        try:
            self._light.begin()
            return self._watch(self._eyes, self._new_session(badge, since_us), since_us, punch)
        except Exception as error:  # a camera or a model that breaks costs the face, never the attempt's record
            log.exception("face_path_failed")
            return no_face(f"error: {type(error).__name__}: {error}"[:400])
        finally:
            self._light.end()
            self.running = False

    def _watch(self, eyes: Eyes, session: FaceSession, since_us: int, punch: Punch | None) -> FaceResult:
        """Feed the session from the tap until it has a result."""
        newest = eyes.newest
        index = -1 if newest is None else newest.index
        while session.result is None:
            frame = eyes.wait_newer(index, FRAME_TIMEOUT_S)
            now_us = time.monotonic_ns() // 1000
            if self.stopping:
                session.give_up(now_us, "error: the terminal was stopped meanwhile")
            elif self._cancelled.is_set():
                session.give_up(now_us, "cancelled: the worker ended the attempt")
            elif punch.out_of_time(now_us) if punch is not None else self._left_s(since_us, now_us) < 0:
                session.give_up(now_us, "timeout: the attempt took longer than the site allows")
            elif frame is not None:
                index = frame.index
                if frame.mono_us < since_us:
                    continue  # it was on its way when the worker tapped, and shows who stood there before
                self._light.hear(session)
                progress = session.feed(frame.mono_us, frame.image)
                self._light.show(session, progress.flash)
                self._told(frame, progress, since_us, punch)
            elif eyes.state.state == "failed":
                session.give_up(now_us, eyes.state.reason or "camera_failed: the camera delivers nothing")
        return session.result

    def _told(self, frame: Frame, progress: FaceProgress, since_us: int, punch: Punch | None) -> None:
        if punch is not None:
            punch.progress(STEPS[progress.phase], hint=progress.hint, ask=progress.ask)
        self._follow(frame, progress, max(0, self._left_s(since_us, time.monotonic_ns() // 1000)))

    def _left_s(self, since_us: int, now_us: int) -> int:
        """Whole seconds that an attempt may still last; negative: none."""
        return (self._policy.attempt_limit_s * 1_000_000 - (now_us - since_us)) // 1_000_000

    def _locked(self) -> bool:
        """Whether faces cannot be compared now; a gallery that cannot say compares none."""
        try:
            return self._gallery.locked
        except Exception:
            log.exception("gallery_failed")
            return True
