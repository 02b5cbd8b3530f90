"""Every code has its words in both languages."""

from __future__ import annotations

import re
from datetime import datetime
from pathlib import Path

import pytest

from evidence.events import Ask, LogType, Method, Verdict
from kiosk.terminal import texts
from kiosk.terminal.texts import LANGUAGES, Language, Words
from kiosk.terminal.view import Phase

CODES_OF_THE_PROTOCOL = """
no_face two_faces too_far too_dark too_bright blurred turned_away out_of_frame
no_answer wrong_answer too_early moved_before_prompt not_asked
flat too_little_turn face_lost face_changed no_match ambiguous badge_needed not_enrolled gallery_empty
outside no_fix antenna_lost suspect moving insufficient no_receiver stale not_heard no_scanner
wrong_pin locked no_pin disk_full journal_failed camera_stalled camera_ended camera_failed
ok timeout cancelled error not_reached
sunglasses framed moire replayed no_reflection bright_room no_acknowledgement switched_off
points_lost still low_space bad_receipt models_missing clock_unsynced
enclosure_opened enclosure_unreadable lamps_failed no_badge_reader badge_codes badge_unknown
badge_not_heard eid_used
face_locked own_punch no_supervisor not_confirmed too_many_confirmations confirmed next_person
call_goes_on face_failed attempt_hung
"""

CHINESE = re.compile(r"[\u4e00-\u9fff]")


def everything() -> list[tuple[str, Words]]:
    found = [(f"{code}.what", one.what) for code, one in texts.REASONS.items()]
    found += [(f"{code}.do", one.do) for code, one in texts.REASONS.items()]
    tables = (texts.PHASES, texts.ASKS, texts.VERDICTS, texts.DIRECTIONS, texts.METHODS)
    return found + [(str(key), words) for table in tables for key, words in table.items()]


@pytest.mark.parametrize("code", CODES_OF_THE_PROTOCOL.split())
def test_every_reason_code_says_what_happened_and_what_to_do(code: str) -> None:
    assert code in texts.REASONS


def test_every_ask_phase_verdict_direction_and_method_has_words() -> None:
    assert set(texts.ASKS) == set(Ask)
    assert set(texts.PHASES) == set(Phase)
    assert set(texts.VERDICTS) == set(Verdict)
    assert set(texts.DIRECTIONS) == set(texts.OTHER_TONGUE) == set(LogType)
    assert set(texts.METHODS) == set(Method)


@pytest.mark.parametrize(("key", "words"), everything())
def test_chinese_is_chinese_and_english_is_english(key: str, words: Words) -> None:
    assert CHINESE.search(words.zh)
    assert words.en.strip()
    assert not CHINESE.search(words.en)


def test_every_hint_is_a_reason() -> None:
    assert set(texts.HINTS) <= set(texts.REASONS)


@pytest.mark.parametrize("language", LANGUAGES)
def test_an_unknown_code_is_told_as_a_fault_and_never_shown_raw(language: Language) -> None:
    assert texts.reason("code_of_a_later_version") == texts.REASONS["error"]


def test_both_languages_fill_in_the_same_values() -> None:
    for words in texts.WORDS.values():
        assert re.findall(r"{\w+}", words.zh) == re.findall(r"{\w+}", words.en)


def test_no_text_is_left_without_a_screen() -> None:
    source = "".join(
        path.read_text(encoding="utf-8") for path in Path(texts.__file__).parent.glob("*.py") if path.name != "texts.py"
    )
    assert [key for key in texts.WORDS if f'"{key}"' not in source and f"'{key}'" not in source] == []


def test_a_day_is_written_as_the_language_writes_it() -> None:
    day = datetime(2026, 11, 22)
    assert texts.date_text(day, "zh") == "11月22日 星期日"
    assert texts.date_text(day, "en") == "Sun 22 Nov"
