from __future__ import annotations

import numpy as np
import pytest

from evidence.events import Ask
from kiosk.sensors.camera import Camera, CameraFailed, CameraStalled
from zaigang.synthetic.camera import RealClock, StageCamera, VirtualClock
from zaigang.synthetic.performance import BLINK_MS, Actor, living_person, paper_holder
from zaigang.synthetic.pose import Image, Pose
from zaigang.synthetic.scene import empty_scene

START_US = 5_000_000
STEP_US = 10_000


class Cardboard:
    """Draws itself as one grey, as bright as it was asked to be."""

    name = "cardboard"

    def render(self, pose: Pose, light: float = 1.0) -> Image:
        return np.full((480, 640, 3), int(100 * light), np.uint8)


def performed(actor: Actor, ask: Ask, for_ms: int = 3000) -> list[tuple[float, Pose]]:
    """Show the prompt and return the poses with the milliseconds since then."""
    actor.hear(ask, START_US)
    return [(us / 1000, actor.pose(START_US + us)) for us in range(0, for_ms * 1000, STEP_US)]


class TestALivingActor:
    @pytest.mark.parametrize(("ask", "sign"), [(Ask.TURN_LEFT, 1), (Ask.TURN_RIGHT, -1)])
    def test_turns_to_its_own_side_and_back(self, ask: Ask, sign: int) -> None:
        poses = performed(living_person(Cardboard(), seed=3), ask)
        assert max(sign * pose.yaw_deg for _, pose in poses) == pytest.approx(28, abs=1)
        assert abs(poses[-1][1].yaw_deg) < 1

    @pytest.mark.parametrize("ask", list(Ask))
    @pytest.mark.parametrize("seed", range(5))
    def test_answers_as_soon_as_a_person_can_and_no_sooner(self, ask: Ask, seed: int) -> None:
        rest = performed(living_person(Cardboard(), seed=seed), ask, 340)
        assert all(abs(pose.yaw_deg) < 1 and pose.eyelids == 0 and pose.scale == 1 for _, pose in rest)
        moved = performed(living_person(Cardboard(), seed=seed), ask, 800)[-1][1]
        still = abs(moved.yaw_deg) < 1 and abs(moved.pitch_deg) < 1 and moved.eyelids == 0 and moved.scale == 1
        assert not still or ask is Ask.BLINK  # between its two blinks the eyes are open

    def test_blinks_twice_each_time_within_300_ms(self) -> None:
        poses = performed(living_person(Cardboard()), Ask.BLINK)
        shut = [pose.eyelids > 0 for _, pose in poses]
        runs = [ms for (ms, _), now, before in zip(poses, shut, [False, *shut], strict=False) if now and not before]
        assert len(runs) == 2
        assert sum(shut) * STEP_US / 1000 <= 2 * BLINK_MS
        assert max(pose.eyelids for _, pose in poses) == 1

    def test_looks_up_and_comes_closer(self) -> None:
        assert max(pose.pitch_deg for _, pose in performed(living_person(Cardboard()), Ask.LOOK_UP)) > 19
        assert max(pose.scale for _, pose in performed(living_person(Cardboard()), Ask.MOVE_CLOSER)) > 1.3

    def test_is_never_quite_still(self) -> None:
        actor = living_person(Cardboard())
        poses = [actor.pose(us) for us in range(0, 4_000_000, 40_000)]
        assert len({pose.yaw_deg for pose in poses}) == len(poses)
        assert 0.1 < max(pose.yaw_deg for pose in poses) < 0.6

    def test_does_the_same_for_the_same_seed_and_another_thing_for_another(self) -> None:
        first, again, other = (performed(living_person(Cardboard(), seed), Ask.TURN_LEFT) for seed in (1, 1, 2))
        assert first == again
        assert first != other

    def test_does_two_things_one_after_the_other(self) -> None:
        actor = living_person(Cardboard())
        actor.hear(Ask.TURN_LEFT, START_US)
        actor.hear(Ask.TURN_RIGHT, START_US + 700_000)
        poses = [actor.pose(START_US + us) for us in range(0, 5_000_000, STEP_US)]
        yaws = [pose.yaw_deg for pose in poses]
        assert 0 < yaws.index(max(yaws)) < yaws.index(min(yaws))
        assert min(yaws) < -27

    def test_takes_a_prompt_that_stays_on_the_screen_for_one_prompt(self) -> None:
        actor = living_person(Cardboard())
        for us in range(0, 4_000_000, 40_000):
            actor.hear(Ask.TURN_LEFT, START_US + us)
        assert abs(actor.pose(START_US + 4_000_000).yaw_deg) < 1

    def test_blinks_at_rest_if_it_is_of_that_kind(self) -> None:
        nervous, quiet = living_person(Cardboard(), blink_every_s=2), living_person(Cardboard())
        assert max(nervous.pose(us).eyelids for us in range(0, 2_000_000, STEP_US)) == 1
        assert max(quiet.pose(us).eyelids for us in range(0, 6_000_000, STEP_US)) == 0


