"""The whole terminal, put together from its settings: what a worker gets to see, and what the journal keeps.

Real journal, gallery, models, GPS over a pseudo-terminal, recorded beacons; the camera is the synthetic stage.
"""

from __future__ import annotations

import base64
import json
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import cv2
import numpy as np
import pytest

from evidence.authorisation import EnrolmentAuthorisation, sign_authorisation
from evidence.chain import read_event
from evidence.events import (
    Check,
    Kind,
    LogType,
    Method,
    Outcome,
    PresenceIntervalBody,
    PunchBody,
    Verdict,
    parse_body,
)
from evidence.keys import Ed25519Key, PublicKey
from evidence.receipt import PunchReceipt
from kiosk.app import Kiosk
from kiosk.enrolment import Consent, NotAuthorised
from kiosk.errors import JournalFull, KeyFileExposed
from kiosk.sensors.camera import Camera, CameraStalled, Frame
from kiosk.sensors.eddystone_eid import eid
from kiosk.sensors.video_file import VideoFileCamera
from kiosk.settings import KioskSettings
from kiosk.settings_tables import FenceSettings, PresenceSettings
from kiosk.terminal.view import Phase, Result
from kiosk.verify.pin import InvalidPin
from tests.support.waiting import until
from zaigang.demo.scene import ANCHOR, Scene, beacon_recording
from zaigang.synthetic_gps import PtyGps, standing_still

LATITUDE, LONGITUDE = 31.2304, 121.4737
WORKER, NAME, PIN = "W-1", "王芳", "246810"
CONSENT = Consent(text_version="1", language="zh")
COLLECTOR = Ed25519Key.generate()
TRIES = 3  # a busy machine shows few frames, and a living face may be refused once, as at a gate


@pytest.fixture(scope="module")
def scene() -> Scene:
    return Scene()


@contextmanager
def terminal(folder: Path, camera: Callable[[], Camera], *, device: str = "gate-1", **changes: Any) -> Iterator[Kiosk]:
    gps = PtyGps(standing_still(LATITUDE, LONGITUDE, seconds_before=25), at_once=25).start()
    recording = folder / "beacons.jsonl"
    recording.write_text(beacon_recording())
    given: dict[str, Any] = {
        "device": device,
        "site": "east",
        "data_dir": folder / "terminal",
        "broker": ("mqtt://127.0.0.1:9",),  # nobody there: punches do not need a network
        "collector_keys": (COLLECTOR.public.text(),),
        "gps_port": gps.port,
        "beacons": f"file:{recording}",
        "anchors": (ANCHOR,),
        "fence": FenceSettings(latitude=LATITUDE, longitude=LONGITUDE, radius_m=100),
        "profile": "demo",
    }
    try:
        with Kiosk(KioskSettings(**(given | changes)), camera=camera, screen=False) as kiosk:
            until(lambda: kiosk.placed(), "a position and a beacon")
            yield kiosk
    finally:
        gps.stop()


def authorisation(worker: str = WORKER, device: str = "gate-1", expires: str = "2099-01-01T00:00:00.000Z") -> str:
    permission = EnrolmentAuthorisation(
        id="ab" * 16, worker=worker, name=NAME, device=device, site="east", authorised_by="HR", expires=expires
    )
    return base64.b64encode(sign_authorisation(permission, COLLECTOR)).decode()


def enrol(kiosk: Kiosk, scene: Scene) -> None:
    scene.stand("worker")
    kiosk.enrol_face(authorisation(), CONSENT, pin=PIN, say=lambda text: None)


def result_of(kiosk: Kiosk, scene: Scene | None, start: Callable[[], None]) -> Result:
    """Tap, and look at the screen as the person does until there is a result."""
    until(lambda: kiosk.attendant.view().phase in (Phase.IDLE, Phase.RESULT), "an idle terminal")
    kiosk.attendant.dismiss()
    start()

    def looked() -> Result | None:
        view = kiosk.attendant.view()
        if scene is not None:
            scene.look_at(view)
        return view.result

    found: Result = until(looked, "a result")
    return found


