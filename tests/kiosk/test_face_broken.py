"""Detector or embedder that hang, raise for ever or raise once: operators are told, and badge and PIN go on."""

from __future__ import annotations

import subprocess
import sys
import threading
from collections.abc import Callable, Iterator, Sequence
from contextlib import ExitStack
from pathlib import Path
from typing import Any

import cv2
import numpy as np
import pytest

from evidence.events import LogType, Outcome, PunchBody, Verdict
from evidence.status import Health
from kiosk import hang_watch, keeper
from kiosk.app import Kiosk
from kiosk.policy import FACE_CHECKS, PROFILES
from kiosk.terminal.view import Phase
from kiosk.verify.errors import DetectorFailed, ModelMissing
from kiosk.verify.gallery import Gallery
from kiosk.verify.landmarks import LandmarkDetector
from kiosk.verify.model_watch import MOST_REBUILDS, REBUILDS_WITHIN_S, Watched
from tests.kiosk.test_app import PIN, WORKER, authorisation, check, enrol, events, last_punch, result_of, terminal
from tests.support.faces import bundle
from tests.support.ports import free_port
from tests.support.waiting import until
from zaigang.demo.scene import Scene

TOLD_WITHIN_S = 10.0
LIMIT_S = 5  # of an attempt: the shortest that a policy may have


class Detectors:
    """Makes detectors that find nobody; the first `broken` of them raise. `hang`: they wait for `free` first."""

    def __init__(self, broken: int = 0, *, hang: bool = False) -> None:
        self.broken, self.hang = broken, hang
        self.made: list[Detectors.One] = []
        self.free, self.entered = threading.Event(), threading.Event()

    class One:
        def __init__(self, maker: Detectors, raises: bool) -> None:
            self.maker, self.raises, self.closed = maker, raises, False

        def detect(self, image_bgr: Any, mono_us: int) -> Sequence[Any]:
            self.maker.entered.set()
            if self.maker.hang:
                self.maker.free.wait()
            if self.raises:
                raise DetectorFailed("the graph is broken")
            return ()

        def close(self) -> None:
            self.closed = True

    def __call__(self, bundle: Path, mode: str = "video") -> Detectors.One:
        self.made.append(self.One(self, len(self.made) < self.broken))
        return self.made[-1]


class NoMore(LandmarkDetector):
    """A detector whose graph goes on raising once `breaks` has been called."""

    made: list[NoMore] = []  # noqa: RUF012

    def __init__(self, *arguments: Any, **named: Any) -> None:
        super().__init__(*arguments, **named)
        self.made.append(self)

    def breaks(self) -> None:
        """Show the graph a time of the next century, behind the detector's back: it takes none of ours any more."""
        image = self._mediapipe.Image(
            image_format=self._mediapipe.ImageFormat.SRGB, data=np.zeros((480, 640, 3), np.uint8)
        )
        self._landmarker.detect_for_video(image, 10**14)


@pytest.fixture(scope="module")
def scene() -> Scene:
    return Scene()


