"""A whole terminal with the embedder that its settings name, and with one that cannot be used."""

from __future__ import annotations

from pathlib import Path

import pytest

from evidence.events import Kind, LogType, Outcome, Verdict
from evidence.status import Part
from kiosk.app import Kiosk
from kiosk.enrolment import NotOnePerson
from kiosk.settings import KioskSettings
from kiosk.verify.face_settings import FaceSettings
from tests.kiosk.test_app import (
    NAME,
    PIN,
    TRIES,
    WORKER,
    authorisation,
    check,
    enrol,
    events,
    last_punch,
    result_of,
    terminal,
    until,
)
from tests.support.small_onnx import write_small_sface
from zaigang.demo.scene import Scene


@pytest.fixture(scope="module")
def scene() -> Scene:
    return Scene()


@pytest.fixture
def sface(tmp_path: Path) -> dict[str, object]:
    path = tmp_path / "small.onnx"
    return {"embedder": "sface", "sface_model": path, "sface_sha256": write_small_sface(path)}


def test_template_and_event_name_the_embedder_of_the_settings(
    tmp_path: Path, scene: Scene, sface: dict[str, object]
) -> None:
    with terminal(tmp_path, scene.open_camera, **sface) as kiosk:
        enrol(kiosk, scene)
        model = f"sface/{str(sface['sface_sha256'])[:12]}/mp5.1"
        worker = kiosk.gallery.get(WORKER)
        assert worker is not None
        assert worker.models == (model,)
        assert next(body for kind, body in events(kiosk) if kind == Kind.WORKER_ENROLLED).model == model
        for _ in range(TRIES):
            result_of(kiosk, scene, lambda: kiosk.attendant.tap(LogType.IN, WORKER))
            matched = check(last_punch(kiosk), "face_match")
            if matched.outcome is not Outcome.NOT_RUN:
                break
        assert (matched.outcome, matched.model) == (Outcome.PASSED, model)


def test_after_a_change_of_model_the_worker_enrols_again(
    tmp_path: Path, scene: Scene, sface: dict[str, object]
) -> None:
    with terminal(tmp_path, scene.open_camera) as kiosk:
        enrol(kiosk, scene)
    with terminal(tmp_path, scene.open_camera, **sface) as kiosk:
        until(lambda: kiosk.attendant.view().face_available, "the camera")
        for _ in range(TRIES):
            result = result_of(kiosk, scene, lambda: kiosk.attendant.tap(LogType.IN, WORKER))
            matched = check(last_punch(kiosk), "face_match")
            if not matched.reason.startswith("not_reached"):
                break
        assert result.verdict is not Verdict.VERIFIED
        assert matched.reason.startswith("not_enrolled: the face was enrolled with another model")


@pytest.mark.parametrize("wrong", ["hash", "file", "network"])
def test_an_embedder_that_cannot_be_used_is_out_of_order_with_its_reason_and_badge_and_pin_go_on(
    tmp_path: Path, scene: Scene, sface: dict[str, object], wrong: str
) -> None:
    path = tmp_path / "small.onnx"
    if wrong == "hash":
        path.write_bytes(path.read_bytes() + b"\0")
    elif wrong == "file":
        path.unlink()
    else:
        sface["sface_sha256"] = write_small_sface(path, outputs=64)
    with terminal(tmp_path, scene.open_camera, **sface) as kiosk:
        part = kiosk.parts()["face"]
        assert (part.state, part.reason.partition(":")[0]) == ("failed", "models_missing")
        assert "small.onnx" in part.reason
        assert not kiosk.attendant.view().face_available
        kiosk.enrol_pin(authorisation(), PIN)
        result = result_of(kiosk, None, lambda: kiosk.attendant.badge_pin(LogType.IN, WORKER, PIN))
        assert (result.verdict, result.name) == (Verdict.VERIFIED, NAME)


LEAST = {"device": "gate-1", "site": "east"}


@pytest.mark.parametrize(
    ("given", "words"),
    [
        ({"embedder": "sface"}, "needs sface_model and sface_sha256"),
        ({"embedder": "sface", "sface_model": "/x.onnx"}, "needs sface_model and sface_sha256"),
        ({"sface_sha256": "abc"}, "sface_sha256"),
        ({"embedder": "facenet"}, "embedder"),
        ({"match_distance": 0.61}, "at most 0.6 with the embedder dlib"),
        ({"match_distance": 0}, "match_distance"),
        ({"identify_at_most": -1}, "identify_at_most"),
        ({"identify_at_most": 1001}, "identify_at_most"),
        (
            {"embedder": "sface", "sface_model": "/x", "sface_sha256": "0" * 64, "match_distance": 1.2},
            "at most 1.128 with the embedder sface",
        ),
    ],
)
def test_settings_that_do_not_fit_together_are_named(given: dict[str, object], words: str) -> None:
    with pytest.raises(ValueError, match=words):
        KioskSettings(**LEAST, **given)  # type: ignore[arg-type]


def test_a_distance_found_by_calibration_is_what_the_terminal_matches_with(tmp_path: Path, scene: Scene) -> None:
    so_strict_that_nobody_is_like_himself = 0.01
    with (
        terminal(tmp_path, scene.open_camera, match_distance=so_strict_that_nobody_is_like_himself) as kiosk,
        pytest.raises(NotOnePerson),
    ):
        enrol(kiosk, scene)


@pytest.mark.parametrize("given", [{}, {"identify_at_most": 0}, {"identify_at_most": 1000}])
def test_among_how_many_a_face_is_searched_is_the_site_s_setting(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, given: dict[str, int]
) -> None:
    told: list[FaceSettings] = []

    def no_models(_bundle: object, _gallery: object, settings: FaceSettings, _embedder: object) -> tuple[None, Part]:
        told.append(settings)
        return None, Part(state="failed", reason="models_missing: not needed here")

    monkeypatch.setattr("kiosk.app.open_face", no_models)
    settings = KioskSettings(**LEAST, data_dir=tmp_path / "t", camera="file:/nowhere.avi", **given)  # type: ignore[arg-type]
    Kiosk(settings, screen=False).stop()
    assert [one.identify_at_most for one in told] == [given.get("identify_at_most", 100)]
