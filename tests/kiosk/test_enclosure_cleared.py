"""Only a signed clear for this opening of this terminal, now, lets it verify again."""

from __future__ import annotations

import base64
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

from evidence.clearance import verify_clearance
from evidence.events import (
    EnclosureClearedBody,
    Kind,
    Outcome,
    Verdict,
)
from kiosk.errors import NotCleared
from tests.kiosk.opened_case import (
    COLLECTOR,
    STRANGER,
    TAMPER,
    bodies,
    clear,
    clearance,
    cut,
    enclosure_check,
    enrol,
    punch,
    terminal,
)
from tests.support.gpio import Pins


def test_a_signed_clear_lets_the_terminal_verify_again_and_stands_in_the_chain(tmp_path: Path) -> None:
    pins = Pins()
    with terminal(tmp_path, pins) as kiosk:
        enrol(kiosk)
        seq = cut(kiosk, pins)
    pins.pin(TAMPER).mend()
    done = clear(tmp_path, pins, lambda kiosk: clearance(kiosk, seq))
    with terminal(tmp_path, pins) as kiosk:
        ((cleared, body),) = bodies(kiosk, Kind.ENCLOSURE_CLEARED)
        assert isinstance(body, EnclosureClearedBody)
        assert (cleared, body.opening, body.authorised_by) == (done, seq, "boss")
        proof, chain = base64.b64decode(body.clearance), kiosk.journal.head.chain
        assert verify_clearance(proof, COLLECTOR.public, "gate-1", "east", chain, "2026-01-01T00:00:00.000Z")
        assert punch(kiosk).verdict is Verdict.VERIFIED
        assert enclosure_check(kiosk).outcome is Outcome.PASSED
        again = cut(kiosk, pins)  # and the next opening stands again
        assert again > done
        assert punch(kiosk).verdict is Verdict.REVIEW


@pytest.mark.parametrize(
    ("changes", "why"),
    [
        ({"key": STRANGER}, "registered is"),
        ({"device": "gate-2"}, "gate-2"),
        ({"site": "west"}, "west"),
        ({"chain": "ef" * 16}, "another chain"),
        ({"expires": "2026-01-01T00:00:00.000Z"}, "ended at"),
        ({"opening": 0}, "for opening 0"),
        ({"opening": 999}, "for opening 999"),
    ],
)
def test_a_clear_that_is_not_for_this_opening_of_this_terminal_now_clears_nothing(
    tmp_path: Path, changes: dict[str, Any], why: str
) -> None:
    pins = Pins()
    with terminal(tmp_path, pins) as kiosk:
        enrol(kiosk)
        seq = cut(kiosk, pins)
    pins.pin(TAMPER).mend()
    with pytest.raises(NotCleared, match=why):
        clear(tmp_path, pins, lambda kiosk: clearance(kiosk, **({"opening": seq} | changes)))
    with terminal(tmp_path, pins) as kiosk:
        assert kiosk.journal.opening == seq
        assert punch(kiosk).verdict is Verdict.REVIEW


def test_a_clear_is_used_once_and_not_for_an_older_opening(tmp_path: Path) -> None:
    pins = Pins()
    with terminal(tmp_path, pins) as kiosk:
        first = cut(kiosk, pins)
    pins.pin(TAMPER).mend()
    paper = []
    clear(tmp_path, pins, lambda kiosk: paper.append(clearance(kiosk, first)) or paper[0])
    with pytest.raises(NotCleared, match="no opening waits"):
        clear(tmp_path, pins, lambda _: paper[0])
    with terminal(tmp_path, pins) as kiosk:
        second = cut(kiosk, pins)
    pins.pin(TAMPER).mend()
    with pytest.raises(NotCleared, match=f"for opening {first}, the one that stands is {second}"):
        clear(tmp_path, pins, lambda _: paper[0])
    with pytest.raises(NotCleared, match="used before"):
        clear(tmp_path, pins, lambda kiosk: clearance(kiosk, second))  # the same id for another opening
    clear(tmp_path, pins, lambda kiosk: clearance(kiosk, second, id="ee" * 16))


@pytest.mark.parametrize("text", ["", "not base64!", "AAAA", "{}"])
def test_garbage_clears_nothing(tmp_path: Path, text: str) -> None:
    pins = Pins()
    with terminal(tmp_path, pins) as kiosk:
        cut(kiosk, pins)
    pins.pin(TAMPER).mend()
    with pytest.raises(NotCleared):
        clear(tmp_path, pins, lambda _: text)


@pytest.mark.parametrize("state", ["open", "unreadable"])
def test_nothing_is_cleared_while_the_case_is_open_or_nobody_can_say(tmp_path: Path, state: str) -> None:
    pins = Pins()
    with terminal(tmp_path, pins) as kiosk:
        seq = cut(kiosk, pins)
    if state == "unreadable":
        pins.pin(TAMPER).mend()
        pins.pin(TAMPER).broken = OSError("input/output error")
    with pytest.raises(NotCleared, match="case is"):
        clear(tmp_path, pins, lambda kiosk: clearance(kiosk, seq))
    pins.pin(TAMPER).broken = None
    pins.pin(TAMPER).mend()
    clear(tmp_path, pins, lambda kiosk: clearance(kiosk, seq))  # the refusal did not use it up


def test_the_command_clears_with_the_service_stopped_and_says_in_one_line_what_is_wrong(tmp_path: Path) -> None:
    pins = Pins()
    with terminal(tmp_path, pins) as kiosk:
        enrol(kiosk)
        seq = cut(kiosk, pins)
        paper, wrong = tmp_path / "clear", tmp_path / "wrong"
        paper.write_text(clearance(kiosk, seq) + "\n")
        wrong.write_text(clearance(kiosk, seq, STRANGER))
    # The machine of the test has no pins: the loop is left out, which leaves the opening standing all the same.
    config = tmp_path / "kiosk.toml"
    config.write_text(
        f'device = "gate-1"\nsite = "east"\ndata_dir = "{tmp_path / "terminal"}"\nprofile = "badge-only"\n'
        f'collector_keys = ["{COLLECTOR.public.text()}"]\n'
    )

    def run(file: Path) -> subprocess.CompletedProcess[str]:
        command = [sys.executable, "-m", "zaigang.cli", "kiosk", "clear-enclosure", str(file), "--config", str(config)]
        return subprocess.run(command, capture_output=True, text=True, check=False)

    refused = run(wrong)
    assert refused.returncode == 1 and "registered is" in refused.stderr and "Traceback" not in refused.stderr
    done = run(paper)
    assert (done.returncode, "cleared" in done.stderr) == (0, True), done.stderr
    again = run(paper)
    assert again.returncode == 1 and "no opening waits" in again.stderr
    pins.pin(TAMPER).mend()
    with terminal(tmp_path, pins) as kiosk:
        assert punch(kiosk).verdict is Verdict.VERIFIED
