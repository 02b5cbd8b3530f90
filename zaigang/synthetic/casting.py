"""Who stands before the camera in one attempt of the suite, and under what light: drawn from the attempt's own seed.

Eight attack species and the living. Everything is synthetic: portraits in the public domain, moved by this package.
"""

from __future__ import annotations

import random
from collections.abc import Callable
from dataclasses import dataclass
from functools import cached_property

from evidence.events import Ask
from kiosk.verify.challenge import choose_asks
from kiosk.verify.flash import COLOURS, ROUNDS, Colour, choose_colours
from kiosk.verify.landmarks import LandmarkDetector
from zaigang.synthetic.attacks import FlatPrint
from zaigang.synthetic.camera import Subject
from zaigang.synthetic.devices import PHONE, SCREEN, TABLET, Device, DeviceKind
from zaigang.synthetic.impostors import Replay, Swap
from zaigang.synthetic.masks import AnimatedPhoto, CutOutPrint
from zaigang.synthetic.performance import HOLDING_PAPER, STANDING, Actor, Temper, living_answer, paper_answer
from zaigang.synthetic.person import LivingPerson
from zaigang.synthetic.portraits import Portrait, astronaut, grace_hopper
from zaigang.synthetic.pose import Pose, Rendered

LIVING = "living"
SPECIES = (
    "flat_print_still",
    "flat_print_swung",
    "bent_print",
    "cut_out_eyes",
    "phone_replay",
    "tablet_replay",
    "animated_eyes",
    "swap",
)
# Beyond the suite: the right clip, started at the prompt, on a screen that fills the picture, with no edge and no grid.
HARD = ("fitting_replay_held", "fitting_replay_on_a_stand")
FRAME_RATES = (10, 12, 15, 20, 25, 30)
GRAINS = (0.8, 1.6, 3.0, 5.0)  # standard deviation of the sensor's noise, of 255
LIGHTS = (0.6, 1.35)  # of an ordinary day
GRIDS = (0.0, 0.01, 0.02, 0.04)  # of a screen's pixels in the picture: a fine screen, or out of focus, shows none
STILL_HAND = Temper(yaw_deg=0.6, pitch_deg=0.5, shift_px=1.5)
STAND = Temper(yaw_deg=0.0, pitch_deg=0.0, shift_px=0.0)
FILLS = 1.15  # scale at which a hand's tremor brings no edge of the screen into sight


@dataclass(frozen=True, slots=True)
class Attempt:
    """One attempt of the suite; its number and the suite's seed decide everything about it."""

    species: str  # LIVING, one of SPECIES or one of HARD
    number: int
    seed: int
    flash: bool = False  # the terminal lights the gate with its screen


@dataclass(frozen=True, slots=True)
class Scene:
    """One attempt, ready to be filmed. The detector is told nothing of it but `asks`, `delays_ms` and `colours`."""

    subject: Subject
    claimed: str  # the portrait's name whose badge was tapped
    fps: int
    grain: float
    light: float
    asks: tuple[Ask, ...]
    delays_ms: tuple[int, ...]
    colours: tuple[Colour, ...]
    told: str  # what is special about this one, for the report


class Company:
    """The people and things of the suite; made when first needed, and kept. `detector` is in "image" mode."""

    def __init__(self, detector: LandmarkDetector) -> None:
        self._detector = detector
        self._kept: dict[tuple[object, ...], Rendered] = {}

    @cached_property
    def portraits(self) -> dict[str, Portrait]:
        """Both portraits by name."""
        return {one.name: one for one in (astronaut(), grace_hopper())}

    def person(self, name: str) -> LivingPerson:
        """Return the living one of this name."""
        person = self._keep(("person", name), lambda: LivingPerson(self.portraits[name], self._detector))
        assert isinstance(person, LivingPerson)
        return person

    def paper(self, name: str, bend_deg: int = 0) -> Rendered:
        """Return a print."""
        return self._keep(
            ("paper", name, bend_deg), lambda: FlatPrint(self.portraits[name], self._detector, float(bend_deg))
        )

    def mask(self, name: str, behind: str, bend_deg: int) -> Rendered:
        """Return a print with cut-out eyes before somebody's face."""
        return self._keep(
            ("mask", name, behind, bend_deg),
            lambda: CutOutPrint(self.portraits[name], self.person(behind), self._detector, float(bend_deg)),
        )

    def animated(self, name: str) -> Rendered:
        """Return a photo with animated eyes."""
        return self._keep(("animated", name), lambda: AnimatedPhoto(self.portraits[name], self._detector))

    def _keep(self, key: tuple[object, ...], make: Callable[[], Rendered]) -> Rendered:
        if key not in self._kept:
            self._kept[key] = make()
        return self._kept[key]