def events(kiosk: Kiosk) -> list[tuple[str, Any]]:
    keys: dict[str, PublicKey] = {kiosk.settings.device: kiosk.key.public}
    read = [read_event(envelope, keys)[0] for _, envelope in kiosk.journal.unsent(-1, 1000)]
    return [(event.kind, parse_body(event)) for event in read]


def last_punch(kiosk: Kiosk) -> PunchBody:
    """The newest punch; the keeper may have signed something since, such as the scene that it learnt."""
    return next(body for _, body in reversed(events(kiosk)) if isinstance(body, PunchBody))


def check(body: PunchBody, name: str) -> Check:
    return next(one for one in body.checks if one.name == name)


def test_an_enrolled_worker_is_verified_by_face_and_takes_a_receipt_home(tmp_path: Path, scene: Scene) -> None:
    with terminal(tmp_path, scene.open_camera) as kiosk:
        enrol(kiosk, scene)
        before = kiosk.journal.head.seq
        for _ in range(TRIES):
            result = result_of(kiosk, scene, lambda: kiosk.attendant.tap(LogType.IN, None))
            if result.verdict is Verdict.VERIFIED:
                break
        assert (result.verdict, result.worker, result.name) == (Verdict.VERIFIED, WORKER, NAME)
        assert result.receipt_qr is not None
        receipt = PunchReceipt.verify(result.receipt_qr, kiosk.key.public)
        assert (receipt.seq, receipt.hash) == (kiosk.journal.head.seq, kiosk.journal.head.hash)
        kinds = [kind for kind, _ in events(kiosk)]
        assert kinds[: before + 1] == [
            Kind.DEVICE_ENROLLED,
            Kind.CONFIG_APPLIED,
            Kind.CONSENT_GIVEN,
            Kind.WORKER_ENROLLED,
        ]
        assert kinds[-1] == Kind.PUNCH_RECORDED
        body = last_punch(kiosk)
        assert body.policy == kiosk.policy.hash
        assert all(one.outcome is Outcome.PASSED for one in body.checks if one.name not in ("clock", "flash"))


def test_idle_looks_for_no_face_and_shows_no_picture(tmp_path: Path, scene: Scene) -> None:
    with terminal(tmp_path, scene.open_camera) as kiosk:
        looked = []
        assert kiosk._face is not None and kiosk.eyes is not None
        detect = kiosk._face._video.detect
        kiosk._face._video.detect = lambda *a: looked.append(1) or detect(*a)  # type: ignore[func-returns-value,method-assign]
        scene.stand("worker")
        first = until(lambda: kiosk.eyes.newest if kiosk.eyes else None, "a picture")
        until(lambda: kiosk.eyes and kiosk.eyes.newest and kiosk.eyes.newest.index > first.index + 10, "ten more")
        assert kiosk.attendant.picture() is None
        assert looked == []
        kiosk.attendant.tap(LogType.IN, None)
        until(lambda: looked, "the face path after a tap")
        assert kiosk.attendant.picture() is not None
        kiosk.attendant.cancel()
        until(lambda: kiosk.attendant.view().phase is Phase.RESULT, "the end of the attempt")


def test_a_recorded_punch_is_shown_as_recorded_where_its_receipt_cannot_be_made(
    tmp_path: Path, scene: Scene, monkeypatch: pytest.MonkeyPatch
) -> None:
    with terminal(tmp_path, scene.open_camera) as kiosk:
        scene.stand("nobody")
        until(lambda: kiosk.attendant.view().face_available, "the camera")

        def broken(_: object) -> str:
            raise OSError("the key is gone")

        monkeypatch.setattr(kiosk.journal, "punch_receipt", broken)
        result = result_of(kiosk, scene, lambda: kiosk.attendant.badge_pin(LogType.IN, "W-9", "135790"))
        assert result.receipt_qr is None
        assert result.receipt_code == last_punch(kiosk).receipt
        assert result.reasons != ("error",)


def test_a_lamp_that_breaks_keeps_nobody_from_punching(tmp_path: Path, scene: Scene) -> None:
    with terminal(tmp_path, scene.open_camera) as kiosk:

        def broken(_: object) -> None:
            raise OSError("the lamp is gone")

        kiosk.attendant._around = replace(kiosk.attendant._around, ended=broken)
        codes = {
            result_of(kiosk, None, lambda: kiosk.attendant.badge_pin(LogType.IN, "W-9", "135790")).receipt_code
            for _ in range(2)
        }
        assert len(codes) == 2


