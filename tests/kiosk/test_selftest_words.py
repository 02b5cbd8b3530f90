"""Every part has a name and every code that a part can give has words and advice, in Chinese and English.

The codes are read from the source: a new one without words, or a reason that this test cannot read, fails.
"""

from __future__ import annotations

import ast
import re
from collections.abc import Iterator
from pathlib import Path

import pytest

import kiosk
from evidence.status import Part
from kiosk import errors
from kiosk.part_states import PartStates
from kiosk.selftest import CHECK_OF_PART, KEY_FILES, SCREEN, _plain, failed_to_start
from kiosk.selftest_texts import _ANY, FLAGS, PARTS, Words, do_about, part_name, what_is
from kiosk.sensors import errors as sensor_errors
from kiosk.sensors import gps, gps_signs, serial_gps
from kiosk.terminal.selftest_layout import DO_COLUMNS, MOST_DO_LINES, _lines
from kiosk.terminal.texts import LANGUAGES

ROOT = Path(kiosk.__file__).parent
# Which part speaks with what a file says; None: not what a part says.
SPEAKS: dict[str, tuple[str, ...]] = {
    "journal.py": ("journal",),
    "sensors/newest_frame.py": ("camera",),
    "scene_watch.py": ("scene",),
    "part_states.py": ("scene",),
    "verify/face.py": ("face",),
    "app.py": ("face",),
    "sensors/serial_gps.py": ("gps",),
    "sensors/beacons.py": ("beacons",),
    "sensors/bleak_beacons.py": ("beacons",),
    "sensors/recorded_beacons.py": ("beacons",),
    "presence_keeper.py": ("presence",),
    "hearing.py": ("beacons", "presence"),
    "enclosure.py": ("enclosure",),
    "sensors/evdev_badges.py": ("badge_reader",),
    "sensors/badges.py": ("badge_reader",),
    "badge_reading.py": ("badge_reader",),
    "uplink.py": ("network",),
    "https_fallback.py": ("network",),
    "ledger_watch.py": ("ledger",),
    "health.py": ("clock",),
    "gallery_key.py": ("keys",),
    "transfer/exchange.py": ("transfer",),
}
# Reasons that are put together elsewhere: the file and the expression, to the codes that it can begin with.
CODES_OF: dict[tuple[str, str], set[str]] = {
    ("scene_watch.py", "self._trouble"): {"scene_unreadable"},
    ("scene_watch.py", "state"): {"scene_covered", "scene_moved", "scene_unknown"},  # model_validate
    ("badge_reading.py", "self._trouble"): {errors.BadgeCodesUnreadable.code},
    ("sensors/serial_gps.py", "verdict"): set(serial_gps._SENTENCES),
    ("sensors/newest_frame.py", "code"): {
        "camera_failed",
        "camera_stalled",
        *(one.code for one in sensor_errors.CameraError.__subclasses__()),
    },
    ("sensors/beacons.py", "state.reason"): {"no_scanner"},
    ("ledger_watch.py", "self._trouble"): {"memory_lost"},
    ("enclosure.py", "trouble"): {"enclosure_unreadable"},
    ("presence_keeper.py", "self._fault"): {"error"},
    ("presence_keeper.py", "self._refused[:400]"): {"disk_full", "journal_failed"},
    ("part_states.py", "ended"): set(),  # below: several parts speak there
    ("part_states.py", "hung.reason"): set(),
    ("part_states.py", "self.lamps.trouble"): set(),
    ("gallery_key.py", "signing.trouble"): {"key_file_exposed", "key_file_unreadable", "tpm_failed", "identity"},
    ("journal.py", "self._store.trouble"): {"disk_full", "journal_failed"},
    ("journal.py", "why[:400]"): {"new_chain"},
    ("journal.py", "self._bad_receipt"): {"bad_receipt"},
    ("uplink.py", "self._offline_because[:400]"): {"offline", "error", "disk_full", "journal_failed"},
    ("https_fallback.py", "both[:400]"): {"offline", "error", "disk_full", "journal_failed"},
    ("transfer/exchange.py", "trouble[:400]"): {"broker_refuses", "error", "transfer", "disk_full", "enclosure_opened"},
    ("transfer/exchange.py", "error.code"): {"transfer", "journal_failed", "authorisation"},
}
ELSEWHERE = {
    ("network", "certificate_ended"),
    ("enclosure", "lamps_failed"),
    *((part, "attempt_hung") for part in ("face", "attempts")),
    *(("journal", one) for one in ("journal", "journal_damaged", "journal_too_new", "journal_foreign", "journal_busy")),
    *((KEY_FILES, one) for one in ("key_file_exposed", "key_file_unreadable")),
    *(("terminal", one) for one in ("error", "settings", "identity", "tpm_failed", "disk_full")),
    *((part, "demanded") for part in CHECK_OF_PART),
    *(("camera", one) for one in ("slow", "dark", "bright")),
    *(("beacons", one) for one in ("no_anchors", "not_heard")),
    *(("gps", one) for one in ("outside", "still")),
    ("journal", "low_space"),
    (SCREEN, "port_taken"),
}
SEEN_ONLY = {"slow", "dark", "bright", "no_anchors", "low_space", "port_taken", "demanded"}  # the line says it itself
WANTS_NOTHING = {("face", "no_face_path"), ("transfer", "switched_off")}


