"""Covered, turned, carried off: signed once it has lasted, shown as a part of the terminal."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from evidence.envelope import EVENT_TYPE, sign
from evidence.events import Kind, SensorChangedBody
from kiosk.errors import JournalFull
from kiosk.scene_watch import ASTRAY_S, LASTS_S, LEARN_AFTER_S, SceneWatch, told_of
from kiosk.sensors.scene import Image, SceneState
from tests.evidence.chains import an_event, ed25519_key
from tests.kiosk.sensors.test_scene import grainy, palm, turned
from zaigang.synthetic.portraits import astronaut
from zaigang.synthetic.scene import empty_scene

HERE = grainy(empty_scene())
ASIDE = grainy(turned(empty_scene(), right_px=60))


def in_a_chain(body: SensorChangedBody) -> bytes:
    """An envelope with this body, as a journal returns it."""
    told = an_event(1, "00" * 32, ed25519_key(), kind=Kind.SENSOR_CHANGED, body=body.model_dump(mode="json"))
    return sign(EVENT_TYPE, told.payload(), ed25519_key()).encode()


class Terminal:
    """A watch, its signed events and its time."""

    def __init__(self, folder: Path) -> None:
        self.signed: list[SensorChangedBody] = []
        self.file = folder / "scene.npz"
        self.now_s = 100.0
        self.full = False
        self.restart()

    def restart(self) -> None:
        told = told_of(reversed([in_a_chain(one) for one in self.signed]))
        self.watch = SceneWatch(self.file, self._sign, told)

    def see(self, image: Image, for_s: float, every_s: float = 5.0) -> None:
        end_s = self.now_s + for_s
        while self.now_s <= end_s:
            self.watch.see(image, self.now_s)
            self.now_s += every_s

    @property
    def states(self) -> list[str]:
        return [one.state for one in self.signed]

    def _sign(self, body: SensorChangedBody) -> None:
        if self.full:
            raise JournalFull("disk_full: no room")
        self.signed.append(body)


@pytest.fixture
def fresh(tmp_path: Path) -> Terminal:
    return Terminal(tmp_path)


@pytest.fixture
def terminal(fresh: Terminal) -> Terminal:
    fresh.see(HERE, LEARN_AFTER_S + 5)
    assert fresh.states == ["learnt"]
    return fresh


def test_a_scene_is_learnt_only_when_it_has_stayed_the_same(fresh: Terminal) -> None:
    for picture in (HERE, palm(), HERE, ASIDE):
        fresh.see(picture, LEARN_AFTER_S - 10)
    assert fresh.states == []
    assert not fresh.file.exists()
    assert fresh.watch.part.state == "unknown"
    fresh.see(ASIDE, LEARN_AFTER_S)
    assert fresh.states == ["learnt"]
    assert fresh.file.stat().st_mode & 0o777 == 0o600
    assert fresh.watch.part.state == "working"


@pytest.mark.parametrize(
    ("picture", "state", "code"),
    [
        (palm(), SceneState.COVERED, "scene_covered"),
        (ASIDE, SceneState.MOVED, "scene_moved"),
        (astronaut().image, SceneState.UNRECOGNISED, "scene_unknown"),
    ],
)
def test_what_lasts_is_signed_once_and_shown_and_its_end_is_too(
    terminal: Terminal, picture: Image, state: SceneState, code: str
) -> None:
    terminal.see(picture, LASTS_S[state] - 6)
    assert terminal.states == ["learnt"], "somebody leant on the terminal"
    terminal.see(picture, 20)
    terminal.see(picture, 60)
    assert terminal.states == ["learnt", state.value]
    assert terminal.signed[-1].before == "same"
    assert terminal.watch.part.state in ("failed", "degraded")
    assert terminal.watch.part.reason.startswith(f"{code}: ")
    terminal.see(HERE, 5)
    assert terminal.states == ["learnt", state.value, "same"]
    assert terminal.watch.part.state == "working"


def test_what_was_put_right_while_the_terminal_was_off_is_signed_at_its_start(terminal: Terminal) -> None:
    terminal.see(ASIDE, 60)
    assert terminal.states == ["learnt", "moved"]
    terminal.restart()
    terminal.see(HERE, 10)
    assert terminal.states == ["learnt", "moved", "same"]
    assert terminal.signed[-1].before == "moved"
    terminal.restart()
    terminal.see(HERE, 10)
    assert terminal.states == ["learnt", "moved", "same"], "the first look after a start is no news where all is well"


def test_what_other_sensors_and_other_versions_wrote_says_nothing_of_the_scene() -> None:
    other = in_a_chain(SensorChangedBody(sensor="gps", state="failed", reason="no_fix: none"))
    strange = in_a_chain(SensorChangedBody(sensor="scene", state="inside_out", reason="of another version: none"))
    assert told_of([b"cut in ha", other, strange]) is None


def test_looks_that_agree_on_nothing_but_that_it_is_not_the_scene_are_believed_after_two_minutes(
    terminal: Terminal,
) -> None:
    other = np.zeros_like(HERE)  # covered; neither lasts as long as it would have to
    begun_s = terminal.now_s
    for _ in range(30):
        terminal.see(ASIDE, 0)
        terminal.see(other, 0)
        if len(terminal.states) > 1:
            break
    assert terminal.watch.part.state in ("failed", "degraded")
    assert len(terminal.states) == 2
    assert terminal.now_s - begun_s >= ASTRAY_S
    terminal.see(ASIDE, 0)
    terminal.see(other, 0)
    assert len(terminal.states) == 2  # what changes from look to look is no news each time


def test_a_camera_moved_while_the_terminal_was_off_is_found(terminal: Terminal) -> None:
    terminal.restart()
    terminal.see(ASIDE, LASTS_S[SceneState.MOVED] + 5)
    assert terminal.states == ["learnt", "moved"]


def test_a_restart_before_the_same_scene_is_no_news(terminal: Terminal) -> None:
    terminal.restart()
    terminal.see(HERE, 60)
    assert terminal.states == ["learnt"]
    assert terminal.watch.part.state == "working"


def test_a_scene_learnt_anew_leaves_a_trace(terminal: Terminal) -> None:
    terminal.file.unlink()
    terminal.see(ASIDE, LEARN_AFTER_S + 5)
    assert terminal.states == ["learnt", "learnt"]
    assert terminal.watch.part.state == "working"


def test_a_change_that_could_not_be_signed_is_signed_later(terminal: Terminal) -> None:
    terminal.full = True
    with pytest.raises(JournalFull):
        terminal.see(ASIDE, LASTS_S[SceneState.MOVED] + 5)
    terminal.full = False
    terminal.see(ASIDE, 10)
    assert terminal.states == ["learnt", "moved"]


def test_a_damaged_file_is_said_and_not_written_over(terminal: Terminal) -> None:
    terminal.file.write_bytes(b"PK\x03\x04 torn")
    terminal.restart()
    terminal.see(HERE, LEARN_AFTER_S + 30)
    assert terminal.file.read_bytes() == b"PK\x03\x04 torn"
    assert terminal.states == ["learnt"]
    assert terminal.watch.part.reason.startswith("scene_unreadable: ")


def test_a_black_picture_teaches_nothing(fresh: Terminal) -> None:
    fresh.see(np.zeros((480, 640, 3), np.uint8), 3 * LEARN_AFTER_S)
    assert fresh.states == []
