"""Is the camera still where it was bolted? Looks at the scene between punches, and signs every change of state.

The scene is learnt once, from a quiet picture after the installation, and kept as a file of points without a picture; a
technician who moves the terminal on purpose removes the file, and that a new scene was learnt is signed as well.
A state counts only once it has lasted: people lean on terminals. Driven by the keeper's rounds; time is passed in.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import structlog
from numpy.typing import NDArray

from evidence.envelope import Envelope
from evidence.errors import EvidenceError
from evidence.events import SensorChangedBody, parse_body, parse_event
from evidence.status import Part
from kiosk.durable_file import replace_file
from kiosk.sensors.scene import Scene, SceneState, SceneUnusable, describe, look

log = structlog.get_logger(__name__)

LEARN_AFTER_S = 60.0  # of a scene that stays the same: the installer has climbed down
MAX_SCENE_BYTES = 1 << 20  # 600 points are 24 kB
ASTRAY_S = 120.0  # a camera turned right away, a picture on the lens; a van that stays longer is worth a look as well
# How long a state must last before it is believed. Unrecognised is what a delivery van does, too.
LASTS_S = {SceneState.SAME: 0.0, SceneState.COVERED: 10.0, SceneState.MOVED: 20.0, SceneState.UNRECOGNISED: ASTRAY_S}
SENTENCES = {
    SceneState.COVERED: "scene_covered: the camera is covered or in the dark; clear the lens, switch on the light",
    SceneState.MOVED: "scene_moved: the camera has been turned or moved; put it back, or learn the scene anew",
    SceneState.UNRECOGNISED: "scene_unknown: the camera does not see the scene it knows; look what stands before it",
}
_PARTS = {SceneState.COVERED: "failed", SceneState.MOVED: "failed", SceneState.UNRECOGNISED: "degraded"}


CHANGES_SOUGHT = 500  # of any sensor's, from the newest back; a scene that changed before that is looked at anew


def told_of(envelopes: Iterable[bytes]) -> SceneState | None:
    """Return what a journal's own sensor.changed events, newest first, say of the scene; None: nothing, or well."""
    for data in envelopes:
        try:
            body = parse_body(parse_event(Envelope.decode(data).payload))
            if isinstance(body, SensorChangedBody) and body.sensor == "scene":
                return None if body.state in ("learnt", "same") else SceneState(body.state)
        except (EvidenceError, ValueError):  # of another version; it stands in the journal all the same
            continue
    return None


@dataclass(frozen=True, slots=True)
class Pending:
    """A state that has been seen and has not lasted yet."""

    state: SceneState
    since_s: float


class SceneWatch:
    """`file` holds the learnt scene; `sign` writes a sensor.changed event and may raise a JournalError.

    `told`: what the chain said last, before this start; None: nothing, or that all is well.
    """

    def __init__(self, file: Path, sign: Callable[[SensorChangedBody], None], told: SceneState | None = None) -> None:
        self._file, self._sign, self._told = file, sign, told
        self._scene: Scene | None = None
        self._trouble: str | None = None  # why the file cannot be used
        self._state: SceneState | None = None  # None: nothing learnt, or not looked yet
        self._pending: Pending | None = None
        self._astray_s: float | None = None  # since when no look has found the scene, whatever each found instead
        self._candidate: tuple[Scene, float] | None = None  # to be learnt, and since when it has been the same

    @property
    def part(self) -> Part:
        """How it stands, for health and screen."""
        if self._trouble is not None:
            return Part(state="degraded", reason=self._trouble)
        if self._state is None:
            return Part(state="unknown", reason="scene_learning: the scene before the camera is being learnt")
        if self._state is SceneState.SAME:
            return Part(state="working")
        return Part.model_validate({"state": _PARTS[self._state], "reason": SENTENCES[self._state]})

    def see(self, image: NDArray[np.uint8], now_s: float) -> None:
        """Look at an idle picture (H, W, 3 BGR) at monotonic `now_s`. Raises what `sign` raises; it is tried again."""
        if not self._known():
            self._learn(image, now_s)
            return
        assert self._scene is not None
        state = look(self._scene, image).state
        if state is SceneState.SAME:
            self._astray_s = None
        elif self._astray_s is None:
            self._astray_s = now_s
        if state is self._state:
            self._pending = None
            return
        if self._pending is None or self._pending.state is not state:
            self._pending = Pending(state, now_s)
        lasted = now_s - self._pending.since_s >= LASTS_S[state]
        if lasted or self._lost(now_s):
            self._change(state, SENTENCES.get(state, "ok: the camera sees the scene it knows"))

    def _lost(self, now_s: float) -> bool:
        """Say whether the scene was known and has not been found for long, in looks that agree on nothing else."""
        known = self._state in (None, SceneState.SAME)
        return known and self._astray_s is not None and now_s - self._astray_s >= ASTRAY_S

    def _known(self) -> bool:
        """Have the scene at hand; a file that was removed means: learn anew."""
        if not self._file.exists():
            if self._scene is not None:
                self._scene, self._state, self._pending = None, None, None
            self._trouble = None
            return False
        if self._scene is None and self._trouble is None:
            try:
                with self._file.open("rb") as stored:
                    self._scene = Scene.decode(stored.read(MAX_SCENE_BYTES))
            except (OSError, SceneUnusable) as error:
                self._trouble = f"scene_unreadable: {self._file.name}: {error}; remove it to learn the scene anew"
                log.error("scene_unreadable", why=str(error))
        return self._scene is not None

    def _learn(self, image: NDArray[np.uint8], now_s: float) -> None:
        if self._trouble is not None:
            return  # what cannot be read is not written over: it may be evidence
        try:
            if self._candidate is None or look(self._candidate[0], image).state is not SceneState.SAME:
                self._candidate = (describe(image), now_s)
        except SceneUnusable:
            self._candidate = None
            return
        scene, since_s = self._candidate
        if now_s - since_s < LEARN_AFTER_S:
            return
        # Signed first: a scene that nobody vouched for is not taken for granted after a crash in between.
        self._sign(
            SensorChangedBody(sensor="scene", state="learnt", reason=f"ok: learnt from {len(scene.points)} points")
        )
        replace_file(self._file, scene.encode())
        self._scene, self._state, self._candidate = scene, SceneState.SAME, None

    def _change(self, state: SceneState, reason: str) -> None:
        before = self._state or self._told
        # The first look after a start is news only if it is bad, or if what was told before it was.
        if before is not None or state is not SceneState.SAME:
            self._sign(SensorChangedBody(sensor="scene", state=state.value, before=before, reason=reason))
        self._state, self._pending, self._told = state, None, None