class _Draw:
    """One attempt's dice and what every species takes from them."""

    def __init__(self, attempt: Attempt, company: Company) -> None:
        self.random = random.Random(f"{attempt.seed}/{attempt.species}/{attempt.number}")  # noqa: S311  repeatable
        self.company = company
        names = sorted(company.portraits)
        self.name = names[attempt.number % len(names)]
        self.other = names[(attempt.number + 1) % len(names)]
        self.fps = self.random.choice(FRAME_RATES)
        self.asks, self.delays_ms = choose_asks(self.random, self.fps, careful=attempt.flash)
        self.told = ""

    def number(self) -> int:
        return self.random.randrange(1 << 30)

    def stance(self, aside_px: float = 35.0) -> Pose:
        draw = self.random.uniform
        return Pose(
            yaw_deg=draw(-6, 6),
            pitch_deg=draw(-5, 5),
            scale=draw(0.78, 1.1),
            shift=(draw(-aside_px, aside_px), draw(-18, 18)),
        )

    def living(self, name: str) -> Actor:
        far = self.random.uniform(0.86, 1.25)

        def answer(ask: Ask, share: float) -> Pose:
            return living_answer(ask, share * (1.0 if ask is Ask.BLINK else far))

        return Actor(
            self.company.person(name),
            self.number(),
            answer,
            STANDING,
            self.random.uniform(2.5, 6.0),
            self.stance(),
            self.random.uniform(0.75, 1.5),
        )

    def holder(self, thing: Rendered, answer: Callable[[Ask, float], Pose], temper: Temper = HOLDING_PAPER) -> Actor:
        return Actor(thing, self.number(), answer, temper, None, self.stance(), self.random.uniform(0.75, 1.5))


def cast(attempt: Attempt, company: Company) -> Scene:
    """Put one attempt together."""
    draw = _Draw(attempt, company)
    subject = _CASTS[attempt.species](draw)
    random_ = draw.random
    return Scene(
        subject=subject,
        claimed=draw.name,
        fps=draw.fps,
        grain=random_.choice(GRAINS),
        light=random_.uniform(*LIGHTS),
        asks=draw.asks,
        delays_ms=draw.delays_ms,
        colours=choose_colours(random_, ROUNDS * COLOURS) if attempt.flash else (),
        told=draw.told,
    )


def _living(draw: _Draw) -> Subject:
    return draw.living(draw.name)


def _flat_still(draw: _Draw) -> Subject:
    return draw.holder(draw.company.paper(draw.name), lambda ask, share: Pose(), STILL_HAND)


def _flat_swung(draw: _Draw) -> Subject:
    return draw.holder(draw.company.paper(draw.name), _swing(draw.random.uniform(0.9, 1.3)))


def _bent(draw: _Draw) -> Subject:
    bend = draw.random.choice((20, 30, 40, 50, 60))
    draw.told = f"bent by {bend} degrees"
    return draw.holder(draw.company.paper(draw.name, bend), _swing(draw.random.uniform(0.8, 1.2)))


def _cut_out(draw: _Draw) -> Subject:
    bend = draw.random.choice((0, 30))
    draw.told = f"bent by {bend} degrees"
    return draw.holder(
        draw.company.mask(draw.name, draw.other, bend), _swing(draw.random.uniform(0.9, 1.2), blinks=True)
    )


def _animated(draw: _Draw) -> Subject:
    return draw.holder(draw.company.animated(draw.name), _swing(draw.random.uniform(0.9, 1.3), blinks=True))


