"""Those who pretend with more than paper: a clip on a device, and somebody who is exchanged for a photo."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Protocol

import cv2
import numpy as np

from evidence.events import Ask
from zaigang.synthetic.camera import Subject
from zaigang.synthetic.devices import Device
from zaigang.synthetic.performance import Actor
from zaigang.synthetic.pose import Image, Pose
from zaigang.synthetic.scene import empty_scene

SLIDE_FROM_PX = -560.0  # where a photo that is pushed in comes from


class Held(Protocol):
    """What says how a thing is held: an Actor's pose."""

    def pose(self, mono_us: int) -> Pose:
        """Return the pose at this time."""


class Replay:
    """A clip of a living person on a device in a hand.

    `script`: what the person in the clip does and when, ms from its start. `on_prompt`: the clip waits at its first
    frames and goes on when the first prompt is shown, as a thumb on the play button does; else it runs from the start.
    """

    reflects = 0.1  # of what skin does: glass is dark, and what it shows shines by itself

    def __init__(
        self,
        clip: Actor,
        script: Sequence[tuple[int, Ask]],
        device: Device,
        held: Held,
        *,
        on_prompt: bool = False,
    ) -> None:
        self.name = f"{device.name} replay of {clip.name}"
        self._clip, self._script, self._device, self._held = clip, tuple(script), device, held
        self._on_prompt, self._started = on_prompt, False

    def hear(self, ask: Ask | None, mono_us: int) -> None:
        """Start the clip if it waits for a prompt; what is asked it cannot know."""
        if self._on_prompt and ask is not None:
            self._start(mono_us)

    def picture(self, mono_us: int, light: float = 1.0) -> Image:
        """Return what a camera sees at this time, 640x480 BGR."""
        if not self._on_prompt:
            self._start(mono_us)
        canvas = empty_scene(light)
        self._device.draw(canvas, self._clip.picture(mono_us), self._held.pose(mono_us), light)
        return canvas

    def _start(self, mono_us: int) -> None:
        if self._started:
            return
        self._started = True
        for after_ms, ask in self._script:
            self._clip.begin(ask, mono_us + after_ms * 1000)


class Swap:
    """Somebody stands there until `after_ms` from the first prompt; then a photo does.

    `way`: "cut" from one frame to the next, "slide" pushes it in from the side, "melt" blends the two as a screen can;
    the last two take `lasts_ms`.
    """

    def __init__(self, first: Subject, second: Actor, after_ms: int, way: str, lasts_ms: int) -> None:
        self.name = f"swap of {first.name} for {second.name}"
        self._first, self._second = first, second
        self._after_us, self._way, self._lasts_us = after_ms * 1000, way, max(lasts_ms, 1) * 1000
        self._prompted_us: int | None = None

    def hear(self, ask: Ask | None, mono_us: int) -> None:
        """Both hear it; the first prompt starts the clock of the swap."""
        if ask is not None and self._prompted_us is None:
            self._prompted_us = mono_us
        self._first.hear(ask, mono_us)
        self._second.hear(ask, mono_us)

    def picture(self, mono_us: int, light: float = 1.0) -> Image:
        """Return what a camera sees at this time, 640x480 BGR."""
        gone_us = -1 if self._prompted_us is None else mono_us - self._prompted_us - self._after_us
        if gone_us < 0:
            return self._first.picture(mono_us, light)
        share = 1.0 if self._way == "cut" else gone_us / self._lasts_us
        if share >= 1:
            return self._second.picture(mono_us, light)
        before = self._first.picture(mono_us, light)
        if self._way == "melt":
            after = self._second.picture(mono_us, light)
            return np.asarray(cv2.addWeighted(before, 1 - share, after, share, 0), np.uint8)
        pose = self._second.pose(mono_us)
        aside = (pose.shift[0] + SLIDE_FROM_PX * (1 - share), pose.shift[1])
        held = Pose(pose.yaw_deg, pose.pitch_deg, pose.eyelids, pose.scale, aside)
        self._second.draw(before, held, light)
        return before
