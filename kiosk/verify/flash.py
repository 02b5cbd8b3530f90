"""The terminal lights the face with its own screen, in colours nobody could know, and measures what comes back.

A face at arm's length answers each colour more than the wall behind it does; a screen shines by itself and hardly
answers. Measures only; `liveness` decides. Exposure and white balance must be locked, and the page must say when each
colour was really on the screen. Slow and never red enough to harm (WCAG 2.3.1): at most three changes a second, since
the next colour is due only when the one before has been on the screen for its whole time.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Protocol

import numpy as np

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from kiosk.verify.landmarks import Landmarks

Colour = tuple[int, int, int]  # red, green, blue, 0..255, as the page paints it

# Far apart in every channel, none a saturated red (red at least 0.8 of the sum, WCAG 2.3.1).
PALETTE: tuple[Colour, ...] = ((255, 255, 255), (20, 20, 20), (40, 80, 255), (60, 230, 80), (255, 190, 40))
COLOURS = 4  # that one face is lit by: 120 and more sequences, and 1.4 s of a wait that is there anyway
ROUNDS = 4  # of them in an attempt: whoever goes away meanwhile is lit anew, by colours nobody has seen yet
CHANGE_US = 350_000  # between changes: 2.9 a second
PATIENCE_US = 700_000  # for the page's word; then it is not there, or a punch would wait for a lamp
SETTLE_US = 70_000  # from the page's paint to a frame exposed wholly under it
GAMMA = 2.2  # of camera and screen
EVERY = 4  # px: every fourth pixel of a region is enough for a mean


class Random(Protocol):
    """What is used of secrets.SystemRandom."""

    def randrange(self, start: int, stop: int, /) -> int:
        """An integer from start up to, not including, stop."""
        ...


@dataclass(frozen=True, slots=True)
class FlashResponse:
    """How face and background answered the colours; a gain is the change under full light, as a share of the rest."""

    painted: int  # colours that the page acknowledged and that frames were taken under
    face_gain: float
    face_fit: float  # correlation of the face's changes with the screen's, -1..1
    background_gain: float
    ambient: float  # mean level of the background, linear, 0..1
    acknowledged: bool = True  # False: the page did not answer in time to a colour
    held: bool = True  # exposure and white balance were locked meanwhile


def choose_colours(rng: Random, count: int = COLOURS) -> tuple[Colour, ...]:
    """Return the colours of one attempt, no two neighbours alike. `rng`: secrets.SystemRandom()."""
    chosen: list[Colour] = []
    while len(chosen) < count:
        left = [one for one in PALETTE if not chosen or one != chosen[-1]]
        chosen.append(left[rng.randrange(0, len(left))])
    return tuple(chosen)


class FlashMeter:
    """One attempt's colours: ask `due` what to paint, tell `painted` when it was, `feed` every frame with the face.

    Colours are numbered through the attempt; COLOURS of them make a round, which one and the same face has to answer.
    """

    def __init__(self, colours: tuple[Colour, ...]) -> None:
        self._first, self._colours, self._later = 0, colours[:COLOURS], colours[COLOURS:]
        self._asked_us: list[int] = []  # when each colour of the round was first due
        self._painted_us: dict[int, int] = {}
        self._over = self._silent = False
        self.held = False  # set it where the camera's exposure is locked while colours are on
        self._seen: list[tuple[int, NDArray[np.float64], NDArray[np.float64]]] = []

    @property
    def begun(self) -> bool:
        """Whether a colour of this round has been asked for."""
        return bool(self._asked_us)

    def forget(self) -> None:
        """The face was away: begin another round; without colours for one nothing more is shown."""
        if not self.begun or self._silent:
            return
        self._first += len(self._colours)
        self._colours, self._later = self._later[:COLOURS], self._later[COLOURS:]
        self._asked_us.clear()
        self._painted_us.clear()
        self._seen.clear()
        self._over = not self._colours

    def due(self, mono_us: int) -> tuple[int, Colour] | None:
        """Return the number and the colour to have on the screen now; None when all have been."""
        if self._over:
            return None
        if not self._asked_us:
            self._asked_us.append(mono_us)
        number = len(self._asked_us) - 1
        painted_us = self._painted_us.get(number)
        if painted_us is None:
            self._over = self._silent = mono_us - self._asked_us[number] > PATIENCE_US
        elif mono_us - painted_us >= CHANGE_US:
            number += 1
            self._over = number == len(self._colours)
            if not self._over:
                self._asked_us.append(mono_us)
        return None if self._over else (self._first + number, self._colours[number])

    def painted(self, number: int, mono_us: int) -> None:
        """Take the page's word that colour `number` came up then: the first word, and none before it was due."""
        number -= self._first
        if 0 <= number < len(self._asked_us) and not self._over:
            self._painted_us.setdefault(number, max(mono_us, self._asked_us[number]))

    def feed(self, mono_us: int, image_bgr: NDArray[np.uint8], face: Landmarks) -> None:
        """Measure one frame (H, W, 3) while colours are on."""
        if self._asked_us and not self._over:
            self._seen.append((mono_us, *_levels(image_bgr, face)))

    def response(self) -> FlashResponse:
        """Fit the answers to the colours; without enough of them `painted` says so and the rest is 0."""
        screen, faces, backgrounds = [], [], []
        for number, colour in enumerate(self._colours):
            start_us = self._painted_us.get(number)
            if start_us is None:
                continue
            under = [
                (face, background)
                for at_us, face, background in self._seen
                if start_us + SETTLE_US <= at_us < start_us + CHANGE_US
            ]
            if under:
                screen.append((np.array(colour, np.float64) / 255) ** GAMMA)
                faces.append(np.mean([one for one, _ in under], axis=0))
                backgrounds.append(np.mean([one for _, one in under], axis=0))
        if len(screen) < 2:
            return FlashResponse(len(screen), 0.0, 0.0, 0.0, 0.0, not self._silent, self.held)
        lit = np.array(screen)
        face_gain, face_fit = _answer(lit, np.array(faces))
        background_gain, _ = _answer(lit, np.array(backgrounds))
        ambient = float(np.mean(backgrounds))
        return FlashResponse(len(screen), face_gain, face_fit, background_gain, ambient, not self._silent, self.held)


