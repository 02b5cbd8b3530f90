"""Two readers in two languages judge alike: the vectors with random changes, read by `evidence` and in Perl.

The published cases are those that somebody thought of. Here a difference shows what nobody did.
"""

from __future__ import annotations

import base64
import json
import os
import random
import subprocess
from collections import Counter
from pathlib import Path
from typing import Any

import pytest

from evidence.canonical import canonical, parse_canonical
from evidence.envelope import Envelope
from evidence.errors import EvidenceError, InvalidBody
from evidence.events import parse_body, parse_event
from evidence.provisioning import ClaimCode

ROOT = Path(__file__).parents[2]
CASES = 200_000 if os.environ.get("ZAIGANG_LONG") == "1" else 5_000
# Kinds whose bodies the Perl terminal reads.
BODIES = {
    *("device.enrolled", "device.key_rotated", "punch.recorded", "punch.refused"),
    *("enclosure.opened", "enclosure.cleared"),
}
PIECES = [
    *(b'"', b"\\", b"\\u00", b"\\ud83d\\ude00", b"\\uD800", b"{", b"}", b"[", b"]", b",", b":", b"0", b"-", b"1", b"."),
    *(b"e", b"null", b"true", b" ", b"\n", b"\t", b"\x00", b"\x7f", b"=", b"/", b"+", b"9007199254740992", b'"a":1'),
    *(b"\xc3\xa9", b"\xe2\x80\xa8", b"\xef\xbb\xbf", b"\xed\xa0\x80", b"\xf0\x9f\x98\x80", b"\xff", b"\xef\xbf\xbf"),
    *(b"\xe2\x80\x8b", b"\xc2\xa0", b"\xf4\x90\x80\x80", b"\xc2\x85", b"0001-01-01", b"0000-01-01"),
]
VALUES: list[Any] = [
    *(None, True, False, 0, 1, -1, "", "x", "1", [], {}, [1], {"a": 1}, 2**53 - 1, "verified", "refused", "supervisor"),
    *("E 1", " E", "E ", "E\u200b1", "\u3000E", "E\u2028", "\u0378", "\ue000", "é" * 64, "é" * 65, "a" * 401),
    *("2026-03-01T08:00:00.000Z", "ab" * 16, "ab" * 32, "\U0001f600" * 400, "device.enrolled", "punch.refused"),
]


def _seeds() -> dict[str, list[bytes]]:
    files = {path.stem: json.loads(path.read_text()) for path in (ROOT / "docs" / "spec" / "vectors").glob("*.json")}
    events = [case["payload"].encode() for case in files["events"]["good"] + files["events"]["bad"]]
    chains = [one for case in files["chains"]["cases"] for one in case["envelopes"]]
    chains += files["events"]["story"]["envelopes"]
    events += [base64.b64decode(json.loads(envelope)["payload"]) for envelope in chains]
    return {
        "canonical": [case["canonical"].encode() for case in files["canonical"]["good"]]
        + [bytes.fromhex(case["hex"]) for case in files["canonical"]["bad"]],
        "envelope": [one["envelope"].encode() for part in ("good", "bad") for one in files["envelopes"][part]],
        "event": events,
        "code": [case["text"].encode() for case in files["joining"]["codes"]["good"]],
    }


def _changed(data: bytes, rng: random.Random) -> bytes:
    """Some bytes put in, taken out, flipped or doubled."""
    changed = bytearray(data)
    for _ in range(rng.choice([1, 1, 1, 2, 3])):
        at, way = rng.randrange(len(changed) + 1), rng.random()
        if way < 0.3:
            changed[at:at] = rng.choice(PIECES)
        elif way < 0.5:
            changed[at : at + rng.randrange(1, 5)] = rng.choice(PIECES)
        elif way < 0.7 and changed:
            changed[min(at, len(changed) - 1)] ^= 1 << rng.randrange(8)
        elif way < 0.85:
            del changed[at : at + rng.choice([1, 1, 2, 5, 20])]
        else:
            changed[at:at] = changed[rng.randrange(len(changed) + 1) :][:40]
    return bytes(changed)


def _places(value: Any) -> list[tuple[Any, Any]]:
    names = list(value) if isinstance(value, dict) else range(len(value)) if isinstance(value, list) else []
    return [place for name in names for place in [(value, name), *_places(value[name])]]


def _rewritten(data: bytes, rng: random.Random) -> bytes:
    """Another value somewhere, canonical again; bytes changed where that cannot be."""
    try:
        value = json.loads(data)
        holder, name = rng.choice(_places(value))
        if isinstance(holder, dict) and rng.random() < 0.15:
            del holder[name]
        else:
            holder[name] = rng.choice(VALUES)
        return canonical(value)
    except (ValueError, IndexError, EvidenceError):
        return _changed(data, rng)


def _ours(kind: str, data: bytes) -> str:
    try:
        if kind == "canonical":
            parse_canonical(data)
        elif kind == "envelope":
            Envelope.decode(data)
        elif kind == "code":
            ClaimCode.parse(data.decode("latin-1"))
        else:
            event = parse_event(data)
            try:
                if event.kind in BODIES:
                    parse_body(event)
            except InvalidBody:
                return "unread"
    except EvidenceError as error:
        return error.code
    return "ok"


@pytest.mark.long
def test_two_languages_judge_every_change_alike() -> None:
    rng, seeds, cases = random.Random(53), _seeds(), []
    for _ in range(CASES):
        kind = rng.choice(list(seeds))
        change = _rewritten if kind in ("event", "envelope") and rng.random() < 0.6 else _changed
        cases.append((kind, change(rng.choice(seeds[kind]), rng)))
    lines = "".join(f"{kind} {data.hex()}\n" for kind, data in cases)
    judge = ["perl", str(ROOT / "tests" / "conformance" / "perl" / "judge")]
    done = subprocess.run(judge, input=lines, capture_output=True, text=True, timeout=250, check=True)
    theirs = done.stdout.splitlines()
    judged = [(kind, _ours(kind, data)) for kind, data in cases]
    assert len(theirs) == len(cases)
    differ = [
        (one, other, data) for one, other, (_, data) in zip(judged, theirs, cases, strict=True) if one[1] != other
    ]
    assert differ == []
    assert {code for _, code in Counter(judged)} >= {"ok", "not_json", "duplicate_key", "not_canonical", "unread"} | {
        "invalid_envelope",
        "invalid_event",
        "join",
    }
