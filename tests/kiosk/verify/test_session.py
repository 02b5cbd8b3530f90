"""One attempt at a time, filmed: people and paper that answer the screen, through the terminal's own detector."""

from __future__ import annotations

import random
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field
from functools import lru_cache
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from numpy.typing import NDArray

from evidence.events import Ask, Check
from kiosk.policy import Policy
from kiosk.verify import planarity, quality
from kiosk.verify.embedder import DlibEmbedder
from kiosk.verify.flash import Colour, choose_colours
from kiosk.verify.gallery import Gallery
from kiosk.verify.landmarks import LandmarkDetector, Landmarks
from kiosk.verify.recent_clips import RecentClips
from kiosk.verify.screen_signs import AT_REST, PER_PROMPT
from kiosk.verify.session import (
    CHECKS,
    LIGHT_EVERY_FRAMES,
    FacePhase,
    FaceRequest,
    FaceResult,
    FaceSession,
    FaceSettings,
)
from tests.support.faces import bundle, still_detector
from zaigang.synthetic.attacks import FlatPrint
from zaigang.synthetic.camera import StageCamera, Subject, VirtualClock
from zaigang.synthetic.devices import PHONE, Device
from zaigang.synthetic.impostors import Replay
from zaigang.synthetic.performance import Actor, living_answer, living_person, paper_holder
from zaigang.synthetic.person import LivingPerson
from zaigang.synthetic.portraits import Portrait, astronaut, grace_hopper
from zaigang.synthetic.pose import Image, Pose

LEFT, RIGHT, BLINK = Ask.TURN_LEFT, Ask.TURN_RIGHT, Ask.BLINK
ASTRONAUT, HOPPER = "E-17", "E-18"
DELAY_MS = 600
LONGEST_S = 30


@lru_cache(maxsize=1)
def embedder() -> DlibEmbedder:
    return DlibEmbedder()


@lru_cache(maxsize=2)
def person(portrait: Callable[[], Portrait]) -> LivingPerson:
    return LivingPerson(portrait(), still_detector())


@lru_cache(maxsize=2)
def vectors(portrait: Callable[[], Portrait]) -> list[NDArray[np.float32]]:
    found = []
    for yaw in (0, -6, 6):
        picture = person(portrait).render(Pose(yaw_deg=yaw))
        judged = quality.assess(still_detector().detect(picture, 0), picture, quality.ENROLMENT)
        assert judged.face is not None
        assert judged.ok, judged.code
        found.append(embedder().embed(picture, judged.face))
    return found


@dataclass
class Stage:
    """A terminal's camera, detector and gallery on a clock of its own."""

    detector: LandmarkDetector
    gallery: Gallery
    clock: VirtualClock = field(default_factory=VirtualClock)
    settings: FaceSettings = field(default_factory=FaceSettings)

    def __post_init__(self) -> None:
        self.camera = StageCamera(self.clock)
        self.phases: list[FacePhase] = []
        self.took_s = 0.0

    def session(self, *asks: Ask, badge: str | None = ASTRONAUT, **parts: Any) -> FaceSession:
        colours = parts.get("colours", ())
        excused = parts.get("excused", ())
        delays_ms = (parts.get("delay_ms", DELAY_MS),) * len(asks)
        request = FaceRequest(badge, asks, delays_ms, self.clock.now_us(), excused=excused, colours=colours)
        return FaceSession(
            parts.get("detector", self.detector),
            parts.get("embedder", embedder()),
            parts.get("gallery", self.gallery),
            self.settings,
            request,
        )

    def play(
        self, session: FaceSession, subject: Subject | None, cue: Callable[[FacePhase], None] | None = None
    ) -> FaceResult:
        """Film `subject` until the attempt has ended; `cue` may change the scene by the phase that is reached."""
        self.camera.leave()
        self.camera.show(None)
        if subject is not None:
            self.camera.stand(subject)
        start_us = self.clock.now_us()
        self.phases = []
        while session.result is None:
            assert self.clock.now_us() - start_us < LONGEST_S * 1e6, "the attempt never ends"
            frame = self.camera.read(1)
            progress = session.feed(frame.mono_us, frame.image)
            self.camera.show(progress.ask)
            assert (progress.ask is not None) == (progress.phase is FacePhase.PROMPTED)
            if not self.phases or self.phases[-1] is not progress.phase:
                self.phases.append(progress.phase)
                if cue:
                    cue(progress.phase)
        self.took_s = (self.clock.now_us() - start_us) / 1e6
        assert tuple(check.name for check in session.result.checks) == CHECKS
        return session.result


