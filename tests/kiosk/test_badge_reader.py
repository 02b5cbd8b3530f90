"""A badge that is held to the reader goes to its worker's punch, between two punches and nowhere else."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from evidence.events import LogType
from kiosk.app import Kiosk
from kiosk.badge_codes import read_codes, worker_of
from kiosk.errors import BadgeCodesUnreadable
from kiosk.settings import KioskSettings
from kiosk.terminal.view import BadgeRead, Phase
from tests.kiosk.sensors.key_events import Keyboard
from tests.support.waiting import until


def settings(folder: Path, **changes: Any) -> KioskSettings:
    given: dict[str, Any] = {"device": "gate-1", "site": "east", "data_dir": folder / "t", "profile": "badge-only"}
    return KioskSettings(**(given | {"broker": ("mqtt://127.0.0.1:9",)} | changes))


@pytest.fixture
def kiosk(tmp_path: Path) -> Iterator[Kiosk]:
    with Kiosk(settings(tmp_path), screen=False) as one:
        yield one


def badge(kiosk: Kiosk) -> str | None:
    read = kiosk.attendant.view().badge
    return None if read is None else read.worker


def test_a_badge_at_the_reader_waits_on_the_idle_screen_for_in_or_out(tmp_path: Path) -> None:
    recording = tmp_path / "badges.bin"
    recording.write_bytes(Keyboard().type("W-1"))
    with Kiosk(settings(tmp_path, badge_reader=f"file:{recording}"), screen=False) as kiosk:
        assert until(lambda: badge(kiosk), "the badge") == "W-1"
        kiosk.attendant.badge_pin(LogType.IN, "W-1", "1234")
        result = until(lambda: kiosk.attendant.view().result, "a result")
        assert result.worker == "W-1"
        assert badge(kiosk) is None  # used once


def test_a_badge_is_forgotten_like_what_was_typed(kiosk: Kiosk, monkeypatch: pytest.MonkeyPatch) -> None:
    kiosk.attendant.badge_read("W-1")
    assert badge(kiosk) == "W-1"
    monkeypatch.setattr("kiosk.attendant.BADGE_KEPT_S", 0.0)
    until(lambda: badge(kiosk) is None, "an empty field")


def test_a_badge_during_a_punch_changes_nothing(kiosk: Kiosk) -> None:
    place = kiosk.attendant._around.place

    def in_the_middle() -> Any:
        kiosk.attendant.badge_read("W-2")
        return place()

    object.__setattr__(kiosk.attendant._around, "place", in_the_middle)
    kiosk.attendant.badge_pin(LogType.IN, "W-1", "1234")
    result = until(lambda: kiosk.attendant.view().result, "a result")
    assert (result.worker, badge(kiosk)) == ("W-1", None)


def test_the_next_badge_closes_a_result_and_the_same_badge_does_not(kiosk: Kiosk) -> None:
    kiosk.attendant.badge_pin(LogType.IN, "W-1", "1234")
    until(lambda: kiosk.attendant.view().result, "a result")
    kiosk.attendant.badge_read("W-1")  # the reader sends it twice, or it is still held there
    assert kiosk.attendant.view().phase is Phase.RESULT
    kiosk.attendant.badge_read("W-2")
    view = kiosk.attendant.view()
    assert (view.phase, view.result, badge(kiosk)) == (Phase.IDLE, None, "W-2")


def test_two_readings_of_one_badge_are_two(kiosk: Kiosk) -> None:
    numbers = set()
    for _ in range(2):
        kiosk.attendant.badge_read("W-1")
        read = kiosk.attendant.view().badge
        assert isinstance(read, BadgeRead)
        numbers.add(read.number)
    assert len(numbers) == 2


def test_a_badge_that_nobody_has_is_told_and_prefills_nothing(tmp_path: Path) -> None:
    codes = tmp_path / "badges.csv"
    codes.write_text("# RFID, worker\n0012345678,W-1\n")
    with Kiosk(settings(tmp_path, badge_codes=codes), screen=False) as kiosk:
        kiosk.badges.read("0012345678")
        assert badge(kiosk) == "W-1"
        kiosk.badges.read("0099999999")
        assert kiosk.attendant.view().troubles[0] == "badge_unknown"
        codes.write_text("0099999999,W-9\n")  # read anew
        kiosk.badges.read("0099999999")
        assert badge(kiosk) == "W-9"
        assert "badge_unknown" not in kiosk.attendant.view().troubles


def test_a_list_of_badges_that_is_wrong_is_a_state_and_nobody_s_badge(tmp_path: Path) -> None:
    codes = tmp_path / "badges.csv"
    codes.write_text("1,W-1\n1,W-2\n")
    recording = tmp_path / "badges.bin"
    keyboard = Keyboard()
    data = keyboard.type("1")
    keyboard.at_us += 60_000_000  # the recording goes on while the test looks
    recording.write_bytes(data + keyboard.type("2"))
    changed = settings(tmp_path, badge_codes=codes, badge_reader=f"file:{recording}")
    with Kiosk(changed, screen=False) as kiosk:
        until(lambda: kiosk.parts()["badge_reader"].state == "degraded", "the state to say so")
        assert "line 2" in kiosk.parts()["badge_reader"].reason
        assert badge(kiosk) is None
        assert "badge_codes" in kiosk.attendant.view().troubles


def test_a_reader_that_is_missing_is_told_and_punches_go_on(tmp_path: Path) -> None:
    changed = settings(tmp_path, badge_reader="/dev/input/by-id/nowhere-event-kbd")
    with Kiosk(changed, screen=False) as kiosk:
        until(lambda: "No such file" in kiosk.parts()["badge_reader"].reason, "the missing reader")
        assert "no_badge_reader" in kiosk.attendant.view().troubles
        kiosk.attendant.badge_pin(LogType.IN, "W-1", "1234")
        assert until(lambda: kiosk.attendant.view().result, "a result").receipt_qr is not None


@pytest.mark.parametrize("text", ["1", "1,2,3", "1,", ",W-1", "1,a/b", "1,W-1\n1,W-1"])
def test_a_wrong_line_is_named_and_no_other_is_believed(tmp_path: Path, text: str) -> None:
    file = tmp_path / "badges.csv"
    file.write_text(f"7,W-7\n{text}\n")
    with pytest.raises(BadgeCodesUnreadable, match=r"line [23]"):
        worker_of("7", file)


def test_without_a_list_the_code_is_the_worker_s() -> None:
    assert worker_of("W-1", None) == "W-1"


def test_a_list_may_have_remarks_empty_lines_and_spaces(tmp_path: Path) -> None:
    file = tmp_path / "badges.csv"
    file.write_text("# badges\n\n 1 , W-1\n2,王芳\n")
    assert read_codes(file) == {"1": "W-1", "2": "王芳"}
