"""The published vectors of a terminal's own events, of what the collector sends it, and of joining."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from evidence.authorisation import verify_authorisation
from evidence.canonical import canonical
from evidence.clearance import verify_clearance
from evidence.command import read_command, require_timely
from evidence.envelope import EVENT_TYPE, sign
from evidence.errors import EvidenceError
from evidence.events import Event, Fact, parse_event
from evidence.gap import read_gap_request
from evidence.handover import follow_handovers, split_handovers
from evidence.keys import Ed25519Key, PublicKey
from evidence.provisioning import ClaimCode, verify_answer
from tests.evidence.chains import ed25519_key

VECTORS = Path(__file__).parents[2] / "docs" / "spec" / "vectors"


def _file(name: str) -> dict[str, Any]:
    return dict(json.loads((VECTORS / f"{name}.json").read_text()))


def _cases(name: str, *parts: str) -> Any:
    cases: Any = _file(name)
    for part in parts:
        cases = cases[part]
    return pytest.mark.parametrize("case", cases, ids=lambda case: case["name"])


def _key(private: str) -> Ed25519Key:
    return ed25519_key(int(private.split()[0], 16))


def _refused(code: str, reading: Callable[[], object]) -> None:
    with pytest.raises(EvidenceError) as error:
        reading()
    assert error.value.code == code


def test_a_terminal_that_says_the_story_signs_the_published_envelopes() -> None:
    story = _file("events")["story"]
    keys, prev = [_key(one) for one in story["private"]], None
    for seq, told in enumerate(story["told"]):
        where = {name: story[name] for name in ("device", "site", "chain", "tz", "boot")}
        signers = keys if told["kind"] == "device.key_rotated" else keys[:1]
        envelope = sign(EVENT_TYPE, Event(**where, **told, seq=seq, prev=prev).payload(), *signers)
        assert envelope.encode().decode() == story["envelopes"][seq]
        keys, prev = keys if len(signers) == 1 else keys[1:], envelope.hash
        assert prev == story["hashes"][seq]


@_cases("events", "good")
def test_a_payload_is_an_event(case: dict[str, Any]) -> None:
    parse_event(case["payload"].encode())


@_cases("events", "bad")
def test_a_payload_that_is_no_event_is_refused(case: dict[str, Any]) -> None:
    _refused(case["code"], lambda: parse_event(case["payload"].encode()))


def _read(name: str, envelope: str) -> Fact:
    file, data = _file(name), envelope.encode()
    key = PublicKey.parse(file["key"])
    if name == "gap_requests":
        return read_gap_request(data, key, file["device"])
    if name == "authorisations":
        return verify_authorisation(data, key, file["device"], file["site"], file["now"])
    if name == "clearances":
        return verify_clearance(data, key, file["device"], file["site"], file["chain"], file["now"])
    command = read_command(data, key, file["device"], file["site"])
    require_timely(command, file["last_counter"], file["now"])
    return command


WORDS = ["gap_requests", "commands", "authorisations", "clearances"]


@pytest.mark.parametrize("name", WORDS)
def test_what_the_collector_says_is_read_as_published(name: str) -> None:
    for case in _file(name)["good"]:
        said = _read(name, case["envelope"]).model_dump(mode="json")
        assert said.items() <= case["says"].items(), case["name"]


@pytest.mark.parametrize("name", WORDS)
def test_what_is_not_the_collectors_word_is_refused_with_the_published_code(name: str) -> None:
    for case in _file(name)["bad"]:
        _refused(case["code"], lambda case=case: _read(name, case["envelope"]))


def _follow(case: dict[str, Any]) -> list[str]:
    pinned = [PublicKey.parse(text) for text in _file("handovers")["pinned"]]
    return [key.text() for key in follow_handovers(pinned, case["message"].encode().split(b"\n"))]


@_cases("handovers", "good")
def test_handovers_lead_to_the_published_keys(case: dict[str, Any]) -> None:
    assert split_handovers(case["message"].encode()) is not None
    assert _follow(case) == case["keys"]


@_cases("handovers", "bad")
def test_a_bad_handover_is_refused(case: dict[str, Any]) -> None:
    _refused(case["code"], lambda: _follow(case))


@_cases("joining", "codes", "good")
def test_a_joining_code_is_read_as_published(case: dict[str, Any]) -> None:
    assert ClaimCode.parse(case["text"]).model_dump(mode="json") == case["says"]


@_cases("joining", "codes", "bad")
def test_a_bad_joining_code_is_refused(case: dict[str, Any]) -> None:
    _refused(case["code"], lambda: ClaimCode.parse(case["text"]))


@_cases("joining", "requests")
def test_a_request_is_signed_as_published(case: dict[str, Any]) -> None:
    key = _key(_file("joining")["private"])
    assert sign(case["payloadType"], canonical(case["says"]), key).encode().decode() == case["envelope"]


def _answer(case: dict[str, Any]) -> dict[str, Any]:
    file = _file("joining")
    asked = {"nonce": file["nonce"], "device": file["device"], "site": file["site"]}
    key = PublicKey.parse(file["command"])
    said = verify_answer(case["envelope"].encode(), key, key_id=PublicKey.parse(file["key"]).id, **asked)
    return said.model_dump(mode="json")


@_cases("joining", "good")
def test_an_answer_is_read_as_published(case: dict[str, Any]) -> None:
    assert _answer(case) == case["says"]


@_cases("joining", "bad")
def test_an_answer_that_is_not_to_be_believed_is_refused(case: dict[str, Any]) -> None:
    _refused(case["code"], lambda: _answer(case))
