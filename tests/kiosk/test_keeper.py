"""The keeper's rounds, on a real journal: what fails keeps nothing else from being done."""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from evidence.events import Kind
from evidence.keys import Ed25519Key
from kiosk.clock import Stamp, SystemClock
from kiosk.errors import JournalFull
from kiosk.journal import Journal
from kiosk.keeper import Keeper

BALLAST = {"policy": {"name": "x" * 3000}, "policy_hash": "0" * 64}


class Rounds:
    """Notes what was done; `until` waits for it."""

    def __init__(self) -> None:
        self.done: list[str] = []
        self._more = threading.Condition()

    def note(self, what: str, error: Exception | None = None) -> Callable[..., None]:
        def duty(*_: Stamp) -> None:
            with self._more:
                self.done.append(what)
                self._more.notify_all()
            if error is not None:
                raise error

        return duty

    def until(self, what: str, times: int = 1) -> None:
        with self._more:
            assert self._more.wait_for(lambda: self.done.count(what) >= times, 20), self.done


@pytest.fixture(autouse=True)
def _often(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("kiosk.keeper.HEALTH_EVERY_S", 0.01)


@pytest.fixture
def journal(tmp_path: Path) -> Iterator[Journal]:
    one = Journal(tmp_path / "journal.db", Ed25519Key.generate(), "gate-1", "east", "UTC", SystemClock(), max_pages=24)
    yield one
    one.close()


def keeper(journal: Journal, rounds: Rounds, *, broken: Callable[[], bool] = lambda: False) -> Keeper:
    lost = OSError("gone")
    return Keeper(
        SystemClock(),
        journal,
        first=(rounds.note("health", lost), rounds.note("certificate")),
        signing=(rounds.note("owed", lost), rounds.note("coverage")),
        last=(rounds.note("clock", lost),),
        hourly=(rounds.note("prune", lost), rounds.note("clips")),
        broken=broken,
    )


def test_a_duty_that_fails_keeps_no_other_from_its_own_and_is_tried_again(
    journal: Journal, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("kiosk.keeper.PRUNE_EVERY_S", 0.0)
    rounds = Rounds()
    one = keeper(journal, rounds)
    one.start()
    rounds.until("clips", 2)
    one.stop()
    assert rounds.done[:7] == ["health", "certificate", "owed", "coverage", "clock", "prune", "clips"]
    assert not one.failed.is_set()


def test_nothing_is_pruned_before_the_hour_is_over(journal: Journal) -> None:
    rounds = Rounds()
    one = keeper(journal, rounds)
    one.start()
    rounds.until("clock", 3)
    one.stop()
    assert "prune" not in rounds.done


def test_a_full_journal_keeps_operators_told_and_nothing_is_signed(journal: Journal) -> None:
    with pytest.raises(JournalFull):
        for _ in range(1000):
            journal.append(Kind.CONFIG_APPLIED, BALLAST)
    rounds = Rounds()
    one = keeper(journal, rounds)
    one.start()
    rounds.until("certificate", 3)
    one.stop()
    assert set(rounds.done) == {"health", "certificate"}


def test_what_only_a_new_process_can_help_is_said(journal: Journal) -> None:
    one = keeper(journal, Rounds(), broken=lambda: True)
    one.start()
    assert one.failed.wait(20)
    one.stop()