def _reasons(path: Path) -> Iterator[ast.expr]:
    """What stands behind `reason=` of each Part that a file makes."""
    for node in ast.walk(ast.parse(path.read_text())):
        if isinstance(node, ast.Call) and isinstance(node.func, ast.Name) and node.func.id == "Part":
            yield from (one.value for one in node.keywords if one.arg == "reason")


def _codes() -> set[tuple[str, str]]:
    found = set(ELSEWHERE)
    for path in sorted(ROOT.rglob("*.py")):
        name = str(path.relative_to(ROOT))
        if name == "selftest.py":
            continue
        for reason in _reasons(path):
            first: ast.expr = reason
            if isinstance(first, ast.Subscript):  # f"…"[:400]
                first = first.value if isinstance(first.value, ast.Constant | ast.JoinedStr) else first
            if isinstance(first, ast.JoinedStr):
                value = first.values[0]
                first = value.value if isinstance(value, ast.FormattedValue) else value
            if isinstance(first, ast.Constant):
                codes = {str(first.value).partition(":")[0]}
            else:
                key = (name, ast.unparse(first))
                assert key in CODES_OF, f"nobody says which codes {key} begins with"
                codes = CODES_OF[key]
            found |= {(part, code) for part in SPEAKS.get(name, ()) for code in codes}
            assert not codes or name in SPEAKS, f"nobody says which part {name} speaks for"
    found |= {("scene", code) for code in CODES_OF["scene_watch.py", "state"]}
    return found


CODES = sorted(_codes())


def _in_both(words: Words) -> bool:
    return bool(re.search("[一-鿿]", words.zh)) and bool(words.en)


def _part_names() -> set[str]:
    """The keys of the dictionaries that PartStates makes."""
    tree = ast.parse((ROOT / "part_states.py").read_text())
    keys = [key for node in ast.walk(tree) if isinstance(node, ast.Dict) for key in node.keys]
    return {key.value for key in keys if isinstance(key, ast.Constant) and isinstance(key.value, str)}


@pytest.mark.parametrize("part", sorted(_part_names() | {KEY_FILES, SCREEN, "terminal"}))
def test_every_part_has_a_name_of_its_own(part: str) -> None:
    assert _in_both(part_name(part)), f"{part} has no name"
    assert len({words.zh for words in PARTS.values()}) == len({words.en for words in PARTS.values()}) == len(PARTS)


def test_the_parts_are_those_that_the_terminal_has() -> None:
    assert {"journal", "camera", "badge_reader", "presence", "transfer", "scene"} <= _part_names()
    assert len(_part_names()) >= 14 and hasattr(PartStates, "every")


@pytest.mark.parametrize(("part", "code"), CODES)
def test_every_code_has_words_and_advice(part: str, code: str) -> None:
    do = do_about(part, code)
    if (part, code) not in WANTS_NOTHING:
        assert _in_both(do), f"no advice for {part}: {code}"
        assert do != _ANY, f"no advice for {part}: {code}"
        assert all(_lines(do[one], DO_COLUMNS) <= MOST_DO_LINES for one in LANGUAGES), f"the screen cuts {do}"
    if code not in SEEN_ONLY and part not in ("transfer", "terminal", "journal"):
        assert _in_both(what_is(part, code)) and what_is(part, code).en != code, f"nobody says what {code} is"


@pytest.mark.parametrize("part", sorted(_part_names()))
@pytest.mark.parametrize("code", ["error", "failed", "degraded", "unknown"])
def test_a_part_that_says_no_more_than_its_state_is_said_too(part: str, code: str) -> None:
    assert _in_both(do_about(part, code)) and do_about(part, code) != _ANY
    assert _in_both(what_is(part, code))


def test_signs_of_the_satellites_have_words() -> None:
    said = set()
    for module in (gps, gps_signs, serial_gps):
        said |= set(re.findall(r'"(simulator|[a-z]+_[a-z]+|moved|climbed)"', Path(module.__file__).read_text()))
    flags = {"simulator", "flat_snr", "time_jumped", "antenna_lost", "moved", "climbed", "clock_differs"}
    assert flags <= said and set(FLAGS) == flags
    assert all(_in_both(words) for words in FLAGS.values())


def test_an_english_reason_begins_with_chinese_on_a_chinese_screen() -> None:
    line = _plain("scene", Part(state="failed", reason="scene_moved: the camera has been turned"))
    assert line.seen.zh == "摄像头被移动过：the camera has been turned"
    assert line.seen.en == "the camera has been turned"


@pytest.mark.parametrize(
    ("error", "part"),
    [
        (errors.KeyFileExposed("x"), KEY_FILES),
        (errors.JournalBusy("x"), "journal"),
        (errors.KioskError("x"), "terminal"),
    ],
)
def test_what_keeps_a_terminal_from_starting_has_a_line_with_advice(error: errors.KioskError, part: str) -> None:
    (line,) = failed_to_start(error)
    assert line.part == part and _in_both(line.do) and line.do != _ANY