@pytest.fixture(scope="module")
def detector() -> Iterator[LandmarkDetector]:
    with LandmarkDetector(bundle(), "video") as one:
        yield one


_clock = VirtualClock()  # one for all: a detector in video mode wants times that rise


@pytest.fixture
def stage(detector: LandmarkDetector, tmp_path: Path) -> Iterator[Stage]:
    gallery = Gallery(tmp_path / "gallery.db", bytes(32))
    gallery.enrol(ASTRONAUT, "Eileen Collins", embedder().model_id, vectors(astronaut))
    gallery.enrol(HOPPER, "Grace Hopper", embedder().model_id, vectors(grace_hopper))
    _clock.wait_until(_clock.now_us() + 40_000)
    yield Stage(detector, gallery, _clock)
    gallery.close()


def outcomes(result: FaceResult) -> dict[str, str]:
    """Name to `passed`, or `failed code`, `not_run code`."""
    return {check.name: _said(check) for check in result.checks}


def _said(check: Check) -> str:
    return "passed" if check.outcome == "passed" else f"{check.outcome.value} {check.reason.split(':')[0]}"


# What passes where nothing is wrong: a terminal that does not flash says so.
ALL_PASSED = {**dict.fromkeys(CHECKS, "passed"), "flash": "not_run switched_off"}


# The worker


@pytest.mark.parametrize(
    ("portrait", "badge", "asks"),
    [
        (astronaut, ASTRONAUT, (LEFT,)),
        (astronaut, ASTRONAUT, (BLINK, RIGHT)),
        (grace_hopper, HOPPER, (RIGHT,)),
        (grace_hopper, HOPPER, (LEFT, BLINK)),
    ],
    ids=["astronaut left", "astronaut blink right", "hopper right", "hopper left blink"],
)
def test_a_worker_who_answers_is_recognised_by_the_badge(
    stage: Stage, portrait: Callable[[], Portrait], badge: str, asks: tuple[Ask, ...]
) -> None:
    result = stage.play(stage.session(*asks, badge=badge), living_person(person(portrait), seed=3))
    assert outcomes(result) == ALL_PASSED
    assert result.worker == badge
    assert result.challenge is not None
    assert [prompt.ask for prompt in result.challenge.prompts] == list(asks)
    assert result.checks[-1].model == embedder().model_id


@pytest.mark.parametrize(("portrait", "worker"), [(astronaut, ASTRONAUT), (grace_hopper, HOPPER)])
def test_a_worker_is_recognised_without_a_badge(stage: Stage, portrait: Callable[[], Portrait], worker: str) -> None:
    result = stage.play(stage.session(LEFT, badge=None), living_person(person(portrait), seed=4))
    assert outcomes(result) == ALL_PASSED
    assert result.worker == worker


def test_who_stands_there_and_answers_is_through_in_three_seconds(stage: Stage) -> None:
    stage.play(stage.session(LEFT), living_person(person(astronaut), seed=5))
    assert stage.took_s < 3
    order = [FacePhase.LOOKING, FacePhase.HOLD, FacePhase.PROMPTED, FacePhase.MATCHING, FacePhase.DONE]
    assert stage.phases == order


def test_natural_blinks_do_not_get_in_the_way(stage: Stage) -> None:
    worker = living_person(person(astronaut), seed=6, blink_every_s=0.9)
    assert outcomes(stage.play(stage.session(LEFT), worker)) == ALL_PASSED


# Those who are not the worker


def test_a_stranger_with_the_badge_is_refused_by_the_match_alone(stage: Stage) -> None:
    result = stage.play(stage.session(LEFT, badge=ASTRONAUT), living_person(person(grace_hopper), seed=7))
    assert outcomes(result) == {**ALL_PASSED, "face_match": "failed no_match"}
    assert (result.worker, result.name) == (None, None)


def test_a_stranger_without_a_badge_is_nobody(stage: Stage) -> None:
    stage.gallery.erase(HOPPER)
    result = stage.play(stage.session(LEFT, badge=None), living_person(person(grace_hopper), seed=8))
    assert outcomes(result) == {**ALL_PASSED, "face_match": "failed no_match"}


def test_no_score_enters_a_record(stage: Stage) -> None:
    result = stage.play(stage.session(LEFT), living_person(person(astronaut), seed=9))
    assert result.checks[-1].observed == {"likeness": "near", "compared": "1:1"}
    assert not any(isinstance(value, float) for check in result.checks for value in _values(check.observed))