def test_a_full_disk_and_an_error_of_ours_offer_the_other_ways_on_the_same_screen(tmp_path: Path, scene: Scene) -> None:
    with terminal(tmp_path, scene.open_camera) as kiosk:
        scene.stand("nobody")
        until(lambda: kiosk.attendant.view().face_available, "the camera")
        desk, attempt = kiosk.attendant._desk, lambda: kiosk.attendant.badge_pin(LogType.IN, "W-9", "135790")

        def broken(*_: object) -> Any:
            raise RuntimeError("a fault of ours")

        def full(*_: object) -> Any:
            raise JournalFull("disk_full: no room")

        around, append = desk._around, kiosk.journal.append
        desk._around = replace(around, place=broken)
        wrong = result_of(kiosk, None, attempt)
        assert (wrong.reasons, wrong.other_methods) == (("error",), (Method.FACE, Method.BADGE_PIN))
        desk._around = around
        kiosk.journal.append = full  # type: ignore[method-assign]
        unkept = result_of(kiosk, None, attempt)
        assert (unkept.reasons, unkept.other_methods) == (("disk_full",), (Method.FACE, Method.BADGE_PIN))
        kiosk.journal.append = append  # type: ignore[method-assign]
        desk._look = None  # type: ignore[assignment]
        result = result_of(kiosk, None, attempt)
        assert result.receipt_code == last_punch(kiosk).receipt, "who cannot say what else there is still says this"


def test_an_attempt_that_the_worker_cancels_is_kept_and_says_so(tmp_path: Path, scene: Scene) -> None:
    with terminal(tmp_path, scene.open_camera) as kiosk:
        scene.stand("nobody")
        until(lambda: kiosk.attendant.view().face_available, "the camera")
        kiosk.attendant.tap(LogType.IN, None)
        kiosk.attendant.cancel()
        until(lambda: kiosk.attendant.view().result, "the end of the attempt")
        body = last_punch(kiosk)
        assert body.verdict is Verdict.REFUSED
        assert check(body, "face_match").reason.startswith("cancelled:")
        result = kiosk.attendant.view().result
        assert result is not None
        assert Method.BADGE_PIN in result.other_methods


def test_badge_and_pin_is_verified_without_a_face_and_a_wrong_pin_is_refused(tmp_path: Path, scene: Scene) -> None:
    with terminal(tmp_path, scene.open_camera) as kiosk:
        enrol(kiosk, scene)
        scene.stand("nobody")
        right = result_of(kiosk, None, lambda: kiosk.attendant.badge_pin(LogType.IN, WORKER, PIN))
        assert (right.verdict, right.name, right.method) == (Verdict.VERIFIED, NAME, Method.BADGE_PIN)
        wrong = result_of(kiosk, None, lambda: kiosk.attendant.badge_pin(LogType.OUT, WORKER, "000000"))
        assert (wrong.verdict, wrong.reasons[0]) == (Verdict.REFUSED, "wrong_pin")
        assert wrong.other_methods == (Method.FACE, Method.BADGE_PIN)
        assert last_punch(kiosk).worker == WORKER  # the attempt is kept, with the code that was typed


@pytest.mark.parametrize(
    "wrong",
    [
        {"device": "gate-2"},
        {"expires": "2026-01-01T00:00:00.000Z"},
    ],
)
def test_nobody_is_enrolled_without_a_permission_for_this_terminal_now(
    tmp_path: Path, scene: Scene, wrong: dict[str, str]
) -> None:
    with terminal(tmp_path, scene.open_camera) as kiosk:
        with pytest.raises(NotAuthorised):
            kiosk.enrol_face(authorisation(**wrong), CONSENT)
        assert kiosk.gallery.get(WORKER) is None
        assert Kind.CONSENT_GIVEN not in [kind for kind, _ in events(kiosk)]


