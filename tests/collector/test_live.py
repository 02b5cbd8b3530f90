"""A device's state follows from what it said, when, and what the ledger holds against it."""

from __future__ import annotations

import re
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest

from collector.console.texts import TEXTS, preferred
from collector.devices.live import DeviceState, Facts, state_of, troubles
from collector.errors import IngestRefusal

PLACE = re.compile(r"\{\w+\}")  # to be filled in
NOW = datetime(2026, 11, 22, 8, 0, 0, tzinfo=UTC)
WELL = Facts(
    online=True,
    last_activity="2026-11-22T07:59:00.000Z",
    health={"parts": {"camera": {"state": "working", "reason": ""}, "gps": {"state": "absent", "reason": ""}}},
    revoked=False,
    flagged=False,
    chain_pending=False,
    chain_frozen=False,
)


def part(name: str, state: str) -> dict[str, Any]:
    return {"parts": {name: {"state": state, "reason": "a reason"}}}


@pytest.mark.parametrize(
    ("change", "state"),
    [
        ({}, DeviceState.OPERATIONAL),
        ({"last_activity": None}, DeviceState.INACTIVE),
        ({"last_activity": "2026-11-22T07:49:59.999Z"}, DeviceState.INACTIVE),
        ({"last_activity": "2026-11-22T07:50:00.000Z"}, DeviceState.OPERATIONAL),
        ({"online": False}, DeviceState.DISCONNECTED),
        ({"health": part("camera", "failed")}, DeviceState.REDUCED),
        ({"health": part("gps", "degraded")}, DeviceState.REDUCED),
        ({"health": part("journal", "failed")}, DeviceState.FAILED),
        ({"health": part("keys", "degraded")}, DeviceState.OPERATIONAL),
        ({"health": part("keys", "failed")}, DeviceState.REDUCED),
        ({"chain_pending": True}, DeviceState.REDUCED),
        ({"chain_frozen": True}, DeviceState.FAILED),
        ({"revoked": True}, DeviceState.FAILED),
    ],
)
def test_the_state_in_one_word(change: dict[str, Any], state: DeviceState) -> None:
    assert state_of(replace(WELL, **change), NOW, timedelta(seconds=600)) is state


def test_troubles_name_the_worst_first() -> None:
    parts = part("gps", "degraded")["parts"] | part("camera", "failed")["parts"]
    found = troubles(replace(WELL, health={"parts": parts}, chain_pending=True))
    assert [(one.code, one.part) for one in found] == [("chain_pending", None), ("part", "camera"), ("part", "gps")]


def test_both_languages_have_the_same_texts_with_the_same_places() -> None:
    assert TEXTS["zh"].keys() == TEXTS["en"].keys()
    for key, text in TEXTS["en"].items():
        assert sorted(PLACE.findall(text)) == sorted(PLACE.findall(TEXTS["zh"][key])), key
    assert all(f"state.{state}" in TEXTS["en"] for state in DeviceState)
    assert all(f"dead.code.{refusal.code}" in TEXTS["en"] for refusal in IngestRefusal.__subclasses__())


@pytest.mark.parametrize(
    ("header", "language"),
    [
        ("zh-CN,zh;q=0.9,en;q=0.8", "zh"),
        ("en-GB,en;q=0.9,zh;q=0.8", "en"),
        ("en;q=0.2, zh;q=0.7", "zh"),
        ("fr-FR", "en"),
        ("", "en"),
        ("zh;q=0, en", "en"),
        ("zh;q=x", "en"),
    ],
)
def test_the_language_that_the_browser_prefers(header: str, language: str) -> None:
    assert preferred(header) == language