def _values(observed: Any) -> list[Any]:
    return list(observed.values()) if isinstance(observed, dict) else [observed]


# Paper


@pytest.mark.parametrize("portrait", [astronaut, grace_hopper])
@pytest.mark.parametrize("ask", [LEFT, RIGHT])
def test_a_swung_print_of_the_worker_is_refused_as_flat(
    stage: Stage, portrait: Callable[[], Portrait], ask: Ask
) -> None:
    paper = paper_holder(FlatPrint(portrait(), still_detector()), seed=1)
    result = stage.play(stage.session(ask), paper)
    assert outcomes(result)["planarity"] == "failed flat"
    assert outcomes(result)["face_match"] == "not_run not_reached"
    assert result.worker is None


def test_a_print_held_still_does_not_answer(stage: Stage) -> None:
    still = Actor(FlatPrint(astronaut(), still_detector()), seed=2, answers=lambda ask, share: Pose())
    result = stage.play(stage.session(LEFT), still)
    assert outcomes(result)["challenge"] == "failed no_answer"
    assert outcomes(result)["planarity"] == "not_run too_little_turn"
    assert outcomes(result)["face_match"] == "not_run not_reached"


def test_a_print_that_would_fool_the_challenge_is_still_refused(stage: Stage, monkeypatch: pytest.MonkeyPatch) -> None:
    """Paper whose mesh seems to turn: what it answers does not help it, its pixels moved as a plane."""
    shown = Actor(FlatPrint(astronaut(), still_detector()), seed=3, answers=lambda ask, share: Pose(yaw_deg=38 * share))
    turned: list[float] = []
    straight: list[float] = []

    def mesh_that_believes(face: Landmarks) -> float:
        x0, y0, x1, y1 = face.box
        shape = (x1 - x0) * face.width / ((y1 - y0) * face.height)
        straight.append(shape)
        turned.append(0.0 if shape > 0.95 * straight[0] else 25.0)
        return turned[-1]

    monkeypatch.setattr("kiosk.verify.session.yaw_deg", mesh_that_believes)
    result = stage.play(stage.session(LEFT), shown)
    assert outcomes(result)["challenge"] == "passed"
    assert outcomes(result)["planarity"] == "failed flat"
    assert outcomes(result)["face_match"] == "not_run not_reached"


@pytest.mark.parametrize("paper_first", [True, False])
def test_of_two_turns_paper_in_either_is_refused(
    stage: Stage, monkeypatch: pytest.MonkeyPatch, *, paper_first: bool
) -> None:
    """A print that an accomplice's head relieves, or that relieves it, while nobody follows the points."""
    flat, solid = FlatPrint(astronaut(), still_detector()), person(astronaut)
    before, after = (Actor(one, seed=3, answers=_swung) for one in ((flat, solid) if paper_first else (solid, flat)))
    shown = before
    session = stage.session(LEFT, RIGHT)

    def mesh_that_believes(face: Landmarks) -> float:
        yaw = shown.pose(stage.clock.now_us()).yaw_deg
        return yaw if abs(yaw) > 15 else 0.0

    def relieve(phase: FacePhase) -> None:
        nonlocal shown
        if phase is FacePhase.HOLD and session._challenge is not None and session._challenge.prompts:
            shown = after
            stage.camera.stand(shown)

    monkeypatch.setattr("kiosk.verify.session.yaw_deg", mesh_that_believes)
    result = stage.play(session, before, relieve)
    assert outcomes(result)["challenge"] == "passed"
    assert outcomes(result)["planarity"] == "failed flat"
    assert outcomes(result)["face_match"] == "not_run not_reached"


def test_two_turns_of_a_living_head_pass(stage: Stage) -> None:
    assert outcomes(stage.play(stage.session(LEFT, RIGHT), living_person(person(astronaut), seed=3))) == ALL_PASSED


def test_a_turn_that_breaks_hides_no_other_that_failed(stage: Stage, monkeypatch: pytest.MonkeyPatch) -> None:
    fits = iter([planarity.PlaneFit(0.004, 0.05, 80, 22)])  # the first turn's: paper

    def fit(_: planarity.PlaneTracker) -> planarity.PlaneFit:
        return next(fits)  # the second turn's raises

    monkeypatch.setattr(planarity.PlaneTracker, "fit", fit)
    said = outcomes(stage.play(stage.session(LEFT, RIGHT), living_person(person(astronaut), seed=3)))
    assert (said["challenge"], said["planarity"]) == ("passed", "failed flat")
    assert said["face_match"] == "not_run not_reached"