def test_a_worker_who_gives_no_face_is_enrolled_and_verified_all_the_same(tmp_path: Path, scene: Scene) -> None:
    with terminal(tmp_path, scene.open_camera) as kiosk:
        kiosk.enrol_pin(authorisation(), PIN)
        assert Kind.CONSENT_GIVEN not in [kind for kind, _ in events(kiosk)]
        result = result_of(kiosk, None, lambda: kiosk.attendant.badge_pin(LogType.IN, WORKER, PIN))
        assert (result.verdict, result.name) == (Verdict.VERIFIED, NAME)


def test_a_pin_that_is_none_does_not_use_up_the_permission(tmp_path: Path, scene: Scene) -> None:
    with terminal(tmp_path, scene.open_camera) as kiosk:
        with pytest.raises(InvalidPin):
            kiosk.enrol_pin(authorisation(), "123456789")
        assert kiosk.enrol_pin(authorisation(), PIN).worker == WORKER


def test_an_enrolment_that_cannot_be_signed_leaves_nothing_that_opens_the_gate(
    tmp_path: Path, scene: Scene, monkeypatch: pytest.MonkeyPatch
) -> None:
    with terminal(tmp_path, scene.open_camera) as kiosk:
        monkeypatch.setattr(kiosk.journal, "append", _full)
        with pytest.raises(JournalFull):
            kiosk.enrol_pin(authorisation(), PIN)
        assert kiosk.gallery.get(WORKER) is None


def _full(*_: object) -> None:
    raise JournalFull("disk_full: no room")


def test_a_wrong_pin_tells_nobody_a_name_and_an_unrecognised_face_stands_under_the_typed_code(
    tmp_path: Path, scene: Scene
) -> None:
    with terminal(tmp_path, scene.open_camera) as kiosk:
        enrol(kiosk, scene)
        wrong = result_of(kiosk, None, lambda: kiosk.attendant.badge_pin(LogType.IN, WORKER, "000000"))
        assert wrong.name is None
        scene.stand("stranger")
        until(lambda: kiosk.attendant.view().face_available, "the camera")
        stranger = result_of(kiosk, scene, lambda: kiosk.attendant.tap(LogType.IN, WORKER))
        assert (stranger.verdict, stranger.name) == (Verdict.REFUSED, None)
        assert last_punch(kiosk).worker == WORKER


def test_nobody_before_the_camera_is_refused_and_says_why(tmp_path: Path, scene: Scene) -> None:
    with terminal(tmp_path, scene.open_camera) as kiosk:
        scene.stand("nobody")
        until(lambda: kiosk.attendant.view().face_available, "the camera")
        result = result_of(kiosk, scene, lambda: kiosk.attendant.tap(LogType.IN, None))
        assert (result.verdict, result.reasons[0]) == (Verdict.REFUSED, "no_face")


def recording(*frames: tuple[str, bytes]) -> str:
    """An anchor and badges by address, several times a second."""
    lines = beacon_recording().splitlines()
    for number in range(20):
        for address, sent in frames:
            lines.append(
                json.dumps({"at_ms": number * 200, "address": address, "rssi": -50, "services": {"feaa": sent.hex()}})
            )
    return "\n".join(sorted(lines, key=lambda line: int(json.loads(line)["at_ms"]))) + "\n"


def test_a_badge_corroborates_one_punch_with_each_identifier_across_restarts(tmp_path: Path, scene: Scene) -> None:
    key, zero = bytes(range(16)), datetime.now(UTC).replace(microsecond=0) - timedelta(seconds=100)
    keys, air = tmp_path / "eid-keys.toml", tmp_path / "air.jsonl"
    keys.write_text(f'[badge-17]\nkey = "{key.hex()}"\nexponent = 15\ncounter_zero = {zero.isoformat()}\n')
    keys.chmod(0o600)
    sent = b"\x30\xe7" + eid(key, 15, 100)
    air.write_text(recording(("c0:ff:ee:00:00:17", sent)))
    given: dict[str, Any] = {
        "badges": {"eid:badge-17": WORKER},
        "eid_keys": keys,
        "beacons": f"file:{air}",
        "profile": "badge-only",
    }

    def punch(kiosk: Kiosk) -> Check:
        result_of(kiosk, None, lambda: kiosk.attendant.badge_pin(LogType.IN, WORKER, PIN))
        return check(last_punch(kiosk), "badge_near")

    with terminal(tmp_path, scene.open_camera, **given) as kiosk:
        kiosk.enrol_pin(authorisation(), PIN)
        until(lambda: kiosk.hearing.badge(WORKER)[0].outcome is Outcome.PASSED, "the badge")
        first, second = punch(kiosk), punch(kiosk)
        assert (first.outcome, second.outcome) == (Outcome.PASSED, Outcome.NOT_RUN)
        assert second.reason.startswith("eid_used: ")
        assert last_punch(kiosk).verdict is Verdict.VERIFIED, "a badge corroborates and never accuses"
    with terminal(tmp_path, scene.open_camera, **given) as kiosk:
        until(lambda: "eid_used" in kiosk.hearing.badge(WORKER)[0].reason, "the badge, used before")


