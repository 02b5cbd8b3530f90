"""What the running terminal does about its clock: it says where the time comes from, and signs every step."""

from __future__ import annotations

import base64
import stat
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import pytest

from evidence.authorisation import EnrolmentAuthorisation, sign_authorisation
from evidence.events import ClockSteppedBody, Event, Kind, LogType, Outcome, PunchBody, Verdict, parse_body
from evidence.keys import Ed25519Key
from kiosk.app import Kiosk
from kiosk.clock import Stamp, SystemClock, format_time, parse_time
from tests.kiosk.small_terminal import check, events, punch, small_terminal, until

COLLECTOR = Ed25519Key.generate()
# As chrony 4.3 answers `chronyc -c tracking`.
NTP = "7F000001,127.0.0.1,4,1795535186.25,-0.000001762,0.0,0.0,0.024,0.000,0.103,0.0312,0.0021,2.0,Normal"
UNSYNCED = "00000000,,0,0.0,0.0,0.0,0.0,0.000,0.000,0.000,1.000000000,1.000000000,0.0,Not synchronised"
HOUR_MS = 3_600_000


@pytest.fixture(autouse=True)
def _often(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setattr("kiosk.keeper.HEALTH_EVERY_S", 0.1)
    monkeypatch.setattr("kiosk.clock.READING_KEPT_S", 0.0)
    monkeypatch.setattr("kiosk.clock.RTC", tmp_path / "no-rtc")


@pytest.fixture
def chrony_says(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Callable[[str], None]:
    """A `chronyc` on the path whose answer the test sets."""
    folder, answer = tmp_path / "bin", tmp_path / "tracking"
    folder.mkdir()
    program = folder / "chronyc"
    program.write_text(f'#!/bin/sh\n[ "$*" = "-c tracking" ] && cat {answer}\n')
    program.chmod(stat.S_IRWXU)
    monkeypatch.setenv("PATH", str(folder), prepend=":")

    def say(line: str) -> None:
        fresh = tmp_path / "fresh"
        fresh.write_text(f"{line}\n")
        fresh.replace(answer)

    return say


def enrol(kiosk: Kiosk) -> None:
    permission = EnrolmentAuthorisation(
        id="ab" * 16,
        worker="W-1",
        name="王芳",
        device="gate-1",
        site="east",
        authorised_by="HR",
        expires="2099-01-01T00:00:00.000Z",
    )
    kiosk.enrol_pin(base64.b64encode(sign_authorisation(permission, COLLECTOR)).decode(), "246810")


def test_a_punch_under_an_unsynchronised_clock_is_kept_and_verified_and_says_so(
    tmp_path: Path, chrony_says: Callable[[str], None]
) -> None:
    chrony_says(NTP)
    with small_terminal(tmp_path, collector_keys=(COLLECTOR.public.text(),)) as kiosk:
        enrol(kiosk)
        event, body = punch(kiosk)
        assert (event.clock.source, event.clock.synced, event.clock.error_ms) == ("ntp", True, 18)
        assert check(body, "clock").outcome is Outcome.PASSED
        assert kiosk.parts()["clock"].state == "working"
        chrony_says(UNSYNCED)
        until(lambda: kiosk.parts()["clock"].reason.startswith("not_synced: "), "the state to say so")
        kiosk.attendant.dismiss()
        kiosk.attendant.badge_pin(LogType.IN, "W-1", "246810")
        result = until(lambda: kiosk.attendant.view().result, "a result")
        kept = events(kiosk)[-1]
        body = parsed_punch(kept)
        assert (result.verdict, body.verdict) == (Verdict.VERIFIED, Verdict.VERIFIED)
        assert (result.clock_synced, kept.clock.synced, kept.clock.source) == (False, False, "none")
        said = check(body, "clock")
        assert (said.outcome, said.reason.partition(":")[0]) == (Outcome.NOT_RUN, "clock_unsynced")


def parsed_punch(event: Event) -> PunchBody:
    body = parse_body(event)
    assert isinstance(body, PunchBody)
    return body


def steps(kiosk: Kiosk) -> list[ClockSteppedBody]:
    bodies = [parse_body(event) for event in events(kiosk) if event.kind == Kind.CLOCK_STEPPED]
    return [body for body in bodies if isinstance(body, ClockSteppedBody)]


def set_clock(monkeypatch: pytest.MonkeyPatch, by_ms: int, *, boot: str | None = None) -> None:
    """Let every clock of this process say another time from now on, as if somebody had run `date -s`."""
    true = SystemClock.stamp

    def stamp(clock: SystemClock) -> Stamp:
        real = true(clock)
        wall = format_time(parse_time(real.time) + by_ms * 1_000_000)
        return replace(real, time=wall, boot=boot or real.boot)

    monkeypatch.setattr(SystemClock, "stamp", stamp)


@pytest.mark.parametrize("by_ms", [HOUR_MS, -HOUR_MS, 2_000])
def test_a_clock_that_is_set_while_the_terminal_runs_is_signed(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, by_ms: int
) -> None:
    with small_terminal(tmp_path) as kiosk:
        before, _ = punch(kiosk)
        set_clock(monkeypatch, by_ms)
        (step,) = until(lambda: steps(kiosk), "the step to be signed")
        assert abs(step.step_ms - by_ms) <= 5
        assert step.from_ >= events(kiosk)[0].time
        after, _ = punch(kiosk)
        assert after.boot == before.boot
        assert len(steps(kiosk)) == 1


def test_a_clock_that_is_set_while_the_terminal_is_switched_off_is_signed_when_it_starts(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    with small_terminal(tmp_path):
        pass
    set_clock(monkeypatch, -HOUR_MS)
    with small_terminal(tmp_path) as kiosk:
        (step,) = until(lambda: steps(kiosk), "the step to be signed")
        assert abs(step.step_ms + HOUR_MS) <= 5


def test_an_empty_rtc_battery_is_signed_after_the_machine_was_started_again(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    with small_terminal(tmp_path):
        pass
    set_clock(monkeypatch, -1000 * HOUR_MS, boot="f" * 32)
    with small_terminal(tmp_path) as kiosk:
        (step,) = until(lambda: steps(kiosk), "the step to be signed")
        assert -1000 * HOUR_MS <= step.step_ms < -999 * HOUR_MS


def test_a_terminal_that_starts_again_with_a_true_clock_claims_no_step(tmp_path: Path) -> None:
    with small_terminal(tmp_path):
        pass
    with small_terminal(tmp_path) as kiosk:
        first = kiosk.journal.head.seq
        punch(kiosk)
        until(lambda: kiosk.journal.head.seq > first, "the punch")
        assert steps(kiosk) == []