def _swung(ask: Ask, share: float) -> Pose:
    return Pose(yaw_deg=(38 if ask is LEFT else -38) * share)


# One face from the prompt to the match


def test_another_face_after_the_prompt_is_another_face(stage: Stage) -> None:
    stranger = Actor(person(grace_hopper), seed=1, answers=lambda ask, share: Pose())
    aside = _Aside(stranger, (-170, 0))
    result = stage.play(
        stage.session(LEFT),
        living_person(person(astronaut), seed=1),
        lambda phase: stage.camera.stand(aside) if phase is FacePhase.PROMPTED else None,
    )
    assert outcomes(result)["continuity"].startswith("failed face_")
    assert outcomes(result)["face_match"] == "not_run not_reached"


def test_who_walks_away_after_the_prompt_is_lost(stage: Stage) -> None:
    result = stage.play(
        stage.session(LEFT),
        living_person(person(astronaut), seed=1),
        lambda phase: stage.camera.leave() if phase is FacePhase.PROMPTED else None,
    )
    assert outcomes(result)["continuity"] == "failed face_lost"
    assert outcomes(result)["challenge"] == "not_run not_reached"
    assert outcomes(result)["face_match"] == "not_run not_reached"


@pytest.mark.parametrize("ask", [LEFT, RIGHT])
def test_a_photo_dropped_at_the_prompt_for_a_living_stranger_is_another_face(stage: Stage, ask: Ask) -> None:
    photo = Actor(FlatPrint(astronaut(), still_detector()), seed=1, answers=lambda ask, share: Pose())
    stranger = living_person(person(grace_hopper), seed=1)
    swaps = iter([stranger])

    def cue(phase: FacePhase) -> None:
        if phase is FacePhase.PROMPTED:
            stage.camera.stand(next(swaps))

    result = stage.play(stage.session(ask, badge=ASTRONAUT), photo, cue)
    said = outcomes(result)
    assert "failed face_changed" in {said["planarity"], said["continuity"]}
    assert said["face_match"] == "not_run not_reached"
    assert result.worker is None


def test_a_face_flashed_between_two_followed_frames_is_not_the_one_matched(
    stage: Stage, monkeypatch: pytest.MonkeyPatch
) -> None:
    passed_over: list[int] = []
    considered: list[int] = []
    offer, consider = planarity.PlaneTracker.offer, FaceSession._consider

    def noted(self: planarity.PlaneTracker, mono_us: int, image: Image, yaw: float) -> bool:
        followed = offer(self, mono_us, image, yaw)
        if not followed:
            passed_over.append(id(image))
            images.append(image)
        return followed

    def seen(self: FaceSession, face: Landmarks, image: Image, yaw: float) -> None:
        considered.append(id(image))
        images.append(image)
        consider(self, face, image, yaw)

    images: list[Image] = []  # kept, so that no id is given twice
    monkeypatch.setattr(planarity.PlaneTracker, "offer", noted)
    monkeypatch.setattr(FaceSession, "_consider", seen)
    assert outcomes(stage.play(stage.session(LEFT), living_person(person(astronaut), seed=3))) == ALL_PASSED
    assert passed_over
    assert not set(passed_over) & set(considered)


@dataclass
class _Aside:
    """Somebody a step to the side."""

    actor: Actor
    shift: tuple[float, float]
    name: str = "aside"

    def hear(self, ask: Ask | None, mono_us: int) -> None:
        self.actor.hear(ask, mono_us)

    def picture(self, mono_us: int, light: float = 1.0) -> Image:
        picture = self.actor.picture(mono_us, light)
        return np.roll(picture, int(self.shift[0]), axis=1)


def test_another_face_at_the_answer_fails_continuity_and_is_not_matched(
    stage: Stage,
) -> None:
    vectors_ = iter([np.zeros(128, np.float32), np.full(128, 0.06, np.float32)])  # 0.68 apart: another person

    class Two:
        model_id = embedder().model_id

        def embed(self, image: Image, face: Landmarks) -> NDArray[np.float32]:
            return next(vectors_)

    result = stage.play(stage.session(LEFT, embedder=Two()), living_person(person(astronaut), seed=3))
    said = outcomes(result)
    assert said["continuity"] == "failed face_changed"
    assert said["face_match"] == "not_run not_reached"