def _answer(screen: NDArray[np.float64], levels: NDArray[np.float64]) -> tuple[float, float]:
    """Return gain and correlation of what changed (N, 3) with what the screen changed (N, 3)."""
    lit = screen - screen.mean(axis=0)
    rest = levels.mean(axis=0)
    changed = (levels - rest) / np.maximum(rest, 1e-3)
    power = float((lit * lit).sum())
    spread = float(np.sqrt(power * (changed * changed).sum()))
    if power <= 0 or spread <= 0:
        return 0.0, 0.0
    shared = float((lit * changed).sum())
    return shared / power, shared / spread


def _levels(image_bgr: NDArray[np.uint8], face: Landmarks) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    """Return the mean linear red, green and blue of the face's middle, and of what is beside the head."""
    height, width = image_bgr.shape[:2]
    x0, y0, x1, y1 = face.box
    wide, tall = x1 - x0, y1 - y0
    skin = _cut(image_bgr, (x0 + 0.25 * wide, y0 + 0.3 * tall, x1 - 0.25 * wide, y1 - 0.2 * tall), (width, height))
    sides = [(0.0, 0.0, x0 - 0.7 * wide, y1), (x1 + 0.7 * wide, 0.0, 1.0, y1)]
    walls = [_cut(image_bgr, side, (width, height)) for side in sides]
    wall = np.concatenate([one.reshape(-1, 3) for one in walls])
    return _linear(skin.reshape(-1, 3)), _linear(wall)


def _cut(image: NDArray[np.uint8], box: tuple[float, float, float, float], size: tuple[int, int]) -> NDArray[np.uint8]:
    width, height = size
    x0, y0 = max(int(box[0] * width), 0), max(int(box[1] * height), 0)
    x1, y1 = min(int(box[2] * width), width), min(int(box[3] * height), height)
    return image[y0 : max(y1, y0) : EVERY, x0 : max(x1, x0) : EVERY]


def _linear(pixels: NDArray[np.uint8]) -> NDArray[np.float64]:
    if not len(pixels):
        return np.zeros(3)
    return np.asarray(((pixels[:, ::-1].astype(np.float64) / 255) ** GAMMA).mean(axis=0))