def _phone(draw: _Draw) -> Subject:
    """A clip of the worker; in a third of the attempts it is the right one, started when the prompt is shown."""
    right, on_prompt = draw.random.randrange(3) == 0, draw.random.randrange(2) == 0
    asks = draw.asks if right else choose_asks(draw.random, draw.fps)[0]
    draw.told = f"{'the right clip' if right else 'any clip'}{', started at the prompt' if on_prompt or right else ''}"
    return _replay(draw, _device(draw, PHONE), asks, right or on_prompt)


def _tablet(draw: _Draw) -> Subject:
    asks = draw.asks
    while any(one is other for one, other in zip(asks, draw.asks, strict=False)):  # none of them in its place
        asks = choose_asks(draw.random, draw.fps)[0]
    on_prompt = draw.random.randrange(2) == 0
    draw.told = "a clip that answers other prompts" + (", started at the prompt" if on_prompt else "")
    return _replay(draw, _device(draw, TABLET), asks, on_prompt)


def _script(draw: _Draw, at_ms: int, asks: tuple[Ask, ...]) -> list[tuple[int, Ask]]:
    script = []
    for ask in asks:
        script.append((at_ms, ask))
        at_ms += draw.random.randint(2600, 3400)
    return script


def _device(draw: _Draw, kind: DeviceKind) -> Device:
    grid = draw.random.choice(GRIDS)
    draw.told += f"; grid {grid}"
    return Device(kind, brightness=draw.random.uniform(0.85, 1.15), grid=grid)


def _replay(draw: _Draw, device: Device, asks: tuple[Ask, ...], on_prompt: bool) -> Subject:
    clip = Actor(draw.company.person(draw.name), draw.number(), living_answer, STANDING, draw.random.uniform(2.5, 6.0))
    at_ms = draw.random.randint(350, 600) if on_prompt else draw.random.randint(900, 2000)
    script = _script(draw, at_ms, asks)
    pose = draw.stance(20)
    held = Actor(
        draw.company.paper(draw.name),
        draw.number(),
        lambda ask, share: Pose(),
        STILL_HAND,
        stance=Pose(pose.yaw_deg, pose.pitch_deg, 0.0, draw.random.uniform(0.8, 1.05), pose.shift),
    )
    return Replay(clip, script, device, held, on_prompt=on_prompt)


def _fitting(draw: _Draw, temper: Temper) -> Subject:
    clip = Actor(draw.company.person(draw.name), draw.number(), living_answer, stance=Pose(scale=0.8))
    held = Actor(
        draw.company.paper(draw.name), draw.number(), lambda ask, share: Pose(), temper, stance=Pose(scale=FILLS)
    )
    device = Device(SCREEN, brightness=draw.random.uniform(0.85, 1.15), grid=0.0)
    draw.told = "the right clip, started at the prompt; no edge, no grid"
    return Replay(clip, _script(draw, draw.random.randint(350, 600), draw.asks), device, held, on_prompt=True)


def _swap(draw: _Draw) -> Subject:
    """Somebody else answers; a photo of the worker comes in his place at some moment after the first prompt."""
    way = draw.random.choice(("cut", "slide", "melt", "melt"))
    after_ms, lasts_ms = draw.random.randint(0, 1500), draw.random.randint(120, 700)
    first = draw.living(draw.other)
    second = draw.holder(draw.company.paper(draw.name), _swing(1.0), STILL_HAND)
    draw.told = f"{way} after {after_ms} ms, lasting {lasts_ms} ms"
    return Swap(first, second, after_ms, way, lasts_ms)


def _swing(gain: float, *, blinks: bool = False) -> Callable[[Ask, float], Pose]:
    def answer(ask: Ask, share: float) -> Pose:
        if ask is Ask.BLINK:
            return Pose(eyelids=share) if blinks else Pose()
        return paper_answer(ask, share * gain)

    return answer


_CASTS: dict[str, Callable[[_Draw], Subject]] = {
    LIVING: _living,
    "flat_print_still": _flat_still,
    "flat_print_swung": _flat_swung,
    "bent_print": _bent,
    "cut_out_eyes": _cut_out,
    "phone_replay": _phone,
    "tablet_replay": _tablet,
    "animated_eyes": _animated,
    "swap": _swap,
    "fitting_replay_held": lambda draw: _fitting(draw, STILL_HAND),
    "fitting_replay_on_a_stand": lambda draw: _fitting(draw, STAND),
}