@pytest.mark.parametrize("asks", [(LEFT, BLINK), (BLINK, LEFT), (LEFT, RIGHT)])
@pytest.mark.parametrize("other", [0, 1], ids=["first", "second"])
def test_of_two_prompts_neither_may_be_answered_by_another_face(
    stage: Stage, asks: tuple[Ask, ...], other: int
) -> None:
    matched, far = np.zeros(128, np.float32), np.full(128, 0.06, np.float32)  # 0.68 apart: another person
    vectors_ = iter([matched, *(far if number == other else matched for number in range(len(asks)))])

    class Three:
        model_id = embedder().model_id

        def embed(self, image: Image, face: Landmarks) -> NDArray[np.float32]:
            return next(vectors_)

    result = stage.play(stage.session(*asks, embedder=Three()), living_person(person(astronaut), seed=3))
    said = outcomes(result)
    assert said["continuity"] == "failed face_changed"
    assert said["face_match"] == "not_run not_reached"


def test_a_face_of_ones_own_shown_before_the_prompt_vouches_for_no_screen_after_it(stage: Stage) -> None:
    """Seen at rest again and again, then gone for a moment: none of those looks is of whoever answers."""
    myself, phone = living_person(person(grace_hopper), seed=3), on_a_phone()
    turns = iter([myself, None] * 6)

    def cue(phase: FacePhase) -> None:
        if phase in (FacePhase.LOOKING, FacePhase.HOLD):
            subject = next(turns, phone)
            stage.camera.leave()
            if subject is not None:
                stage.camera.stand(subject)

    result = stage.play(stage.session(LEFT, delay_ms=400), myself, cue)
    assert stage.phases.count(FacePhase.HOLD) > 4
    assert outcomes(result)["screen_signs"] == "failed framed"


def on_a_phone() -> Subject:
    """The worker's own clip, started at the prompt, on a phone held before the terminal."""
    clip = living_person(person(astronaut), seed=3)
    held = Actor(FlatPrint(astronaut(), still_detector()), answers=lambda ask, share: Pose(), stance=Pose(scale=0.85))
    return Replay(clip, [(500, LEFT)], Device(PHONE, grid=0.0), held, on_prompt=True)


def test_a_face_of_ones_own_that_the_colours_lit_vouches_for_no_other(stage: Stage) -> None:
    embedded = embedder().embed
    lit_face = iter([True])

    class LitByAnother:
        """The third face that is embedded, after the matched and the answering one, is somebody else's."""

        model_id = embedder().model_id
        faces = 0

        def embed(self, image: Image, face: Landmarks) -> NDArray[np.float32]:
            self.faces += 1
            return embedded(image, face) + (0.06 if self.faces == 3 and next(lit_face) else 0.0)

    session = stage.session(LEFT, embedder=LitByAnother(), colours=choose_colours(random.Random(3)))
    said = outcomes(stage.play(session, living_person(person(astronaut), seed=3)))
    assert said["continuity"] == "failed face_changed"


# The screen's light


def lit(stage: Stage, subject: Subject, *, acknowledged: bool = True, light: float = 1.0, held: bool = True) -> str:
    """The flash check of an attempt whose page paints and, perhaps, says so."""
    session = stage.session(LEFT, BLINK, colours=choose_colours(random.Random(3)))
    stage.camera.light(light)
    stage.camera.show(None)
    stage.camera.stand(subject)
    number = -1
    while session.result is None:
        frame = stage.camera.read(1)
        progress = session.feed(frame.mono_us, frame.image)
        stage.camera.show(progress.ask)
        stage.camera.paint(progress.flash[1] if progress.flash else None)
        if acknowledged and progress.flash and progress.flash[0] != number:
            number = progress.flash[0]
            session.painted(number, stage.clock.now_us())
            session.exposure_held(held=held)
    return outcomes(session.result)["flash"]


@pytest.mark.parametrize("portrait", [astronaut, grace_hopper])
def test_a_face_answers_the_colours_of_the_screen(stage: Stage, portrait: Callable[[], Portrait]) -> None:
    assert lit(stage, living_person(person(portrait), seed=3)) == "passed"


def test_a_screen_that_shows_a_face_does_not_answer(stage: Stage) -> None:
    assert lit(stage, on_a_phone()) == "failed no_reflection"


def test_a_camera_that_sets_its_own_exposure_draws_no_conviction_from_the_flash(stage: Stage) -> None:
    assert lit(stage, on_a_phone(), held=False) == "not_run exposure_free"