class TestAHandWithAPrint:
    def test_swings_it_as_far_as_it_goes_and_cannot_blink(self) -> None:
        swung = performed(paper_holder(Cardboard()), Ask.TURN_RIGHT)
        assert min(pose.yaw_deg for _, pose in swung) < -33
        assert all(pose.eyelids == 0 for _, pose in performed(paper_holder(Cardboard()), Ask.BLINK))


class TestTheStageCamera:
    def test_is_a_camera(self) -> None:
        camera: Camera = StageCamera(VirtualClock())
        assert camera.name == "synthetic stage"

    def test_gives_numbered_frames_25_times_a_second(self) -> None:
        camera = StageCamera(VirtualClock(START_US))
        frames = [camera.read(1) for _ in range(5)]
        assert [frame.index for frame in frames] == [1, 2, 3, 4, 5]
        assert [frame.mono_us - START_US for frame in frames] == [0, 40_000, 80_000, 120_000, 160_000]
        assert all(frame.image.shape == (480, 640, 3) for frame in frames)

    def test_does_not_make_up_for_frames_its_reader_missed(self) -> None:
        clock = VirtualClock(START_US)
        camera = StageCamera(clock)
        camera.read(1)
        clock.wait_until(START_US + 1_000_000)
        late, next_one, after = camera.read(1), camera.read(1), camera.read(1)
        assert late.mono_us == START_US + 1_000_000
        assert next_one.mono_us - late.mono_us <= 40_000
        assert after.mono_us - next_one.mono_us == 40_000

    def test_keeps_the_machines_time_by_default(self) -> None:
        clock, camera = RealClock(), StageCamera()
        before = clock.now_us()
        frames = [camera.read(1) for _ in range(3)]
        assert before - 40_000 <= frames[0].mono_us < frames[1].mono_us < frames[2].mono_us <= clock.now_us()
        # The first two may come at once when their reader was late; never faster than 25 a second over all.
        assert frames[2].mono_us - frames[0].mono_us >= 39_000

    def test_shows_nobody_until_somebody_stands_there_and_again_after(self) -> None:
        camera = StageCamera(VirtualClock())
        nobody = camera.read(1).image
        camera.stand(living_person(Cardboard()))
        somebody = camera.read(1).image
        camera.leave()
        gone = camera.read(1).image
        scene = empty_scene().astype(int)
        assert np.abs(nobody - scene).mean() < 3 > np.abs(gone - scene).mean()
        assert somebody.mean() == pytest.approx(100, abs=1)

    def test_has_grain_as_every_sensor_has(self) -> None:
        camera = StageCamera(VirtualClock())
        one, next_one = camera.read(1).image.astype(int), camera.read(1).image.astype(int)
        assert 0.5 < np.abs(one - next_one).mean() < 4

    def test_lets_whoever_stands_there_see_the_screen(self) -> None:
        clock = VirtualClock(START_US)
        camera, actor = StageCamera(clock), living_person(Cardboard())
        camera.stand(actor)
        camera.show(Ask.TURN_LEFT)
        assert max(actor.pose(camera.read(1).mono_us).yaw_deg for _ in range(50)) > 27

    def test_lets_a_late_comer_see_what_is_already_asked(self) -> None:
        camera, actor = StageCamera(VirtualClock(START_US)), living_person(Cardboard())
        camera.show(Ask.TURN_LEFT)
        camera.stand(actor)
        assert max(actor.pose(camera.read(1).mono_us).yaw_deg for _ in range(50)) > 27

    def test_can_be_in_the_dark(self) -> None:
        camera = StageCamera(VirtualClock())
        camera.stand(living_person(Cardboard()))
        camera.light(0.2)
        assert camera.read(1).image.mean() == pytest.approx(20, abs=1)

    def test_stalls_when_asked_for_more_than_it_has(self) -> None:
        camera = StageCamera(VirtualClock())
        camera.read(1)
        with pytest.raises(CameraStalled):
            camera.read(0.01)
        assert camera.read(1).index == 2

    def test_gives_nothing_once_closed(self) -> None:
        camera = StageCamera(VirtualClock())
        camera.close()
        camera.close()
        with pytest.raises(CameraFailed):
            camera.read(1)