def test_presence_is_announced_and_a_workers_badge_on_shift_becomes_a_signed_interval(
    tmp_path: Path, scene: Scene
) -> None:
    air = tmp_path / "air.jsonl"
    air.write_text(recording(("c0:ff:ee:00:00:17", b"\x00\xe7" + bytes(18))))
    given: dict[str, Any] = {
        "badges": {f"eddystone-uid:{'00' * 10}:{'00' * 6}": WORKER},
        "presence": PresenceSettings(),
        "beacons": f"file:{air}",
        "profile": "badge-only",
    }
    with terminal(tmp_path, scene.open_camera, **given) as kiosk:
        assert kiosk.attendant.view().presence
        assert kiosk.hearing.presence is not None
        kiosk.enrol_pin(authorisation(), PIN)
        result_of(kiosk, None, lambda: kiosk.attendant.badge_pin(LogType.IN, WORKER, "000000"))
        assert kiosk.hearing.presence.on_shift == ()
        result_of(kiosk, None, lambda: kiosk.attendant.badge_pin(LogType.IN, WORKER, PIN))
        assert kiosk.hearing.presence.on_shift == (WORKER,)
        until(lambda: any(one.samples >= 3 for one in kiosk.hearing.presence._presence.unfinished()), "some sightings")
        result_of(kiosk, None, lambda: kiosk.attendant.badge_pin(LogType.OUT, WORKER, PIN))
        assert kiosk.hearing.presence.on_shift == ()
        kiosk.hearing.presence.tick()
        kind, interval = events(kiosk)[-1]
        assert isinstance(interval, PresenceIntervalBody)
        assert (kind, interval.state, interval.ended_by) == (Kind.PRESENCE_INTERVAL, "heard", "out")
        assert (interval.worker, interval.median_rssi, interval.badge) == (WORKER, -50, "constant")


def test_without_the_setting_no_badge_is_noted_and_nothing_announced(tmp_path: Path, scene: Scene) -> None:
    with terminal(tmp_path, scene.open_camera) as kiosk:
        assert kiosk.hearing.presence is None
        assert not kiosk.attendant.view().presence


def test_a_file_of_keys_that_others_can_read_stops_the_terminal(tmp_path: Path, scene: Scene) -> None:
    keys = tmp_path / "eid-keys.toml"
    keys.write_text("")
    keys.chmod(0o644)
    with pytest.raises(KeyFileExposed), terminal(tmp_path, scene.open_camera, eid_keys=keys):
        pass


def test_a_permission_enrols_once(tmp_path: Path, scene: Scene) -> None:
    with terminal(tmp_path, scene.open_camera) as kiosk:
        enrol(kiosk, scene)
        with pytest.raises(NotAuthorised, match="used before"):
            kiosk.enrol_face(authorisation(), CONSENT)


def test_a_permission_that_the_collector_did_not_sign_is_none(tmp_path: Path, scene: Scene) -> None:
    stranger = Ed25519Key.generate().public.text()
    with (
        terminal(tmp_path, scene.open_camera, collector_keys=(stranger,)) as kiosk,
        pytest.raises(NotAuthorised),
    ):
        kiosk.enrol_face(authorisation(), CONSENT)