@pytest.mark.parametrize("colours", [(), choose_colours(random.Random(3))])
def test_what_is_behind_a_face_is_judged_before_and_after_the_colours_only(
    stage: Stage, monkeypatch: pytest.MonkeyPatch, colours: tuple[Colour, ...]
) -> None:
    looked: list[int] = []

    def swaying(kept: Sequence[object]) -> list[float]:
        looked.append(len(kept))
        return [9.0] * max(0, len(kept) - 1)

    monkeypatch.setattr("kiosk.verify.screen_signs.wander", swaying)
    session = stage.session(LEFT, BLINK, colours=colours)
    said = outcomes(stage.play(session, living_person(person(astronaut), seed=3)))["screen_signs"]
    assert said == "failed held"
    whole, asked = looked  # from the first look of all, and from the first prompt
    assert whole - asked == (0 if colours else AT_REST), "the first looks are all lit"
    assert asked > PER_PROMPT


def test_a_page_that_does_not_say_when_it_painted_leaves_the_flash_not_run(stage: Stage) -> None:
    worker = living_person(person(astronaut), seed=3)
    assert lit(stage, worker, acknowledged=False) == "not_run no_acknowledgement"


# What does not come to a face


def test_nobody_there_fails_the_quality_and_reaches_nothing_else(stage: Stage) -> None:
    stage.settings = FaceSettings(looking_ms=1000)
    result = stage.play(stage.session(LEFT), None)
    assert outcomes(result) == {
        "face_quality": "failed no_face",
        **dict.fromkeys(CHECKS[1:], "not_run not_reached"),
    }
    assert result.challenge is None


def test_the_session_gives_up_looking_before_its_attempt_is_cut_off(stage: Stage) -> None:
    """Else nobody there ends without a reason."""
    assert FaceSettings().looking_ms < Policy.model_fields["attempt_limit_s"].default * 1000
    result = stage.play(stage.session(LEFT), None)
    assert outcomes(result)["face_quality"] == "failed no_face"


def test_who_looks_down_while_holding_still_is_not_asked(stage: Stage, monkeypatch: pytest.MonkeyPatch) -> None:
    stage.settings = FaceSettings(looking_ms=4000)

    def cue(phase: FacePhase) -> None:
        if phase is FacePhase.HOLD:  # the portraits, bent so far, are no face to the detector
            monkeypatch.setattr("kiosk.verify.quality.pitch_deg", lambda face: -30.0)

    result = stage.play(stage.session(LEFT), living_person(person(astronaut), seed=1), cue)
    assert FacePhase.PROMPTED not in stage.phases
    assert outcomes(result)["face_quality"] == "failed turned_away"
    assert result.challenge is None


def test_the_hint_says_what_is_wrong_while_looking(stage: Stage) -> None:
    far = Actor(person(astronaut), answers=living_answer)
    stage.camera.stand(_Small(far))
    session = stage.session(LEFT)
    hints = set()
    for _ in range(5):
        frame = stage.camera.read(1)
        progress = session.feed(frame.mono_us, frame.image)
        hints.add(progress.hint)
        assert progress.phase is FacePhase.LOOKING
    assert "too_far" in hints


def test_a_light_that_goes_out_in_hold_is_noticed_within_three_frames(stage: Stage) -> None:
    stage.camera.show(None)
    stage.camera.stand(living_person(person(astronaut)))
    session = stage.session(LEFT)
    while session.phase is not FacePhase.HOLD:
        session.feed(*_next(stage))
    stage.camera.light(0.15)
    try:
        hints = [session.feed(*_next(stage)).hint for _ in range(LIGHT_EVERY_FRAMES)]
    finally:
        stage.camera.light(1.0)
    assert "too_dark" in hints
    assert session.phase is FacePhase.LOOKING


def _next(stage: Stage) -> tuple[int, Image]:
    frame = stage.camera.read(1)
    return frame.mono_us, frame.image


@dataclass
class _Small:
    actor: Actor
    name: str = "small"

    def hear(self, ask: Ask | None, mono_us: int) -> None:
        return

    def picture(self, mono_us: int, light: float = 1.0) -> Image:
        return person(astronaut).render(Pose(scale=0.5), light)


def test_who_can_do_nothing_of_it_is_not_asked(stage: Stage) -> None:
    result = stage.play(stage.session(), living_person(person(astronaut), seed=1))
    assert outcomes(result)["challenge"] == "not_run not_asked"
    assert "passed" not in set(outcomes(result).values()) - {outcomes(result)["face_quality"]}