@pytest.fixture
def fast(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(hang_watch, "ATTEMPT_SLACK_S", 0.5)
    monkeypatch.setattr(keeper, "HEALTH_EVERY_S", 0.2)
    short = {name: one.model_copy(update={"attempt_limit_s": LIMIT_S}) for name, one in PROFILES.items()}
    monkeypatch.setattr("kiosk.app.PROFILES", short)


@pytest.fixture
def hanging(monkeypatch: pytest.MonkeyPatch) -> Iterator[Detectors]:
    made = Detectors(hang=True)
    monkeypatch.setattr("kiosk.verify.face.LandmarkDetector", made)
    yield made
    made.free.set()


def punches(kiosk: Kiosk) -> list[PunchBody]:
    return [body for _, body in events(kiosk) if isinstance(body, PunchBody)]


def attempt_by_face(kiosk: Kiosk, badge: str | None = None) -> PunchBody:
    """Tap; where the detector finds nobody, cancel once it has looked."""
    before = len(punches(kiosk))
    until(lambda: kiosk.attendant.view().face_available, "the camera")
    kiosk.attendant.dismiss()
    kiosk.attendant.tap(LogType.IN, badge)
    until(lambda: kiosk.attendant.view().phase is Phase.RESULT or kiosk.attendant.view().hint, "a frame to be judged")
    kiosk.attendant.cancel()
    until(lambda: kiosk.attendant.view().result, "a result")
    assert len(punches(kiosk)) == before + 1
    return last_punch(kiosk)


# A detector that hangs


def test_a_detector_that_hangs_is_told_signed_and_ends_the_process(
    tmp_path: Path, scene: Scene, fast: None, hanging: Detectors
) -> None:
    told: list[tuple[Health, bool]] = []
    with ExitStack() as running:
        kiosk = running.enter_context(terminal(tmp_path, scene.open_camera))
        publish = kiosk.uplink.publish_health
        kiosk.uplink.publish_health = lambda one: (told.append((one, kiosk.failed.is_set())), publish(one))[1]  # type: ignore[method-assign,func-returns-value]
        until(lambda: kiosk.attendant.view().face_available, "the camera")
        kiosk.attendant.tap(LogType.IN, "W-9")
        assert hanging.entered.wait(30)
        assert kiosk.attendant.hung is None
        assert kiosk.parts()["face"].state == "working"
        assert kiosk.failed.wait(30)

        assert kiosk.parts()["face"].state == "failed"
        assert kiosk.parts()["face"].reason.startswith("attempt_hung: ")
        assert "attempt_hung" in kiosk.attendant.view().troubles
        first = next(before for one, before in told if one.parts["face"].reason.startswith("attempt_hung: "))
        assert not first  # the status said so before anybody was told to end the process

        body = until(lambda: punches(kiosk), "the attempt to be signed")[0]
        assert (body.worker, body.log_type, body.verdict) == ("W-9", LogType.IN, Verdict.REVIEW)
        assert {check(body, name).reason.partition(":")[0] for name in FACE_CHECKS} == {"attempt_hung"}
        assert {check(body, name).outcome for name in FACE_CHECKS} == {Outcome.NOT_RUN}
        assert check(body, "gps").outcome is Outcome.PASSED  # where it was is known all the same
        shown = until(lambda: kiosk.attendant.view().result, "the result")
        assert shown.receipt_code == body.receipt

        stopping = threading.Thread(target=running.pop_all().close)
        stopping.start()
        stopping.join(30)
        assert not stopping.is_alive()  # nothing waits for the thread that hangs


def test_a_thread_that_comes_back_after_all_signs_nothing_twice(
    tmp_path: Path, scene: Scene, fast: None, hanging: Detectors
) -> None:
    with terminal(tmp_path, scene.open_camera) as kiosk:
        until(lambda: kiosk.attendant.view().face_available, "the camera")
        kiosk.attendant.tap(LogType.OUT, None)
        until(lambda: punches(kiosk), "the attempt to be signed")
        hanging.hang = False
        hanging.free.set()
        until(lambda: kiosk.attendant.hung is None, "the thread to be back")
        kiosk.attendant.dismiss()
        result = result_of(kiosk, None, lambda: kiosk.attendant.badge_pin(LogType.IN, "W-8", "135790"))
        assert result.receipt_code is not None
        assert [one.worker for one in punches(kiosk)] == [None, "W-8"]


def test_an_attempt_that_hangs_elsewhere_is_told_too(tmp_path: Path, scene: Scene, fast: None) -> None:
    free = threading.Event()
    with terminal(tmp_path, scene.open_camera) as kiosk:
        whole = kiosk.gallery.check_pin
        kiosk.gallery.check_pin = lambda *given, **named: (free.wait(), whole(*given, **named))[1]  # type: ignore[method-assign]
        kiosk.attendant.badge_pin(LogType.IN, "W-9", "135790")
        assert kiosk.failed.wait(30)
        parts = kiosk.parts()
        assert (parts["attempts"].state, parts["face"].state) == ("failed", "working")
        assert check(until(lambda: punches(kiosk), "the attempt")[0], "pin").reason.startswith("attempt_hung: ")
        free.set()


def test_an_enrolment_that_hangs_is_told_too(
    tmp_path: Path, scene: Scene, fast: None, hanging: Detectors, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(hang_watch, "LENT_LONGEST_S", 0.5)
    with terminal(tmp_path, scene.open_camera) as kiosk:
        until(lambda: kiosk.attendant.view().face_available, "the camera")
        lent = threading.Thread(target=kiosk.attendant.lend, args=(hanging.free.wait,), daemon=True)
        lent.start()
        assert kiosk.failed.wait(30)
        assert kiosk.parts()["face"].reason.startswith("attempt_hung: ")
        assert not punches(kiosk)
        hanging.free.set()


def test_slack_and_the_pause_between_messages_add_up_to_ten_seconds() -> None:
    assert hang_watch.ATTEMPT_SLACK_S + keeper.HEALTH_EVERY_S < TOLD_WITHIN_S


HUNG_TERMINAL = """
import sys, threading
from pathlib import Path
from kiosk import app, hang_watch, keeper
from kiosk.policy import PROFILES
from kiosk.verify.landmarks import LandmarkDetector
from evidence.events import LogType

hang_watch.ATTEMPT_SLACK_S, keeper.HEALTH_EVERY_S = 0.5, 0.2
app.PROFILES = {{name: one.model_copy(update={{"attempt_limit_s": {limit}}}) for name, one in PROFILES.items()}}
LandmarkDetector._run = lambda *given: threading.Event().wait()  # with the detector's lock held
start = app.Kiosk.start

def start_and_tap(self):
    start(self)
    assert self.eyes.wait_newer(-1, 30) is not None
    self.attendant.tap(LogType.IN, "W-9")

app.Kiosk.start = start_and_tap
from zaigang.commands.kiosk import run
run(Path(sys.argv[1]))
"""


def test_the_process_of_a_terminal_whose_detector_hangs_ends_with_an_error(tmp_path: Path) -> None:
    clip = tmp_path / "grey.avi"
    writer = cv2.VideoWriter(str(clip), cv2.VideoWriter.fourcc(*"MJPG"), 25, (640, 480))
    for _ in range(25 * 60):
        writer.write(np.full((480, 640, 3), 90, np.uint8))
    writer.release()
    config = tmp_path / "kiosk.toml"
    config.write_text(
        f'device = "gate-1"\nsite = "east"\ndata_dir = "{tmp_path}/data"\nbroker = ["mqtt://127.0.0.1:9"]\n'
        f'camera = "file:{clip}"\nprofile = "demo"\nscreen_port = {free_port()}\n'
        "[fence]\nlatitude = 31.2\nlongitude = 121.4\nradius_m = 100\n"
    )
    done = subprocess.run(
        [sys.executable, "-c", HUNG_TERMINAL.format(limit=LIMIT_S), str(config)],
        capture_output=True,
        timeout=120,
        check=False,
        text=True,
    )
    assert done.returncode == 1, done.stderr
    assert '"event": "punch_shown"' in done.stdout + done.stderr  # signed before the end


# Models that raise


def test_a_detector_that_raises_for_ever_is_told_and_badge_and_pin_go_on(
    tmp_path: Path, scene: Scene, monkeypatch: pytest.MonkeyPatch
) -> None:
    made = Detectors(broken=10**6)
    monkeypatch.setattr("kiosk.verify.face.LandmarkDetector", made)
    with terminal(tmp_path, scene.open_camera) as kiosk:
        kiosk.enrol_pin(authorisation(), PIN)
        assert kiosk.parts()["face"].state == "working"
        for number in range(1, MOST_REBUILDS + 3):
            body = attempt_by_face(kiosk, WORKER)
            assert (body.worker, body.verdict) == (WORKER, Verdict.REVIEW)
            assert "the graph is broken" in check(body, "face_quality").reason
            part = kiosk.parts()["face"]
            assert (part.state, part.reason) == ("failed", "face_failed: detector: DetectorFailed: the graph is broken")
            assert "face_failed" in kiosk.attendant.view().troubles
            assert len(made.made) == min(number, 1 + MOST_REBUILDS)  # before each attempt but the first, up to a bound
            result = result_of(kiosk, None, lambda: kiosk.attendant.badge_pin(LogType.IN, WORKER, PIN))
            assert result.worker == WORKER
            assert check(last_punch(kiosk), "pin").outcome is Outcome.PASSED
        assert [one.closed for one in made.made] == [True] * MOST_REBUILDS + [False]
        assert not kiosk.failed.is_set()


def test_a_detector_that_raised_once_is_built_anew_and_works(
    tmp_path: Path, scene: Scene, monkeypatch: pytest.MonkeyPatch
) -> None:
    made = Detectors(broken=1)
    monkeypatch.setattr("kiosk.verify.face.LandmarkDetector", made)
    with terminal(tmp_path, scene.open_camera) as kiosk:
        attempt_by_face(kiosk)
        assert kiosk.parts()["face"].state == "failed"
        attempt_by_face(kiosk)
        assert kiosk.parts()["face"].state == "working"
        assert "face_failed" not in kiosk.attendant.view().troubles
        attempt_by_face(kiosk)
        assert len(made.made) == 2


def test_mediapipes_own_graph_is_built_anew_after_it_broke(
    tmp_path: Path, scene: Scene, monkeypatch: pytest.MonkeyPatch
) -> None:
    NoMore.made.clear()
    monkeypatch.setattr("kiosk.verify.face.LandmarkDetector", NoMore)
    with terminal(tmp_path, scene.open_camera) as kiosk:
        enrol(kiosk, scene)
        NoMore.made[0].breaks()
        result = result_of(kiosk, scene, lambda: kiosk.attendant.tap(LogType.IN, None))
        assert result.verdict is Verdict.REVIEW
        assert kiosk.parts()["face"].reason.startswith("face_failed: detector: ")
        for _ in range(3):
            result = result_of(kiosk, scene, lambda: kiosk.attendant.tap(LogType.IN, None))
            if result.verdict is Verdict.VERIFIED:
                break
        assert result.verdict is Verdict.VERIFIED
        assert kiosk.parts()["face"].state == "working"


def test_an_embedder_that_raised_stays_failed_until_it_has_answered(tmp_path: Path) -> None:
    from kiosk.verify.face import Face

    gallery = Gallery(tmp_path / "gallery.db", bytes(32))
    face = Face(bundle(), gallery)
    try:
        with pytest.raises(AttributeError):
            face.embedder.embed(np.zeros((480, 640, 3), np.uint8), None)  # type: ignore[arg-type]
        assert face.part.reason.startswith("face_failed: embedder: AttributeError")
        face.look(1, np.full((480, 640, 3), 90, np.uint8))  # the detector answers
        assert face.part.state == "failed"
        model = face.embedder.model_id
        face.embedder.renew()
        assert face.embedder.model_id == model
        assert face.part.state == "failed"  # a new one has shown nothing yet
        face.embedder.ask(lambda embedder: None)
        assert face.part.state == "working"
    finally:
        face.close()
        gallery.close()


class Models:
    """Makes numbers; `trouble` is raised instead."""

    def __init__(self) -> None:
        self.made: list[int] = []
        self.closed: list[int] = []
        self.trouble: Exception | None = None

    def make(self) -> int:
        if self.trouble is not None:
            raise self.trouble
        self.made.append(len(self.made))
        return self.made[-1]

    def close(self, model: int) -> None:
        self.closed.append(model)
        raise RuntimeError("broken graphs raise when they are closed")


def broken(model: int) -> None:
    raise ValueError("broken")


def asked(watched: Watched[int], question: Callable[[int], object]) -> None:
    with pytest.raises(ValueError, match="broken"):
        watched.ask(question)


def test_only_what_raised_when_it_was_last_asked_is_built_anew() -> None:
    models = Models()
    one = Watched("model", models.make, models.close)
    one.renew()
    assert models.made == [0]
    asked(one, broken)
    assert one.ask(lambda model: model) == 0
    one.renew()
    assert models.made == [0]
    asked(one, broken)
    one.renew()
    assert (models.made, models.closed) == ([0, 1], [0])
    assert one.ask(lambda model: model) == 1


def test_where_no_new_one_can_be_made_the_old_one_stays() -> None:
    models = Models()
    one = Watched("model", models.make, models.close)
    asked(one, broken)
    models.trouble = ModelMissing("the disk is gone")
    one.renew()
    assert models.closed == []
    assert one.error == "model: ValueError: broken"
    assert one.ask(lambda model: model) == 0


def test_as_many_are_built_as_memory_bears_and_more_after_an_hour(monkeypatch: pytest.MonkeyPatch) -> None:
    now_s = 1000.0
    monkeypatch.setattr("kiosk.verify.model_watch.time.monotonic", lambda: now_s)
    models = Models()
    one = Watched("model", models.make, models.close)
    for _ in range(10):
        asked(one, broken)
        one.renew()
    assert len(models.made) == 1 + MOST_REBUILDS
    now_s += REBUILDS_WITHIN_S
    one.renew()
    assert len(models.made) == 2 + MOST_REBUILDS


def test_a_detector_in_the_middle_of_a_frame_does_not_hold_up_the_end(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("kiosk.verify.landmarks.CLOSE_WITHIN_S", 0.1)
    free, entered = threading.Event(), threading.Event()

    def hang(self: LandmarkDetector, *given: Any) -> Any:
        entered.set()
        free.wait()
        raise DetectorFailed("it came back")

    detector = LandmarkDetector(bundle())
    monkeypatch.setattr(LandmarkDetector, "_run", hang)

    def judge() -> None:
        with pytest.raises(DetectorFailed):
            detector.detect(np.zeros((48, 64, 3), np.uint8), 1)

    judging = threading.Thread(target=judge, daemon=True)
    judging.start()
    assert entered.wait(30)
    detector.close()
    free.set()
    judging.join(30)
    detector.close()