def test_a_full_disk_is_said_on_screen_and_in_the_status_and_nothing_is_called_recorded(
    tmp_path: Path, scene: Scene
) -> None:
    with terminal(tmp_path, scene.open_camera, journal_max_pages=40) as kiosk:
        for _ in range(200):
            result = result_of(kiosk, None, lambda: kiosk.attendant.badge_pin(LogType.IN, "W-9", "000000"))
            if result.receipt_code is None:
                break
        assert result.reasons == ("disk_full",), "the journal never filled up"
        assert result.receipt_qr is None
        kiosk.attendant.dismiss()
        view = until(lambda: (v := kiosk.attendant.view()).phase is Phase.OUT_OF_ORDER and v, "the screen to say so")
        assert "disk_full" in view.troubles
        part = kiosk.parts()["journal"]
        assert (part.state, part.reason.partition(":")[0]) == ("failed", "disk_full")


def test_a_camera_that_stops_ends_the_attempt_unverified_and_leaves_badge_and_pin(tmp_path: Path, scene: Scene) -> None:
    stop = []

    class Stopping:
        name = "a camera that stops"

        def __init__(self) -> None:
            self._camera = scene.open_camera()

        def read(self, timeout_s: float) -> Frame:
            if stop:
                time.sleep(timeout_s)
                raise CameraStalled("no picture")
            return self._camera.read(timeout_s)

        def close(self) -> None:
            self._camera.close()

    with terminal(tmp_path, Stopping) as kiosk:
        enrol(kiosk, scene)
        until(lambda: kiosk.attendant.view().face_available, "the camera")
        kiosk.attendant.tap(LogType.IN, None)
        until(lambda: kiosk.attendant.view().phase is not Phase.LOOKING, "the face")
        stop.append(True)
        until(lambda: kiosk.attendant.view().result, "the end of the attempt")
        body = last_punch(kiosk)
        assert body.verdict is not Verdict.VERIFIED
        assert check(body, "face_match").outcome is Outcome.NOT_RUN
        kiosk.attendant.dismiss()
        until(lambda: "camera_stalled" in kiosk.attendant.view().troubles, "the screen to say so")
        assert kiosk.parts()["camera"].state == "failed"
        result = result_of(kiosk, None, lambda: kiosk.attendant.badge_pin(LogType.IN, WORKER, PIN))
        assert result.verdict is Verdict.VERIFIED


def test_a_video_that_ends_early_ends_the_attempt_unverified(tmp_path: Path) -> None:
    clip = tmp_path / "short.avi"
    writer = cv2.VideoWriter(str(clip), cv2.VideoWriter.fourcc(*"MJPG"), 25, (640, 480))
    for _ in range(50):
        writer.write(np.full((480, 640, 3), 90, np.uint8))
    writer.release()
    with terminal(tmp_path, lambda: VideoFileCamera(clip)) as kiosk:
        kiosk.attendant.tap(LogType.IN, None)
        until(lambda: kiosk.attendant.view().result, "the end of the attempt")
        body = last_punch(kiosk)
        assert body.verdict is not Verdict.VERIFIED
        assert {one.outcome for one in body.checks if one.name in ("face_quality", "face_match")} == {Outcome.NOT_RUN}
        assert "camera_ended" in kiosk.attendant.view().troubles


def test_an_error_of_ours_records_nothing_and_the_terminal_goes_on(tmp_path: Path, scene: Scene) -> None:
    with terminal(tmp_path, scene.open_camera) as kiosk:
        before = kiosk.journal.head.seq

        def broken(*_: object) -> None:
            raise RuntimeError("a fault of ours")

        kiosk.attendant._desk._identify_by_pin, whole = broken, kiosk.attendant._desk._identify_by_pin  # type: ignore[method-assign]
        result = result_of(kiosk, None, lambda: kiosk.attendant.badge_pin(LogType.IN, WORKER, PIN))
        assert (result.verdict, result.reasons, result.receipt_code) == (Verdict.REFUSED, ("error",), None)
        assert kiosk.journal.head.seq == before
        kiosk.attendant._desk._identify_by_pin = whole  # type: ignore[method-assign]
        again = result_of(kiosk, None, lambda: kiosk.attendant.badge_pin(LogType.IN, WORKER, PIN))
        assert again.receipt_code is not None