def test_who_is_excused_from_turning_has_no_planarity_and_no_pass_for_it(stage: Stage) -> None:
    result = stage.play(stage.session(BLINK), living_person(person(astronaut), seed=2))
    assert outcomes(result) == {**ALL_PASSED, "planarity": "not_run too_little_turn"}


def test_the_excuse_stands_in_the_record_of_an_attempt_that_ended_before_a_prompt(stage: Stage) -> None:
    for asks in ((LEFT,), ()):
        session = stage.session(*asks, excused=(BLINK,))
        session.give_up(0, "cancelled: the worker ended the attempt")
        assert session.result is not None and session.result.challenge is not None
        assert (session.result.challenge.prompts, session.result.challenge.excused) == ((), (BLINK,))
    result = stage.play(stage.session(LEFT, excused=(BLINK,)), living_person(person(astronaut), seed=1))
    assert result.challenge is not None and result.challenge.excused == (BLINK,)
    assert [one.ask for one in result.challenge.prompts] == [LEFT]


def test_without_an_excuse_an_attempt_that_ended_before_a_prompt_has_no_record_of_one(stage: Stage) -> None:
    session = stage.session(LEFT)
    session.give_up(0, "cancelled: the worker ended the attempt")
    assert session.result is not None and session.result.challenge is None


# The gallery


def test_an_unknown_badge_is_not_enrolled(stage: Stage) -> None:
    result = stage.play(stage.session(LEFT, badge="E-99"), living_person(person(astronaut), seed=1))
    assert outcomes(result) == {**ALL_PASSED, "face_match": "not_run not_enrolled"}


def test_an_empty_gallery_recognises_nobody(stage: Stage) -> None:
    for worker in (ASTRONAUT, HOPPER):
        stage.gallery.erase(worker)
    result = stage.play(stage.session(LEFT, badge=None), living_person(person(astronaut), seed=1))
    assert outcomes(result) == {**ALL_PASSED, "face_match": "not_run gallery_empty"}


def test_a_face_of_another_model_has_to_be_enrolled_again(stage: Stage) -> None:
    stage.gallery.enrol(ASTRONAUT, "Eileen Collins", "another model", vectors(astronaut))
    result = stage.play(stage.session(LEFT), living_person(person(astronaut), seed=1))
    assert outcomes(result)["face_match"] == "not_run not_enrolled"
    assert "enrol again" in result.checks[-1].reason


def test_a_large_gallery_wants_the_badge(stage: Stage) -> None:
    stage.settings = FaceSettings(identify_at_most=1)
    result = stage.play(stage.session(LEFT, badge=None), living_person(person(astronaut), seed=1))
    assert outcomes(result)["face_match"] == "not_run badge_needed"
    assert result.worker is None


def test_one_face_under_two_badges_is_ambiguous(stage: Stage) -> None:
    stage.gallery.enrol("E-19", "Eileen C.", embedder().model_id, vectors(astronaut))
    result = stage.play(stage.session(LEFT, badge=None), living_person(person(astronaut), seed=1))
    assert outcomes(result)["face_match"] == "failed ambiguous"
    assert result.worker is None


# What breaks is not_run, never passed


class _Broken:
    model_id = "broken"

    def __getattr__(self, name: str) -> Any:
        raise RuntimeError("the part is broken")


def test_a_broken_detector_ends_the_attempt(stage: Stage) -> None:
    result = stage.play(stage.session(LEFT, detector=_Broken()), living_person(person(astronaut)))
    assert outcomes(result)["face_quality"] == "not_run error"
    assert set(outcomes(result).values()) == {"not_run error", "not_run not_reached"}


class _BreaksLater:
    """A detector that breaks once the worker has been asked."""

    def __init__(self, detector: LandmarkDetector) -> None:
        self.detector, self.broken = detector, False

    def detect(self, image: NDArray[np.uint8], mono_us: int) -> tuple[Landmarks, ...]:
        if self.broken:
            raise RuntimeError("the camera's cable is loose")
        return self.detector.detect(image, mono_us)


def test_a_detector_that_breaks_during_the_challenge_leaves_it_not_run(stage: Stage) -> None:
    detector = _BreaksLater(stage.detector)

    def cue(phase: FacePhase) -> None:
        detector.broken = detector.broken or phase is FacePhase.PROMPTED

    result = stage.play(stage.session(LEFT, detector=detector), living_person(person(astronaut)), cue)
    said = outcomes(result)
    assert said["face_quality"] == "passed"
    assert said["challenge"] == "not_run error"
    assert {said[name] for name in CHECKS[2:]} <= {"not_run not_reached", "not_run too_little_turn"}


@pytest.mark.parametrize("method", ["__init__", "feed", "fit"])
def test_broken_planarity_is_not_run_and_the_rest_goes_on(
    stage: Stage, monkeypatch: pytest.MonkeyPatch, method: str
) -> None:
    def breaks(*_: Any) -> Any:
        raise RuntimeError("no flow today")

    monkeypatch.setattr(planarity.PlaneTracker, method, breaks)
    result = stage.play(stage.session(LEFT), living_person(person(astronaut)))
    said = outcomes(result)
    assert (said["challenge"], said["planarity"]) == ("passed", "not_run error")


@pytest.mark.parametrize("part", ["embedder", "gallery"])
def test_a_broken_embedder_or_gallery_is_no_match(stage: Stage, part: str) -> None:
    result = stage.play(stage.session(LEFT, **{part: _Broken()}), living_person(person(astronaut)))
    assert outcomes(result) == {**ALL_PASSED, "face_match": "not_run error"}
    assert result.worker is None


def test_an_embedder_that_breaks_on_the_answering_face_leaves_continuity_not_run(stage: Stage) -> None:
    """Then nobody can say that the face that is matched is the one that answered."""

    class BreaksOnTheSecond:
        model_id = embedder().model_id
        faces = 0

        def embed(self, image: Image, face: Landmarks) -> NDArray[np.float32]:
            self.faces += 1
            if self.faces == 2:
                raise RuntimeError("the model is out of memory")
            return embedder().embed(image, face)

    result = stage.play(stage.session(LEFT, embedder=BreaksOnTheSecond()), living_person(person(astronaut), seed=3))
    assert outcomes(result) == {**ALL_PASSED, "continuity": "not_run error"}


def test_a_clip_fed_in_again_at_the_gate_is_a_replay(stage: Stage) -> None:
    """Picture for picture, as from a box in the camera's cable."""
    recent = RecentClips()
    films: list[list[tuple[int, Image]]] = [[]]
    worker = living_person(person(astronaut), seed=3)

    def play(frames: Iterator[tuple[int, Image]]) -> str:
        at = stage.clock.now_us()
        request = FaceRequest(ASTRONAUT, (LEFT,), (DELAY_MS,), at)
        session = FaceSession(stage.detector, embedder(), stage.gallery, stage.settings, request, recent=recent)
        while session.result is None:
            mono_us, image = next(frames)
            stage.camera.show(session.feed(mono_us, image).ask)
        return outcomes(session.result)["screen_signs"]

    def filmed() -> Iterator[tuple[int, Image]]:
        while True:
            mono_us, image = _next(stage)
            films[0].append((mono_us, image))
            yield mono_us, image

    def again() -> Iterator[tuple[int, Image]]:
        start_us = films[0][0][0]
        now_us = stage.clock.now_us() + 1_000_000
        stage.clock.wait_until(now_us + films[0][-1][0] - start_us + 1_000_000)
        yield from [(now_us + mono_us - start_us, image) for mono_us, image in films[0]]

    stage.camera.show(None)
    stage.camera.stand(worker)
    assert play(filmed()) == "passed"
    assert play(again()) == "failed replayed"
    stage.camera = StageCamera(stage.clock)
    stage.camera.stand(living_person(person(astronaut), seed=4))
    assert play(filmed()) == "passed", "the same person's next turn is no replay"


# Giving up


@pytest.mark.parametrize("phase", [FacePhase.LOOKING, FacePhase.HOLD, FacePhase.PROMPTED, FacePhase.MATCHING])
def test_giving_up_in_any_phase_gives_a_full_result_without_an_identity(stage: Stage, phase: FacePhase) -> None:
    session = stage.session(LEFT)

    def cue(reached: FacePhase) -> None:
        if reached is phase:
            session.give_up(stage.clock.now_us(), "camera_stalled: the camera gave no picture")

    result = stage.play(session, living_person(person(astronaut)), cue)
    said = outcomes(result)
    assert said["face_match"] == "not_run camera_stalled"
    assert result.worker is None
    assert (said["challenge"] == "passed") == (phase is FacePhase.MATCHING)


def test_giving_up_before_the_first_frame_and_again_afterwards(stage: Stage) -> None:
    session = stage.session(LEFT)
    session.give_up(0, "the worker went away")
    session.give_up(1, "camera_ended: the film is over")
    assert session.result is not None
    assert set(outcomes(session.result).values()) == {"not_run cancelled"}
